"""What a peer with a socket does with a dial, and the record of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from heimdall_reactive.base.exceptions import ConfigurationError
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
from heimdall_reactive.testing.faults import Placed

from .handshake import bearer_token, request_headers

__all__ = ["EndlessHeader", "Handshake", "SocketDial", "SocketStep", "check_step"]


@dataclass(frozen=True)
class Handshake:
    """Accept with a 101 made to order.

    Attributes:
        accept: a `Sec-WebSocket-Accept` to send instead of the right one.
        subprotocol: the subprotocol to name, asked for or not.
        headers: more headers, as pairs of name and value.
        bytes_per_second: how fast the 101 is sent; None at once.
    """

    accept: str | None = None
    subprotocol: str | None = None
    headers: Iterable[tuple[str, str]] = ()
    bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        """Check the rate.

        Raises:
            ConfigurationError: if it is not above 0.
        """
        if self.bytes_per_second is not None and not self.bytes_per_second > 0:
            raise ConfigurationError(f"{self.bytes_per_second!r} bytes per second never arrive")
        object.__setattr__(self, "headers", tuple(self.headers))


@dataclass(frozen=True)
class EndlessHeader:
    """Begin a 101 with a header line that does not end; TCP is held open behind it.

    Attributes:
        size: bytes of the line; None sends until the client goes.
    """

    size: int | None = 100_000


SocketStep: TypeAlias = (
    Accept
    | Refuse
    | Hang
    | Handshake
    | EndlessHeader
    | HttpAnswer
    | NoAnswer
    | Garbage
    | Reset
    | Cut
    | CloseWith
)
"""What a `SocketPeer` can do with a dial."""


@dataclass(repr=False)
class SocketDial:
    """One connection that came; its repr holds no secret.

    Attributes:
        number: counted from 1.
        at: when it was accepted, on the loop's clock in seconds.
        step: what the peer did with it.
        request: the bytes of the request, once they are all there; the token is among them.
    """

    number: int
    at: float
    step: SocketStep
    request: bytes = b""

    @property
    def path(self) -> str:
        """The request's target, with its query; empty while there is no request."""
        words = self.request.decode("latin-1").split(" ", 2)
        return words[1] if len(words) == 3 else ""

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case."""
        return request_headers(self.request)

    @property
    def token(self) -> str | None:
        """The access token in header, subprotocol or query; None without one."""
        return bearer_token(self.path, self.headers)

    def __repr__(self) -> str:
        path = self.path.partition("?")[0]
        return f"<SocketDial {self.number} {path} at {self.at} s: {type(self.step).__name__}>"


def check_step(step: SocketStep) -> None:
    """Check that a peer can do it.

    Raises:
        ConfigurationError: if it needs a proxy, or an address of its own.
    """
    if not isinstance(step, SocketStep.__args__):
        raise ConfigurationError(
            f"{step!r} is not a step of a SocketPeer; a FaultProxy may have it"
        )
    if isinstance(step, Placed) and step.after:
        raise ConfigurationError(f"{step!r}: a position needs a FaultProxy in front of the peer")
