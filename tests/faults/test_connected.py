"""The fault matrix, second half: what may happen to an open connection, over real sockets."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from heimdall_reactive import ConnectionLost, Heartbeat
from heimdall_reactive.testing import (
    Accept,
    BlackHole,
    Cut,
    Delay,
    FaultProxy,
    FlipBit,
    Garbage,
    MuteClose,
    Reset,
    Stall,
    Trickle,
)
from tests.socket_peer import Handshake, SocketLink, SocketPeer, SocketStep, build_frame
from tests.support import until

from .stage import RESTING, SLACK, Stage, stage

HEALS = "connecting>connected>waiting>connecting>connected"
FAILS = "connecting>connected>failed"
ENDS = "connecting>connected>disconnected"

CLOSE_TIMEOUT = 0.2
# The next connection has them too, and must not be lost where the machine is busy.
PINGS = MappingProxyType({"ping_interval": 0.2, "ping_timeout": 1.0})
BEATS = MappingProxyType({"heartbeat": Heartbeat(interval=0.1, timeout=1.0)})
STATIC = MappingProxyType({"access_token": "stale"})
ASKED = MappingProxyType({"access_token": lambda: "fresh"})
SLOW_CLOSE = MappingProxyType({"close_timeout": 60.0})
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class On(NamedTuple):
    """What a fault strikes: the peer's side of the connection, and the proxy in its way."""

    link: SocketLink
    proxy: FaultProxy
    store: Any


class Row(NamedTuple):
    """One fault, and what a store makes of it."""

    name: str
    strike: Callable[[On], object]
    code: int
    who: str
    path: str = HEALS
    reason: str | None = None
    errors: tuple[str, ...] = ()
    options: Mapping[str, Any] = NO_OPTIONS
    within: float = 0.0  # seconds until it is noticed, beside the slack


def ends(name: str, strike: Callable[[On], object], reason: str) -> Row:
    return Row(name, strike, 1006, "network", reason=reason)


def dead(name: str, strike: Callable[[On], object], *errors: str) -> Row:
    reason = "keepalive ping timeout"
    return Row(name, strike, 1006, "network", HEALS, reason, errors, PINGS, within=1.2)


def mute(name: str, strike: Callable[[On], object]) -> Row:
    return Row(name, strike, 1006, "network", HEALS, "heartbeat timeout", (), BEATS, within=1.1)


def close(code: int, path: str = HEALS, name: str = "", **options: Any) -> Row:
    def strike(on: On) -> None:
        on.link.close(code, "so be it")

    return Row(f"close {code}{name}", strike, code, "server", path, "so be it", (), options)


def held(code: int, path: str) -> Row:
    def strike(on: On) -> None:
        on.link.close(code, hold=True)

    name = f"close {code}, TCP held"
    return Row(name, strike, code, "server", path, within=CLOSE_TIMEOUT)


def broken(
    name: str, code: int, strike: Callable[[SocketLink], object], *errors: str, late: bool = False
) -> Row:
    """Return the row of a violation of the protocol; the store ends it by a code."""

    def strike_link(on: On) -> None:
        if late:
            on.link.mute_close()
        strike(on.link)

    within, options = (CLOSE_TIMEOUT, NO_OPTIONS) if late else (0.0, SLOW_CLOSE)
    return Row(name, strike_link, code, "client", HEALS, None, errors, options, within)


def in_frame(fault: Any) -> Callable[[On], object]:
    def strike(on: On) -> None:
        on.proxy.now(fault)
        on.link.send("x" * 100)

    return strike


def now(fault: Any) -> Callable[[On], object]:
    return lambda on: on.proxy.now(fault)


def hole_behind_a_full_buffer(on: On) -> None:
    on.link.stall()
    for _ in range(12):
        on.store.send(bytes(1 << 20))


def bomb(link: SocketLink) -> None:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    link.frame(2, data.removesuffix(b"\0\0\xff\xff"), rsv=4)


