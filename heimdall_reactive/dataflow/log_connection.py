"""`LogConnection`: dials the log in place of a WebSocket, and goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from heimdall_reactive import (
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    SendError,
    StoreError,
)
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.connecting.connection import Connection
from heimdall_reactive.connecting.listener import Listener
from heimdall_reactive.connecting.outbox import Outbox
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.connecting.tokens import Upgrade
from heimdall_reactive.transports import Wire

from .log_client import Log, LogError, connect_log
from .log_place import Place
from .log_wire import LogWire, SendIds
from .nats_client import LogDenied, told
from .records import FEED, Kind, Record, subject

__all__ = ["LogConnection", "LogEnd"]

READ: Final[tuple[Kind, ...]] = ("in", "gap")
CONSUMER_LIFE: Final = 60.0  # seconds that the log keeps a consumer whose reader is gone


class RecordReader(Protocol):
    """What takes the records of a connection, besides their messages."""

    def on_record(self, record: Record) -> bool:
        """Handle the next record; return whether it is a message."""
        ...


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Which part of which log a store stands over.

    Attributes:
        servers: URLs of the log's servers.
        stream: name of the stream.
        channel: whose records are read; None reads those of all channels.
        send_channel: where is sent to.
        client: options of `nats.connect`; they may be secret.
    """

    servers: Sequence[str]
    stream: str
    channel: str | None = None
    send_channel: str = FEED
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)


class LogConnection(Connection):
    """A connection whose sessions are pulls from the log; all else is as for a WebSocket.

    Args:
        end: which log.
        place: where reading begins; keeps how far it has come.
        reader: takes the records.
        parts: those of `Connection`.
    """

    def __init__(
        self,
        end: LogEnd,
        place: Place,
        reader: RecordReader,
        parts: tuple[str, StoreOptions, Codec[Any], Outbox, Listener, Runtime],
    ) -> None:
        super().__init__(*parts)
        self._end = end
        self._place = place
        self._reader = reader
        self._ids = SendIds(self._options.resend)
        self._dial = self._dial_log

    async def _prepare(self) -> Upgrade:
        return Upgrade(self._end.stream, [], None, self._end.stream, identity=self.identity)

    def reconnect(self, code: int = 1000, reason: str = "", overlap: bool = False) -> None:
        """End this session and open the next one; two at once would read the same records."""
        super().reconnect(code, reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.start(work, "heimdall-log", self._runtime.loop)

    async def _dial_log(self, *_: Any, **__: Any) -> Wire:
        wire: list[LogWire] = []
        refusals: list[str] = []

        async def on_disconnected() -> None:
            for one in wire:
                await one.on_disconnected()

        async def on_refusal(why: str) -> None:
            refusals.append(why)
            limit.reschedule(0)  # what it refuses it does not answer

        try:
            async with asyncio.timeout(self._options.open_timeout) as limit:
                log = await connect_log(
                    self._end.servers, self._end.stream, create=False,
                    **self._end.client, allow_reconnect=False, disconnected_cb=on_disconnected,
                )  # fmt: skip
                log.client.on_refusal = on_refusal
                try:
                    consumer = await self._consume(log)
                except BaseException:
                    await log.aclose()
                    raise
        except TimeoutError:
            if refusals:
                raise ConnectError(f"the log refuses: {refusals[0]}", "refused") from None
            raise ConnectTimeout("the log did not answer in time") from None
        except LogDenied as error:
            raise ConfigurationError(f"{error} in client=") from None
        except LogError as error:
            raise ConnectError(str(error), "refused") from None
        channel = self._end.send_channel
        calls = self._reader.on_record, self._turn_down, self._tell_lost
        wire.append(LogWire(log, consumer, *calls, channel, self._ids, self._options, self._spawn))
        log.client.on_refusal = wire[0].on_refusal
        return wire[0]

    def _tell_lost(self, what: str) -> None:
        self._listener.on_error(StoreError(what))

    def _turn_down(self, reason: str) -> None:
        """Settle the send that is under way: the log will never take it."""
        if (session := self.sessions.current) is not None:
            session.turn_down(reason)
        self._listener.on_error(SendError(f"not sent: {reason}", "rejected"))

    async def _consume(self, log: Log) -> str:
        """Make a consumer of this session that begins at the place; return its name."""
        import nats.errors
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy

        try:
            info = await log.js.stream_info(log.stream)
            stream = info.state
            if lost := self._place.enter(stream.first_seq, stream.last_seq, str(info.created)):
                self._tell_lost(lost)
            where = self._place.policy()
            made = await log.js.add_consumer(log.stream, ConsumerConfig(
                deliver_policy=DeliverPolicy(where.pop("deliver_policy")),
                ack_policy=AckPolicy.NONE,
                replay_policy=ReplayPolicy.INSTANT,
                inactive_threshold=CONSUMER_LIFE,
                mem_storage=True,
                num_replicas=1,
                **self._filters(log),
                **where,
            ))  # fmt: skip
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise LogError(f"the log gives no records of {log.stream!r}: {told(error)}") from None
        return made.name

    def _filters(self, log: Log) -> dict[str, Any]:
        """Return what is read: messages and gaps.

        Servers before 2.10 know one filter only. There the records that go out come as well, and
        are left out on this side.
        """
        mine = [subject(self._end.stream, kind, self._end.channel) for kind in READ]
        server = log.client.connected_server_version
        if (server.major, server.minor) >= (2, 10):
            return {"filter_subjects": mine}
        return {"filter_subject": mine[0].replace(f".{READ[0]}.", ".*.", 1)}
