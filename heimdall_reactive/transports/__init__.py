"""The seam to the wire: what a transport gives to the connection, and what it pushes into it."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from heimdall_reactive.base.browser_limits import IN_BROWSER
from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import CloseInfo, StoreOptions, Transport

__all__ = ["BatchWire", "Dial", "Receiver", "Wire", "choose"]


class Receiver(Protocol):
    """What a wire pushes into; every call comes on the event loop's thread."""

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        """Handle one whole message."""

    def on_ping(self) -> None:
        """Note what was written so far: the next `on_pong` proves that the peer has it."""

    def on_pong(self) -> None:
        """Handle the proof that the peer has all that was written before the last `on_ping`."""

    def on_latency(self, seconds: float) -> None:
        """Handle the round trip of a protocol ping."""

    def on_writable(self) -> None:
        """Go on writing after `Wire.writable` was false."""

    def on_closed(self, close: CloseInfo) -> None:
        """Handle the end of the socket; nothing comes after it."""


class Wire(Protocol):
    """One open connection. Not thread-safe: it belongs to the event loop that opened it."""

    @property
    def writable(self) -> bool:
        """Whether it is open, and all that was written has been handed to the operating system."""
        ...

    @property
    def heard_at(self) -> float:
        """When the last byte came, on the event loop's clock in seconds."""
        ...

    @property
    def close_received(self) -> bool:
        """Whether the peer has answered our close frame, so that all it had to send was pushed."""
        ...

    def start(self, receiver: Receiver) -> None:
        """Push frames into the receiver from now on, those first that came before."""

    def write(self, frame: Frame) -> None:
        """Send one message; only while `writable`, but for a `LaterFrame`."""

    def end(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; `on_closed` follows within the close timeout."""

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): close with the code, await no answer."""

    def lose(self, reason: str) -> None:
        """Give the peer up as dead: drop the socket; `on_closed` follows with 1006."""

    def probe(self, timeout: float) -> None:
        """Ping now, and give the peer up unless a sign of life comes within the seconds."""

    def prove(self, *, last: bool = False) -> None:
        """Ask for a proof of all that was written: `on_pong` follows.

        Args:
            last: also where a ping is under way, which does not prove what came after it.
        """

    def hold(self, on: bool) -> None:
        """Stop reading, or read on; silence in that time is not a sign of death."""

    def kill(self) -> None:
        """Drop the socket at once; nothing is pushed any more."""


class BatchWire(Wire, Protocol):
    """A wire that can send many messages at once. A wire of another transport need not."""

    @property
    def batches(self) -> bool:
        """Whether it does so on this connection."""
        ...

    def write_all(self, frames: Sequence[Frame]) -> tuple[int, int]:
        """Send messages in one system call; only while `writable`.

        Returns:
            How many have begun to go out, the first ones, and how many of these the operating
            system has taken; the others were not sent.
        """
        ...


class Dial(Protocol):
    """Opens connections of one kind of transport."""

    def __call__(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        subprotocols: Sequence[str] | None,
        options: StoreOptions,
    ) -> Coroutine[Any, Any, Wire]:
        """Open a connection; usually an `async def`.

        Args:
            url: a `ws://` or `wss://` URL.
            headers: the headers of the upgrade, the token's among them.
            subprotocols: the offered ones, the preferred first.
            options: the store's; what concerns the wire has the names of `websockets`.

        Raises:
            ConnectError: the attempt failed; its subclasses say how.
            ConfigurationError: it can never succeed.
            NotImplementedError: the event loop cannot open sockets.
        """
        ...


def choose(transport: Transport) -> Dial:
    """Return the dial of a transport; its library is imported only here."""
    if transport == "websockets":
        from .websockets_dial import dial

        return dial
    if transport == "browser":
        if not IN_BROWSER:
            raise ConfigurationError("transport='browser' is for Python in a browser (Pyodide)")
        from .browser_wire import dial as dial_in_page

        return dial_in_page
    return transport
