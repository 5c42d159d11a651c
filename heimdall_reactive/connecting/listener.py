"""`Listener`: what a connection tells its store."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.state import ConnectionState, Gap

__all__ = ["Listener"]


class Listener(Protocol):
    """What a connection tells, on the thread of its event loop."""

    def on_session(self) -> None:
        """Put ahead what is to go out first on a socket that has just opened."""

    def on_state(self, state: ConnectionState) -> None:
        """Handle the next snapshot."""

    def on_incoming(self, message: Any) -> None:
        """Handle a decoded message."""

    def on_envelope(self, envelope: Any, key: Hashable | None, answer: Any) -> None:
        """Handle an envelope of a protocol of one's own, behind its message.

        Args:
            envelope: as the protocol decoded it.
            key: what it has in common with a request.
            answer: what that request gets.
        """

    def on_latency(self, seconds: float) -> None:
        """Handle the round trip of a ping."""

    def on_error(self, error: StoreError) -> None:
        """Handle something that went wrong and did not end the connection."""

    def on_principal(self, principal: object, current: bool) -> None:
        """Learn for whom, and for which URL, an attempt is: equal for equal ones.

        Args:
            principal: the two.
            current: whether the token was not replaced since the attempt began.
        """

    def on_gap(self, gap: Gap) -> None:
        """Handle what a reconnection left out; it comes before the new session's messages."""

    def on_unusable_loop(self) -> Exception | None:
        """Move away from an event loop that cannot open sockets; return why that cannot be."""
