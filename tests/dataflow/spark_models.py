"""Models of the Spark tests; executors import them from here."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, field_validator

__all__ = ["All", "Either", "Left", "Liar", "Point", "Right", "Side", "Tick", "Tree"]


class Tick(BaseModel):
    key: str
    value: int


class Liar(BaseModel):
    """Its validator gives what the field is not."""

    value: int
    at: AwareDatetime

    @field_validator("value", mode="after")
    @classmethod
    def lie(cls, value: int) -> Any:
        return "hush-hush" if value == 13 else value


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Point(BaseModel):
    x: float
    label: str | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class All(BaseModel):
    text: str
    whole: int
    real: float
    yes: bool
    when: datetime
    day: date
    money: Decimal
    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2)]
    names: list[str]
    points: list[Point]
    numbers: dict[str, int]
    maybe: int | None = None
    point: Point
    side: Side
    kind: Literal["a", "b"]
    either: int | str
    anything: Any
    unique: UUID
    secret: SecretStr
    pair: tuple[int, str]
    many: tuple[int, ...]
    tree: Tree


class Left(BaseModel):
    type: Literal["left"]
    size: int
    clash: int


class Right(BaseModel):
    type: Literal["right"]
    width: float
    clash: str


Either = Annotated[Left | Right, Field(discriminator="type")]
