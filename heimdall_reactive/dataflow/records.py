"""`Record`: one message in the log, and the names under which the log keeps it.

A stream `NAME` of the log has the subjects `NAME.in.<channel>` (messages as they came),
`NAME.gap.<channel>` (what was missed) and `NAME.out.<channel>` (what is to be sent). Pure: no
client of the log is needed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from heimdall_reactive.exceptions import ConfigurationError

__all__ = [
    "CHANNEL",
    "COPY",
    "FEED",
    "MESSAGE_ID",
    "RECEIVED",
    "Kind",
    "Record",
    "channel_of",
    "subject",
]

Kind: TypeAlias = Literal["in", "gap", "out"]

# Headers of a record. The log itself drops a second record with the id of one it has seen within
# its window: `Nats-Msg-Id`, https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive
MESSAGE_ID: Final = "Nats-Msg-Id"
CHANNEL: Final = "Heimdall-Channel"
RECEIVED: Final = "Heimdall-Received"  # seconds since the epoch, as text
COPY: Final = "Heimdall-Copy"  # which ingest wrote it

FEED: Final = "feed"
"""The channel of messages that came on no channel of their own."""


def subject(stream: str, kind: Kind, channel: str = "*") -> str:
    """Return the subject of a channel's records; `*` stands for every channel.

    A token of a subject holds no dots, spaces and wildcards, so these are percent-encoded:
    `public:*` becomes `public:%2A`.

    Raises:
        ConfigurationError: the channel has no name.
    """
    if not channel:
        raise ConfigurationError("a channel needs a name of one character or more")
    token = channel if channel == "*" else quote(channel, safe=":/@-_").replace(".", "%2E")
    return f"{stream}.{kind}.{token}"


def channel_of(name: str) -> str:
    """Return the channel of a subject that `subject` made."""
    return unquote(name.split(".", 2)[2])


@dataclass(frozen=True, slots=True)
class Record:
    """One message in the log.

    Attributes:
        channel: where it came from, or goes to.
        data: the message as it was on the wire, UTF-8 where it was text.
        id: what tells it from all others; two copies of one message have the same.
        kind: `in` for a message, `gap` for messages that were missed, `out` for one to be sent.
        seq: its place in the log, 1 is the first; 0 while it is in none.
        received: when it came, in seconds since the epoch.
        headers: what else the log keeps with it.
    """

    channel: str
    data: bytes
    id: str = ""
    kind: Kind = "in"
    seq: int = 0
    received: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Return the message as plain JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.data)
