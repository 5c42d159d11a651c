"""The reactive face of a connection: every value leaves here.

Way of a frame: the connection decodes it and calls `on_incoming`; the bus commits it as
`last_message` and tells the observers. Way of a command: `send` encodes in the caller's stack,
queues in the outbox, and has the connection flush on its loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pydantic import SecretStr
from reactivex import Observable

from .base.endpoints import redact
from .base.exceptions import SendError
from .base.messages import Frame
from .base.options import StoreOptions, TokenSource
from .base.receipt import Receipt
from .base.state import Status
from .base.stats import Stats
from .channels import Channels
from .connecting.codec import Codec, encode
from .connecting.connection import Connection
from .connecting.life import Closing, Life
from .connecting.outbox import Outbox
from .connecting.runtime import LoopOption, Runtime, running_loop
from .connecting.session import Session
from .connecting.tokens import Identity, claimed
from .consuming.pace import Paced
from .reactive.journal import Journal
from .reactive.sampling import every
from .reactive.subjects import Command, Trigger
from .requests import Request
from .transports import choose

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["WebSocketStore"]

In = TypeVar("In")
M = TypeVar("M")

SEND_PATIENCE: Final = 1.0  # seconds a thread's send waits for room while connected


class WebSocketStore(Closing, Paced[In]):
    """A WebSocket as reactive state; made by `use_websocket`.

    Attributes:
        is_connected: whether the socket is open; distinct.
        last_message: the newest message, None before the first; equal ones notify too.
        state: the whole truth as one snapshot.
        latency: seconds a protocol ping took, None before the first of a session.
        messages: every message in order, hot.
        transitions: pairs of the previous and the current state, hot.
        gaps: one for each reconnection: from when until when messages may have been missed, hot.
        errors: what went wrong without ending anything, hot; never terminates before the store.
        journal: the last 256 events with their times, without payloads and secrets.
        send: sends a value; a function, an observer and a subject of what was accepted.
        connect: dials now; a function, an observer and a subject.
        disconnect: ends the connection; a function, an observer and a subject.
    """

    def __init__(
        self, endpoint: str, options: StoreOptions, codec: Codec[In], loop: LoopOption = "auto"
    ) -> None:
        super().__init__(redact(endpoint))
        choose(options.transport)  # raises while there is no thread yet
        bus = self._bus
        self._principal: object = None
        self._token_mark: int | None = None
        self._claimed = claimed(Identity(options.access_token, options.principal))
        self._strange = False  # what waits up to the mark may be nobody's who was dialled for
        self._flush_posted = False
        self._runtime = Runtime(loop, self._bind, self._on_moved)
        self._overflow = options.outbox_overflow
        self._outbox = Outbox(
            options.outbox_limit, options.outbox_bytes, self._overflow, options.send_ttl,
            self._runtime.time,
        )  # fmt: skip
        self._connection = self._supervise(endpoint, options, codec)
        self._life = Life(self._runtime, self._finish, self._complete, options.close_timeout)
        self.journal = self._told_to(Journal(self._name, self._runtime.wall))
        self._channels = Channels(
            bus, options.channel_protocol, self.messages, self._runtime.post, self._tell,
            lambda: self._connection.state.is_connected, self.on_error,
        )  # fmt: skip
        self.send: Command[Any, Receipt] = Command(bus, "send", self._send)
        self.connect: Trigger = Trigger(bus, "connect", self._connect)
        self.disconnect: Trigger = Trigger(bus, "disconnect", self._disconnect)
        self._bind()
        if options.immediate:
            self._life.call(self._connection.connect)

    # Values

    @property
    def stats(self) -> Stats:
        """Return the counters as they are now."""
        return Stats(
            **asdict(self._connection.counters),
            **asdict(self._outbox.counters),
            queued=len(self._outbox),
            observer_errors=self._observer_errors,
            consumers=self._buffers.stats(),
        )

    def stats_every(self, seconds: float) -> Observable[Stats]:
        """Return the counters again and again, on the store's loop, until the store ends.

        Raises:
            ConfigurationError: the seconds are not more than 0.
        """
        return every(seconds, lambda: self.stats, self.scheduler, self.state)

    @overload
    def channel(self, name: str) -> Observable[Any]: ...
    @overload
    def channel(self, name: str, message_type: TypeForm[M]) -> Observable[M]: ...
    def channel(self, name: str, message_type: Any = None) -> Observable[Any]:
        """Return what comes on a channel, hot: subscribed on the socket while it is observed.

        Args:
            name: as the server knows it, such as `user:42`.
            message_type: what its messages are, any type pydantic can validate; plain JSON without.
        """
        return self._channels.get(name, message_type)

    def request(
        self, value: Any, *, match: Callable[[Any], bool], timeout: float = 10.0
    ) -> Request[In]:
        """Send a value and wait for its answer: `await` it, call `.result()`, or observe it.

        Args:
            value: as for `send`.
            match: true for the message that answers it; every observer of `messages` sees that.
            timeout: seconds until the answer must have come.

        Raises:
            EncodeError: the value has no JSON form.
            StoreClosed: the store is closed.
        """
        self._life.refuse_closed()
        request: Request[In] = Request(self, match, timeout)
        try:
            request.sent(self.send(value))
        except BaseException:
            request.forgo()
            raise
        return request

    # Commands

    def set_access_token(self, token: TokenSource, *, principal: str | None = None) -> None:
        """Use another token or provider from the next attempt on; dial now after a failure.

        Where it is another user's, what waits is dropped and `last_message` reset.

        Args:
            token: as the option `access_token`.
            principal: as the option: whose it is. None reads the `sub` of a JWT, and takes every
                other token or provider as another user's.
        """
        identity = Identity(SecretStr(token) if isinstance(token, str) else token, principal)

        def use() -> None:
            self._connection.identity = identity
            if self._connection.state.status is Status.FAILED:
                self._connection.connect()

        if not self._life.closed:
            before, self._claimed = self._claimed, claimed(identity)
            unused = self._principal is None or self._token_mark is not None
            self._strange = self._strange or (unused and before != self._claimed)
            self._token_mark = self._outbox.mark()
            self.journal.on_token("set")
            self._life.call(use)

    def call_later(self, delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call something in some seconds; on the thread of the store's event loop only."""
        return self._runtime.loop.call_later(delay, call)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call something on the store's event loop, at once where this thread is its own."""
        self._life.call(call)

    def close(self) -> None:
        """Disconnect and end every subject. Idempotent, from any thread.

        Blocks until nothing is left where it can; on a thread that runs an event loop it only
        begins, and `await aclose()` is what waits.
        """
        self._life.close()

    async def aclose(self) -> None:
        """Disconnect, end every subject, and return when no task, thread or socket is left."""
        self._handlers.forgo()
        await self._life.aclose()

    def __repr__(self) -> str:
        return f"<WebSocketStore {self._name} {self.state.value.status}>"

    # Listener: called by the connection on its event loop

    def on_principal(self, principal: object, current: bool) -> None:
        """Forget the last message, and what waits, of another user or URL than an attempt's."""
        before, self._principal = self._principal, principal
        if callable(self._connection.identity.token):
            self.journal.on_token("provider")
        strange, mark = self._strange and current, self._token_mark
        if current:
            self._token_mark, self._strange = None, False
        other = before is not None and principal != before
        if other:
            self.last_message.reset(None)
        text = "it was queued for another user or URL"
        if (other or strange) and (count := self._outbox.clear(text, mark)):
            self.on_error(SendError(f"{count} sends were dropped: {text}", "dropped"))

    def on_session(self) -> None:
        """Subscribe the channels anew, before what waits."""
        self._channels.on_session()

    def on_unusable_loop(self) -> None:
        """Move to the background thread: this loop can not open sockets."""
        self._runtime.fall_back()

    # Parts

    def _supervise(self, endpoint: str, options: StoreOptions, codec: Codec[In]) -> Connection:
        """Make what dials and heals; a store without a network has another."""
        return Connection(endpoint, options, codec, self._outbox, self, self._runtime)

    def _send(self, value: Any) -> Receipt:
        self._life.refuse_closed()
        frame = encode(value)
        blocks = self._overflow == "block"
        if (blocks or self.connected) and not self._runtime.here() and running_loop() is None:
            # A thread can be faster than the loop's: it waits, as a socket's send would.
            self._outbox.wait_for_room(len(frame.data), None if blocks else SEND_PATIENCE)
        receipt = self._outbox.put(frame)
        if receipt.error is not None:
            self.on_error(receipt.error)
            return receipt
        self._bus.emit(self.send, value)
        if self._runtime.here():
            self._connection.flush()
        elif not self._flush_posted or self._runtime.loop.is_closed():
            self._flush_posted = True  # one wake-up for all that a thread sends meanwhile
            self._life.call(self._flush)
        return receipt

    def _open_session(self) -> Session | None:
        return self._connection.session

    def _tell(self, name: str, frame: Frame) -> None:
        self._outbox.put_ahead(name, frame)
        self._connection.flush()

    def _flush(self) -> None:
        self._flush_posted = False
        self._connection.flush()

    def _connect(self, value: Any) -> None:
        self._life.refuse_closed()
        # Before it is told: what an observer commands in turn comes after it.
        self._life.call(self._connection.connect)
        self._bus.emit(self.connect, value)

    def _disconnect(self, value: Any) -> None:
        if not self._life.closed:
            mark = self._outbox.mark()  # what is sent after it, on this thread, is not meant
            self._life.call(lambda: self._connection.disconnect(mark))
            self._bus.emit(self.disconnect, value)

    async def _finish(self) -> None:
        await self._connection.aclose()
        await self._handlers.finish()

    def _complete(self) -> None:
        self._outbox.close("the store was closed")
        self._channels.complete()
        self._complete_values()
        self._bus.complete((self.send, self.connect, self.disconnect))
        # What is emitted from now on, a late error, is delivered by whoever emits it.
        self._bus.bind(None, self._runtime.post)

    def _bind(self) -> None:
        self._bus.bind(self._runtime.owner, self._runtime.post)

    def _on_moved(self) -> None:
        self._flush_posted = False
        self._bind()
        self._channels.on_moved()
        self._runtime.post(self._connection.abandon)
