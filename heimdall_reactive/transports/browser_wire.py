"""A wire over the WebSocket of a page or a worker, for Pyodide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from heimdall_reactive.base.browser_limits import NO_HEADER
from heimdall_reactive.base.checks import is_close_code
from heimdall_reactive.base.exceptions import ConfigurationError, ConnectError, ConnectTimeout
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.options import StoreOptions

from . import Receiver, Wire
from .ending import cut_reason, tell_end

__all__ = ["NO_REASON", "BrowserWire", "answered", "dial"]

BUDGET: Final = 0.01  # seconds that messages may take in one task of the page: it paints at 60 Hz
KEPT: Final = ("message", "close", "error")  # events that wait in the inbox, in their order
OPEN: Final = 1  # `readyState`
ANSWERS: Final = (1000, 1005)  # to a close frame of any code
FULL: Final = 64 * 1024  # bytes that the browser may hold
LOOK: Final = 0.01  # seconds between two looks at what it holds: nobody tells when that is less
NO_REASON: Final = (
    "the browser did not connect, and browsers do not tell why: the server may be away, or have "
    "refused the upgrade with an HTTP status; its own log and the page's console know more"
)


async def dial(
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
) -> Wire:
    """Open a connection, see `Dial`."""
    if headers:
        raise ConfigurationError(NO_HEADER)
    if urlsplit(url).username or urlsplit(url).password:
        raise ConfigurationError("a browser sends no user and password of a URL; use a token")
    js, ffi = import_module("js"), import_module("pyodide.ffi")
    try:
        made = js.WebSocket.new(url, ffi.to_js(list(subprotocols or ())))
    except ffi.JsException as error:
        # Not its text, which has the URL.
        raise ConfigurationError(
            f"the browser refuses to connect ({error.name}): a page of https: connects to wss: "
            "only, and the URL and the subprotocols must be valid"
        ) from None
    inbox = js.Array.new()
    wire = BrowserWire(made, options, ffi.create_proxy, ffi.to_js, (inbox, inbox.push.bind(inbox)))
    async with answered(options.open_timeout):
        await wire.wait_open()
    return wire


@asynccontextmanager
async def answered(seconds: float) -> AsyncIterator[None]:
    """Bound an opening handshake.

    Raises:
        ConnectTimeout: it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        text = f"no answer to the opening handshake within {seconds} s"
        raise ConnectTimeout(text) from None