DEFLATE = Handshake(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
NO_CLOSE, RESET = "the socket ended without a close frame", "the connection was reset"
BAD_TEXT = build_frame(1, b"\xff")
ROWS = [
    ends("FIN between frames", lambda on: on.link.drop(), NO_CLOSE),
    ends("FIN in a frame", in_frame(Cut(after=45)), NO_CLOSE),
    ends("FIN in a header", in_frame(Cut(after=1)), NO_CLOSE),
    ends("RST between frames", lambda on: on.link.reset(), RESET),
    ends("RST in a frame", in_frame(Reset(after=45)), RESET),
    dead("half-open", now(BlackHole())),
    dead("half-open in a frame", in_frame(BlackHole(after=45))),
    dead("half-open behind a full buffer", hole_behind_a_full_buffer, "SendError"),
    mute("silent but pongs", lambda on: None),
    mute("fragment never finished", lambda on: on.link.fragments(b"x", finish=False)),
    Row("close without a code", lambda on: on.link.close(None), 1005, "server"),
    close(1000),
    close(1000, ENDS, " by a rule", reconnect_rules={"close 1000": "end"}),
    close(1001),
    close(1008),
    close(1008, FAILS, " to a static token", **STATIC),
    close(1008, HEALS, " to a provider's token", **ASKED),
    close(1011),
    close(1012),
    close(1013),
    close(4401),
    close(4401, FAILS, " to a static token", **STATIC),
    close(4401, HEALS, " to a provider's token", **ASKED),
    close(4403),
    close(4403, FAILS, " to a static token", **STATIC),
    held(1000, HEALS),
    held(1001, HEALS),
    held(4401, HEALS),
    broken("close code 999", 1002, lambda link: link.close(999)),
    broken("close code 1005", 1002, lambda link: link.close(1005)),
    broken("close code of one byte", 1002, lambda link: link.frame(8, b"\x03")),
    broken("close reason not UTF-8", 1007, lambda link: link.close(1000, b"\xff")),
    broken("text not UTF-8", 1007, lambda link: link.raw(BAD_TEXT), "InvalidUtf8"),
    broken("text not UTF-8, TCP held", 1007, lambda link: link.raw(BAD_TEXT), "InvalidUtf8",
           late=True),
    broken("header announcing 1 TB", 1009, lambda link: link.frame(2, length=1 << 40)),
    broken("2 MiB message", 1009, lambda link: link.send("x" * (2 << 20))),
    broken("deflate bomb", 1009, bomb),
    broken("5000 fragments", 1009, lambda link: link.fragments(*[b"x"] * 5000)),
    broken("masked frame", 1002, lambda link: link.frame(1, b"1", masked=True)),
    broken("reserved bit", 1002, lambda link: link.frame(1, b"1", rsv=2)),
    broken("opcode 3", 1002, lambda link: link.frame(3)),
    broken("opcode 3, TCP held", 1002, lambda link: link.frame(3), late=True),
    broken("orphan continuation", 1002, lambda link: link.frame(0, b"1")),
    broken("text inside a fragmented message", 1002, lambda link: link.raw(
        build_frame(1, b"1", fin=False) + build_frame(1, b"2"))),
    broken("ping of 126 bytes", 1002, lambda link: link.ping(bytes(126))),
    broken("fragmented ping", 1002, lambda link: link.frame(9, fin=False)),
    broken("random bytes", 1002, lambda link: link.raw(b"\xff\xfe\xfd" * 10)),
    Row("bit flip in a header", in_frame(FlipBit(6)), 1002, "client"),
    Row("garbage between frames, then FIN", now(Garbage(b"\xff" * 20)), 1002, "client"),
]  # fmt: skip


def heartbeat_of_later_links(link: SocketLink, message: Any) -> None:
    if link.number > 1 and message == {"type": "Ping"}:
        link.send({"type": "Pong"})


@asynccontextmanager
async def connected(
    options: Mapping[str, Any], first: SocketStep
) -> AsyncIterator[tuple[Stage, On]]:
    """Connect a store through a proxy to a peer that is healthy."""
    async with (
        SocketPeer(first, on_message=heartbeat_of_later_links) as peer,
        FaultProxy(peer.url) as proxy,
        stage(peer, proxy.url, **{"close_timeout": CLOSE_TIMEOUT, **options}) as stand,
    ):
        await stand.settles("connecting>connected")
        yield stand, On(await peer.accepted(8), proxy, stand.store)


def check(row: Row, stand: Stage, struck: float) -> None:
    """Compare what the loss left in the state, and when."""
    at, state = stand.states[2]
    assert state.close is not None
    assert (state.close.code, state.close.who) == (row.code, row.who)
    assert row.reason in (None, state.close.reason)
    if row.path == ENDS:
        assert state.error is None
    else:
        assert isinstance(state.error, ConnectionLost)
        assert state.error.cause == f"close {row.code}"
    assert at - struck < row.within + SLACK
    assert stand.reported == list(row.errors)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_a_fault_of_an_open_connection_heals_or_stops_as_the_table_says(row: Row) -> None:
    first = DEFLATE if row.name == "deflate bomb" else Accept()
    async with connected(row.options, first) as (stand, on):
        row.strike(on)
        struck = asyncio.get_running_loop().time()
        await stand.settles(row.path)
        check(row, stand, struck)
        if stand.store.state.value.status in RESTING:
            stand.store.connect()
            await stand.settles(f"{row.path}>connecting>connected")
        await stand.converses()
        assert len(stand.peer.dials) == 2


ALIVE: list[tuple[str, Any, dict[str, float]]] = [
    ("stall", Stall(0.4), {"ping_interval": 0.1, "ping_timeout": 2.0}),
    ("trickle", Trickle(150), {"ping_interval": 0.1, "ping_timeout": 1.5}),
    ("delay", Delay(0.2, jitter=0.1), {"ping_interval": 0.1, "ping_timeout": 2.0}),
    ("bit flip in a payload", FlipBit(1, after=10), {}),
]


@pytest.mark.parametrize(("name", "fault", "options"), ALIVE, ids=[row[0] for row in ALIVE])
async def test_a_connection_that_is_only_slow_or_wrong_lives_on(
    name: str, fault: Any, options: dict[str, float]
) -> None:
    async with connected(options, Accept()) as (stand, on):
        messages: list[Any] = []
        stand.store.messages.subscribe(messages.append)
        on.proxy.now(fault)
        for n in range(3):
            on.link.send([n, "x" * 100])
        await until(stand.store, lambda: len(messages) == 3)
        assert [message[0] for message in messages] == [0, 1, 2]
        await stand.converses()
        assert (stand.path, stand.reported) == ("connecting>connected", [])


def flooding(on: On) -> asyncio.Task[int]:
    return asyncio.create_task(on.link.flood(build_frame(1, b"1") * 100))


LEAVING: list[tuple[str, Callable[[On], Any], int]] = [
    ("flooding", flooding, 1000),
    ("silent", now(BlackHole()), 1006),
    ("silent behind a full buffer", hole_behind_a_full_buffer, 1006),
    ("not closing", now(MuteClose()), 1006),
    ("not closing TCP", lambda on: on.link.mute_close(), 1006),
]


@pytest.mark.parametrize(("name", "strike", "code"), LEAVING, ids=[row[0] for row in LEAVING])
async def test_aclose_returns_within_its_grace(
    name: str, strike: Callable[[On], Any], code: int
) -> None:
    async with connected(NO_OPTIONS, Accept()) as (stand, on):
        task = strike(on)
        began = asyncio.get_running_loop().time()
        await stand.store.aclose()
        assert asyncio.get_running_loop().time() - began < CLOSE_TIMEOUT + SLACK
        assert stand.path == "connecting>connected>disconnecting>disconnected"
        _, state = stand.states[-1]
        assert state.close is not None
        assert state.close.code in (code, 1006)  # a flood may hold the answer back
        if isinstance(task, asyncio.Task):
            await task
