"""What a protocol of the user's own is asked for in an attempt: a URL, and its handshake."""

from __future__ import annotations

import asyncio

from heimdall_reactive.base.endpoints import ws_config
from heimdall_reactive.base.session_protocol import SessionProtocol, blamed, overrides

from .session import Session

__all__ = ["ask_endpoint", "shake_hands"]


async def ask_endpoint(protocol: SessionProtocol, attempt: int, url: str, timeout: float) -> str:
    """Return the URL of an attempt.

    Args:
        protocol: is asked.
        attempt: number of the reconnection.
        url: the store's, where the protocol has none.
        timeout: seconds.
    """
    with blamed("endpoint"):
        async with asyncio.timeout(timeout):
            answer = await protocol.endpoint(attempt)
    return url if answer is None else ws_config.resolve(answer)


async def shake_hands(protocol: SessionProtocol, session: Session, timeout: float) -> None:
    """Have the protocol say what must be said first, within some seconds."""
    if (talk := session.conversation) is None:
        return
    if overrides(protocol, "handshake"):
        with blamed("handshake"):
            async with asyncio.timeout(timeout):
                await protocol.handshake(talk)
    talk.is_ready = True
