"""Spark types of Python annotations: what a field of a model is as a column."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic.fields import FieldInfo
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

__all__ = ["Column", "Unfit", "column_of", "columns_of", "text_column"]

Convert = Callable[[Any], Any]

WHOLE: Final = 1 << 63  # a Spark long is below it
PRECISION, SCALE = 38, 18  # of a decimal without bounds of its own: what Spark takes at most


class Unfit(ValueError):
    """A value that its column cannot hold; says why without it."""


@dataclass(frozen=True)
class Column:
    """What a value is in Spark.

    Attributes:
        type: the type of the column.
        convert: makes of a value what Arrow takes for it, None where that is the value itself;
            raises Unfit where the column cannot hold it. Never called with None.
    """

    type: DataType
    convert: Convert | None = None


def columns_of(model: type[BaseModel], seen: tuple[type, ...] = ()) -> dict[str, Column]:
    """Return the columns of a model's fields, under their Python names."""
    return {
        name: column_of(field.annotation, field, (*seen, model))
        for name, field in model.model_fields.items()
    }


def column_of(
    annotation: Any, field: FieldInfo | None = None, seen: tuple[type, ...] = ()
) -> Column:
    """Return the column of a type; of one that Spark has no equal of, a column of text.

    Args:
        annotation: the type.
        field: what else the model says of it.
        seen: models around it: one that holds itself is JSON text at the second time.
    """
    annotation = _plain(annotation)
    if isinstance(annotation, type) and annotation in SCALARS:
        return SCALARS[annotation]
    if annotation is Decimal:
        return _decimal(field)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        left = [arg for arg in args if arg is not type(None)]
        return column_of(left[0], field, seen) if len(left) == 1 else text_column(annotation)
    if origin is Literal:
        return _of_values(args, annotation, None)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = [member.value for member in annotation]
        return _of_values(values, annotation, lambda member: member.value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation, seen)
    return _container(origin, args, seen) or _by_schema(annotation)


def _by_schema(annotation: Any) -> Column:
    """Return the column of a type of somebody else's, such as pydantic's `AwareDatetime`."""
    form = _json_schema(TypeAdapter(annotation)).get("format")
    kind = {"date-time": datetime, "date": date}.get(form) if form else None
    return SCALARS[kind] if kind else text_column(annotation)


def _json_schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    try:
        return adapter.json_schema(mode="serialization")
    except Exception:  # a type without a JSON schema; its values may have a JSON form
        return {}


def text_column(annotation: Any) -> Column:
    """Return a column of text: plain where the type is text in JSON, such as a UUID, else JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    if _json_schema(adapter).get("type") == "string":
        return Column(StringType(), lambda value: adapter.dump_python(value, mode="json"))
    return Column(StringType(), lambda value: adapter.dump_json(value, by_alias=True).decode())


def _plain(annotation: Any) -> Any:
    """Remove what only names a type or notes something beside it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _whole(value: int) -> int:
    if not -WHOLE <= value < WHOLE:
        raise Unfit("a whole number of more than 64 bits")
    return int(value)


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


SCALARS: Final[dict[Any, Column]] = {
    str: Column(StringType()),
    bool: Column(BooleanType()),
    int: Column(LongType(), _whole),
    float: Column(DoubleType()),
    bytes: Column(BinaryType()),
    datetime: Column(TimestampType(), _aware),
    date: Column(DateType()),
}


def _decimal(field: FieldInfo | None) -> Column:
    bounds = {type(note).__name__: note for note in (field.metadata if field else ())}
    digits = places = None
    for note in bounds.values():
        digits = getattr(note, "max_digits", None) or digits
        places = places if getattr(note, "decimal_places", None) is None else note.decimal_places
    if digits is None or digits > PRECISION:
        digits, places = PRECISION, SCALE if places is None else min(places, SCALE)
    places = min(SCALE, digits) if places is None else places
    step = Decimal(1).scaleb(-places)
    limit = Decimal(10) ** (digits - places)

    def convert(value: Decimal) -> Decimal:
        if not value.is_finite() or abs(value) >= limit:
            raise Unfit(f"no decimal({digits},{places})")
        exact = value.quantize(step) if -value.as_tuple().exponent <= places else None  # type: ignore[operator]
        if exact is None:
            raise Unfit(f"more than {places} decimal places")
        return exact

    return Column(DecimalType(digits, places), convert)


def _of_values(values: Sequence[Any], annotation: Any, plain: Convert | None) -> Column:
    """Return the column of a type with a few values: of their type where they have one."""
    kinds = {type(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind not in (str, int, bool):
        return text_column(annotation)
    return Column(SCALARS[kind].type, plain)


def _model(model: type[BaseModel], seen: tuple[type, ...]) -> Column:
    if model in seen:
        return text_column(model)
    if issubclass(model, RootModel):
        root = column_of(model.model_fields["root"].annotation, seen=(*seen, model))
        inner = root.convert
        return Column(root.type, lambda value: inner(value.root) if inner else value.root)
    columns = columns_of(model, seen)
    if not columns:
        return text_column(model)
    kind = StructType([StructField(name, column.type) for name, column in columns.items()])
    parts = [(name, column.convert) for name, column in columns.items()]

    def convert(value: BaseModel) -> dict[str, Any]:
        return {name: _apply(change, getattr(value, name)) for name, change in parts}

    return Column(kind, convert)


def _container(origin: Any, args: tuple[Any, ...], seen: tuple[type, ...]) -> Column | None:
    if not isinstance(origin, type) or not args:
        return None
    if issubclass(origin, Mapping) and len(args) == 2:  # a `Counter` has one
        keys, values = (column_of(arg, seen=seen) for arg in args)
        if _plain(args[0]) not in (str, int):
            return None
        return Column(MapType(keys.type, values.type), lambda value: [
            (key, _apply(values.convert, item)) for key, item in value.items()
        ])  # fmt: skip
    many = issubclass(origin, (Sequence, Set)) and len(args) == 1
    if many or (issubclass(origin, tuple) and len(args) == 2 and args[1] is Ellipsis):
        items = column_of(args[0], seen=seen)
        return Column(
            ArrayType(items.type), lambda value: [_apply(items.convert, item) for item in value]
        )
    return None


def _apply(convert: Convert | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)
