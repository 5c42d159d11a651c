"""From the wire to one subscriber: plain, compressed, over TLS, large, invalid, on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from . import machine, node_program
from .frames import frame
from .measuring import LIMIT, Case, Measure, Stage, Step
from .payloads import SIZES, payload
from .receiving import (
    ALL,
    CLIENTS,
    THREADED,
    Client,
    Clock,
    Flood,
    loop_factory,
    store_client,
)
from .targets import ALONE, WITH_FAST

__all__ = ["deflated", "invalid", "large", "on_uvloop", "receive", "secure", "secure_deflated"]

COUNTS: Final = {"0.1 KB": 30_000, "1 KB": 15_000, "16 KB": 3_000}
SMALL: Final = ("0.1 KB", "1 KB")
RAW: Final = ("raw websockets", "raw aiohttp", "raw picows")
UVLOOP: Final = (
    "store", "raw websockets + json.loads", "stock BehaviorSubject by hand",
    "raw picows + json.loads",
)  # fmt: skip
# picows and websocket-client leave permessage-deflate to their users.
DEFLATERS: Final = (
    "store", "store, plain JSON", "raw websockets + json.loads", "raw aiohttp + json.loads",
)  # fmt: skip
LARGE: Final = {"64 KB": (64, 4_000), "1 MB": (1000, 600)}  # times 1 KB, messages
# The second is of a kind that the store knows, with fields that it cannot have.
BROKEN: Final = {
    "not JSON": payload(SIZES["0.1 KB"])[:-1],
    "not valid": '{"type":"permissionsUpdated","timestamp":"soon","userId":1017,"permissions":"a"}',
}
BAD: Final = 10_000  # invalid messages


def receive(stage: Stage) -> Case:
    """Build the case of three sizes."""
    receivers = dict(ALL)
    if not stage.quick:
        receivers[node_program.ENTRY] = node_program.node
    receivers[ALONE] = _bytes_alone
    steps = [
        Step(entry, _timed(stage, stage.url, receiver, size, 10 if entry == THREADED else 1))
        for size in (SMALL if stage.quick else SIZES)
        for entry, receiver in receivers.items()
    ]
    return Case("receive", "From the wire to one subscriber", "µs a message", "size", steps)


def deflated(stage: Stage) -> Case:
    """Build the same case with permessage-deflate, with a context between messages and without."""
    steps = [
        step
        for path, suffix in (("packed", ""), ("context", ", context"))
        for step in _compressed(stage, f"{stage.url}/{path}", suffix)
    ]
    return Case("deflate", "The same, compressed", "µs a message", "size", steps)


def secure(stage: Stage) -> Case:
    """Build the same case over TLS."""
    receivers = {
        entry: one for entry, one in ALL.items() if entry != "stock BehaviorSubject by hand"
    }
    if not stage.quick:
        receivers[node_program.ENTRY] = node_program.node
    steps = [
        Step(entry, _timed(stage, stage.secure, receiver, size, 10 if entry == THREADED else 1))
        for size in SMALL
        for entry, receiver in receivers.items()
    ]
    return Case("tls", "The same over TLS", "µs a message", "size", steps)


def secure_deflated(stage: Stage) -> Case:
    """Build the same case over TLS, compressed."""
    steps = _compressed(stage, f"{stage.secure}/packed", "")
    return Case("tls deflate", "The same, compressed, over TLS", "µs a message", "size", steps)


def large(stage: Stage) -> Case:
    """Build the case of large messages that nobody parses."""
    machine.warm()
    steps = []
    for size, (times, count) in LARGE.items():
        for kind in ("binary", "text"):
            column, flood = f"{size} {kind}", Flood(
                stage.url, payload(1000).ljust(1000), stage.count(count), times,
                binary=kind == "binary", read=lambda data: data,
            )  # fmt: skip
            clients = {"store": store_client(message_type=bytes if flood.binary else str)}
            clients |= {one: CLIENTS[f"{one} + json.loads"] for one in RAW}
            steps += [
                Step(entry, functools.partial(_spent, column, client, flood))
                for entry, client in clients.items()
            ]
            steps.append(Step(ALONE, _measure(column, _bytes_alone, flood)))
            if size == "64 KB":
                few = replace(flood, count=flood.count // 10)
                steps.append(Step(THREADED, _measure(column, ALL[THREADED], few)))
    return Case("large", "Large messages, received", "µs a message", "size", steps)


def invalid(stage: Stage) -> Case:
    """Build the case of a flood of messages that are invalid."""
    clients = {"store": store_client(values="errors")}
    clients |= {entry: CLIENTS[entry] for entry in (f"{one} + json.loads" for one in RAW)}
    steps = []
    for kind, text in BROKEN.items():
        flood = Flood(stage.url, text, stage.count(BAD), read=_tried, watch=True)
        for entry, client in clients.items():
            steps.append(Step(entry, functools.partial(_gaps, kind, client, flood)))
    return Case("invalid", "A flood of invalid messages", "µs a message", "kind", steps)


def on_uvloop(stage: Stage) -> Case:
    """Build the same case on uvloop's event loop, for small messages."""
    steps = [
        Step(entry, _with_uvloop(_timed(stage, stage.url, ALL[entry], "0.1 KB")))
        for entry in UVLOOP
    ]
    return Case("uvloop", "The same on uvloop", "µs a message", "size", steps)


