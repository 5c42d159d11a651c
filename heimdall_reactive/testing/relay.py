"""One connection through the proxy: two flows, and the faults that strike them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from heimdall_reactive.base.starting import start_task

from .faults import (
    BlackHole,
    CloseWith,
    Cut,
    Delay,
    Fault,
    FlipBit,
    Garbage,
    HttpAnswer,
    MuteClose,
    NoAnswer,
    Placed,
    Reset,
    Stall,
    Trickle,
)
from .flow import Flow, Shape
from .frames import build_close
from .handshake import http_answer, read_head
from .sockets import Side

__all__ = ["Passage", "Relay", "answers"]


class Passage:
    """The record of one connection through a proxy.

    Attributes:
        number: counted from 1 over the life of the proxy.
        opened_at: when it was accepted, on the clock of the event loop.
        faults: what was planned for it, and what `proxy.now` did to it.
        request: the bytes of the opening handshake's request, once they are all there. They hold
            the token, if the client sent one.
        status: of the server's answer to the upgrade; None while there is none.
        to_client: bytes sent to the client.
        to_server: bytes sent to the server.
        ended: None while it is open, then `client` or `server`, whoever closed first, the name of
            the fault that ended it, `unreachable` where the server could not be reached, or `exit`.
    """

    def __init__(self, number: int, opened_at: float, faults: Sequence[Fault]) -> None:
        self.number = number
        self.opened_at = opened_at
        self.faults: tuple[Fault, ...] = tuple(faults)
        self.request = b""
        self.status: int | None = None
        self.to_client = 0
        self.to_server = 0
        self.ended: str | None = None

    def __repr__(self) -> str:
        faults = ", ".join(map(repr, self.faults))
        return f"<Passage {self.number} status={self.status} ended={self.ended} [{faults}]>"


def answers(fault: Fault) -> bool:
    """Return whether a fault takes the server's place in the opening handshake."""
    handshake = isinstance(fault, Garbage) and fault.when == "handshake"
    return handshake or isinstance(fault, HttpAnswer | NoAnswer)


