"""`BatchClient`: a client of `nats-py` that reads and writes many messages at once.

`nats-py` parses, queues and hands over each message by itself: 10 µs of CPU for one that is read,
20 µs for one that is published with headers. Here it connects, logs in, reconnects and manages the
log as ever; only messages on their way from and to the log skip what it does for each of them.

The one module that stands on how `nats-py` is made inside (`PARTS`). Where a part is missing, both
ways go by its public methods, as slowly as these are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, ProtocolError
from nats.protocol.parser import Parser

from .pulling import Incoming, Outgoing, headers_of, raw_headers

__all__ = ["BatchClient", "BatchParser"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

PARTS: Final = ("_ps", "_send_command", "_flush_pending")

Take: TypeAlias = Callable[[Sequence[Incoming]], None]


class BatchParser(Parser):
    """Cuts what the server sends into messages; `nats-py` handles all that is not a taker's.

    Args:
        client: whose connection it is.

    Attributes:
        takers: who takes the messages of a subscription, by its number as the server writes it.
    """

    def __init__(self, client: Client) -> None:
        self.takers: dict[bytes, Take] = {}
        super().__init__(client)

    def reset(self) -> None:
        """Forget a message that came in part: the connection is another one now."""
        super().reset()
        self._parts: list[bytes] = []
        self._have = self._needed = 0  # bytes

    async def parse(self, data: bytes = b"") -> None:
        """Handle what came, and keep what is not whole at its end."""
        parts = self._parts
        parts.append(data)
        self._have += len(data)
        if self._have < self._needed:
            return
        data, at = b"".join(parts), 0
        while True:
            try:
                at = self._take(data, at)
                stop = self._end_of(data, at)
            except (ValueError, IndexError):
                raise ProtocolError("nats: malformed MSG") from None
            if not stop:
                break
            await super().parse(data[at:stop])
            if self._parts is not parts:
                return  # `reset`: the connection has ended
            at = stop
        parts[:] = [data[at:]]
        self._have = len(data) - at

    def _take(self, data: bytes, at: int) -> int:
        """Hand over the messages of takers from some place on; return the place behind them."""
        batch: list[Incoming] = []
        current: Take | None = None
        while (line := data.find(b"\r\n", at)) > 0:
            words = data[at:line].split()  # [H]MSG subject number [reply] [size of headers] size
            with_headers = words[0] == b"HMSG"
            if not with_headers and words[0] != b"MSG":
                break
            begin = line + 2
            end = begin + int(words[-1])
            take = self.takers.get(words[2])
            if take is None or end + 2 > len(data):
                break
            body = begin + int(words[-2]) if with_headers else begin
            reply = words[3] if len(words) == 5 + with_headers else b""
            if take is not current:
                _hand_over(current, batch)
                batch, current = [], take
            batch.append((words[1], reply, data[begin:body], data[body:end]))
            at = end + 2
        _hand_over(current, batch)
        return at

    def _end_of(self, data: bytes, at: int) -> int:
        """Return where the next message or line ends; 0 where that has not come."""
        self._needed = 0
        line = data.find(b"\r\n", at)
        if line < 0:
            return 0
        end = line + 2
        words = data[at:line].split()
        if words and words[0] in (b"MSG", b"HMSG"):
            end += int(words[-1]) + 2
        if end > len(data):
            self._needed = end - at
            return 0
        return end


class BatchClient(Client):
    """A client that reads and writes by the batch, on a connection of `nats-py`."""

    def __init__(self) -> None:
        super().__init__()
        self._parser: BatchParser | None = None
        if all(hasattr(self, name) for name in PARTS):
            self._parser = self._ps = BatchParser(self)

    async def subscribe_batches(self, subject: str, take: Take) -> Subscription:
        """Subscribe; all messages that came together are handed over in one call.

        Args:
            subject: an inbox.
            take: takes them, in order and without a task; it must not wait.
        """
        if (parser := self._parser) is None:

            async def take_one(message: Msg) -> None:
                names = message.subject.encode(), message.reply.encode()
                take([(*names, raw_headers(message.headers or {}), message.data)])

            return await self.subscribe(subject, cb=take_one)
        made = await super().subscribe(subject)
        # Nothing can have come: nobody knows the subject before this returns.
        parser.takers[str(made._id).encode()] = take
        return made

    async def pong(self) -> None:
        """Return when the server has answered a ping.

        `flush()` alone does not tell: where nobody reads any more, it returns at once.

        Raises:
            ConnectionClosedError: nobody reads any more.
            TimeoutError: there was no answer.
        """
        before = getattr(self, "_pongs_received", None)
        await self.flush()
        if before is not None and before == self._pongs_received:
            raise ConnectionClosedError

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        if self._parser is not None:
            self._parser.takers.pop(str(sid).encode(), None)

    async def publish_batch(self, messages: Iterable[Outgoing]) -> None:
        """Publish messages with headers in one write; each must be below the server's limit.

        Raises:
            ConnectionClosedError: the connection has ended.
        """
        if self._parser is None:
            for subject, reply, headers, data in messages:
                names = subject.decode(), reply.decode()
                await self.publish(names[0], data, names[1], headers_of(headers))
            return
        if not self.is_connected:
            raise ConnectionClosedError
        frames: list[bytes] = []
        for subject, reply, headers, data in messages:
            sizes = len(headers), len(headers) + len(data)
            frames += (b"HPUB %b %b %d %d\r\n" % (subject, reply, *sizes), headers, data, b"\r\n")
        await self._send_command(b"".join(frames))
        await self._flush_pending()


def _hand_over(take: Take | None, batch: Sequence[Incoming]) -> None:
    if take is not None:
        try:
            take(batch)
        except Exception as error:  # as `nats-py` does: the connection goes on
            logger.debug("messages of the log were not handled: %s", type(error).__name__)
