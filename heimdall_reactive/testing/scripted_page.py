"""The two ends of a link in a browser: the peer, and the WebSocket of a page that reaches it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

from heimdall_reactive.base.exceptions import ConnectError
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.transports import Wire
from heimdall_reactive.transports.browser_wire import NO_REASON, BrowserWire, answered

from .scripted_link import CLOSE, DATA, NO_CODE, TEXT, Connect
from .steps import Step

__all__ = ["PageServer", "PageSocket", "dial"]

HELLO: Final = (0, b"")  # the handshake, and the answer to it
REFUSAL: Final = (0, b"refused")
CONNECTING, OPEN, CLOSING, CLOSED = range(4)  # `readyState`


class PageServer:
    """Speaks for the peer, in opcodes with payloads; see `LinkServer`."""

    def __init__(self, step: Step) -> None:
        self.opening, self.opened = True, False
        self._step = step
        self._answers: list[Any] = []

    def is_message(self, unit: Any) -> bool:
        """See `LinkServer`."""
        return unit[0] in DATA

    def take(self, unit: Any) -> Iterator[tuple[int, bytes]]:
        """See `LinkServer`."""
        if unit == HELLO:
            self.opening, self.opened = False, self._step.refusal() is None
            self._answers.append(HELLO if self.opened else REFUSAL)
        else:
            if unit[0] == CLOSE:
                self.opened = False
                self._answers.append(unit)
            yield unit

    def answers(self) -> list[Any]:
        """See `LinkServer`."""
        answers, self._answers = self._answers, []
        return answers

    def unit(self, opcode: int, payload: bytes) -> Any:
        """See `LinkServer`."""
        return opcode, payload


class PageSocket:
    """The WebSocket of a page, without a network: for `BrowserWire`, and for a link.

    Args:
        take: is called with what is written.
        ended: is called at the end.

    Attributes:
        open: whether it is there; a closing handshake may be under way.
    """

    protocol = ""

    def __init__(self, take: Callable[[Any], None], ended: Callable[[], None]) -> None:
        self.open = True
        self.readyState = CONNECTING
        self.binaryType = "blob"
        self._loop = asyncio.get_running_loop()
        self._take = take
        self._ended = ended
        self._full = False
        self._arrived: deque[Any] = deque()
        self._unsent: list[Any] = []
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    # What a page has

    @property
    def bufferedAmount(self) -> int:  # noqa: N802 - as in JavaScript
        """Bytes that were not sent yet."""
        return sum(len(payload) for _, payload in self._unsent)

    def addEventListener(self, name: str, listener: Callable[[Any], None]) -> None:  # noqa: N802
        """Call a function with each event of a name."""
        if listener not in (listeners := self._listeners.setdefault(name, [])):
            listeners.append(listener)

    def removeEventListener(self, name: str, listener: Callable[[Any], None]) -> None:  # noqa: N802
        """Call it no more."""
        if listener in (listeners := self._listeners.get(name, [])):
            listeners.remove(listener)

    def send(self, data: str | bytes) -> None:
        """Send a message; one behind the end is dropped."""
        if self.readyState == OPEN:
            self._write((TEXT, data.encode()) if isinstance(data, str) else (TEXT + 1, data))

    def close(self, code: int = NO_CODE, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self.readyState == CONNECTING:
            self.lose(None)
        elif self.readyState == OPEN:
            self.readyState = CLOSING
            self._write((CLOSE, b"" if code == NO_CODE else code.to_bytes(2) + reason.encode()))

    # What a link has

    def arrive(self, *units: Any) -> None:
        """See `LinkSocket`."""
        self._arrived.extend(units)
        for _ in units:
            self._loop.call_soon(self._read)

    def stall(self) -> None:
        """See `LinkSocket`; the page takes more, but for `bufferedAmount`."""
        self._full = True

    def resume(self) -> list[Any]:
        """See `LinkSocket`."""
        self._full = False
        unsent, self._unsent = self._unsent, []
        return unsent

    def lose(self, error: Exception | None) -> None:
        """See `LinkSocket`; a page learns no reason."""
        if self.open:
            self._loop.call_soon(self._end, NO_CODE + 1, "", False)
            self._close()

    def _close(self) -> None:
        self.open, self.readyState = False, CLOSED
        self._ended()

    def _write(self, unit: Any) -> None:
        if self._full:
            self._unsent.append(unit)
        else:
            self._take(unit)

    def _read(self) -> None:
        if not self.open:
            return
        unit = self._arrived.popleft()
        if not unit or isinstance(unit, Exception) or unit == REFUSAL:
            self.lose(None)
        elif unit == HELLO:
            self.readyState = OPEN
            self._tell("open")
        elif unit[0] == CLOSE:
            if self.readyState == OPEN:  # it answers by itself
                self._take(unit)
            code, reason = int.from_bytes(unit[1][:2]), unit[1][2:].decode()
            self._close()
            self._end(code or NO_CODE, reason, True)
        else:
            data = unit[1]
            self._tell("message", data=data.decode() if unit[0] == TEXT else PageBuffer(data))

    def _end(self, code: int, reason: str, clean: bool) -> None:
        self._tell("close", code=code, reason=reason, wasClean=clean)

    def _tell(self, name: str, **event: Any) -> None:
        for listener in tuple(self._listeners.get(name, ())):
            listener(SimpleNamespace(type=name, **event))


class PageBuffer:
    """An `ArrayBuffer` of JavaScript."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        """Return a copy."""
        return self._data


class PageArray:
    """An array of JavaScript."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self.push = self._items.append
        self.shift = self._items.popleft

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self._items)


class PageListener:
    """What `create_proxy` makes of a function."""

    def __init__(self, call: Callable[..., None]) -> None:
        self._call: Callable[..., None] | None = call

    def __call__(self, event: Any) -> None:
        """Call it."""
        assert self._call is not None, "a destroyed listener was called"
        self._call(event)

    def destroy(self) -> None:
        """Let it go."""
        self._call = None


async def dial(
    step: Step,
    connect: Connect,
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
) -> Wire:
    """Reach a peer over the WebSocket of a page, see `Dial`."""
    async with answered(options.open_timeout):
        try:
            await step.reach()
        except OSError:
            raise ConnectError(NO_REASON, "unreachable") from None
        made: list[PageSocket] = []

        def socket(take: Callable[[Any], None], ended: Callable[[], None]) -> PageSocket:
            made.append(PageSocket(take, ended))
            return made[0]

        connect(PageServer(step), socket)
        inbox = PageArray()
        wire = BrowserWire(made[0], options, PageListener, bytes, (inbox, inbox.push))
        made[0]._take(HELLO)
        await wire.wait_open()
        return wire
