"""How a wire ended: the same answer from every transport."""

from __future__ import annotations

from typing import Final

from heimdall_reactive.base.exceptions import one_line
from heimdall_reactive.base.options import CloseInfo

__all__ = ["MAX_REASON", "cut_reason", "tell_end"]

MAX_REASON: Final = 123  # bytes of a close reason (RFC 6455 section 5.5)
NORMAL_CLOSURE: Final = 1000


def cut_reason(reason: str) -> str:
    """Return as much of a close reason as a close frame takes; it is in UTF-8."""
    return reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


def tell_end(
    rcvd: tuple[int, str] | None,
    sent: tuple[int, str] | None,
    answered: bool,
    ours: str,
    cause: str,
    lost: bool,
) -> CloseInfo:
    """Tell how a wire ended: by whose close frame, or by what happened to the socket.

    Args:
        rcvd: code and reason of the peer's close frame, if one came.
        sent: those of ours, if one went out.
        answered: whether ours was the answer to the peer's.
        ours: why we failed the connection, if we did.
        cause: what became of the socket.
        lost: whether we gave the peer up as dead.
    """
    if rcvd is not None and (sent is None or answered):
        return CloseInfo(rcvd[0], one_line(rcvd[1], MAX_REASON), "server")
    if sent is not None and (rcvd is not None or sent[0] != NORMAL_CLOSURE):
        reason = ours or sent[1]
        if lost:
            return CloseInfo(1006, reason, "network")
        return CloseInfo(sent[0], one_line(reason, MAX_REASON), "client")
    return CloseInfo(1006, cause, "network")
