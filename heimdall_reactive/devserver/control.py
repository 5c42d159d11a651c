"""The control protocol: what a client's message asks for, and which channels it may have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from heimdall_reactive.base.messages import Ping, Subscribe, Unsubscribe, WireModel

from .tokens import Grant

__all__ = ["Auth", "Order", "Unclear", "channel_exists", "id_of", "objection", "read_order"]

_CHANNELS = frozenset({"public", "gps", "notifications", "stats", "discord:events"})
_PREFIXES = ("user:", "admin:", "public:")


class Auth(WireModel):
    """A token in the first message, for clients that can place it nowhere else."""

    type: Literal["Auth"] = "Auth"
    token: str = Field(repr=False)


@dataclass(frozen=True)
class Unclear:
    """A message that is not a valid control message.

    Attributes:
        problem: what is wrong with it, without its payload.
        kind: its type, where that is one of the control messages.
    """

    problem: str
    kind: str | None = None


Order = Subscribe | Unsubscribe | Ping | Auth

_ORDERS: dict[str, type[Order]] = {
    "Subscribe": Subscribe,
    "Unsubscribe": Unsubscribe,
    "Ping": Ping,
    "Auth": Auth,
}


def read_order(message: str | bytes) -> Order | Unclear:
    """Read a client's message as a control message, or tell why it is none."""
    if isinstance(message, bytes):
        return Unclear("binary messages are not understood here")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return Unclear("the message is not JSON")
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return Unclear("the message is not a JSON object with a type")
    model = _ORDERS.get(kind)
    if model is None:
        return Unclear(f"unknown type {kind[:40]!r}; use Subscribe, Unsubscribe or Ping")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        return Unclear(f"{kind}: wrong or missing field: {wrong}", kind)


def id_of(message: str | bytes) -> str | int | None:
    """Return the `id` of a JSON object, where it has one that a client can repeat."""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    name = value.get("id") if isinstance(value, dict) else None
    return name if isinstance(name, (str, int)) else None


def channel_exists(channel: str) -> bool:
    """Return whether Heimdall knows a channel of this name."""
    return channel in _CHANNELS or any(
        channel.startswith(prefix) and channel != prefix for prefix in _PREFIXES
    )


def objection(grant: Grant, channel: str) -> str | None:
    """Return why the holder of `grant` may not have `channel`, or None if it may."""
    if not channel_exists(channel):
        return f"unknown channel {channel[:80]!r}"
    scope, _, name = channel.partition(":")
    if scope == "user" and name != grant.user_id:
        return "forbidden channel: it belongs to another user"
    if scope == "admin" and not grant.admin:
        return "forbidden channel: it is for administrators"
    return None
