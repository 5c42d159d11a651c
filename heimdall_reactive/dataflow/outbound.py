"""`Outbound`: sends what the log holds for a channel through the store of that channel.

A record is acknowledged to the log when its message is proved to be delivered, or was answered
where the peer answers. Otherwise it comes again: to this copy or another, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from heimdall_reactive import (
    ConfigurationError,
    EncodeError,
    HeimdallError,
    Receipt,
    SendError,
    StoreClosed,
    WaitTimeout,
    WebSocketStore,
)
from heimdall_reactive.base.glance import glance, shortly
from heimdall_reactive.base.starting import start_task

from .log_client import Log
from .nats_client import told
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
        ack: returns whether a message that came answers a record; it is given the record and the
            message as `str` or `bytes`. None: sent is what is proved to be delivered, as by
            `Receipt.delivered`.
        timeout: seconds in which a record must be written, and answered. A proof may take longer,
            as long as the connection lasts.
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
        refused: records that can never be sent, because `encode` raised or did not return
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

    def __repr__(self) -> str:
        counts = f"{self.stats.sent} sent, {self.stats.again} again, {self.stats.refused} refused"
        return glance(self, f"{', '.join(map(shortly, self._channels))}: {counts}")

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
                logger.warning("outbound of %r: %s", channel, told(error))
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
        waiting = deque(messages)
        unproved: deque[tuple[Msg, Receipt]] = deque()
        try:
            await self._write_all(waiting, unproved)
            await self._prove_all(unproved)
        except SendError as error:
            logger.info("%d records come again: %s", len(unproved), type(error).__name__)
        finally:
            left = [*(message for message, _ in unproved), *waiting]
            self.stats.again += len(left)
            with suppress(Exception):  # the log gives them again by itself after a while
                for message in left:
                    await message.nak(delay=AGAIN)

    async def _write_all(self, waiting: deque[Msg], unproved: deque[tuple[Msg, Receipt]]) -> None:
        """Write what waits until one fails, and note what is still to be proved."""
        try:
            async with asyncio.timeout(self._sending.timeout):
                while waiting:
                    receipt = await self._send(waiting[0])
                    message = waiting.popleft()
                    if receipt is not None:
                        unproved.append((message, receipt))
        except (HeimdallError, TimeoutError) as error:
            logger.info("%d records come again: %s", len(waiting), type(error).__name__)

    async def _prove_all(self, unproved: deque[tuple[Msg, Receipt]]) -> None:
        """Tell the log of each record once the peer is proved to have it.

        Raises:
            SendError: the connection ended before that.
        """
        while unproved:
            message, receipt = unproved[0]
            try:
                await receipt.delivered(self._sending.timeout)
            except WaitTimeout:  # a slow peer: the log is not to give them to another copy
                for late, _ in unproved:
                    await late.in_progress()
                continue
            await self._acknowledge(message)
            unproved.popleft()

    async def _send(self, message: Msg) -> Receipt | None:
        """Send one record.

        Returns:
            What is still to be proved; None where the log has been told.

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
            return None
        try:
            if sending.ack is None:
                return await self._written(value)
            await self._answered(record, value, sending.ack)
        except EncodeError:  # no later attempt can write it, and all that follow would wait
            await self._take_out(
                message, f"encode made {type(value).__name__}, which is not a JSON"
            )
            return None
        await self._acknowledge(message)
        return None

    async def _acknowledge(self, message: Msg) -> None:
        await message.ack_sync()
        self.stats.sent += 1

    async def _take_out(self, message: Msg, why: str) -> None:
        self.stats.refused += 1
        logger.error("a record cannot be sent: %s", why)
        await message.term()

    async def _written(self, value: Any) -> Receipt:
        if not self._store.connected:
            raise SendError("the store is not connected", "dropped")
        return await self._store.send(value)

    async def _answered(
        self, record: Record, value: Any, ack: Callable[[Record, Any], bool]
    ) -> None:
        await self._store.request(
            value, match=lambda message: ack(record, message), timeout=self._sending.timeout
        )
