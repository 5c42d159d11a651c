"""`LogWire`: the log as a wire, so that a whole store stands over it.

Records are pulled in batches, so the log never sends more than this side has asked for. The
consumer is ephemeral and asks for no acknowledgements: this side remembers its place, and a new
session goes on behind it. A hole in the consumer's own numbers ends the session, and is read again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.transports import Receiver
from heimdall_reactive.transports.pinging import Pinger

from .log_client import Log, LogError
from .log_place import lost_unread
from .nats_client import RecordTooLarge
from .pulling import RAN_OUT, Incoming, RecordPlace, ask, place_of, status_of
from .records import Record, delivered_record

if TYPE_CHECKING:
    from .batch_client import BatchClient

__all__ = ["LogWire", "SendIds"]

BATCH: Final = 512  # records that are asked for at once
PATIENCE: Final = 30.0  # seconds that a request for records stands
# Seconds between the signs of life of the consumer while there is nothing new. In a cluster it may
# die while the stream and the server that we are connected to live: nobody else tells.
BEAT: Final = 1.0
SILENT: Final = 3  # of these without any: a request to a consumer that is gone is not answered

LEAVE_TIMEOUT: Final = 1.0  # seconds for the log to forget the consumer, which it does anyway
TURNS: Final = 3  # of the event loop, in which tasks end that `nats-py` cancels and does not await

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class SendIds:
    """The ids of what is sent, over the sessions of a store.

    Args:
        resends: a send that the log did not confirm comes again, as the next one and as the same
            frame. It has the id of the first time then, so that the log drops it as a repeat.
    """

    def __init__(self, resends: bool) -> None:
        self._resends = resends
        self._frame: Frame | None = None
        self._id = ""

    def take(self, frame: Frame) -> str:
        """Return the id of a frame."""
        if frame is not self._frame:
            self._id = uuid4().hex
        self._frame = frame if self._resends else None
        return self._id

    def confirm(self) -> None:
        """Forget what the log has, or will never have."""
        self._frame = None


class LogWire:
    """One session with the log; see `transports.Wire` for what the methods promise.

    Args:
        log: the stream; its connection is this wire's own, and does not reconnect.
        consumer: name of the ephemeral consumer.
        take: takes each record before its frame is pushed; returns whether it is to be pushed.
        turn_down: is told why what was written last will never be in the log.
        tell_lost: is told what the stream dropped before it was read.
        channel: where what is written goes.
        ids: of what is written.
        options: the store's.
        spawn: runs a coroutine on the event loop.
    """

    held = False
    close_received = True  # a record that was not pushed is read by the next session

    def __init__(
        self,
        log: Log,
        consumer: str,
        take: Callable[[Record], bool],
        turn_down: Callable[[str], None],
        tell_lost: Callable[[str], None],
        channel: str,
        ids: SendIds,
        options: StoreOptions,
        spawn: Spawn,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.heard_at = self._beat_at = self.loop.time()
        self._log = log
        self._client: BatchClient = log.client
        self._consumer = consumer
        self._take = take
        self._turn_down = turn_down
        self._tell_lost = tell_lost
        self._channel = channel
        self._ids = ids
        self._options = options
        self._spawn = spawn
        self._inbox = self._client.new_inbox()
        self._receiver: Receiver | None = None
        self._pinger: Pinger | None = None
        self._came: deque[Incoming] = deque()
        self._open = True
        self._publishing = False
        self._works: set[asyncio.Task[None]] = set()
        self._pings: set[asyncio.Task[None]] = set()
        self._left = 0  # records of the batch that are still to come
        self._count = 0  # records of this consumer so far
        self._close: CloseInfo | None = None

    @property
    def writable(self) -> bool:
        """See `Wire`: the log has acknowledged all that was written."""
        return self._open and not self._publishing

    def start(self, receiver: Receiver) -> None:
        """See `Wire`."""
        self._receiver = receiver
        if self._close is not None:
            receiver.on_closed(self._close)
            return
        interval, timeout = self._options.ping_interval, self._options.ping_timeout
        self._pinger = Pinger(self, interval, timeout, _Latency(receiver))
        self._start(self._begin())
        self._start(self._watch())

    def write(self, frame: Frame) -> None:
        """See `Wire`."""
        self._publishing = True
        self._start(self._publish(frame))

    def end(self, code: int, reason: str = "") -> None:
        """See `Wire`."""
        self._end(CloseInfo(code, reason, "client"))

    def fail(self, code: int, reason: str) -> None:
        """See `Wire`."""
        self._end(CloseInfo(code, reason, "client"))

    def lose(self, reason: str) -> None:
        """See `Wire`."""
        self._end(CloseInfo(1006, reason, "network"))

    def probe(self, timeout: float) -> None:
        """See `Wire`."""
        if self._pinger is not None and self._open:
            self._pinger.ping(timeout)

    def hold(self, on: bool) -> None:
        """See `Wire`."""
        self.held = on
        self.heard_at = self._beat_at = self.loop.time()
        if not on:  # not here: who takes the messages calls this
            self.loop.call_soon(self._handle)

    def kill(self) -> None:
        """See `Wire`."""
        self._receiver = None
        self._end(CloseInfo(1006, "", "client"))

    def prove(self, *, last: bool = False) -> None:
        """See `Wire`; what was written is proved when it is acknowledged."""

    def taken(self) -> tuple[int, float]:
        """Return what a pinger asks; the log acknowledges each record by itself."""
        return 0, self.heard_at

    def all_taken(self) -> bool:
        """Return what a pinger asks: here nobody tells."""
        return False

    def send_ping(self, payload: bytes) -> None:
        """Send a ping of NATS; whatever comes later than its answer came after it."""
        self._start_ping(self._ping(payload))

    def send_pong(self) -> None:
        """Send nothing: NATS answers each ping by itself."""

    async def on_disconnected(self) -> None:
        """Handle the end of the connection, from its client."""
        self.lose("the connection to the log ended")

    async def on_refusal(self, why: str) -> None:
        """Handle what the log refuses: a request that nobody would ever answer."""
        self.lose(why)

    # Reading

    async def _begin(self) -> None:
        if self._open:
            await self._client.subscribe_batches(self._inbox, self._on_messages)
            await self._pull()

    async def _watch(self) -> None:
        while self._open:
            await asyncio.sleep(BEAT / 2)
            if self._is_silent():
                # What has come by now is handled first: this program may have been slow.
                await asyncio.wait([self._start_ping(self._ask())])
                if self._is_silent():
                    self.lose("the consumer in the log has died")

    def _is_silent(self) -> bool:
        return not self.held and self.loop.time() - self._beat_at > SILENT * BEAT

    async def _pull(self) -> None:
        import nats.errors

        self._left = BATCH
        try:
            await ask(
                self._client, self._log.stream, self._consumer, self._inbox,
                count=BATCH, expires=PATIENCE, heartbeat=BEAT,
            )  # fmt: skip
        except nats.errors.Error as error:  # the connection has ended before this turn
            self.lose(f"the log could not be asked for more ({type(error).__name__})")

    def _on_messages(self, messages: Sequence[Incoming]) -> None:
        self.heard_at = self._beat_at = self.loop.time()
        self._came.extend(messages)
        self._handle()

    def _handle(self) -> None:
        """Handle what came, unless it is held back."""
        came = self._came
        while came and self._open and not self.held:
            message = came.popleft()
            _, reply, headers, _ = message
            if (status := status_of(reply, headers)) is not None:
                self._on_status(status)
                continue
            place = place_of(reply)
            self._count += 1
            self._left -= 1
            if place.consumer != self._count:
                self.lose("the log left records out")
                return
            try:
                record = delivered_record(message, place.stream)
            except ValueError:
                pass  # another program's, under a subject of its own
            else:
                self._push(record)
            if self._left == 0 and self._open:
                self._start(self._go_on(place))

    async def _go_on(self, place: RecordPlace) -> None:
        if place.left:
            await self._look_for_lost(place.stream + 1)
        await self._pull()

    async def _look_for_lost(self, wanted: int) -> None:
        """Tell what the stream has dropped since it was asked: a consumer skips that silently."""
        import nats.errors

        with suppress(nats.errors.Error, TimeoutError, OSError):  # the next look tells
            first = (await self._log.js.stream_info(self._log.stream)).state.first_seq
            if first > wanted and self._open:
                self._tell_lost(lost_unread(wanted, first - 1))

    def _on_status(self, status: str) -> None:
        """Handle what the log says of our request: a sign of life, its end, or the consumer's."""
        if status in RAN_OUT:
            self._start(self._pull())
        elif status != "100":
            self.lose(f"the log ended the consumer ({status})")

    def _push(self, record: Record) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        try:
            if self._take(record):
                receiver.on_frame(record.data, record.text)
        except Exception:
            self.fail(1011, "the receiver failed")

    # Writing

    async def _publish(self, frame: Frame) -> None:
        own = self._ids.take(frame)
        record = Record(self._channel, bytes(frame.data), own, "out", text=frame.text)
        try:
            await self._log.publish(record)
        except RecordTooLarge as error:
            self._turn_down(str(error))
        except LogError as error:
            self.lose(str(error))
            return
        self._ids.confirm()
        receiver = self._receiver
        if self._open and receiver is not None:
            receiver.on_ping()
            receiver.on_pong()  # the log has it: more than a pong could prove
        self._publishing = False
        if self._open and receiver is not None:
            receiver.on_writable()

    async def _ping(self, payload: bytes) -> None:
        if await self._ask() and self._pinger is not None and self._open:
            self._pinger.on_pong(payload)

    async def _ask(self) -> bool:
        """Have a ping of NATS answered; return whether it was."""
        import nats.errors

        try:
            await self._client.pong()
        except (nats.errors.Error, TimeoutError, OSError):
            return False  # the pinger's own timeout tells
        self.heard_at = self.loop.time()
        return True

    def _start_ping(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run something that a session's end does not cancel at once, see `_leave`."""
        task = self._spawn(work)
        self._pings.add(task)
        task.add_done_callback(self._pings.discard)
        return task

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the session."""
        task = self._spawn(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    # The end

    def _end(self, close: CloseInfo) -> None:
        if self._close is not None:
            return
        self._open, self._close = False, close
        if self._pinger is not None:
            self._pinger.stop()
        if not self.loop.is_closed():
            self._spawn(self._leave(close))

    async def _leave(self, close: CloseInfo) -> None:
        """Tell the end; before that, leave nothing in the log where we end it ourselves."""
        if close.who != "client":
            self._tell(close)
        for work in self._works:  # a ping not yet: `nats-py` dies of the answer to one given up
            work.cancel()
        with suppress(Exception):  # it is gone, or does not answer: the consumer ends by itself
            async with asyncio.timeout(min(LEAVE_TIMEOUT, self._options.close_timeout)):
                if close.who == "client" and self._client.is_connected:
                    await self._log.js.delete_consumer(self._log.stream, self._consumer)
        for ping in self._pings:
            ping.cancel()
        await self._log.aclose()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if close.who == "client":
            self._tell(close)

    def _tell(self, close: CloseInfo) -> None:
        if self._receiver is not None:
            self._receiver.on_closed(close)


class _Latency:
    """Passes on what a ping of NATS took; it proves nothing of a record."""

    def __init__(self, receiver: Receiver) -> None:
        self.on_latency = receiver.on_latency

    def on_ping(self) -> None:
        """See `Receiver`."""

    def on_pong(self) -> None:
        """See `Receiver`."""
