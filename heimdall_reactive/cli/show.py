"""What is shown of a store: each event as a line of text or of JSON, for people and for pipes."""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from heimdall_reactive.base.exceptions import HeimdallError
from heimdall_reactive.base.state import ConnectionState

from .output import Output
from .protocols import text_of
from .text import clock, describe, preview, printable

__all__ = ["End", "Payload", "Show", "line_of", "show_all", "show_apart", "stamped"]

Show: TypeAlias = Callable[[str, Any], None]


class Payload(NamedTuple):
    """What came on a channel."""

    channel: str
    data: Any


class End(NamedTuple):
    """The end of a channel, by the server's word."""

    channel: str
    error: Exception | None


def show_all(options: argparse.Namespace, out: Output) -> Show:
    """Return what writes everything to standard output, a line each; with `--raw` messages only."""
    if options.raw:
        return show_apart(options, out)
    if options.json:
        return lambda name, value: out.line(_as_json(name, value))
    return lambda name, value: out.line(f"{clock()}  {line_of(value, options)}")


def show_apart(options: argparse.Namespace, out: Output) -> Show:
    """Return what writes messages to standard output, and all else to standard error."""

    def show(name: str, value: Any) -> None:
        if name == "message":
            show_message(value)
        elif not options.quiet:
            out.status(_as_json(name, value) if options.json else stamped(value, options))

    def show_message(value: Any) -> None:
        data = text_of(value.data if isinstance(value, Payload) else value)
        if options.json:
            out.line(_as_json("message", value))
        elif options.raw:
            out.raw(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        elif options.timestamps or options.hex:
            out.line(stamped(value, options))
        else:
            out.message(data)

    return show


def stamped(value: Any, options: argparse.Namespace, mark: str = "") -> str:
    """Return the line of an event, after the time where `--timestamps` asks for it."""
    before = f"{clock()}  " if options.timestamps else ""
    return before + mark + line_of(value, options)


def line_of(value: Any, options: argparse.Namespace) -> str:
    """Return an event as a line that is safe for a terminal."""
    match value:
        case ConnectionState():
            return f"-- {describe(value)}"
        case HeimdallError():
            return f"-- error: {printable(str(value))}"
        case Payload(channel, data):
            return f"{printable(channel)}: {line_of(data, options)}"
        case End(channel, error):
            cause = "" if error is None else f": {printable(str(error))}"
            return f"-- {printable(channel)} {'ended' if error is None else 'failed'}{cause}"
    data = text_of(value)
    return data.hex() if options.hex and isinstance(data, bytes) else preview(data)


def _as_json(name: str, value: Any) -> str:
    record: dict[str, Any] = {"time": _iso(datetime.now(UTC)), "event": name}
    match value:
        case ConnectionState():
            return json.dumps(record | _state_fields(value))
        case HeimdallError():
            return json.dumps(record | {"error": str(value), "kind": type(value).__name__})
        case End(channel, error):
            ended = {"channel": channel, "error": None if error is None else str(error)}
            return json.dumps(record | ended)
        case Payload(channel, data):
            return _data_record(record | {"channel": channel}, text_of(data))
        case _:
            return _data_record(record, text_of(value))


def _data_record(record: dict[str, Any], data: str | bytes) -> str:
    if isinstance(data, str):
        return _text_record(record, data)
    return json.dumps(record | {"format": "binary", "data": base64.b64encode(data).decode()})


def _text_record(record: dict[str, Any], text: str) -> str:
    """Show JSON as JSON; text that is none, or has no place in strict JSON, as a string."""
    try:
        return json.dumps(record | {"format": "json", "data": json.loads(text)}, allow_nan=False)
    except (ValueError, RecursionError):
        return json.dumps(record | {"format": "text", "data": text})


def _state_fields(state: ConnectionState) -> dict[str, Any]:
    close = state.close
    at = state.retry_at
    return {
        "status": str(state.status),
        "session": state.session,
        "attempt": state.attempt,
        "retry_at": None if at is None else _iso(datetime.fromtimestamp(at, UTC)),
        "http_status": state.http_status,
        "close": close and {"code": close.code, "reason": close.reason, "who": close.who},
        "error": None if state.error is None else str(state.error),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
