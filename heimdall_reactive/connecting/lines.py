"""`message_line`: a message as one line of text, for logs, lists and labels. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, NamedTuple

from heimdall_reactive.base.exceptions import ConfigurationError, EncodeError
from heimdall_reactive.base.printable import clock, cut, printable
from heimdall_reactive.connecting.codec import encode

__all__ = ["MessageParts", "message_line", "message_parts"]

LONGEST: Final = 4096  # characters of a text that are read for its type
KINDS: Final = ("type", "event", "method")  # fields that name what a message is
KIND: Final = 40  # characters of a type
SHOWN_BYTES: Final = 16  # of a binary message


class MessageParts(NamedTuple):
    """A message taken apart, for whoever shows it. Nothing of it is escaped.

    Attributes:
        kind: what it is, such as `trade` or `#stats`; `binary`; empty where it does not say so.
        text: the rest of it.
        whole: all of it: JSON, the text as it came, or the beginning of a binary one.
        is_json: whether it is JSON.
    """

    kind: str
    text: str
    whole: str
    is_json: bool


def message_line(message: Any, width: int = 120, at: float | None = None) -> str:
    r"""Return a message as one line: its time, its type, and then the rest as JSON.

    `{"type": "trade", "price": 3}` gives `trade  {"price": 3}`, a channel's message begins with
    `#channel`, and a binary one with its size. Control and bidi characters are escaped, such
    as `\x1b`, so that the wire steers no terminal. Fields of pydantic's secret types are stars.

    Args:
        message: of any `message_type`. None, which `last_message` is at first, is an empty line.
        width: columns; what does not fit becomes an ellipsis.
        at: seconds since the epoch when it came; the line begins with this time of the day.

    Raises:
        ConfigurationError: the width is not 1 or more.
    """
    if width < 1:
        raise ConfigurationError(f"width has to be 1 or more columns, not {width!r}")
    if message is None:
        return ""
    kind, text, *_ = message_parts(message)
    parts = ("" if at is None else clock(at), kind, text)
    shown = "  ".join(printable(part[: width + 1]) for part in parts if part)
    return cut(shown, width)


def message_parts(message: Any) -> MessageParts:
    """Take a message apart."""
    if isinstance(message, (bytes, bytearray, memoryview)):
        shown = _bytes(bytes(message))
        return MessageParts("binary", shown, shown, False)
    text, value = _read(message)
    name = next((name for name in KINDS if _is_word(value, name)), None)
    if name is None:
        return MessageParts("", text, text, value is not None)
    fields: dict[str, Any] = dict(value)
    kind: str = fields.pop(name)
    if kind == "Message" and isinstance(fields.get("channel"), str):  # of Heimdall
        data = str(fields.get("data", ""))
        return MessageParts(f"#{fields['channel']}"[:KIND], data, data, True)
    if hasattr(message, "model_dump"):  # optional fields of a model, and the time: not what matters
        fields = {key: field for key, field in fields.items() if field is not None}
        fields |= {"timestamp": fields.pop("timestamp")} if "timestamp" in fields else {}
    return MessageParts(kind[:KIND], _dumped(fields) if fields else "", text, True)


def _read(message: Any) -> tuple[str, Any]:
    """Return a message as text, and the value of that where it is JSON."""
    if isinstance(message, str):
        return message, None if len(message) > LONGEST else _parsed(message)
    if type(message) is dict:  # plain JSON mostly: half of the time
        with suppress(TypeError, ValueError, RecursionError):
            return _dumped(message), message
    text = _json(message)
    value = _parsed(text)
    return (text if value is None else _dumped(value)), value


def _is_word(value: Any, name: str) -> bool:
    return isinstance(value, dict) and isinstance(word := value.get(name), str) and word != ""


def _bytes(data: bytes) -> str:
    more = " ..." if len(data) > SHOWN_BYTES else ""
    return f"{len(data)} bytes: {data[:SHOWN_BYTES].hex(' ')}{more}"


def _json(message: Any) -> str:
    try:
        return encode(message).data.decode()
    except EncodeError:
        pass
    try:
        return repr(message)
    except Exception:  # a repr of the user's own; a line is shown all the same
        return f"<{type(message).__name__}>"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
