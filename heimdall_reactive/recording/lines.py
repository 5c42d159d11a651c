"""The lines of a recording: what happened, to JSON and back. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from heimdall_reactive.base import exceptions
from heimdall_reactive.base.exceptions import HeimdallError, RecordingError, StoreError, one_line
from heimdall_reactive.base.messages import Frame
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import ConnectionState, Gap, Status

__all__ = [
    "VERSION",
    "Header",
    "RecordingEntry",
    "read_entry",
    "read_header",
    "write_entry",
    "write_header",
]

FORMAT: Final = "heimdall-reactive recording"
VERSION: Final = 1
MAX_TEXT: Final = 1000  # characters of an error
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


class RecordingEntry(NamedTuple):
    """Any other line.

    Attributes:
        at: seconds since the start.
        event: `state`, `received`, `sent`, `gap`, `error`, `latency` or `end`.
        value: a `ConnectionState`, `Frame`, `Gap`, `StoreError`, seconds, or None.
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
        RecordingError: it is none, or that of a newer version.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RecordingError("this is no recording of heimdall-reactive", 1)
    try:
        version = _get(record, "version", int)
        if version > VERSION:
            raise RecordingError(
                f"the recording has version {version}, and {VERSION} is the newest that is known "
                "here; use a newer heimdall-reactive", 1,
            )  # fmt: skip
        endpoint, library = _get(record, "endpoint", str), _get(record, "library", str)
        return Header(endpoint, library, float(_get(record, "started", int, float)))
    except ValueError as error:
        raise RecordingError(str(error), 1) from None


def read_entry(line: bytes, number: int) -> RecordingEntry:
    """Read any other line.

    Args:
        line: its bytes.
        number: its number, 2 for the first after the header.

    Raises:
        RecordingError: it is no line of a recording; it says which and why.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise RecordingError("not JSON", number) from None
    try:
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        at, event = float(_get(record, "t", int, float)), _get(record, "event", str)
        read = _READERS.get(event)
        if read is None:
            raise ValueError(f"{event!r} is no event")
        return RecordingEntry(at, event, read(record))
    except ValueError as error:
        raise RecordingError(str(error), number) from None


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _get(record: dict[str, Any], name: str, *kinds: type) -> Any:
    """Return a field of one of some types; a bool is not a number."""
    value = record.get(name)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
        raise ValueError(f"{name!r} is not {wanted}")
    return value


# States


def _write_state(state: ConnectionState, clean: Clean) -> dict[str, Any]:
    close, error = state.close, state.error
    return {
        "status": str(state.status),
        "attempt": state.attempt,
        "retry_at": state.retry_at,
        "close": close and {
            "code": close.code, "reason": clean(close.reason), "who": close.who,
            "http_status": close.http_status,
        },
        "error": error and _write_error(error, clean),
        "http_status": state.http_status,
        "session": state.session,
        "connected_at": state.connected_at,
    }  # fmt: skip


def _read_state(record: dict[str, Any]) -> ConnectionState:
    close = _get(record, "close", dict, type(None))
    error = _get(record, "error", dict, type(None))
    return ConnectionState(
        status=Status(_get(record, "status", str)),
        attempt=_get(record, "attempt", int),
        retry_at=_get(record, "retry_at", int, float, type(None)),
        close=None if close is None else _read_close(close),
        error=None if error is None else _read_error(error),
        http_status=_get(record, "http_status", int, type(None)),
        session=_get(record, "session", int),
        connected_at=_get(record, "connected_at", int, float, type(None)),
    )


def _read_close(record: dict[str, Any]) -> CloseInfo:
    who = record.get("who")
    if who not in ("client", "server", "network"):
        raise ValueError("'who' is not client, server or network")
    reason = one_line(_get(record, "reason", str), MAX_TEXT)
    status = _get(record, "http_status", int, type(None))
    return CloseInfo(_get(record, "code", int), reason, who, status)


# Errors


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


def _read_error(record: dict[str, Any]) -> HeimdallError:
    """Rebuild an error of a type of this library; what nobody knows is a `StoreError`."""
    name = _get(record, "kind", str)
    found: Any = getattr(exceptions, name) if name in exceptions.__all__ else None
    ours = isinstance(found, type) and issubclass(found, HeimdallError)
    kind: type[HeimdallError] = found if ours else StoreError
    text = one_line(_get(record, "text", str), MAX_TEXT)
    error = kind.__new__(kind, text)
    error.args = (text,)  # the constructors take other arguments than the text
    for key, value in _get(record, "fields", dict).items():
        if key.isidentifier() and not key.startswith("_") and isinstance(value, SCALARS):
            vars(error)[key] = one_line(value, MAX_TEXT) if isinstance(value, str) else value
    return error


# Frames and the rest


def _write_frame(frame: Frame, clean: Clean) -> dict[str, Any]:
    if frame.text:
        try:
            return {"text": clean(frame.data.decode())}
        except UnicodeDecodeError:
            return {"bad_text": _base64(frame.data, clean)}
    return {"binary": _base64(frame.data, clean)}


def _base64(data: bytes, clean: Clean) -> str:
    return base64.b64encode(clean(data.decode("latin-1")).encode("latin-1")).decode()


def _read_frame(record: dict[str, Any]) -> Frame:
    if "text" in record:
        # A lone surrogate, which no frame can hold, is a ValueError.
        return Frame(_get(record, "text", str).encode(), True)
    name = "bad_text" if "bad_text" in record else "binary"
    data = base64.b64decode(_get(record, name, str), validate=True)
    return Frame(data, name == "bad_text")


def _read_gap(record: dict[str, Any]) -> Gap:
    since, until = _get(record, "since", int, float), _get(record, "until", int, float)
    return Gap(since, until, _get(record, "session", int))


_WRITERS: Final[dict[str, Callable[[Any, Clean], dict[str, Any]]]] = {
    "state": _write_state,
    "received": _write_frame,
    "sent": _write_frame,
    "gap": lambda gap, _: {"since": gap.since, "until": gap.until, "session": gap.session},
    "error": lambda error, clean: {"error": _write_error(error, clean)},
    "latency": lambda seconds, _: {"seconds": seconds},
    "end": lambda *_: {},
}
_READERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "state": _read_state,
    "received": _read_frame,
    "sent": _read_frame,
    "gap": _read_gap,
    "error": lambda record: _read_error(_get(record, "error", dict)),
    "latency": lambda record: _get(record, "seconds", int, float),
    "end": lambda record: None,
}
