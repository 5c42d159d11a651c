"""The application's own ping: when it goes out, what answers it, and when a peer is lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from heimdall_reactive import Heartbeat
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.connecting.heartbeat import LOST, MAX_OPEN, Pulse, is_reply
from tests.virtual import loop, stand_still

PONG = b'{"type": "Pong"}'


class Line:
    """A socket and its counter of messages, as a pulse sees them."""

    def __init__(self, **options: Any) -> None:
        self.taking = True
        self.received = 0
        self.sent: list[tuple[float, bytes]] = []
        self.lost: list[tuple[float, str]] = []
        self.pulse = Pulse(
            Heartbeat(**options), loop(), self.write, lambda: self.received, self.lose
        )

    def write(self, frame: Frame) -> bool:
        if self.taking:
            self.sent.append((loop().time(), frame.data))
        return self.taking

    def lose(self, reason: str) -> None:
        self.lost.append((loop().time(), reason))


@pytest.mark.heimdall_virtual_time
async def test_a_peer_that_answers_is_pinged_every_interval() -> None:
    line = Line(interval=10, timeout=4)
    for _ in range(3):
        await asyncio.sleep(10)
        assert line.pulse.takes(PONG, True)
        line.received += 1
    await asyncio.sleep(9)
    assert line.sent == [(at, b'{"type":"Ping"}') for at in (10, 20, 30)]
    assert (line.lost, line.pulse.awaits_reply) == ([], 0)
    line.pulse.stop()
    assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_a_silent_peer_is_lost_once_and_pinged_no_more() -> None:
    line = Line(interval=10, timeout=4)
    await asyncio.sleep(60)
    assert line.lost == [(14, LOST)]
    assert [at for at, _ in line.sent] == [10]
    assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_a_timeout_longer_than_the_interval_looks_at_each_ping() -> None:
    line = Line(interval=2, timeout=5)
    await asyncio.sleep(6)
    line.received += 1  # answers the pings of 2, 4 and 6 s
    await asyncio.sleep(60)
    assert line.lost == [(13, LOST)]  # that of 8 s
    assert [at for at, _ in line.sent] == [2, 4, 6, 8, 10, 12]


@pytest.mark.heimdall_virtual_time
async def test_a_ping_that_the_socket_does_not_take_still_has_a_timeout_and_no_reply() -> None:
    line = Line(interval=10, timeout=4)
    line.taking = False
    await asyncio.sleep(10)
    assert (line.sent, line.pulse.awaits_reply) == ([], 0)
    await asyncio.sleep(5)
    assert line.lost == [(14, LOST)]


@pytest.mark.heimdall_virtual_time
async def test_what_is_awaited_is_bounded() -> None:
    line = Line(interval=1, timeout=1000)
    await asyncio.sleep(MAX_OPEN + 5)
    assert line.pulse.awaits_reply == MAX_OPEN
    assert not line.pulse.takes(b"{}", True)
    assert line.pulse.takes(PONG, True)
    assert line.pulse.awaits_reply == MAX_OPEN - 1
    line.pulse.stop()


@pytest.mark.heimdall_virtual_time
async def test_without_a_reply_none_is_awaited() -> None:
    line = Line(interval=1, timeout=10, reply=None)
    await asyncio.sleep(3)
    assert line.pulse.awaits_reply == 0
    line.pulse.stop()
    assert loop().timers == []


@pytest.mark.parametrize(
    ("reply", "data", "text", "answers"),
    [
        ({"type": "Pong"}, b'{"type": "Pong", "more": 1}', True, True),
        ({"type": "Pong"}, b'{"type": "Ping"}', True, False),
        ({"type": "Pong"}, b"{}", True, False),
        ({"type": "Pong"}, b"[]", True, False),
        ({"type": "Pong"}, b'{"type": "Pong"}', False, False),
        ("pong", b"pong", True, True),
        ("pong", b'"pong"', True, True),
        ("pong", b"pong", False, False),
        ("ping", b"pong", True, False),
        ("7", b"7", True, True),  # which is JSON of something else
        (7, b"7", True, True),
        (b"\x01", b"\x01", False, True),
        (b"\x01", b"\x02", False, False),
        (lambda plain: plain == {"n": 1}, b'{"n": 1}', True, True),
        (lambda plain: plain == "\ufffd", b"\xff", True, True),
        (lambda plain: plain == b"\xff", b"\xff", False, True),
        (lambda plain: 0, b"{}", True, False),
    ],
)
def test_a_reply_is_what_the_option_says(
    reply: Any, data: bytes, text: bool, answers: bool
) -> None:
    assert is_reply(reply, data, text) is answers
    assert is_reply(reply, bytearray(data), text) is answers


class NoPast(asyncio.SelectorEventLoop):
    """Refuses a timer in the past, as the event loop of a browser does."""

    def call_later(  # type: ignore[override]
        self, delay: float, call: Any, *args: Any
    ) -> asyncio.TimerHandle:
        if delay < 0:
            raise ValueError("Can't schedule in the past")
        return super().call_at(self.time() + delay, call, *args)

    def call_at(  # type: ignore[override]
        self, when: float, call: Any, *args: Any
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), call, *args)


def test_a_late_look_ends_no_heartbeat_on_a_loop_that_refuses_the_past() -> None:
    sent: list[Frame] = []
    lost: list[str] = []
    wrong: list[str] = []

    async def main() -> None:
        here, enough = asyncio.get_running_loop(), asyncio.Event()
        here.set_exception_handler(lambda _, context: wrong.append(str(context)))

        def write(frame: Frame) -> bool:
            sent.append(frame)
            time.sleep(0.03)  # the loop stands still: the next looks are late
            if len(sent) > 5:
                enough.set()
            return True

        pulse = Pulse(
            Heartbeat(interval=0.01, timeout=0.02), here, write, lambda: len(sent), lost.append
        )
        try:
            async with asyncio.timeout(8):
                await enough.wait()
        finally:
            pulse.stop()

    with asyncio.Runner(loop_factory=NoPast) as runner:
        runner.run(main())
    assert (wrong, lost) == ([], [])


@pytest.mark.heimdall_virtual_time
async def test_a_process_that_was_suspended_asks_once_more_before_it_judges() -> None:
    line = Line(interval=30.0, timeout=10.0)
    await asyncio.sleep(31.0)
    stand_still(600.0)
    await asyncio.sleep(5.0)
    line.received += 1  # what had come in the meantime is read behind the timers that were due
    await asyncio.sleep(20.0)
    assert line.lost == []
    line.pulse.stop()


@pytest.mark.heimdall_virtual_time
async def test_a_dead_peer_is_found_by_late_timers_alone() -> None:
    line = Line(interval=30.0, timeout=10.0)
    await asyncio.sleep(31.0)
    for _ in range(4):
        stand_still(60.0)  # so late are the timers of a tab in the background
        await asyncio.sleep(1.0)
    assert [reason for _, reason in line.lost] == [LOST]


@pytest.mark.heimdall_virtual_time
async def test_a_probe_pings_at_once_and_judges_soon() -> None:
    line = Line(interval=30.0, timeout=10.0)
    await asyncio.sleep(3.0)
    line.pulse.probe(5.0)
    assert line.sent == [(3.0, b'{"type":"Ping"}')]
    await asyncio.sleep(6.0)
    assert line.lost == [(8.0, LOST)]
    line.pulse.probe(5.0)  # it has ended
    assert len(line.sent) == 1
