"""Heimdall's own words: its channels, the token as a first message, and the ends of a session."""

from __future__ import annotations

import sys

from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.base.session_protocol import (
    HEIMDALL_CHANNELS,
    ChannelProtocol,
    ProtocolSession,
    SessionProtocol,
)

__all__ = ["HeimdallLogin", "HeimdallProtocol", "protocol_of"]


class HeimdallProtocol(SessionProtocol):
    """What a Heimdall server says besides its messages; every store's default.

    Its `Ping` and `Pong` are the defaults of the option `heartbeat`.

    Args:
        channels: the option `channel_protocol`.
    """

    def __init__(self, channels: ChannelProtocol = HEIMDALL_CHANNELS) -> None:
        self.channels = channels

    def _session_ending(self) -> frozenset[type]:
        # Where nobody has imported the models, no message can be one of them.
        models = sys.modules.get("heimdall_reactive.base.messages")
        return getattr(models, "SESSION_ENDING", frozenset())


class HeimdallLogin(HeimdallProtocol):
    """The same, with the access token as the first message of each session."""

    async def handshake(self, session: ProtocolSession) -> None:
        """Send the token, where the store has one; the server answers only a refusal."""
        if session.has_token:
            session.send({"type": "Auth", "token": await session.token()})


def protocol_of(options: StoreOptions) -> SessionProtocol:
    """Return the protocol of a store: its own, or Heimdall's as the short forms say."""
    if options.protocol is not None:
        return options.protocol
    kind = HeimdallLogin if options.token_placement == "first_message" else HeimdallProtocol
    return kind(options.channel_protocol)
