"""`SyncClient`: the log for code that blocks, as the functions that Spark calls do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from nats.js import api
from nats.js.errors import NotFoundError

from heimdall_reactive.connecting.loop_thread import LoopThread
from heimdall_reactive.dataflow.log_client import Log, connect_log
from heimdall_reactive.dataflow.nats_client import told
from heimdall_reactive.dataflow.records import Record

from .exceptions import LogUnavailable
from .options import LogOptions
from .pull_consumer import BROKEN, PAUSE, PullConsumer

__all__ = ["LogState", "SyncClient"]

T = TypeVar("T")


@dataclass(frozen=True)
class LogState:
    """What a stream holds.

    Attributes:
        first: the oldest sequence there is; one more than `last` where there is none.
        last: the newest sequence ever stored, 0 for none.
        created: when the stream was made: tells it from another of the same name.
        subjects: the subjects that were asked for, sorted.
    """

    first: int
    last: int
    created: str
    subjects: tuple[str, ...] = ()


class SyncClient:
    """One connection to the log, on an event loop of its own; close it, or use `with`.

    Args:
        options: how the log is reached.

    Raises:
        LogError: no server answers, or it has no such stream.
        ConfigurationError: a secret or a certificate is not where it should be.
    """

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        login = options.login()
        self._thread = LoopThread("heimdall-log")
        self._call = self._thread.call
        self._log_or_none: Log | None = None
        try:
            self._log_or_none = self._call(self._connect(login))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its thread. Idempotent."""
        if self._thread.loop.is_closed():
            return
        try:
            if self._log_or_none is not None:
                self._call(self._log_or_none.aclose())
        finally:
            self._thread.stop()

    def state(self, subjects: str | None = None) -> LogState:
        """Return what the stream holds, with those of its subjects that a pattern names."""
        return self._call(self._patiently(lambda: self._state(subjects)))

    def sequence_at(self, time: datetime) -> int:
        """Return the sequence of the first record that the log took at a time or later."""
        return self._call(self._patiently(lambda: self._sequence_at(time)))

    def read(self, name: str, start: int, end: int) -> Iterator[list[Record]]:
        """Return the records of a subject from a sequence up to another, that one excluded.

        Raises:
            LogUnavailable: nothing came in time.
        """
        last = self._call(self._patiently(lambda: self._last_of(name)))
        pull = PullConsumer(
            self._log.client, self._log.js, self._options, name, start, min(end - 1, last)
        )
        try:
            while records := self._call(pull.next()):
                yield records
        finally:
            self._call(pull.close())

    def publish(self, records: Iterable[Record]) -> int:
        """Store records; return how many, when the log has acknowledged every one.

        Raises:
            LogUnavailable: it has not, in time.
        """
        count = 0
        left = iter(records)
        while window := list(islice(left, self._options.window)):
            # All of a window again where one failed: the log drops those that it has, by their ids.
            self._call(self._patiently(partial(self._publish, window)))
            count += len(window)
        return count

    @property
    def _log(self) -> Log:
        assert self._log_or_none is not None
        return self._log_or_none

    # Below: on the loop.

    async def _connect(self, login: dict[str, Any]) -> Log:
        return await connect_log(self._options.servers, self._options.stream, create=False, **login)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Try something until it works or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await call()
            except BROKEN as error:
                if loop.time() >= deadline:
                    raise LogUnavailable(
                        f"the log did not answer in {self._options.timeout} s ({told(error)}): is "
                        f"it up, and does the stream {self._options.stream!r} take the subjects?"
                    ) from None
                await asyncio.sleep(PAUSE)

    async def _state(self, subjects: str | None) -> LogState:
        info = await self._log.js.stream_info(self._options.stream, subjects_filter=subjects)
        found = tuple(sorted(info.state.subjects or ()))
        return LogState(info.state.first_seq, info.state.last_seq, str(info.created), found)

    async def _last_of(self, name: str) -> int:
        """Return the sequence of the newest record of a subject, 0 for none; asks the leader."""
        try:
            message = await self._log.js.get_last_msg(self._options.stream, name)
        except NotFoundError:
            return 0
        return message.seq or 0

    async def _sequence_at(self, time: datetime) -> int:
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=time,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=1,
        )
        consumer = await self._log.js.add_consumer(self._options.stream, config)
        # What a consumer will deliver first comes after what it counts as delivered at its start.
        return consumer.delivered.stream_seq + 1 if consumer.delivered else 1

    async def _publish(self, records: list[Record]) -> None:
        await asyncio.gather(*(self._log.publish(record) for record in records))
