"""Frames to messages and back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from heimdall_reactive.base import messages
from heimdall_reactive.base.exact import asks_for_decimals, exact_json
from heimdall_reactive.base.exceptions import EncodeError, InvalidMessage, one_line
from heimdall_reactive.base.messages import Frame

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["Codec", "InvalidUtf8", "encode"]

T = TypeVar("T")

MAX_REASON: Final = 200  # characters of an error's reason; the wire must not write our logs
MAX_ERRORS: Final = 100  # validation errors of one frame that are looked at; each costs 1 µs
MAX_KIND: Final = 40  # characters of a message's type in an error
# Kinds of validation error whose message is the same for every payload.
CONSTANT: Final = ("missing", "_type", "int_parsing", "float_parsing", "bool_parsing")


class InvalidUtf8(InvalidMessage):
    """A text frame that is not UTF-8; the connection must fail with 1007 (RFC 6455 8.1)."""


def encode(value: Any) -> Frame:
    """Encode a message to send.

    `str` and `bytes` go out as they are, as text and binary; pydantic models as JSON by alias;
    anything else as JSON.

    Raises:
        EncodeError: where the value has no JSON form, NaN and infinity included (RFC 8259 6).
    """
    try:
        if isinstance(value, str):
            return Frame(value.encode(), True)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Frame(bytes(value), False)
        data = to_json(value, by_alias=True)
        if _may_hold_no_number(data):
            from_json(data, allow_inf_nan=False)
        return Frame(data, True)
    except (ValueError, RecursionError) as error:
        kind = type(error).__name__
    # Raised out here: as the context of this one, the cause would keep the value alive.
    raise EncodeError(
        f"a {type(value).__name__} has no JSON form ({kind}); "
        "send str, bytes, a pydantic model or plain JSON values"
    )


def _may_hold_no_number(data: bytes | bytearray) -> bool:
    """Return whether NaN or Infinity may be in JSON, in a string of it at least."""
    # A single byte is found 20 times as fast as a word, and most frames have neither; `find` takes
    # half of what `in` takes.
    find = data.find
    return (find(78) >= 0 and find(b"NaN") >= 0) or (find(73) >= 0 and find(b"Infinity") >= 0)


class Codec(Generic[T]):
    """Decode frames to messages of one type, which is checked at run time.

    Args:
        message_type: any type pydantic can validate, unions included. None stands for the Heimdall
            messages with plain JSON for every type that nobody knows. Types made of `str` and
            `bytes` alone give text and binary frames as they came.

    Attributes:
        exact: whether the type asks for numbers with all their digits.
    """

    def __init__(self, message_type: TypeForm[T] | None = None) -> None:
        self._words: Callable[[], frozenset[str]] | None = None
        self._check: Callable[[Any], Any] = _as_it_is
        self.exact = False
        if message_type is None:
            self._validate: Callable[[bytes | bytearray, bool], Any] = _heimdall
        elif message_type is Any:
            self._validate = _plain
        else:
            adapter: TypeAdapter[Any] = TypeAdapter(message_type)
            self._words = cache(lambda: _words(adapter.core_schema))
            self.exact = asks_for_decimals(adapter.core_schema)
            self._validate = _decoder(message_type, adapter, self.exact)
            self._check = adapter.validator.validate_python

    def validate(self, value: Any) -> T:
        """Validate what a protocol made of a frame; without a message type, it is the message.

        Raises:
            InvalidMessage: the value is not of the message type.
        """
        try:
            return self._check(value)  # type: ignore[no-any-return]
        except Exception as error:  # a user's own validators may raise anything
            invalid = _describe(error, b"", False, self._words)
        raise invalid

    def decode(self, data: bytes | bytearray, text: bool) -> T:
        """Decode one frame.

        Raises:
            InvalidUtf8: a text frame that is not UTF-8.
            InvalidMessage: a frame that is not of the message type; it says why, without payload.
        """
        try:
            return self._validate(data, text)  # type: ignore[no-any-return]
        except Exception as error:  # a user's own validators may raise anything
            invalid = _describe(error, data, text, self._words)
        # Raised out here: as the context of this one, the cause would keep the payload alive.
        raise invalid


def _as_it_is(value: Any) -> Any:
    return value


def _exactly(validate: Callable[[Any], Any]) -> Callable[[bytes | bytearray], Any]:
    return lambda data: validate(exact_json(data.decode()))


def _decoder(
    message_type: Any, adapter: TypeAdapter[Any], exact: bool
) -> Callable[[bytes | bytearray, bool], Any]:
    """Choose how frames become messages of a type."""
    union = get_origin(message_type) in (Union, UnionType)
    members = get_args(message_type) if union else (message_type,)
    raw = all(member in (str, bytes) for member in members)
    # Not the adapter's own methods: on the way of each frame they cost 0.4 us more.
    validate_python = adapter.validator.validate_python
    validate_json = _exactly(validate_python) if exact else adapter.validator.validate_json

    def validate(data: bytes | bytearray, text: bool) -> Any:
        if not text:
            # A binary frame is bytes or nothing: a typed store must not lie about its type.
            return validate_python(bytes(data), strict=True)
        if raw:
            return validate_python(data.decode(), strict=True)
        if _may_hold_no_number(data):
            from_json(data, allow_inf_nan=False)  # no JSON (RFC 8259 6), but taken for floats
        return validate_json(data)

    return validate


_MODELS: Final[dict[str, Callable[[Any], Any]]] = {
    model.model_fields["type"].default: model.__pydantic_validator__.validate_python
    for model in (
        *get_args(get_args(messages.ServerMessage)[0]),
        *get_args(get_args(messages.ControlMessage)[0]),
    )
}


def _plain(data: bytes | bytearray, text: bool) -> Any:
    """Decode any JSON."""
    return from_json(data, allow_inf_nan=False, cache_strings="keys") if text else bytes(data)


def _heimdall(data: bytes | bytearray, text: bool) -> Any:
    """Decode a Heimdall message, or plain JSON where its type is not one of ours.

    JSON straight into a model, with a guess of its type before, was no faster at 0.1 KB (1.5 us)
    and slower at 16 KB (37 us for 26).
    """
    if not text:
        return bytes(data)
    value = from_json(data, allow_inf_nan=False, cache_strings="keys")
    if type(value) is dict:
        kind = value.get("type")
        if type(kind) is str and (validate := _MODELS.get(kind)) is not None:
            return validate(value)
    return value


def _words(schema: Any) -> frozenset[str]:
    """Return every word of a schema; other words in an error's place come from the payload."""
    words: set[str] = set()
    seen: set[int] = set()
    left = [schema]
    while left:
        item = left.pop()
        if isinstance(item, str):
            words.add(item)
        elif isinstance(item, type):
            words.add(item.__name__)
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            left.extend(item)
            left.extend(item.values() if isinstance(item, dict) else ())
    return frozenset(words)


