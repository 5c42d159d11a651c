"""Pings of one wire: their times, what they tell, and that they end."""

from __future__ import annotations

import asyncio

import pytest

from heimdall_reactive.transports.pinging import LOST, Pinger
from tests.virtual import loop


class Line:
    """What a pinger pings; answers nothing by itself."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = loop()
        self.held = False
        self.heard_at = self.loop.time()
        self.acked: tuple[int, float] = 0, 0.0
        self.acknowledges = False  # its host does, all and at once
        self.sent: list[tuple[float, bytes]] = []
        self.pulses: list[float] = []
        self.lost: list[tuple[float, str]] = []

    def taken(self) -> tuple[int, float]:
        return self.acked

    def all_taken(self) -> bool:
        return self.acknowledges

    def send_ping(self, payload: bytes) -> None:
        self.sent.append((self.loop.time(), payload))

    def send_pong(self) -> None:
        self.pulses.append(self.loop.time())

    def lose(self, reason: str) -> None:
        self.lost.append((self.loop.time(), reason))


class Watcher:
    """Keeps what it is told."""

    def __init__(self, told: list[float]) -> None:
        self._told = told
        self.pings = self.pongs = 0

    def on_latency(self, seconds: float) -> None:
        self._told.append(seconds)

    def on_ping(self) -> None:
        self.pings += 1

    def on_pong(self) -> None:
        self.pongs += 1


def pinger_of(line: Line, told: list[float], interval: float | None = 10.0) -> Pinger:
    return Pinger(line, interval, 4.0, Watcher(told), line.loop.time)


@pytest.mark.heimdall_virtual_time
async def test_a_ping_follows_the_pong_before_by_the_interval() -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told)
    await asyncio.sleep(1)
    pinger.on_pong(b"unasked")
    pinger.on_pong(b"1")
    pinger.on_pong(b"1")  # a second time: no ping is under way
    await asyncio.sleep(10)
    assert line.sent == [(0, b"1"), (10, b"2")]
    pinger.on_pong(b"1")  # an old one
    assert told == [1.0]
    pinger.stop()


@pytest.mark.heimdall_virtual_time
async def test_a_proof_that_has_come_sets_no_timer_before_the_next_ping_is_due() -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told)
    for _ in range(9):
        await asyncio.sleep(0.5)
        pinger.on_pong(line.sent[-1][1])
        before = pinger._timer
        pinger.prove()
        pinger.on_pong(line.sent[-1][1])
        assert pinger._timer is before
    await asyncio.sleep(20)
    assert [at for at, _ in line.sent[-2:]] == [4.5, 14.5]
    pinger.stop()


@pytest.mark.heimdall_virtual_time
async def test_a_silent_peer_is_lost_at_the_timeout_and_once() -> None:
    line = Line()
    pinger_of(line, [])
    await asyncio.sleep(60)
    assert line.lost == [(4, LOST)]


@pytest.mark.heimdall_virtual_time
async def test_a_sign_of_life_and_a_wire_that_is_held_give_the_timeout_again() -> None:
    line = Line()
    pinger_of(line, [])
    await asyncio.sleep(3)
    line.heard_at = line.loop.time()
    await asyncio.sleep(2)
    assert line.lost == []
    line.held = True  # nothing can be heard while we do not read
    await asyncio.sleep(9)
    assert line.lost == []
    line.held = False
    await asyncio.sleep(60)
    assert line.lost == [(15, LOST)]


@pytest.mark.heimdall_virtual_time
async def test_a_probe_takes_the_place_of_the_ping_under_way_and_has_its_own_timeout() -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told)
    await asyncio.sleep(1)
    pinger.ping(0.5)
    pinger.on_pong(b"1")
    await asyncio.sleep(60)
    assert (line.sent, told) == ([(0, b"1"), (1, b"2")], [])
    assert line.lost == [(1.5, LOST)]


@pytest.mark.heimdall_virtual_time
async def test_without_an_interval_there_are_probes_only() -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told, interval=None)
    await asyncio.sleep(60)
    pinger.ping(4.0)
    pinger.on_pong(b"1")
    await asyncio.sleep(60)
    assert (line.sent, told, line.lost) == ([(60, b"1")], [0.0], [])
    assert line.loop.time() == 120


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("answered", [False, True])
async def test_a_pinger_that_was_stopped_sends_and_loses_nothing(answered: bool) -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told)
    if answered:  # the timer is that of the next ping, else that of the timeout
        pinger.on_pong(b"1")
    pinger.stop()
    pinger.on_pong(b"1")
    pinger.ping(0.5)  # the machine has slept, in the turn in which the wire was shut
    await asyncio.sleep(60)
    assert (line.sent, line.lost) == ([(0, b"1")], [])
    assert len(told) == answered


@pytest.mark.heimdall_virtual_time
async def test_a_proof_shares_the_ping_that_is_under_way_and_judges_nobody() -> None:
    line, told = Line(), list[float]()
    pinger = pinger_of(line, told, interval=None)
    pinger.prove()
    pinger.prove()
    await asyncio.sleep(60)
    assert (line.sent, line.lost) == ([(0, b"1")], [])
    pinger.on_pong(b"1")
    pinger.prove()
    pinger.prove(last=True)  # before a close frame: what came behind the ping needs one, too
    assert line.sent == [(0, b"1"), (60, b"2"), (60, b"3")]
    assert told == [60.0]


@pytest.mark.heimdall_virtual_time
async def test_the_keep_alive_judges_from_its_own_time_by_a_proof_that_is_under_way() -> None:
    line = Line()
    pinger = pinger_of(line, [])
    await asyncio.sleep(1)
    pinger.on_pong(b"1")
    await asyncio.sleep(5)
    pinger.prove()  # at 6; nothing would have been sent before 10
    await asyncio.sleep(60)
    assert line.sent == [(0, b"1"), (6, b"2")]
    assert line.lost == [(14, LOST)]


@pytest.mark.heimdall_virtual_time
async def test_a_peer_that_takes_what_we_write_is_not_lost_by_a_late_pong() -> None:
    line = Line()
    pinger_of(line, [])
    for second in (3, 6, 9):
        await asyncio.sleep(3)
        line.acked = second * 1000, float(second)
    await asyncio.sleep(2)
    assert line.lost == []
    line.acked = 9000, 11.0  # its host answers, and takes nothing more
    await asyncio.sleep(60)
    assert line.lost == [(13, LOST)]


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize(
    ("interval", "pulses", "lost"),
    [(10.0, [4, 8, 12], 16), (4.0, [4, 8, 12], 16), (3.0, [3, 6, 9, 12], 16), (None, [], 0)],
)
async def test_a_peer_that_acknowledges_and_answers_no_ping_is_asked_by_pongs(
    interval: float | None, pulses: list[float], lost: float
) -> None:
    """One ping is under way, and the host that falls silent is lost within interval + timeout."""
    line, told = Line(), list[float]()
    line.acknowledges = True
    pinger = pinger_of(line, told, interval)
    await asyncio.sleep(13)
    line.acknowledges = False  # behind the acknowledgement of the pong at 12
    await asyncio.sleep(60)
    assert line.pulses == pulses
    assert line.lost == ([(lost, LOST)] if lost else [])
    pinger.stop()


@pytest.mark.heimdall_virtual_time
async def test_a_pong_that_comes_at_last_ends_the_asking() -> None:
    line, told = Line(), list[float]()
    line.acknowledges = True
    pinger = pinger_of(line, told)
    await asyncio.sleep(9)
    pinger.on_pong(b"1")
    assert told == [9.0]
    await asyncio.sleep(1.5)
    assert (line.sent, line.pulses, line.lost) == ([(0, b"1"), (10, b"2")], [4, 8], [])
    pinger.stop()
