"""`watch`: print what an endpoint sends, and what becomes of the connection."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.base.exceptions import HeimdallError
from heimdall_reactive.base.state import ConnectionState, Status

from .output import CommandError, Output
from .protocols import given_protocol, text_of
from .text import clock, describe, preview, printable
from .tokens import given_token

__all__ = ["CLOSE_TIMEOUT", "Message", "connect", "follow", "has_ended", "watch"]

CLOSE_TIMEOUT = 1.0  # seconds; who pressed Ctrl-C does not want to wait for a mute server

Message: TypeAlias = str | bytes
_Event: TypeAlias = tuple[str, Any]


class _Payload(NamedTuple):
    """What came on a channel."""

    channel: str
    data: Any


class _End(NamedTuple):
    """The end of a channel, by the server's word."""

    channel: str
    error: Exception | None


async def watch(options: argparse.Namespace, out: Output) -> int:
    """Print states, messages and errors until the connection or the user's limit ends.

    Raises:
        CommandError: the store gave up.
    """
    async with connect(options) as store:
        await follow(store, options, out, names=options.channel)
    return 0


def connect(options: argparse.Namespace) -> WebSocketStore[Any]:
    """Make the store of a command that only listens.

    Raises:
        UsageError: there is no such protocol, or no such token.
    """
    protocol = given_protocol(options)
    as_it_came = protocol is None and not options.channel
    message_type: Any = Message if as_it_came else Any
    return use_websocket(
        options.endpoint,
        message_type=message_type,
        protocol=protocol,
        access_token=given_token(options),
        allow_insecure_token=options.allow_insecure_token,
        close_timeout=CLOSE_TIMEOUT,
        reconnect_rules={"close 1000": "end"},  # at a terminal, a goodbye is the end
    )


async def follow(
    store: WebSocketStore[Any],
    options: argparse.Namespace,
    out: Output,
    is_over: Callable[[Any], bool] | None = None,
    names: Sequence[str] = (),
) -> None:
    """Print states, messages and errors of a store until it, or the user's limit, ends.

    Args:
        store: is observed from now on.
        options: of the command: `json`, `seconds`, `count`.
        out: takes the lines.
        is_over: returns whether a state, message or error is the last; it raises what the
            command failed of. Default: the end of the connection.
        names: of channels, whose payloads are printed in place of the messages.

    Raises:
        CommandError: the store gave up, or the last channel failed.
    """
    events: asyncio.Queue[_Event] = asyncio.Queue()
    store.state.subscribe(partial(_put, events, "state"))
    store.errors.subscribe(
        partial(_put, events, "error"), on_completed=partial(_put, events, "end", None)
    )
    for name in names:
        _observe(store, name, partial(_put, events))
    if not names:
        store.messages.subscribe(partial(_put, events, "message"))
    write = _as_json if options.json else _as_text
    with suppress(TimeoutError):
        async with asyncio.timeout(options.seconds):
            await _print(
                events,
                lambda event: out.line(write(*event)),
                options.count,
                _over_all(set(names), is_over or has_ended),
            )


def _put(events: asyncio.Queue[_Event], name: str, value: Any) -> None:
    events.put_nowait((name, value))


def _observe(store: WebSocketStore[Any], name: str, put: Callable[[str, Any], None]) -> None:
    store.channel(name).subscribe(
        lambda data: put("message", _Payload(name, data)),
        lambda error: put("channel", _End(name, error)),
        lambda: put("channel", _End(name, None)),
    )


def _over_all(left: set[str], is_over: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return what is true of the last event: that of the command, or the end of all channels."""

    def over(value: Any) -> bool:
        if not isinstance(value, _End):
            return is_over(value)
        left.discard(value.channel)
        if value.error is not None and not left:
            raise CommandError(f"the channel {value.channel!r} failed: {value.error}")
        return not left

    return over


async def _print(
    events: asyncio.Queue[_Event],
    write: Callable[[_Event], None],
    count: int | None,
    is_over: Callable[[Any], bool],
) -> None:
    messages = 0
    while count is None or messages < count:
        event = await events.get()
        name, value = event
        if name == "end":
            return
        write(event)
        messages += name == "message"
        if is_over(value):
            return


def has_ended(state: Any) -> bool:
    """Return whether the connection has ended for good.

    Raises:
        CommandError: the store gave up.
    """
    if not isinstance(state, ConnectionState):
        return False
    if state.status is Status.FAILED:
        raise CommandError(str(state.error))
    return state.status is Status.DISCONNECTED


def _as_text(name: str, value: Any) -> str:
    match value:
        case ConnectionState():
            text = f"-- {describe(value)}"
        case HeimdallError():
            text = f"-- error: {printable(str(value))}"
        case _Payload(channel, data):
            text = f"{printable(channel)}: {preview(text_of(data))}"
        case _End(channel, error):
            cause = "" if error is None else f": {printable(str(error))}"
            text = f"-- {printable(channel)} {'ended' if error is None else 'failed'}{cause}"
        case _:
            text = preview(text_of(value))
    return f"{clock()}  {text}"


def _as_json(name: str, value: Any) -> str:
    record: dict[str, Any] = {"time": _iso(datetime.now(UTC)), "event": name}
    match value:
        case ConnectionState():
            return json.dumps(record | _state_fields(value))
        case HeimdallError():
            return json.dumps(record | {"error": str(value), "kind": type(value).__name__})
        case _End(channel, error):
            ended = {"channel": channel, "error": None if error is None else str(error)}
            return json.dumps(record | ended)
        case _Payload(channel, data):
            return _data_record(record | {"channel": channel}, text_of(data))
        case _:
            return _data_record(record, text_of(value))


def _data_record(record: dict[str, Any], data: Message) -> str:
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