def _describe(
    error: Exception,
    data: bytes | bytearray,
    text: bool,
    words: Callable[[], frozenset[str]] | None,
) -> InvalidMessage:
    """Say what is wrong with a frame, in bounded words and without its payload."""
    if text:
        try:
            data.decode()
        except UnicodeDecodeError:
            return InvalidUtf8("not UTF-8", len(data))
    if isinstance(error, ValidationError):
        if (count := error.error_count()) > MAX_ERRORS:
            return InvalidMessage(f"{count} validation errors", len(data), _kind(data, text))
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return InvalidMessage("not JSON", len(data))
        known = words() if words else None  # our own models name nothing but their fields
        where = ".".join(
            str(part) if isinstance(part, int) or known is None or part in known else "*"
            for part in first["loc"]
        )
        # Other messages may quote the payload: those of a user's validators, and of tags.
        what = first["msg"] if first["type"].endswith(CONSTANT) else first["type"]
        reason = one_line(f"{where}: {what}" if where else what, MAX_REASON)
        return InvalidMessage(reason, len(data), _kind(data, text))
    if isinstance(error, RecursionError) or "recursion" in str(error):
        return InvalidMessage("nested too deeply", len(data))
    if isinstance(error, ValueError):
        return InvalidMessage("not JSON", len(data))
    return InvalidMessage(f"a validator raised {type(error).__name__}", len(data))


def _kind(data: bytes | bytearray, text: bool) -> str | None:
    """Read the `type` of a message that failed to validate."""
    try:
        value = from_json(data) if text else None
    except ValueError:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    return one_line(kind, MAX_KIND) if isinstance(kind, str) else None
