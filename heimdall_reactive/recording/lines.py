"""The lines of a recording: what happened, to JSON and back. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic import create_model as create

from heimdall_reactive.base import exceptions
from heimdall_reactive.base.exceptions import HeimdallError, RecordingError, StoreError, one_line
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import ConnectionState, Gap, Status

__all__ = [
    "VERSION",
    "Header",
    "RecordingEntry",
    "SendTotals",
    "read_entry",
    "read_header",
    "write_entry",
    "write_header",
]

FORMAT: Final = "heimdall-reactive recording"
VERSION: Final = 1
MAX_TEXT: Final = 1000  # characters of an error
# What was wanted, by the type of pydantic's error.
KINDS: Final = {
    "string_type": "str",
    "int_type": "int",
    "float_type": "int or float",
    "dict_type": "dict",
    "model_type": "dict",
    "literal_error": "client, server or network",
}
STRICT: Final = ConfigDict(strict=True, validate_default=True)
SCALARS: Final = (str, int, float, bool, type(None))

Clean = Callable[[str], str]


class Header(NamedTuple):
    """The first line.

    Attributes:
        endpoint: of the store, without user, password and query.
        library: version of the library that recorded.
        started: when, in seconds since the epoch.
    """

    endpoint: str
    library: str
    started: float


class SendTotals(NamedTuple):
    """What became of the sends of a store since it was made; see `Stats`."""

    delivered: int = 0
    in_doubt: int = 0
    resent: int = 0
    rejected: int = 0
    dropped: int = 0
    expired: int = 0


class RecordingEntry(NamedTuple):
    """Any other line.

    Attributes:
        at: seconds since the start.
        event: `state`, `received`, `sent`, `sends`, `gap`, `error`, `latency` or `end`.
        value: a `ConnectionState`, `Frame`, `SendTotals`, `Gap`, `StoreError`, seconds, or None.
    """

    at: float
    event: str
    value: Any


def write_header(header: Header) -> bytes:
    """Return the line of a header."""
    return _line({"format": FORMAT, "version": VERSION, **header._asdict()})


def write_entry(entry: RecordingEntry, clean: Clean) -> bytes:
    """Return the line of an entry.

    Args:
        entry: what happened.
        clean: takes the secrets out of a text.
    """
    record = {"t": round(entry.at, 6), "event": entry.event}
    return _line(record | _WRITERS[entry.event](entry.value, clean))


def read_header(line: bytes) -> Header:
    """Read the first line.

    Raises:
        RecordingError: it is not a header, or that of a newer version.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RecordingError("this is not a recording of heimdall-reactive", 1)
    if (version := _check(_NUMBER, record, 1)) > VERSION:
        raise RecordingError(
            f"the recording has version {version}, and {VERSION} is the newest that is known here; "
            "use a newer heimdall-reactive",
            1,
        )
    header: Header = _check(_HEADER, record, 1)
    return header


