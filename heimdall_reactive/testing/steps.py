"""What a scripted peer does with one dial."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Accept", "BadCertificate", "Fails", "Hang", "Refuse", "Step", "Unreachable"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The answer to one dial.

    Attributes:
        delay: seconds until the answer; the option `open_timeout` bounds it, as with a socket.
    """

    delay: float = 0.0

    async def reach(self) -> None:
        """Let the delay pass; raise what a socket raises where there is no way to the peer."""
        if math.isinf(self.delay):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.delay)

    def refusal(self) -> tuple[int, Mapping[str, str]] | None:
        """Return status and headers of what refuses the opening handshake; None accepts it."""
        return None


@dataclass(frozen=True)
class Accept(Step):
    """Open a link.

    Attributes:
        first_messages: what the peer sends right behind its handshake, see `Link.send`.
        then: is called with the new link, as in `Accept(then=Link.drop)`.
    """

    first_messages: Sequence[Any] = ()
    then: Callable[[Any], object] | None = None


@dataclass(frozen=True)
class Refuse(Step):
    """Answer the upgrade with an HTTP status.

    Attributes:
        status: the status, such as 401 or 503.
        retry_after: seconds that the `Retry-After` header asks for, rounded up: it has whole ones
            (RFC 9110 section 10.2.3).
    """

    status: int
    retry_after: float | None = None

    def refusal(self) -> tuple[int, Mapping[str, str]]:
        """Refuse."""
        headers = {"Content-Length": "0"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        return self.status, headers


@dataclass(frozen=True)
class Unreachable(Step):
    """There is no way to the peer.

    Attributes:
        cause: what is in the way: `refused` is a port on which nobody listens.
    """

    cause: Literal["refused", "reset", "unreachable", "unresolved"] = "refused"

    async def reach(self) -> None:
        """Fail.

        Raises:
            OSError: always.
        """
        await super().reach()
        match self.cause:
            case "refused":
                raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
            case "reset":
                raise ConnectionResetError(errno.ECONNRESET, "reset")
            case "unreachable":
                raise OSError(errno.ENETUNREACH, "unreachable")
            case "unresolved":
                raise socket.gaierror(socket.EAI_NONAME, "unresolved")


@dataclass(frozen=True, kw_only=True)
class Hang(Step):
    """Never answer: the dial ends by `open_timeout`."""

    delay: float = math.inf


@dataclass(frozen=True)
class BadCertificate(Step):
    """Show a certificate that is not accepted."""

    async def reach(self) -> None:
        """Fail.

        Raises:
            SSLCertVerificationError: always.
        """
        await super().reach()
        error = ssl.SSLCertVerificationError("certificate verify failed")
        error.verify_message = "self-signed certificate"
        raise error


@dataclass(frozen=True)
class Fails(Step):
    """Raise an error.

    Attributes:
        error: what the dial raises, as it is.
    """

    error: Exception

    async def reach(self) -> None:
        """Fail.

        Raises:
            Exception: the step's error, always.
        """
        await super().reach()
        raise self.error
