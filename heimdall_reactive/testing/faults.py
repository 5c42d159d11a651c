"""What can go wrong with a connection, as frozen values: applied by `FaultProxy`.

Positions are bytes sent towards the client. Without `handshake=True` they count from the end of
the opening handshake, and the handshake itself is left alone; `proxy.now` counts from now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from heimdall_reactive.base.exceptions import ConfigurationError

__all__ = [
    "BlackHole",
    "CloseWith",
    "Cut",
    "Delay",
    "DropSyn",
    "Fault",
    "FlipBit",
    "Garbage",
    "HttpAnswer",
    "MuteClose",
    "NoAnswer",
    "Placed",
    "RefuseConnection",
    "Reset",
    "Stall",
    "Trickle",
    "redirect",
]


def _positive(name: str, value: float, zero: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise ConfigurationError(f"{name}={value!r} cannot be used; it must be finite and {least}")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A fault that strikes at a position of the stream.

    Attributes:
        after: bytes that reach the client before it.
        handshake: count from the connection's first byte instead of the handshake's end.
    """

    after: int = 0
    handshake: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: if one cannot work.
        """
        _positive("after", self.after, zero=True)


@dataclass(frozen=True)
class RefuseConnection:
    """The port is closed: a dial gets `ConnectionRefusedError`. Open connections live on.

    Attributes:
        seconds: how long; None until `proxy.always` says otherwise.
    """

    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ConfigurationError: if it cannot work.
        """
        if self.seconds is not None:
            _positive("seconds", self.seconds)


@dataclass(frozen=True)
class DropSyn(RefuseConnection):
    """The port does not react at all: a dial hangs in TCP's own handshake. Linux only."""


@dataclass(frozen=True, kw_only=True)
class Reset(Placed):
    """A RST: the client's socket fails with `ConnectionResetError`."""


@dataclass(frozen=True, kw_only=True)
class Cut(Placed):
    """A FIN: the stream ends, in the middle of a frame if the position is there."""


@dataclass(frozen=True, kw_only=True)
class BlackHole(Placed):
    """Nothing passes any more, in both directions, and nobody closes: a host that is gone.

    On Linux the client's bytes are not acknowledged either, elsewhere they are.
    """


@dataclass(frozen=True)
class Stall(Placed):
    """A `BlackHole` that ends; what waited then arrives in order.

    Attributes:
        seconds: how long it lasts.
    """

    seconds: float

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: if one cannot work.
        """
        super().__post_init__()
        _positive("seconds", self.seconds)


@dataclass(frozen=True)
class FlipBit(Placed):
    """One bit of the byte at the position is inverted.

    Attributes:
        bit: 0 is the lowest, 7 the highest.
    """

    bit: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: if one cannot work.
        """
        super().__post_init__()
        if not 0 <= self.bit <= 7:
            raise ConfigurationError(f"bit={self.bit!r} is not in a byte; use 0 to 7")


@dataclass(frozen=True)
class Garbage(Placed):
    """Bytes that the server never sent.

    Attributes:
        data: the bytes.
        when: `handshake` answers the upgrade with them instead of forwarding it; `open` puts them
            between two frames of an open connection, at the first such place from `after` on.
        hold: keep TCP open afterwards and ignore the client, instead of a FIN.
    """

    data: bytes
    when: Literal["handshake", "open"] = "open"
    hold: bool = False


@dataclass(frozen=True)
class CloseWith(Placed):
    """A close frame from the server's side, between two frames; the server is dropped.

    Attributes:
        code: the close code; None leaves it out. Codes that must not travel are possible.
        reason: text, or any bytes.
        hold: keep TCP open afterwards and ignore the client; else a FIN follows its close frame.
    """

    code: int | None = 1000
    reason: str | bytes = ""
    hold: bool = False


@dataclass(frozen=True)
class MuteClose:
    """Close frames are swallowed in both directions: no closing handshake ever completes."""


@dataclass(frozen=True)
class Trickle:
    """Both directions pass no more than so many bytes in a second.

    Attributes:
        bytes_per_second: the rate of each direction.
        handshake: slow the opening handshake too.
    """

    bytes_per_second: float
    handshake: bool = False

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ConfigurationError: if it cannot work.
        """
        _positive("bytes_per_second", self.bytes_per_second)


@dataclass(frozen=True)
class Delay:
    """Everything arrives later, in order, in each direction.

    At most 64 KiB are on their way in a direction; more slows the sender.

    Attributes:
        seconds: how much later.
        jitter: up to so many seconds more, at random.
        handshake: delay the opening handshake too.
    """

    seconds: float
    jitter: float = 0.0
    handshake: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: if one cannot work.
        """
        _positive("seconds", self.seconds, zero=True)
        _positive("jitter", self.jitter, zero=True)


@dataclass(frozen=True)
class HttpAnswer:
    """The upgrade is answered with this instead of being forwarded.

    Attributes:
        status: any three-digit HTTP status.
        headers: pairs of name and value; `Content-Length` is added where it is missing.
        body: bytes behind the headers.
        hold: keep TCP open afterwards and ignore the client, instead of a FIN.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hold: bool = False

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        hold: bool = False,
    ) -> None:
        if not 100 <= status <= 999:
            raise ConfigurationError(f"{status!r} is not an HTTP status; use 503, for example")
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "headers", tuple(headers))
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "hold", hold)


@dataclass(frozen=True)
class NoAnswer:
    """The connection is accepted, the request read, and nothing is ever answered."""


def redirect(location: str, status: int = 302) -> HttpAnswer:
    """Return an answer that sends the client elsewhere."""
    return HttpAnswer(status, [("Location", location)])


Fault: TypeAlias = (
    RefuseConnection
    | Reset
    | Cut
    | BlackHole
    | Stall
    | FlipBit
    | Garbage
    | CloseWith
    | MuteClose
    | Trickle
    | Delay
    | HttpAnswer
    | NoAnswer
)
"""Any of them; `DropSyn` is a `RefuseConnection`."""