class Relay:
    """Carry one connection from a client to the target and back.

    Attributes:
        passage: its record.
    """

    def __init__(
        self,
        client: Side,
        passage: Passage,
        target: tuple[str, int],
        source: random.Random,
        changed: Callable[[], None],
    ) -> None:
        self.passage = passage
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._server = Side()
        self._target = target
        self._changed = changed
        self._shape = Shape(source)
        self._shape.gate.set()
        self._up = Flow(client, self._server, self._shape, self._asked, self._strike, self._count)
        self._down = Flow(
            self._server, client, self._shape, self._answered, self._strike, self._count
        )
        self._on_open: list[Fault] = []
        self._holds = 0
        self._timers: list[asyncio.TimerHandle] = []
        self._turn: asyncio.Future[tuple[bool, bool]] = self._loop.create_future()

    async def run(self) -> None:
        """Carry the connection until it ends, and leave no socket."""
        try:
            await self._run()
        finally:
            self._end("exit")
            for timer in self._timers:
                timer.cancel()
            open_sides = [side for side in (self._client, self._server) if side.connected]
            for side in open_sides:
                side.drop()
            await asyncio.gather(*(side.lost for side in open_sides))
            self._changed()

    def now(self, fault: Fault) -> None:
        """Let a fault strike this open connection, counted from now."""
        self.passage.faults += (fault,)
        self._apply(fault)
        self._down.settle()

    async def _run(self) -> None:
        for fault in self.passage.faults:
            if answers(fault):
                await self._answer(fault)
                return
            self._plan(fault)
        self._down.settle()
        if not self._turn.done():
            try:
                await self._loop.create_connection(lambda: self._server, *self._target)
            except OSError:
                self._end("unreachable")
                self._client.reset()
                return
            await self._carry()
        if self._turn.done():
            await self._discard(*self._turn.result())

    async def _carry(self) -> None:
        up = start_task(self._up.run(), loop=self._loop)
        down = start_task(self._down.run(), loop=self._loop)
        up.add_done_callback(partial(self._ended_by, "client"))
        down.add_done_callback(partial(self._ended_by, "server"))
        try:
            while not self._turn.done() and not (up.done() and down.done()):
                waited: list[asyncio.Future[Any]] = [up, down, self._turn]
                left = [future for future in waited if not future.done()]
                await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for flow in (up, down):
                    if flow.done():
                        flow.result()
        finally:
            up.cancel()
            down.cancel()
            await asyncio.wait([up, down])
        if self._turn.done():
            self._server.transport.abort()

    async def _answer(self, fault: Fault) -> None:
        request = await read_head(self._client)
        if request is None:
            self._end("client")
            return
        self._asked(request)
        match fault:
            case HttpAnswer():
                self.passage.status = fault.status
                self._say(http_answer(fault.status, fault.headers, fault.body))
            case Garbage():
                self._say(fault.data)
            case _:
                pass
        hold = not isinstance(fault, HttpAnswer | Garbage) or fault.hold
        if not hold:
            self._client.finish()
        self._end(type(fault).__name__)
        self._changed()
        await self._client.discard(hold)

    def _plan(self, fault: Fault) -> None:
        if isinstance(fault, Placed) and fault.handshake:
            self._down.mark(fault.after, fault)
        elif isinstance(fault, Delay | Trickle) and fault.handshake:
            self._apply(fault)
        else:
            self._on_open.append(fault)

    def _apply(self, fault: Fault) -> None:
        match fault:
            case Delay():
                self._shape.delay, self._shape.jitter = fault.seconds, fault.jitter
            case Trickle():
                self._shape.rate = fault.bytes_per_second
            case MuteClose():
                self._shape.muted = True
            case Placed():
                self._down.mark(self._down.count + fault.after, fault)
            case _:
                pass

    def _strike(self, fault: Placed) -> None:
        if self._turn.done():
            return
        match fault:
            case Reset():
                self._client.reset()
                self._leave(fault)
            case Cut():
                self._client.finish()
                self._leave(fault)
            case BlackHole():
                self._hold()
            case Stall():
                self._hold()
                self._timers.append(self._loop.call_later(fault.seconds, self._release))
            case FlipBit():
                self._down.flip(1 << fault.bit)
            case _:
                self._down.between_frames(partial(self._inject, fault))

    def _inject(self, fault: Placed) -> None:
        if self._turn.done():
            return
        if isinstance(fault, CloseWith):
            self._say(build_close(fault.code, fault.reason))
            self._leave(fault, hold=fault.hold, until_close=not fault.hold)
        elif isinstance(fault, Garbage):
            self._say(fault.data)
            if not fault.hold:
                self._client.finish()
            self._leave(fault, hold=fault.hold)

    def _leave(self, fault: Placed, hold: bool = False, until_close: bool = False) -> None:
        """Part the client from the server; what the client still sends is ignored."""
        self._end(type(fault).__name__)
        self._shape.gate.clear()
        self._turn.set_result((hold, until_close))
        self._changed()

    async def _discard(self, hold: bool, until_close: bool) -> None:
        """Ignore what the client sends until it ends; answer its close frame with a FIN."""
        self._client.vanish(False)
        scanner = self._up.scanner
        while until_close and not scanner.closes:
            if (arrival := await self._client.read()) is None:
                break
            scanner.feed(arrival[1])
        if until_close:
            self._client.finish()
        await self._client.discard(hold)

    def _hold(self) -> None:
        self._holds += 1
        self._shape.gate.clear()
        self._client.vanish()
        self._server.hold()

    def _release(self) -> None:
        self._holds -= 1
        if not self._holds and not self._turn.done():
            self._client.vanish(False)
            self._server.hold(False)
            self._shape.gate.set()

    def _say(self, data: bytes) -> None:
        self._client.write(data)
        self.passage.to_client += len(data)

    def _asked(self, head: bytes) -> None:
        self.passage.request = head
        self._changed()

    def _answered(self, head: bytes) -> None:
        words = head.split(b" ", 2)
        self.passage.status = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
        if self.passage.status == 101:
            for fault in self._on_open:
                self._apply(fault)

    def _count(self, flow: Flow, size: int) -> None:
        if flow is self._up:
            self.passage.to_server += size
        else:
            self.passage.to_client += size
        self._changed()

    def _ended_by(self, who: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._end(who)

    def _end(self, how: str) -> None:
        if self.passage.ended is None:
            self.passage.ended = how