def read_entry(line: bytes, number: int) -> RecordingEntry:
    """Read any other line.

    Args:
        line: its bytes.
        number: its number, 2 for the first after the header.

    Raises:
        RecordingError: it is not a line of a recording; it says which and why.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise RecordingError("not JSON", number) from None
    at, event = _check(_ENTRY, record, number)
    if event not in _VALUES:
        raise RecordingError(f"{event!r} is not an event", number)
    return RecordingEntry(at, event, _check(_VALUES[event], record, number))


def _check(adapter: TypeAdapter[Any], record: object, number: int) -> Any:
    try:
        return adapter.validate_python(record)
    except ValidationError as caught:
        error = caught.errors(include_url=False)[0]
    if own := error.get("ctx", {}).get("error"):
        text = str(own)
    elif error["loc"]:
        text = f"{error['loc'][-1]!r} is not {KINDS.get(error['type'], 'valid')}"
    else:
        text = "not a JSON object"
    raise RecordingError(text, number)


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


# To JSON


def _write_state(state: ConnectionState, clean: Clean) -> dict[str, Any]:
    record = {name: getattr(state, name) for name in ConnectionState.__dataclass_fields__}
    record["subprotocol"] = None if state.subprotocol is None else clean(state.subprotocol)
    headers = state.response_headers.items()
    record["response_headers"] = {name: clean(value) for name, value in headers}
    if state.close is not None:
        record["close"] = asdict(state.close) | {"reason": clean(state.close.reason)}
    if state.error is not None:
        record["error"] = _write_error(state.error, clean)
    return record


def _write_error(error: BaseException, clean: Clean) -> dict[str, Any]:
    """Write an error; of one that is not ours only the type: its text may hold anything."""
    if not isinstance(error, HeimdallError):
        return {"kind": type(error).__name__, "text": type(error).__name__, "fields": {}}
    kind = next(k.__name__ for k in type(error).__mro__ if k.__name__ in exceptions.__all__)
    fields = {
        name: clean(value) if isinstance(value, str) else value
        for name, value in vars(error).items()
        if isinstance(value, SCALARS)
    }
    return {"kind": kind, "text": clean(str(error)), "fields": fields}


def _write_frame(frame: Frame, clean: Clean) -> dict[str, Any]:
    if frame.text:
        try:
            return {"text": clean(frame.data.decode())}
        except UnicodeDecodeError:
            return {"bad_text": _base64(frame.data, clean)}
    return {"binary": _base64(frame.data, clean)}


def _base64(data: bytes, clean: Clean) -> str:
    return base64.b64encode(clean(data.decode("latin-1")).encode("latin-1")).decode()


_WRITERS: Final[dict[str, Callable[[Any, Clean], dict[str, Any]]]] = {
    "state": _write_state,
    "received": _write_frame,
    "sent": _write_frame,
    "sends": lambda totals, _: totals._asdict(),
    "gap": lambda gap, _: asdict(gap),
    "error": lambda error, clean: {"error": _write_error(error, clean)},
    "latency": lambda seconds, _: {"seconds": seconds},
    "end": lambda *_: {},
}


# And back; an error names the field: pydantic's own texts would show what it holds


def _record(make: Callable[..., object], **fields: Any) -> Any:
    """Return the type of a JSON object: what makes a value of it, and the types of its fields.

    The types are those that `make` says, where no others are given. What is missing is checked
    as null is, so that an error says what was wanted.
    """
    types = {**get_type_hints(make, include_extras=True), **fields}
    types.pop("return", None)
    wanted: dict[str, Any] = {name: (kind, None) for name, kind in types.items()}
    model = create("Record", __config__=STRICT, **wanted)
    return Annotated[model, AfterValidator(lambda record: make(**vars(record)))]


def _read_text(text: Any) -> Any:
    return one_line(text, MAX_TEXT) if isinstance(text, str) else text


def _read_error(kind: str, text: Text, fields: dict[str, Any]) -> HeimdallError:
    """Rebuild an error of a type of this library; what nobody knows is a `StoreError`."""
    found: Any = getattr(exceptions, kind) if kind in exceptions.__all__ else None
    ours = isinstance(found, type) and issubclass(found, HeimdallError)
    error_type: type[HeimdallError] = found if ours else StoreError
    error = error_type.__new__(error_type, text)
    error.args = (text,)  # the constructors take other arguments than the text
    for key, value in fields.items():
        if key.isidentifier() and not key.startswith("_") and isinstance(value, SCALARS):
            vars(error)[key] = _read_text(value)
    return error


def _read_frame(text: str | None, bad_text: Any, binary: Any) -> Frame:
    if text is not None:
        return Frame(text.encode(), True)
    if bad_text is None and binary is None:
        raise ValueError("'binary' is not str")
    return Frame(binary, False) if bad_text is None else Frame(bad_text, True)


Text: TypeAlias = Annotated[str, BeforeValidator(_read_text)]
_BASE64: Final = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else base64.b64decode(text, validate=True)),
]
_STATUS: Final = Annotated[str, AfterValidator(lambda name: Status(name))]
_ERROR: Final = _record(_read_error)
_CLOSE: Final = _record(CloseInfo, reason=Text)
# Files of older versions have none.
_HEADERS: Final = Annotated[
    dict[str, Text] | None, AfterValidator(lambda headers: MappingProxyType(headers or {}))
]
_STATE: Final = _record(
    ConnectionState, status=_STATUS, close=_CLOSE | None, error=_ERROR | None,
    response_headers=_HEADERS,
)  # fmt: skip
_FRAME: Final = _record(_read_frame, bad_text=_BASE64, binary=_BASE64)
_HEADER: Final = TypeAdapter(_record(Header))
_NUMBER: Final = TypeAdapter(_record(lambda version: version, version=int))
_ENTRY: Final = TypeAdapter(_record(lambda t, event: (t, event), t=float, event=str))
_VALUES: Final[dict[str, TypeAdapter[Any]]] = {
    "state": TypeAdapter(_STATE),
    "received": TypeAdapter(_FRAME),
    "sent": TypeAdapter(_FRAME),
    "sends": TypeAdapter(_record(SendTotals)),
    "gap": TypeAdapter(_record(Gap)),
    "error": TypeAdapter(_record(lambda error: error, error=_ERROR)),
    "latency": TypeAdapter(_record(lambda seconds: seconds, seconds=float)),
    "end": TypeAdapter(_record(lambda: None)),
}
