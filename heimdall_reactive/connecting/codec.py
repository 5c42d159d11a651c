"""Frames to messages and back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json, to_json

from heimdall_reactive.base.exact import asks_for_decimals, exact_json
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    EncodeError,
    InvalidMessage,
    one_line,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.session_protocol import heimdall_messages
from heimdall_reactive.base.tagged import tagged

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from typing_extensions import TypeForm

__all__ = ["Codec", "InvalidUtf8", "encode"]

T = TypeVar("T")

MAX_REASON: Final = 200  # characters of an error's reason; the wire must not write our logs
MAX_ERRORS: Final = 100  # validation errors of one frame that are looked at; each costs 1 µs
MAX_KIND: Final = 40  # characters of a message's type in an error
LONG: Final = 1000  # bytes of a frame in which letters are looked for before words
HEAD: Final = 13  # bytes of a frame that give its type away, mostly
PLAIN: Final = (dict, list, str, int, float, bool, type(None), bytes)  # JSON, and binary frames
# Kinds of validation error whose message is the same for every payload.
CONSTANT: Final = (
    "missing",
    "_type",
    "int_from_float",
    "int_parsing",
    "float_parsing",
    "bool_parsing",
)


class InvalidUtf8(InvalidMessage):
    """A text frame that is not UTF-8; the connection must fail with 1007 (RFC 6455 8.1)."""


def encode(value: Any) -> Frame:
    """Encode a message to send.

    `str` and `bytes` go out as they are, as text and binary; pydantic models as JSON by alias;
    anything else as JSON.

    Raises:
        EncodeError: where the value has no JSON form, NaN and infinity included (RFC 8259 6).
    """
    kind = ""
    try:
        if isinstance(value, str):
            return Frame(value.encode(), True)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Frame(bytes(value), False)
        data = to_json(value, by_alias=True)
        if _may_hold_no_number(data):
            kind = "NaN or infinity"
            from_json(data, allow_inf_nan=False)
        return Frame(data, True)
    except (ValueError, RecursionError) as error:
        kind = kind or type(error).__name__
    # Raised out here: as the context of this one, the cause would keep the value alive.
    raise EncodeError(
        f"a value of type {type(value).__name__} has no JSON form ({kind}); "
        "send str, bytes, a pydantic model or plain JSON values"
    )


def _may_hold_no_number(data: bytes | bytearray) -> bool:
    """Return whether NaN or Infinity may be in JSON, in a string of it at least."""
    # A single byte takes a tenth of the time of a word, and few frames have N, or both I and f.
    return (78 in data and _holds(data, b"NaN")) or (
        73 in data and 102 in data and _holds(data, b"Infinity")
    )


def _holds(data: bytes | bytearray, word: bytes) -> bool:
    """Return whether a word is in a frame."""
    start = 0
    if len(data) >= LONG:  # 16 KB take 7 us for a word, and 0.1 us for each I that is in `Id`
        for _ in range(4):
            start = data.find(word[:1], start) + 1
            if not start or data.startswith(word, start - 1):
                return bool(start)
    return data.find(word, start) >= 0


class Codec(Generic[T]):
    """Decode frames to messages of one type, which is checked at run time.

    Args:
        message_type: any type pydantic can validate, unions included. None stands for the Heimdall
            messages with plain JSON for every type that nobody knows. Types made of `str` and
            `bytes` alone give text and binary frames as they came.

    Attributes:
        exact: whether the type asks for numbers with all their digits.
        kinds: classes that each message is an instance of one of; None where nobody knows.
    """

    def __init__(self, message_type: TypeForm[T] | None = None) -> None:
        self._words: Callable[[], frozenset[str]] | None = None
        self._check: Callable[[Any], Any] = _as_it_is
        self.exact = False
        if message_type is None:
            way = _heimdall()
        elif message_type is Any:
            way = Way(_plain, kinds=PLAIN)
        else:
            from pydantic import TypeAdapter  # plain JSON does without: it takes 9 ms

            try:
                if hasattr(type(message_type), "__pydantic_validator__"):  # pydantic 2.8 takes it
                    raise TypeError("an instance of a model")
                adapter: TypeAdapter[Any] = TypeAdapter(message_type)
                self.exact = asks_for_decimals(adapter.core_schema)
                way = _way(message_type, adapter, self.exact)
                self._check = adapter.validator.validate_python
            except Exception as error:
                # This one tells what to do: where to import `TypedDict` from, before Python 3.12.
                typed_dict = getattr(error, "code", "") == "typed-dict-version"
                why = f": {error}".split("\n")[0] if typed_dict else ""
                raise ConfigurationError(
                    "message_type must be a type that pydantic can validate, such as a model or "
                    f"dict[str, int], not {message_type!r}{why}"
                ) from error
            self._words = cache(lambda: _words(adapter.core_schema))
        self._validate, self._quick, self._heads, self._sure, self.kinds = way

    def makes(self, kind: Any) -> bool:
        """Return whether a message may be an instance of a class, or of a union of some."""
        if self.kinds is None:
            return True
        try:
            return any(issubclass(known, kind) for known in self.kinds) or (
                # A validator may choose a more special class than that of its model.
                isinstance(kind, type) and issubclass(kind, self.kinds)
            )
        except TypeError:  # a protocol with attributes, which only instances have
            return True

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
        # All in one function: a call more is a twentieth of the time of a small message.
        try:
            if (
                text
                and (quick := self._quick) is not None
                and (self._heads is None or (type(data) is bytes and data[:HEAD] in self._heads))
                and not ((78 in data or (73 in data and 102 in data)) and _may_hold_no_number(data))
            ):
                try:
                    return quick(data)  # type: ignore[no-any-return]
                except ValidationError:
                    if self._sure:
                        raise
            return self._validate(data, text)  # type: ignore[no-any-return]
        except Exception as error:  # a user's own validators may raise anything
            invalid = _describe(error, data, text, self._words)
        # Raised out here: as the context of this one, the cause would keep the payload alive.
        raise invalid


def _as_it_is(value: Any) -> Any:
    return value


def _exactly(validate: Callable[[Any], Any]) -> Callable[[bytes | bytearray], Any]:
    return lambda data: validate(exact_json(data.decode()))


class Way(NamedTuple):
    """How frames become messages of a type.

    Attributes:
        validate: takes any frame, and whether it is text.
        quick: takes a text that has neither NaN nor Infinity, and makes the same message of it;
            what it refuses `validate` may still take. None where there is no quicker way.
        heads: how the texts begin that are tried by `quick` first; None for all.
        sure: whether `quick` refuses what `validate` would, and says the same.
        kinds: see `Codec`.
    """

    validate: Callable[[bytes | bytearray, bool], Any]
    quick: Callable[[bytes | bytearray], Any] | None = None
    heads: frozenset[bytes] | None = None
    sure: bool = False
    kinds: tuple[type, ...] | None = None


def _way(message_type: Any, adapter: TypeAdapter[Any], exact: bool) -> Way:
    """Choose how frames become messages of a type."""
    members = _members(message_type)
    raw = all(member in (str, bytes) for member in members)
    known = raw or all(hasattr(member, "__pydantic_validator__") for member in members)
    kinds = members if known else None
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

    if raw or exact:
        return Way(validate, kinds=kinds)
    schema = tagged(adapter.core_schema) if _takes_the_last() else None
    if schema is None:
        return Way(validate, validate_json, sure=True, kinds=kinds)
    return Way(validate, SchemaValidator(schema).validate_json, kinds=kinds)


def _members(message_type: Any) -> tuple[Any, ...]:
    """Return the types that a type is a union of, behind the names that it was given."""
    while not isinstance(message_type, type):
        # Of `type Raw = str | bytes`, or of a `NewType`.
        named = getattr(message_type, "__value__", getattr(message_type, "__supertype__", None))
        if named is None:
            break
        message_type = named
    if get_origin(message_type) not in (Union, UnionType):
        return (message_type,)
    return tuple(member for each in get_args(message_type) for member in _members(each))


def _plain(data: bytes | bytearray, text: bool) -> Any:
    """Decode any JSON."""
    return from_json(data, allow_inf_nan=False, cache_strings="keys") if text else bytes(data)


@cache
def _takes_the_last() -> bool:
    """Return whether the last of two equal keys counts; before pydantic 2.11, it depends."""
    field = core_schema.typed_dict_field(core_schema.int_schema())
    probe = SchemaValidator(core_schema.typed_dict_schema({"a": field, "b": field}))
    return bool(probe.validate_json(b'{"a":1,"b":1,"b":2}')["b"] == 2)


@cache
def _heimdall() -> Way:
    """Return how Heimdall's messages are decoded, and plain JSON where the type is not of them."""
    messages = heimdall_messages()
    unions = (messages.ServerMessage, messages.ControlMessage)
    types = {
        model.model_fields["type"].default: model
        for union in unions
        for model in get_args(get_args(union)[0])
    }
    models = {kind: model.__pydantic_validator__.validate_python for kind, model in types.items()}
    schemas = {kind: model.__pydantic_core_schema__ for kind, model in types.items()}
    quick = SchemaValidator(core_schema.tagged_union_schema(schemas, "type")).validate_json
    heads = (f'{{"type":{space}"{kind}"' for kind in types for space in ("", " "))

    def validate(data: bytes | bytearray, text: bool) -> Any:
        if not text:
            return bytes(data)
        value = from_json(data, allow_inf_nan=False, cache_strings="keys")
        if type(value) is dict:
            kind = value.get("type")
            if type(kind) is str and (model := models.get(kind)) is not None:
                return model(value)
        return value

    kinds = (*types.values(), *PLAIN)
    if not _takes_the_last():
        return Way(validate, kinds=kinds)
    return Way(validate, quick, frozenset(head.encode()[:HEAD] for head in heads), kinds=kinds)


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
