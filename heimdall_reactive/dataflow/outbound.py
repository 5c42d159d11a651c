"""`Outbound`: sends what the log holds for a channel through the store of that channel.

A record is acknowledged to the log when its message was written to the socket, or answered where
the peer acknowledges. Otherwise it comes again: to this copy or another, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from heimdall_reactive import (
    ConfigurationError,
    EncodeError,
    HeimdallError,
    SendError,
    StoreClosed,
    WebSocketStore,
)
from heimdall_reactive.base.starting import start_task

from .log_client import Log
from .records import Record, read_record, subject
from .tasks import end, raise_if_cancelled

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

__all__ = ["Outbound", "OutboundStats", "Sending"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

WAIT: Final = 2.0  # seconds of one request for records
AGAIN: Final = 0.5  # seconds until a record that was not sent comes again


def _as_it_is(record: Record) -> str | bytes:
    return record.data.decode() if record.text else record.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How records become messages, and when they count as sent.

    Attributes:
        encode: makes the message of a record; default: the data as it is. A peer that drops
            repeats needs `record.id` in the message.
        ack: returns whether a message that came answers a record; None: written is sent. It is
            given the record and the message as `str` or `bytes`.
        timeout: seconds in which a record must be written, and answered.
        in_flight: records of a channel that are on their way at a time; 1 keeps them in order
            whatever fails.

    Raises:
        ConfigurationError: a number is not above 0.
    """

    encode: Callable[[Record], Any] = _as_it_is
    ack: Callable[[Record, Any], bool] | None = None
    timeout: float = 10.0
    in_flight: int = 64

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.in_flight < 1:
            raise ConfigurationError("timeout and in_flight of a Sending must be above 0")


@dataclass(slots=True)
class OutboundStats:
    """Counters.

    Attributes:
        sent: records that were sent, and acknowledged to the log.
        again: times a record was given back, to come again.
        refused: records that can never be sent, because `encode` raised or what it made is no
            JSON; they were taken out.
    """

    sent: int = 0
    again: int = 0
    refused: int = 0


class Outbound:
    """Sends the records of some channels through one store, until it is closed.

    Copies with the same stream and channel share the records: each goes to one of them.

    Args:
        log: where the records are.
        store: where they go; nothing is taken from the log while it is not connected.
        channels: whose records.
        sending: how.

    Attributes:
        stats: counters.
    """

    def __init__(
        self,
        log: Log,
        store: WebSocketStore[Any],
        channels: Sequence[str],
        sending: Sending | None = None,
    ) -> None:
        self.stats = OutboundStats()
        self._log = log
        self._store = store
        self._channels = tuple(channels)
        self._sending = sending or Sending()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running event loop."""
        for channel in self._channels:
            work = start_task(self._run(channel), f"heimdall-out-{channel}")
            self._tasks.append(work)

    async def aclose(self) -> None:
        """End; what was taken and not sent comes again elsewhere. Idempotent."""
        await end(self._tasks)
        self._tasks.clear()

    async def _run(self, channel: str) -> None:
        while True:
            try:
                await self._serve(channel)
            except StoreClosed:
                return
            except Exception as error:  # of the log, or of the user's `ack`: it comes again
                raise_if_cancelled()
                logger.warning("outbound of %r: %s", channel, type(error).__name__)
                await asyncio.sleep(AGAIN)

    async def _serve(self, channel: str) -> None:
        """Send what there is, until something goes wrong."""
        pull = await self._consumer(channel)
        try:
            while True:
                raise_if_cancelled()
                await self._store.wait_for(lambda state: state.is_connected)
                try:
                    messages = await pull.fetch(self._sending.in_flight, timeout=WAIT)
                except TimeoutError:
                    raise_if_cancelled()
                    # Nothing is there to send, or nobody answers: the consumer was deleted.
                    await pull.consumer_info()
                    continue
                await self._send_all(messages)
        finally:
            # Else the log would give the next records to a request that nobody waits for.
            with suppress(Exception):
                await pull.unsubscribe()

    async def _consumer(self, channel: str) -> JetStreamContext.PullSubscription:
        """Return the durable consumer that all copies share; it is made by the first."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        name = subject(self._log.stream, "out", channel)
        durable = f"out-{sha256(channel.encode()).hexdigest()[:24]}"
        config = ConsumerConfig(
            durable_name=durable,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            # Twice: what waits here for its turn must not be given to another copy.
            ack_wait=2 * self._sending.timeout + WAIT,
            max_ack_pending=self._sending.in_flight,
            filter_subject=name,
        )
        await self._log.js.add_consumer(self._log.stream, config)
        return await self._log.js.pull_subscribe_bind(stream=self._log.stream, consumer=durable)

    async def _send_all(self, messages: Sequence[Msg]) -> None:
        """Send in order; from the first that fails on, all come again."""
        left = list(messages)
        try:
            async with asyncio.timeout(self._sending.timeout):
                while left:
                    await self._send(left[0])
                    left.pop(0)
        except (HeimdallError, TimeoutError) as error:
            logger.info("%d records come again: %s", len(left), type(error).__name__)
        finally:
            self.stats.again += len(left)
            with suppress(Exception):  # the log gives them again by itself after a while
                for message in left:
                    await message.nak(delay=AGAIN)

    async def _send(self, message: Msg) -> None:
        """Send one record, and tell the log.

        Raises:
            HeimdallError: it was not sent, or not answered.
        """
        record = read_record(
            message.subject, message.data, message.headers, message.metadata.sequence.stream
        )
        sending = self._sending
        try:
            value = sending.encode(record)
        except Exception as error:
            await self._take_out(message, f"encode raised {type(error).__name__}")
            return
        try:
            if sending.ack is None:
                await self._written(value)
            else:
                await self._answered(record, value, sending.ack)
        except EncodeError:  # no later attempt can write it, and all that follow would wait
            await self._take_out(message, f"encode made {type(value).__name__}, which is no JSON")
            return
        await message.ack_sync()
        self.stats.sent += 1

    async def _take_out(self, message: Msg, why: str) -> None:
        self.stats.refused += 1
        logger.error("a record cannot be sent: %s", why)
        await message.term()

    async def _written(self, value: Any) -> None:
        if not self._store.connected:
            raise SendError("the store is not connected", "dropped")
        await self._store.send(value)

    async def _answered(
        self, record: Record, value: Any, ack: Callable[[Record, Any], bool]
    ) -> None:
        await self._store.request(
            value, match=lambda message: ack(record, message), timeout=self._sending.timeout
        )
