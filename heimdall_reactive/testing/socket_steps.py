"""What only a peer with a socket can do with a dial: handshakes made to order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from heimdall_reactive.exceptions import ConfigurationError

from .faults import CloseWith, Cut, Garbage, HttpAnswer, NoAnswer, Placed, Reset
from .steps import Accept, Hang, Refuse

__all__ = ["EndlessHeader", "Handshake", "SocketStep", "check_step"]


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


def check_step(step: SocketStep) -> None:
    """Check that a peer can do it.

    Raises:
        ConfigurationError: if it needs a proxy, or an address of its own.
    """
    if not isinstance(step, SocketStep.__args__):
        raise ConfigurationError(f"{step!r} is no step of a SocketPeer; a FaultProxy may have it")
    if isinstance(step, Placed) and step.after:
        raise ConfigurationError(f"{step!r}: a position needs a FaultProxy in front of the peer")
