"""`use_log`: a store over the durable log, with the face of a store over a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import ConfigurationError, Gap, StoreOptions, WebSocketStore
from heimdall_reactive.base.options import OptionsDict, options_of
from heimdall_reactive.base.rules import Action
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.connecting.connection import Connection
from heimdall_reactive.connecting.outbox import Outbox
from heimdall_reactive.connecting.runtime import LoopOption, Runtime
from heimdall_reactive.core import StoreCore
from heimdall_reactive.reactive.publisher import Publisher
from heimdall_reactive.reactive.source import Derived
from heimdall_reactive.reactive.subjects import Stream

from .gaps import Missed
from .log_connection import LogConnection, LogEnd
from .log_place import Place, checked_start
from .records import FEED, Record, checked_stream, subject

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

__all__ = ["LogMessage", "LogStore", "use_log"]

T = TypeVar("T")
In = TypeVar("In")

# What only a socket of our own can do.
SOCKET_ONLY = frozenset({
    "access_token", "additional_headers", "allow_insecure_token", "channel_protocol", "compression",
    "heartbeat", "max_size", "origin", "principal", "proxy", "share", "share_linger", "ssl",
    "subprotocols", "token_placement", "token_timeout", "transport",
})  # fmt: skip


class LogMessage(NamedTuple, Generic[In]):
    """A message with its place in the log.

    Attributes:
        message: decoded, as `store.messages` tells it.
        record: where it came from: channel, sequence, id, time.
    """

    message: In
    record: Record


class LogStoreOptions(OptionsDict, total=False):
    """The keyword options of `use_log`, which documents them."""

    servers: str | Sequence[str]
    start: Literal["new", "first", "last"] | int | datetime
    send_channel: str | None
    client: Mapping[str, Any] | None
    loop: LoopOption


@overload
def use_log(
    stream: str, channel: str | None = None, **options: Unpack[LogStoreOptions]
) -> LogStore[Any]: ...
@overload
def use_log(
    stream: str,
    channel: str | None = None,
    *,
    message_type: TypeForm[T],
    **options: Unpack[LogStoreOptions],
) -> LogStore[T]: ...
def use_log(
    stream: str,
    channel: str | None = None,
    *,
    servers: str | Sequence[str] = "nats://localhost:4222",
    start: Literal["new", "first", "last"] | int | datetime = "new",
    send_channel: str | None = None,
    client: Mapping[str, Any] | None = None,
    message_type: Any = None,
    loop: LoopOption = "auto",
    **options: Unpack[OptionsDict],
) -> LogStore[Any]:
    """Return a store over a stream of NATS JetStream, as `use_websocket` does over a socket.

    Any number of processes on any number of machines react so to one socket, which an ingest
    holds. Every reader has its own place in the log: after a lost connection it goes on behind
    the last record it read, so nothing is missed as long as the stream keeps it. What the ingest
    itself has missed comes on `store.gaps`.

    `send` publishes to the outbound subject of a channel, from where the ingest sends it on; a
    receipt that says `delivered` says that the log has it, not that the server has.

    Args:
        stream: name of the stream.
        channel: whose messages are read; None reads those of all channels, see `store.channel`.
        servers: one URL or more of the log; `embedded_log()` gives one for a first look.
        start: `new`, `first`, `last` (the newest message of each channel, then what follows), a
            sequence of the stream, or an aware time. `store.position + 1` goes on elsewhere; a
            sequence beyond the stream's end says that it was recreated: it is read from its
            beginning, and `errors` tells so.
        send_channel: where `send` publishes to; the channel itself, or `feed`, where None.
        client: options of `nats.connect`, such as `user_credentials`, `token`, `tls`; never shown.
        message_type: as for `use_websocket`.
        loop: as for `use_websocket`.
        **options: those of `StoreOptions` that do not concern a socket; durations in seconds.

    Raises:
        ConfigurationError: an option's value cannot work, or concerns a socket only.
    """
    if wrong := sorted(SOCKET_ONLY & options.keys()):
        raise ConfigurationError(
            f"{', '.join(wrong)}: of a socket, which the ingest has; use client= for the log"
        )
    rules: dict[str, Action | str] = {
        "session": Action.RETRY,
        **(options.get("reconnect_rules") or {}),
    }
    options["reconnect_rules"] = rules  # a session that ended was another's, not the log's
    hosts = [servers] if isinstance(servers, str) else list(servers)
    target = send_channel if send_channel is not None else channel if channel is not None else FEED
    for name in (channel, target):
        subject(checked_stream(stream), "in", name)  # refuses what has no name
    end = LogEnd(hosts, stream, channel, target, client or {})
    checked = options_of(options)
    return LogStore(end, Place(checked_start(start)), checked, Codec(message_type), loop)


class LogStore(WebSocketStore[In]):
    """A store whose messages come from the log; made by `use_log`.

    Attributes:
        records: every message with its place in the log, in order, hot.
    """

    _reader: _Reader

    def __init__(
        self, end: LogEnd, place: Place, options: StoreOptions, codec: Codec[In], loop: LoopOption
    ) -> None:
        def supervise(
            endpoint: str,
            options: StoreOptions,
            codec: Codec[Any],
            outbox: Outbox,
            publisher: Publisher,
            runtime: Runtime,
        ) -> Connection:
            self._reader = reader = _Reader(publisher, place)
            parts = endpoint, options, codec, outbox, reader, runtime
            return LogConnection(end, place, reader, parts)

        # Records are pulled, and pings go beside them: a reader may take its time.
        where = f"log:{end.stream}/{end.channel or '*'}"
        core = StoreCore(where, options, codec, loop, supervise, bounded_hold=False)
        self._place = place
        self.records: Observable[LogMessage[In]] = self._reader.records
        super().__init__(core, options.immediate)

    @property
    def position(self) -> int:
        """Sequence of the last record that was told, 0 before the first: a place to go on from."""
        return self._place.position

    def channel(self, name: str, message_type: Any = None) -> Observable[Any]:
        """Return the messages of one channel, hot; nothing is subscribed, the log has them all.

        Args:
            name: of the channel, as the ingest knows it.
            message_type: must be None: `message_type` of `use_log` decodes every message.

        Raises:
            ConfigurationError: `message_type` is given.
        """
        if message_type is not None:
            raise ConfigurationError("give message_type to use_log(), which decodes all channels")

        def mine(told: LogMessage[In]) -> bool:
            return told.record.channel == name

        def message(told: LogMessage[In]) -> In:
            return told.message

        return Derived(self.records.pipe(ops.filter(mine), ops.map(message)), f"channel {name}")

    def _complete(self) -> None:
        self._bus.complete((self._reader.records,))
        super()._complete()


class _Reader:
    """What the connection to the log tells: as to any store, and each message with its record.

    Args:
        publisher: of the store.
        place: is moved with each record.
    """

    def __init__(self, publisher: Publisher, place: Place) -> None:
        self._publisher = publisher
        self._place = place
        self._record: Record | None = None
        bus = publisher.values.bus
        self.records: Stream[LogMessage[Any]] = Stream(bus, "records")
        self.on_session = publisher.on_session
        self.on_state = publisher.on_state
        self.on_latency = publisher.on_latency
        self.on_error = publisher.on_error
        self.on_principal = publisher.on_principal
        self.on_unusable_loop = publisher.on_unusable_loop
        self.on_envelope = publisher.on_envelope

    def on_record(self, record: Record) -> bool:
        """Handle the next record; return whether it is a message."""
        self._place.position = record.seq
        if record.kind == "gap" and record.seq > self._place.old:
            self._tell_gap(record)
        self._record = record
        return record.kind == "in"

    def on_incoming(self, message: Any) -> None:
        """Handle the next message: as for any store, then with its record."""
        self._publisher.on_incoming(message)
        if self._record is not None:
            bus = self._publisher.values.bus
            bus.emit(self.records, LogMessage(message, self._record))

    def on_gap(self, gap: Gap) -> None:
        """Do nothing: a new session goes on where the last one ended."""

    def _tell_gap(self, record: Record) -> None:
        try:
            missed = Missed.of(record)
        except ValueError:
            return  # another program's
        session = self._publisher.values.state.value.session
        self._publisher.on_gap(Gap(missed.since, missed.until, session))
