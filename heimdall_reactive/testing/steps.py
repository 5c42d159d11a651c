"""What a scripted peer does with one dial."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from heimdall_reactive.base.exceptions import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
)
from heimdall_reactive.base.options import StoreOptions

__all__ = ["Accept", "BadCertificate", "Fails", "Hang", "Refuse", "Step", "Unreachable"]

WORDS: Final = {
    "refused": "no connection: Connection refused",
    "reset": "no connection: Connection reset by peer",
    "unreachable": "no connection: Network is unreachable",
    "unresolved": "the host's name is not found; check the endpoint",
}


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """The answer to one dial.

    Attributes:
        delay: seconds until the answer; the option `open_timeout` bounds it, as with a socket.
    """

    delay: float = 0.0

    @abstractmethod
    def answer(self) -> None:
        """Return where the dial is accepted, raise where it is not."""

    async def perform(self, options: StoreOptions) -> None:
        """Answer after the delay.

        Raises:
            ConnectTimeout: the delay is longer than `options.open_timeout`.
        """
        limit = options.open_timeout
        await asyncio.sleep(min(self.delay, limit))
        if self.delay >= limit:
            raise ConnectTimeout(f"no answer to the opening handshake within {limit} s")
        self.answer()


@dataclass(frozen=True)
class Accept(Step):
    """Open a link.

    Attributes:
        first_messages: what the peer sends right behind its handshake, see `Link.send`.
        then: is called with the new link, as in `Accept(then=Link.drop)`.
    """

    first_messages: Sequence[Any] = ()
    then: Callable[[Any], object] | None = None

    def answer(self) -> None:
        """Accept."""


@dataclass(frozen=True)
class Refuse(Step):
    """Answer the upgrade with an HTTP status.

    Attributes:
        status: the status, such as 401 or 503.
        retry_after: seconds that the `Retry-After` header asks for (RFC 9110 section 10.2.3).
    """

    status: int
    retry_after: float | None = None

    def answer(self) -> None:
        """Refuse.

        Raises:
            HandshakeRefused: always.
        """
        raise HandshakeRefused(self.status, self.retry_after)


@dataclass(frozen=True)
class Unreachable(Step):
    """There is no way to the peer.

    Attributes:
        cause: what is in the way: `refused` is a port on which nobody listens.
    """

    cause: Literal["refused", "reset", "unreachable", "unresolved"] = "refused"

    def answer(self) -> None:
        """Fail.

        Raises:
            ConnectError: always.
        """
        raise ConnectError(WORDS[self.cause], self.cause)


@dataclass(frozen=True, kw_only=True)
class Hang(Step):
    """Never answer: the dial ends by `open_timeout`."""

    delay: float = float("inf")

    def answer(self) -> None:
        """Answer nothing."""


@dataclass(frozen=True)
class BadCertificate(Step):
    """Show a certificate that is not accepted."""

    def answer(self) -> None:
        """Fail.

        Raises:
            CertificateError: always.
        """
        raise CertificateError(
            "the server's certificate was not accepted (self-signed certificate); "
            "pass ssl= with a context that trusts it"
        )


@dataclass(frozen=True)
class Fails(Step):
    """Raise an error.

    Attributes:
        error: what the dial raises.
    """

    error: Exception

    def answer(self) -> None:
        """Fail.

        Raises:
            Exception: the step's error, always.
        """
        raise self.error
