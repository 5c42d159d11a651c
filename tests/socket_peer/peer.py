"""`SocketPeer`: a scripted WebSocket server on a real socket, as wrong as a test wants it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from ssl import SSLContext
from types import TracebackType
from typing import Any, TypeAlias

from heimdall_reactive.base.starting import start_task
from heimdall_reactive.testing import (
    Accept,
    CloseWith,
    Cut,
    Garbage,
    Hang,
    HttpAnswer,
    NoAnswer,
    Refuse,
    Reset,
)
from heimdall_reactive.testing.handshake import http_answer, read_head
from heimdall_reactive.testing.sockets import ProxyListener, Side
from heimdall_reactive.testing.watch import Watch

from .handshake import upgrade_answer
from .link import SocketLink
from .steps import EndlessHeader, Handshake, SocketDial, SocketStep, check_step

__all__ = ["SocketPeer"]

_PIECE = b"a" * 4096
OnMessage: TypeAlias = Callable[[SocketLink, Any], object]


class SocketPeer:
    """A raw server on 127.0.0.1 that follows a script: the twin of `ScriptedPeer` with sockets.

    Each connection takes the next step of the script. After the last one, dials are accepted, or
    meet what `always` says. It leaves no task and no socket at its end.

    Args:
        steps: the script.
        on_message: is called with the link and each message that comes, to answer it.
        ssl: a server's context; `url` is `wss://127.0.0.1:...` then, and a dial counts when the TLS
            handshake is done.

    Attributes:
        dials: the connection attempts, in order.
        links: the accepted connections, in order.
    """

    def __init__(
        self,
        *steps: SocketStep,
        on_message: OnMessage | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        self.dials: list[SocketDial] = []
        self.links: list[SocketLink] = []
        self._steps: deque[SocketStep] = deque()
        self._default: SocketStep = Accept()
        self._on_message = on_message
        self._ssl = ssl
        self._listener = ProxyListener(self._accept)
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch = Watch()
        self._returned = 0
        self.script(*steps)

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it has started."""
        return self._listener.port

    @property
    def url(self) -> str:
        """Where clients dial, without a path."""
        scheme = "ws" if self._ssl is None else "wss"
        return f"{scheme}://127.0.0.1:{self.port}"

    def script(self, *steps: SocketStep) -> None:
        """Put other steps in the place of those that are left.

        Raises:
            ConfigurationError: if the peer cannot do one.
        """
        for step in steps:
            check_step(step)
        self._steps = deque(steps)

    def always(self, step: SocketStep) -> None:
        """Let every dial from now on meet one step.

        Raises:
            ConfigurationError: if the peer cannot do it.
        """
        check_step(step)
        self._steps.clear()
        self._default = step

    @property
    def link(self) -> SocketLink | None:
        """The newest link while it is live, else None."""
        return self.links[-1] if self.links and self.links[-1].live else None

    @property
    def live(self) -> list[SocketLink]:
        """The links whose sockets are open."""
        return [link for link in self.links if link.live]

    async def accepted(self, timeout: float | None = None) -> SocketLink:
        """Return the next link, in the order of the handshakes; each is returned once.

        Args:
            timeout: seconds, None forever.

        Raises:
            TimeoutError: no dial was accepted in time.
        """
        await self._watch.wait_for(lambda: self._returned < len(self.links), timeout)
        self._returned += 1
        return self.links[self._returned - 1]

    async def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until a predicate holds; it is asked when a dial comes, is answered or ends.

        Raises:
            WaitTimeout: if it does not hold within `timeout` seconds.
        """
        await self._watch.wait_for(predicate, timeout)

    async def __aenter__(self) -> SocketPeer:
        self._listener.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch.close()

    def __repr__(self) -> str:
        return f"<SocketPeer {len(self.dials)} dials, {len(self.live)} live>"

    def _accept(self, side: Side) -> None:
        dial = None if self._ssl else self._dial()
        if self._ssl:
            side.hold()  # what comes now is for TLS
        task = start_task(self._serve(side, dial))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _dial(self) -> SocketDial:
        step = self._steps.popleft() if self._steps else self._default
        dial = SocketDial(len(self.dials) + 1, asyncio.get_running_loop().time(), step)
        self.dials.append(dial)
        self._watch.changed()
        return dial

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "the peer failed on a connection", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
        self._watch.changed()

    async def _serve(self, side: Side, dial: SocketDial | None) -> None:
        if self._ssl is not None:
            try:
                await _start_tls(side, self._ssl)
            except OSError:
                return
        dial = dial or self._dial()
        try:
            if isinstance(dial.step, Reset | Cut) and dial.step.handshake:
                side.reset() if isinstance(dial.step, Reset) else side.finish()
            elif (request := await read_head(side)) is not None:
                dial.request = request
                self._watch.changed()
                await self._answer(side, dial)
            else:
                side.write(http_answer(400))
                side.finish()
            await side.discard(hold=_holds(dial.step))
        except ValueError:
            pass  # a frame that is too long to take
        finally:
            side.transport.abort()
            await side.lost

    async def _answer(self, side: Side, dial: SocketDial) -> None:
        match dial.step:
            case Refuse(status=status, retry_after=after):
                await asyncio.sleep(dial.step.delay)
                headers = [] if after is None else [("Retry-After", str(after))]
                side.write(http_answer(status, headers))
                side.finish()
            case HttpAnswer(status=status, headers=headers, body=body):
                side.write(http_answer(status, headers, body))
                _finish_unless(dial.step.hold, side)
            case Garbage(when="handshake"):
                side.write(dial.step.data)
                _finish_unless(dial.step.hold, side)
            case EndlessHeader():
                await self._endless(side, dial.step.size)
            case Accept() | Handshake() | CloseWith() | Garbage() | Reset() | Cut():
                await self._open(side, dial)
            case _:
                pass

    async def _open(self, side: Side, dial: SocketDial) -> None:
        step = dial.step
        if isinstance(step, Accept):
            await asyncio.sleep(step.delay)
        if isinstance(step, Handshake):
            answer = upgrade_answer(dial.request, step.accept, step.subprotocol, step.headers)
            await _trickle(side, answer, step.bytes_per_second)
        else:
            side.write(upgrade_answer(dial.request))
        if side.ended:  # the client did not wait for it
            return
        link = SocketLink(side, dial.number, dial.request, self._on_message)
        self.links.append(link)
        await _begin(link, step, side)
        self._watch.changed()
        await link.run()

    async def _endless(self, side: Side, size: int | None) -> None:
        side.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")
        sent = 0
        while not side.ended and (size is None or sent < size):
            piece = _PIECE if size is None else _PIECE[: size - sent]
            side.write(piece)
            sent += len(piece)
            await side.drain()
            await asyncio.sleep(0)  # a sender in a hurry starves nobody


async def _begin(link: SocketLink, step: SocketStep, side: Side) -> None:
    """Do what the step wants right behind the handshake."""
    match step:
        case Accept():
            for message in step.first_messages:
                link.send(message)
            if step.then is not None:
                step.then(link)
        case CloseWith():
            link.close(step.code, step.reason, hold=step.hold)
        case Garbage():
            link.raw(step.data)
            link.ignore() if step.hold else link.drop()
        case Reset():
            await side.drain()
            link.reset()
        case Cut():
            link.drop()
        case _:
            pass


def _holds(step: SocketStep) -> bool:
    held = isinstance(step, CloseWith | Garbage | HttpAnswer) and step.hold
    return held or isinstance(step, Hang | NoAnswer | EndlessHeader)


def _finish_unless(hold: bool, side: Side) -> None:
    if not hold:
        side.finish()


async def _start_tls(side: Side, context: SSLContext) -> None:
    """Shake hands as a TLS server; a side that is held until then misses no byte.

    Raises:
        OSError: if the client does not; the socket is closed then.
    """
    start_tls = asyncio.get_running_loop().start_tls
    try:
        transport = await start_tls(side.transport, side, context, server_side=True)
        if transport is None:
            raise ConnectionError("the socket was closed during the TLS handshake")
    except BaseException:
        side.transport.abort()
        await asyncio.sleep(0)  # asyncio closes the socket in a callback
        raise
    side.use(transport)
    side.hold(False)


async def _trickle(side: Side, data: bytes, bytes_per_second: float | None) -> None:
    """Send bytes one by one at a rate; None sends them at once."""
    if bytes_per_second is None:
        side.write(data)
        return
    for value in data:
        if side.ended:
            return
        side.write(bytes([value]))
        await asyncio.sleep(1 / bytes_per_second)
