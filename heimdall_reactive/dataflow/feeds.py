"""`Feed`: one socket, as the log should have it: its channels, ids and offsets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from pydantic_core import from_json

from heimdall_reactive import ChannelProtocol, ConfigurationError, InvalidEndpoint

from .ids import IdRule, NoMessageId, id_rule, number_of, number_rule
from .outbound import Sending
from .records import FEED, subject

__all__ = ["Feed", "Taken", "moved", "parsed"]

# Heimdall's messages about the connection itself; they are not part of what it carries.
CONTROL: Final = frozenset({"Pong", "Error"})

MAX_CHANNEL: Final = 200  # characters of a name that the server chose


class Taken(NamedTuple):
    """A message taken apart: its channel, its id, its offset, and what the log is to keep."""

    channel: str
    id: str | None
    offset: int | None
    data: bytes
    text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One socket that an ingest or a reader holds.

    Attributes:
        endpoint: a path or URL, as for `use_websocket`.
        channel: name in the log of what comes on no channel of the server.
        channels: channels of the server that are subscribed; each keeps its name in the log.
        id: the field that holds a message's id, or a function of the message that returns it (or
            None to leave the message out). Messages are plain JSON where they are that, else
            `str` or `bytes`. Default: the field `id`, else `seq`.
        single: this feed has no ids, and one copy at a time holds it: messages are numbered by
            that copy. Redundant copies would repeat every message.
        offset: where a message stands in the server's own order, a whole number; field or
            function. Default: the id.
        resume: for a server that replays: a function of the offset of the last message that was
            handled, less `rewind`. A `str` that it returns is the endpoint to dial, relative to
            `endpoint` and of the same origin, such as `f"?after={offset}"`; anything else is
            sent first in each session.
        rewind: how far before the last offset to go on; the repeats are dropped by their ids.
        consecutive: ids are whole numbers that grow by one in each channel: what is missing is
            counted, and what a redundant copy brought is not missing.
        sending: send the records of kind `out` of these channels on this socket, and how; None
            sends nothing.
        options: of `use_websocket`; they may hold secrets and are never shown.

    Raises:
        ConfigurationError: they contradict each other.
    """

    endpoint: str = field(repr=False)
    channel: str = FEED
    channels: Sequence[str] = ()
    id: IdRule | None = None
    single: bool = False
    offset: IdRule | None = None
    resume: Callable[[int], Any] | None = None
    rewind: int = 0
    consecutive: bool = False
    sending: Sending | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.names:
            subject("x", "in", name)  # refuses what has no name
        if self.single and (self.id is not None or self.consecutive):
            raise ConfigurationError("single=True is for messages without ids: leave id= out")
        if self.rewind < 0:
            raise ConfigurationError("rewind must be 0 or more")
        if "message_type" in self.options:
            raise ConfigurationError("a feed keeps messages as they came: leave message_type out")

    @property
    def names(self) -> tuple[str, ...]:
        """The channels in the log that are known beforehand."""
        return (self.channel, *self.channels)

    @property
    def protocol(self) -> ChannelProtocol:
        """How the server is notified of channels."""
        given: ChannelProtocol = self.options.get("channel_protocol") or ChannelProtocol()
        return given

    def takes(self, channel: object) -> bool:
        """Return whether a channel that the server names was subscribed, by name or as `name*`."""
        if not isinstance(channel, str) or not 0 < len(channel) <= MAX_CHANNEL:
            return False
        return any(
            channel == name or (name.endswith("*") and channel.startswith(name[:-1]))
            for name in self.channels
        )

    def subscribing(self) -> ChannelProtocol:
        """Return the protocol for the store: it subscribes, and leaves the payloads to us."""
        return replace(self.protocol, match=lambda _: None)

    def opener(self) -> Callable[[str | bytes], Taken | None]:
        """Return the function that takes messages apart; None from it leaves one out.

        It raises `NoMessageId` for a message that must have an id and has none.
        """
        own, place = id_rule(self.id), number_rule(self.offset or self.id)
        same = self.offset is None and not self.single  # the id says where it is
        protocol, single, whole = self.protocol, self.single, self.channel
        optional = callable(self.id)
        fields = self.id if isinstance(self.id, str) else "field id or seq"

        def open_(message: str | bytes) -> Taken | None:
            value = parsed(message)
            found = protocol.match(value)
            if found is None or not self.takes(found[0]):
                if isinstance(value, dict) and value.get("type") in CONTROL:
                    return None
                channel, data, text = whole, message, isinstance(message, str)
            else:
                channel, payload = found
                data, text = _as_text(payload), True
                value = parsed(data) if protocol.json_text else payload
            name = None if single else own(value)
            if name is None and not single:
                if optional:
                    return None
                raise NoMessageId(channel, fields)
            raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
            offset = number_of(name) if same else place(value)
            return Taken(channel, name, offset, raw, text)

        return open_


def moved(url: str, endpoint: str) -> str:
    """Return the URL of the endpoint at which a resumed session begins.

    Raises:
        InvalidEndpoint: it is of another origin, which must not get the token.
    """
    there = urljoin(url, endpoint)
    before, after = urlsplit(url), urlsplit(there)
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        raise InvalidEndpoint("resume= must return an endpoint of the same origin, such as ?from=7")
    return there


def parsed(message: str | bytes) -> Any:
    """Return a message as rules for ids and offsets get it: plain JSON where it is that."""
    if isinstance(message, bytes):
        return message
    try:
        return from_json(message)  # a third of the time of `json`, and stricter
    except ValueError:
        pass
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return message


def _as_text(payload: Any) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload)
