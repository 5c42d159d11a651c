"""`ChannelProtocol`: a server's words for channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .messages import ChannelMessage, Subscribe, Unsubscribe

__all__ = ["HEIMDALL_CHANNELS", "ChannelProtocol"]


def _heimdall(message: Any) -> tuple[str, Any] | None:
    """Return channel and payload of a `Message`, as a model or as plain JSON."""
    if type(message) is ChannelMessage:
        return message.channel, message.data
    if type(message) is dict and message.get("type") == "Message":
        return message.get("channel", ""), message.get("data", "")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelProtocol:
    """How a server is told of channels, and how its messages name them; default: Heimdall's.

    Attributes:
        subscribe: makes the message that asks for a channel.
        unsubscribe: makes the message that leaves it.
        match: returns channel and payload of a message, None for any other.
        json_text: whether the payload is JSON text; else it is plain JSON already.
    """

    subscribe: Callable[[str], Any] = field(default=lambda name: Subscribe(channel=name))
    unsubscribe: Callable[[str], Any] = field(default=lambda name: Unsubscribe(channel=name))
    match: Callable[[Any], tuple[str, Any] | None] = field(default=_heimdall)
    json_text: bool = True


HEIMDALL_CHANNELS = ChannelProtocol()