def _spent(column: str, client: Client, flood: Flood) -> dict[str, float]:
    return _clock(client, flood).spent.columns(column, 1)


def _gaps(kind: str, client: Client, flood: Flood) -> dict[str, float]:
    clock = _clock(client, flood)
    return {kind: clock.seconds * 1e6, f"{kind}, longest gap in ms": clock.gap * 1e3}


def _clock(client: Client, flood: Flood) -> Clock:
    return asyncio.run(asyncio.wait_for(client(flood), LIMIT))


def _tried(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _compressed(stage: Stage, url: str, suffix: str) -> Sequence[Step]:
    steps = []
    for size in SMALL:
        measures = {entry: _timed(stage, url, ALL[entry], size, 1, suffix) for entry in DEFLATERS}
        measures[WITH_FAST] = _with_uvloop(measures["store"])
        steps += [Step(entry, measure) for entry, measure in measures.items()]
    return steps


def _timed(
    stage: Stage, url: str, receiver: Callable[[Flood], float], size: str, part: int = 1,
    suffix: str = "",
) -> Measure:  # fmt: skip
    flood = Flood(url, payload(SIZES[size]), stage.count(COUNTS[size]) // part)
    return _measure(size + suffix, receiver, flood)


def _measure(column: str, receiver: Callable[[Flood], float], flood: Flood) -> Measure:
    return lambda: {column: receiver(flood) * 1e6}


def _with_uvloop(measure: Measure) -> Measure:
    def measured() -> dict[str, float]:
        with _uvloop():
            return dict(measure())

    return measured


@contextlib.contextmanager
def _uvloop() -> Iterator[None]:
    """Have the receivers run on event loops of uvloop."""
    import uvloop

    before = loop_factory.set(uvloop.new_event_loop)
    try:
        yield
    finally:
        loop_factory.reset(before)


def _bytes_alone(flood: Flood) -> float:
    """Read with a blocking socket and look at nothing: what the peer and the system can do."""
    order, url = flood.order.encode(), urlsplit(flood.url)
    total = len(frame(flood.payload.encode() * flood.times)) * flood.count
    with socket.create_connection((url.hostname, url.port), LIMIT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        # The peer knows the two shorter forms of length only; a mask of zeros changes nothing.
        size = len(order)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        sock.sendall(b"\x81" + length + bytes(4) + order)
        buffer, seen, began, first = bytearray(1 << 18), 0, 0.0, 0
        while seen < total:
            seen += sock.recv_into(buffer) or _ended()
            if not began and seen > total // 10:
                began, first = perf_counter(), seen
        return (perf_counter() - began) / (total - first) * total / flood.count


def _ended() -> int:
    raise EOFError("the peer has closed")