class BrowserWire:
    """What a session writes to and is pushed by; see `Wire`.

    A page sees neither pings nor pongs: nothing proves what the peer has, and silence is judged by
    the option `heartbeat` only.

    A browser may tell a thousand messages in one task, so the page itself keeps them in an array.
    Python is called with the first one, and takes the others in turns of its own: the page paints
    between two of them.

    Args:
        made: the WebSocket of the page.
        options: the store's.
        proxy: makes a function one that the page can call.
        to_js: makes bytes ones that the page can send.
        inbox: an array of JavaScript, and its `push` as a function of JavaScript.

    Attributes:
        proves: no pong will ever come.
    """

    proves = False

    def __init__(
        self,
        made: Any,
        options: StoreOptions,
        proxy: Callable[[Callable[..., None]], Any],
        to_js: Callable[[bytes], Any],
        inbox: tuple[Any, Any],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = made
        self._options = options
        self._to_js = to_js
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self.heard_at = self._loop.time()
        self._receiver: Receiver | None = None
        self._inbox, self._keep = inbox
        self._held = self._drains = self._failed = self._lost = False
        self._sent: tuple[int, str] | None = None  # our close frame
        self._ours = ""
        self._timer: asyncio.TimerHandle | None = None  # until the browser holds less
        self._reaper: asyncio.TimerHandle | None = None
        made.binaryType = "arraybuffer"
        for name in KEPT:
            made.addEventListener(name, self._keep)
        self._listeners = {
            name: proxy(call)
            for name, call in (
                ("open", self._on_open),
                ("message", self._on_message),
                ("close", self._on_end),
                ("error", self._on_end),
            )
        }
        for name, listener in self._listeners.items():
            made.addEventListener(name, listener)

    async def wait_open(self) -> None:
        """Return when the handshake is done; else the socket is dropped.

        Raises:
            ConnectError: the browser did not connect.
        """
        try:
            await self._opened
        except BaseException:
            self.kill()
            raise

    # Wire

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return str(self._socket.protocol) or None

    @property
    def writable(self) -> bool:
        return self._is_open() and self._socket.bufferedAmount < FULL

    @property
    def close_received(self) -> bool:
        return False

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._drain_soon()

    def write(self, frame: Frame) -> None:
        if frame.text:
            self._socket.send(frame.data.decode())
        else:
            self._socket.send(self._to_js(frame.data))
        if self._timer is None and not self.writable:
            self._timer = self._loop.call_later(LOOK, self._look)

    def end(self, code: int, reason: str = "") -> None:
        if self._sent is None:
            self._sent = code, cut_reason(reason)
            if self._receiver is not None and not self._failed:
                self._receiver.on_ping()  # the answer to our close frame proves all before it
            self._close_socket(*self._sent)
            self._reaper = self._loop.call_later(self._options.close_timeout, self._give_up)

    def fail(self, code: int, reason: str) -> None:
        self._ours, self._failed = self._ours or reason, True
        self.end(code, reason)

    def lose(self, reason: str) -> None:
        if self._sent is None:
            self._lost = True
            self.fail(1011, reason)
        self._loop.call_soon(self._give_up)

    def probe(self, timeout: float) -> None:
        """Do nothing: a page has no pings."""

    def prove(self, *, last: bool = False) -> None:
        """Do nothing: a page has no pings."""

    def hold(self, on: bool) -> None:
        """Keep what comes: a page cannot stop reading."""
        self._held = on
        self._drain_soon()

    def kill(self) -> None:
        self._receiver = None
        self._close_socket(1000, "")
        self._forget()

    # What the page tells; handled in a turn of the event loop, which is the running one there

    def _on_open(self, _: Any) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _on_message(self, _: Any) -> None:
        """Be called with no other before the inbox is empty again."""
        self._socket.removeEventListener("message", self._listeners["message"])
        self._drain_soon()

    def _on_end(self, _: Any) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectError(NO_REASON, "unreachable"))
        self._drain_soon()

    def _drain_soon(self) -> None:
        if self._receiver is not None and not self._drains and not self._held:
            self._drains = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Take what is in the inbox; each call is a task of the page, which paints behind it."""
        self._drains = False
        ends = time.perf_counter() + BUDGET
        while self._receiver is not None and not self._held:
            if not self._inbox.length:
                self._socket.addEventListener("message", self._listeners["message"])
                return
            if time.perf_counter() > ends:
                self._drain_soon()
                return
            self._take(self._receiver, self._inbox.shift())

    def _take(self, receiver: Receiver, event: Any) -> None:
        if event.type == "close":
            self._report((event.code, event.reason) if event.wasClean else None)
        elif event.type == "error":  # as without a close frame: Node 20 tells no close behind it
            self._report(None)
        elif not self._failed:
            self.heard_at, data = self._loop.time(), event.data
            if isinstance(data, str):
                self._push(receiver, data.encode(), True)
            else:
                self._push(receiver, data.to_bytes(), False)

    def _push(self, receiver: Receiver, data: bytes, text: bool) -> None:
        if len(data) > self._options.max_size:
            return self.fail(1009, f"a message of more than max_size={self._options.max_size}")
        try:
            receiver.on_frame(data, text)
        except Exception as error:
            message = f"a frame could not be processed: {told(error)}"
            self._loop.call_exception_handler({"message": message, "exception": error})
            self.fail(1011, "internal error")

    # Parts

    def _is_open(self) -> bool:
        return self._sent is None and self._socket.readyState == OPEN

    def _look(self) -> None:
        self._timer = None
        if not self._is_open():
            return
        if self.writable and self._receiver is not None:
            self._receiver.on_writable()
        else:
            self._timer = self._loop.call_later(LOOK, self._look)

    def _close_socket(self, code: int, reason: str) -> None:
        with suppress(Exception):  # it is closed already
            if is_close_code(code):
                self._socket.close(code, reason)
            else:  # a page may say no other
                self._socket.close()

    def _give_up(self) -> None:
        self._report(None)

    def _report(self, rcvd: tuple[int, str] | None) -> None:
        receiver, self._receiver = self._receiver, None
        self._forget()
        if receiver is not None:
            if self._sent is not None and rcvd is not None and rcvd[0] in (self._sent[0], *ANSWERS):
                receiver.on_pong()
            cause = self._ours or "the socket ended without a close frame"
            close = tell_end(rcvd, self._sent, False, self._ours, cause, self._lost)
            receiver.on_closed(close)

    def _forget(self) -> None:
        for timer in (self._timer, self._reaper):
            if timer is not None:
                timer.cancel()
        for name in KEPT:
            self._socket.removeEventListener(name, self._keep)
        for name, listener in self._listeners.items():
            self._socket.removeEventListener(name, listener)
            listener.destroy()
        self._listeners = {}
        if not self._opened.done():
            self._opened.cancel()
