"""`Record`: one message in the log, and the names under which the log keeps it.

A stream `NAME` of the log has the subjects `NAME.in.<channel>` (messages as they came),
`NAME.gap.<channel>` (what was missed) and `NAME.out.<channel>` (what is to be sent). Pure: no
client of the log is needed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import quote, unquote

from heimdall_reactive import ConfigurationError

from .ids import plain_id
from .pulling import Incoming, headers_of, raw_headers

__all__ = [
    "COPY",
    "FEED",
    "FORMAT",
    "MESSAGE_ID",
    "RECEIVED",
    "Kind",
    "Record",
    "channel_of",
    "checked_stream",
    "delivered_record",
    "id_of",
    "message_id",
    "read_record",
    "subject",
]

Kind: TypeAlias = Literal["in", "gap", "out"]

# Headers of a record. The log itself drops a second record with the id of one it has seen within
# its window: `Nats-Msg-Id`, https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive
MESSAGE_ID: Final = "Nats-Msg-Id"
RECEIVED: Final = "Heimdall-Received"  # seconds since the epoch, as text
COPY: Final = "Heimdall-Copy"  # which ingest wrote it
FORMAT: Final = "Heimdall-Format"  # `binary` where the message was; absent for text

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CACHED: Final = 4096  # channels whose subjects are remembered: 2 µs a record otherwise
LATEST: Final = 253402300800.0  # the year 10000, which no clock and no column takes

FEED: Final = "feed"
"""The channel of messages that came on no channel of their own."""


def subject(stream: str, kind: Kind, channel: str | None = None) -> str:
    """Return the subject of a channel's records; without a channel, of those of every channel.

    A token of a subject holds no dots, spaces and wildcards, so these are percent-encoded:
    `public:*` becomes `public:%2A`.

    Raises:
        ConfigurationError: the channel has no name.
    """
    return f"{stream}.{kind}.{'*' if channel is None else _token(channel)}"


@lru_cache(maxsize=CACHED)
def _place(name: str) -> tuple[Kind, str]:
    """Return kind and channel of a subject."""
    parts = name.split(".", 2)
    if len(parts) != 3 or parts[1] not in KINDS:
        raise ValueError(f"{name[:100]!r} is not a subject of a record")
    return KINDS[KINDS.index(parts[1])], channel_of(name)


def channel_of(name: str) -> str:
    """Return the channel of a subject that `subject` made."""
    return unquote(name.split(".", 2)[2], errors="surrogatepass")


def message_id(kind: Kind, channel: str, own: str) -> str:
    """Return the id under which the log drops repeats: its window is one for the whole stream.

    Args:
        kind: of the record.
        channel: of the record.
        own: the record's own id, which is unique in the channel.
    """
    return f"{kind}.{_token(channel)}.{own}"


def id_of(name: str) -> str:
    """Return the record's own id of what `message_id` made; another's id as it is."""
    parts = name.split(".", 2)
    return parts[2] if len(parts) == 3 and parts[0] in KINDS else name


def checked_stream(name: str) -> str:
    """Return the name of a stream.

    Raises:
        ConfigurationError: no stream can have it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigurationError(
            f"{name!r} is not a name of a stream; use up to 64 letters, digits, - and _"
        )
    return name


@lru_cache(maxsize=CACHED)
def _token(channel: str) -> str:
    if not channel:
        raise ConfigurationError("a channel needs a name of one character or more")
    return quote(channel, safe=":/@-_", errors="surrogatepass").replace(".", "%2E")


@dataclass(frozen=True, slots=True)
class Record:
    """One message in the log.

    Attributes:
        channel: where it came from, or goes to.
        data: the message as it was on the wire, UTF-8 where it was text.
        id: what tells it from all others of its channel; two copies of one message have the same.
            The log has the SHA-256 of a long one, or of one that is not visible ASCII.
        kind: `in` for a message, `gap` for messages that were missed, `out` for one to be sent.
        seq: its place in the log, 1 is the first; 0 while it is in none.
        received: when it came, in seconds since the epoch; 0 where nobody noted it.
        text: whether it was a text message; False for a binary one.
        headers: what else the log keeps with it.
    """

    channel: str
    data: bytes
    id: str = ""
    kind: Kind = "in"
    seq: int = 0
    received: float = 0.0
    text: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Return the message as plain JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.data)

    def subject(self, stream: str) -> str:
        """Return the subject under which a stream keeps it."""
        return subject(stream, self.kind, self.channel)

    def size(self) -> int:
        """Return its bytes as the log's server counts them: data and headers."""
        return len(self.data) + len(raw_headers(self.all_headers()))

    def all_headers(self) -> dict[str, str]:
        """Return the headers that the log is to keep: its own, and those made of its fields."""
        found = dict(self.headers)
        if self.id:
            # A line break in it would be a header of its own, such as `Nats-Rollup`.
            found[MESSAGE_ID] = message_id(self.kind, self.channel, plain_id(self.id) or "")
        if self.received:
            found[RECEIVED] = f"{self.received:.6f}"
        if not self.text:
            found[FORMAT] = "binary"
        return found


def read_record(
    name: str, data: bytes, headers: Mapping[str, str] | None = None, seq: int = 0
) -> Record:
    """Return the record that the log keeps under a subject; the inverse of what wrote it.

    Args:
        name: the subject.
        data: the payload.
        headers: of the message, None for none.
        seq: the sequence of the message in the stream.

    Raises:
        ValueError: the subject is none of a record.
    """
    # Not all of them are text.
    return _record(name, data, {key: str(value) for key, value in (headers or {}).items()}, seq)


def delivered_record(message: Incoming, seq: int) -> Record:
    """Return the record that a message of the log is, as `read_record` does.

    Raises:
        ValueError: its subject is none of a record.
    """
    name, _, headers, data = message
    return _record(name.decode(), data, headers_of(headers), seq)


def _record(name: str, data: bytes, headers: dict[str, str], seq: int) -> Record:
    kind, channel = _place(name)
    own = id_of(headers.pop(MESSAGE_ID, ""))
    text = headers.pop(FORMAT, "text") != "binary"
    received = _seconds(headers.pop(RECEIVED, ""))
    return Record(channel, data, own, kind, seq, received, text, headers)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:  # another program wrote it
        return 0.0
    return found if 0 <= found < LATEST else 0.0
