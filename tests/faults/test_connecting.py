"""The fault matrix, first half: what may happen to an attempt, met once over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from heimdall_reactive import (
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    InvalidEndpoint,
    InvalidHandshake,
    RedirectRefused,
    Status,
)
from heimdall_reactive.testing import (
    CloseWith,
    Cut,
    DropSyn,
    FaultProxy,
    Garbage,
    HttpAnswer,
    NoAnswer,
    RefuseConnection,
    Reset,
    redirect,
)
from tests.socket_peer import EndlessHeader, Handshake, SocketPeer, SocketStep
from tests.support import run

from .stage import RESTING, SLACK, Stage, stage

HEALS = "connecting>waiting>connecting>connected"
FAILS = "connecting>failed"
TIMEOUT = 1.5  # of the attempt that is never answered, and of the next, which succeeds


class Row(NamedTuple):
    """One fault, and what a store makes of it."""

    name: str
    fault: SocketStep | RefuseConnection | Sequence[SocketStep]
    error: type[Exception]
    cause: str
    path: str
    http_status: int | None = None
    who: str = "network"
    options: Mapping[str, Any] = MappingProxyType({})
    waits: float = 0.0  # seconds at least until the next attempt


def timeout(name: str, fault: Any) -> Row:
    short = {"open_timeout": TIMEOUT}
    return Row(name, fault, ConnectTimeout, "timeout", HEALS, options=short)


def ends(name: str, fault: Any) -> Row:
    patient = {"close_timeout": 60.0}  # which must not pass first
    return Row(name, fault, ConnectError, "reset", HEALS, options=patient)


def http(status: int, path: str, name: str = "", waits: float = 0.0, **options: Any) -> Row:
    headers = [("Retry-After", "1")] if waits else []
    answer = HttpAnswer(status, headers, b"<h1>no</h1>")
    cause, name = f"http {status}", f"HTTP {status}{name}"
    return Row(name, answer, HandshakeRefused, cause, path, status, "server", options, waits)


def stops(name: str, fault: Any, error: type[Exception], cause: str) -> Row:
    return Row(name, fault, error, cause, FAILS)


STATIC: dict[str, Any] = {"access_token": "stale"}
ASKED: dict[str, Any] = {"access_token": lambda: "fresh"}
WHAT = b"what is this?"
TRICKLING = Handshake(bytes_per_second=20)
ROWS = [
    Row("port closed", RefuseConnection(), ConnectError, "refused", HEALS),
    timeout("SYN black hole", DropSyn()),
    timeout("accepted, never answered", NoAnswer()),
    ends("RST on accept", Reset(handshake=True)),
    ends("FIN on accept", Cut(handshake=True)),
    http(500, HEALS),
    http(503, HEALS),
    http(503, HEALS, " with Retry-After", waits=1.0),
    http(429, HEALS),
    http(429, HEALS, " with Retry-After, capped", waits=0.15, max_retry_after=0.15),
    Row("HTTP 503 with two Retry-After", HttpAnswer(503, [("Retry-After", "0")] * 2),
        HandshakeRefused, "http 503", HEALS, 503, "server"),
    Row("HTTP 503, TCP held", HttpAnswer(503, hold=True),
        HandshakeRefused, "http 503", HEALS, 503, "server"),
    http(408, HEALS),
    http(425, HEALS),
    http(501, HEALS),
    http(520, HEALS),
    http(522, HEALS),
    http(401, HEALS),
    http(403, HEALS),
    http(401, FAILS, " to a static token", **STATIC),
    http(403, HEALS, " to a static token", **STATIC),
    http(401, HEALS, " to a provider's token", **ASKED),
    http(403, HEALS, " to a provider's token", **ASKED),
    http(400, FAILS),
    http(404, FAILS),
    http(426, FAILS),
    http(302, FAILS, " without Location"),
    http(200, FAILS, " of a captive portal"),
    stops("redirect loop", [redirect("/")] * 11, InvalidHandshake, "handshake"),
    stops("redirect to http", redirect("http://127.0.0.1:9/"), RedirectRefused, "redirect"),
    stops("redirect to no URL", redirect("ws://[::"), InvalidEndpoint, "endpoint"),
    stops("two redirects", HttpAnswer(302, [("Location", "/a"), ("Location", "/b")]),
          InvalidEndpoint, "endpoint"),
    stops("redirect elsewhere", redirect("ws://127.0.0.1:9/"), RedirectRefused, "redirect"),
    stops("wrong Accept", Handshake(accept="wrong"), InvalidHandshake, "handshake"),
    stops("unasked subprotocol", Handshake(subprotocol="chat"), InvalidHandshake, "handshake"),
    ends("garbage, then FIN", Garbage(WHAT, when="handshake")),
    ends("line of garbage, then FIN", Garbage(WHAT + b"\r\n\r\n", when="handshake")),
    timeout("garbage, TCP held", Garbage(WHAT, "handshake", hold=True)),
    ends("line of garbage, TCP held", Garbage(WHAT + b"\r\n\r\n", when="handshake", hold=True)),
    ends("endless line of garbage, TCP held", Garbage(WHAT * 1000, "handshake", hold=True)),
    ends("long header, TCP held", EndlessHeader()),
    ends("endless header", EndlessHeader(None)),
    timeout("101 that trickles", TRICKLING),
]  # fmt: skip


@asynccontextmanager
async def facing(row: Row) -> AsyncIterator[Stage]:
    """Let a store meet the fault once; before the next attempt the peer is healthy."""
    port = row.fault if isinstance(row.fault, RefuseConnection) else None
    steps = [] if isinstance(row.fault, RefuseConnection) else row.fault
    steps = steps if isinstance(steps, Sequence) else [steps]
    async with SocketPeer(*steps) as peer, FaultProxy(peer.url) as proxy:
        proxy.always(port)
        async with stage(peer, peer.url if port is None else proxy.url, **row.options) as on:

            def heal(state: Any) -> None:
                if state.status is Status.WAITING:
                    proxy.always(None)

            on.store.state.subscribe(heal)
            yield on


def check(row: Row, on: Stage) -> None:
    """Compare what the first failure left in the state, and when."""
    (began, _), (at, state) = on.states[:2]
    assert type(state.error) is row.error
    assert getattr(state.error, "cause", None) == row.cause
    assert state.http_status == row.http_status
    assert state.close is not None
    assert (state.close.code, state.close.who) == (1006, row.who)
    assert at - began < row.options.get("open_timeout", 0.0) + SLACK
    assert on.reported == []
    if row.path == HEALS:
        assert on.states[2][0] - at >= row.waits
        assert state.attempt == on.store.state.value.attempt + 1


def named(peer: SocketPeer) -> str:
    return peer.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_a_fault_while_connecting_heals_or_stops_as_the_table_says(row: Row) -> None:
    async with facing(row) as on:
        await on.settles(row.path)
        check(row, on)
        if on.store.state.value.status in RESTING:
            on.store.connect()
            await on.settles(f"{row.path}>connecting>connected")
        await on.converses()


@pytest.mark.parametrize(
    ("step", "cause"),
    [(Cut(), "close 1006"), (CloseWith(1011), "close 1011"), (Garbage(b"\xff"), "close 1006")],
    ids=repr,
)
async def test_a_connection_that_ends_right_behind_its_handshake_heals(
    step: SocketStep, cause: str
) -> None:
    async with SocketPeer(step) as peer, stage(peer, peer.url) as on:
        await on.settles("connecting>connected>waiting>connecting>connected")
        assert getattr(on.states[2][1].error, "cause", None) == cause
        await on.converses()


@pytest.mark.parametrize("fault", [DropSyn(), NoAnswer(), TRICKLING], ids=repr)
def test_aclose_abandons_an_attempt_at_once(fault: SocketStep | DropSyn) -> None:
    row = timeout("never answered", fault)._replace(options={"open_timeout": 60.0})

    async def main() -> None:
        async with facing(row) as on:
            if isinstance(fault, DropSyn):
                await asyncio.sleep(0.05)  # nothing will happen
            else:
                await on.peer.wait_for(lambda: on.peer.dials and on.peer.dials[0].request)
            began = asyncio.get_running_loop().time()
            await on.store.aclose()
            assert asyncio.get_running_loop().time() - began < SLACK
            assert on.path == "connecting>disconnected"

    run(main)


def test_a_name_that_is_not_found_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, failures = socket.getaddrinfo, [socket.gaierror(socket.EAI_NONAME, "not known")]

    def resolve(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    row = Row("name not found", [], ConnectError, "unresolved", HEALS)

    async def main() -> None:
        async with SocketPeer() as peer, stage(peer, named(peer)) as on:
            await on.settles(HEALS)
            check(row, on)
            await on.converses()

    run(main)
