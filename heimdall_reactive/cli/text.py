"""Words for states and messages, safe for a terminal. Pure."""

from __future__ import annotations

import time
from typing import Any

from heimdall_reactive.base.printable import clock, printable
from heimdall_reactive.base.state import CloseInfo, ConnectionState, Status, in_words
from heimdall_reactive.connecting.lines import message_line

__all__ = ["clock", "describe", "preview", "printable"]


def preview(message: str | bytes) -> str:
    """Return a message as one line: text as it came, of binary ones the size and the beginning."""
    return printable(message) if isinstance(message, str) else message_line(message)


def describe(state: ConnectionState) -> str:
    """Return a state in words."""
    match state.status:
        case Status.CONNECTED:
            return f"connected, session {state.session}"
        case Status.WAITING | Status.FAILED | Status.DISCONNECTED:
            return in_words(state, time.time()) + _cause(state)
    return in_words(state, time.time())


def _cause(state: ConnectionState) -> str:
    cause: Any = state.error
    if cause is None and state.close is not None:
        cause = _closed(state.close)
    return f": {printable(str(cause))}" if cause else ""


def _closed(close: CloseInfo) -> str:
    reason = f" ({close.reason})" if close.reason else ""
    return f"closed by the {close.who} with code {close.code}{reason}"
