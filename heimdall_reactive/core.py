"""`StoreCore`: one connection with all that belongs to it; stores are faces over it.

Way of a command: a store encodes in the caller's stack and hands the frame to `SendPath`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import asdict
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from reactivex import Observable

from .base.endpoints import redact
from .base.exceptions import ConfigurationError, EncodeError, StoreError
from .base.forking import INHERITED, disown_in_child, keep
from .base.frames import Frame, ValueFrame
from .base.glance import VALUE, shortly
from .base.masking import Mask
from .base.options import StoreOptions
from .base.session_protocol import NO_CHANNELS, overrides
from .base.state import Status
from .base.stats import ConsumerStats, Stats
from .channels import Channels
from .connecting.codec import Codec, encode
from .connecting.connection import Connection
from .connecting.lifecycle import Lifecycle
from .connecting.outbox import Outbox
from .connecting.runtime import LoopOption, Runtime
from .connecting.send_path import SendPath
from .connecting.tokens import Identity, claimed
from .consuming.holding import Holding
from .reactive.bus import Bus
from .reactive.journal import Journal
from .reactive.publisher import Publisher
from .reactive.values import Reporter, Values
from .requests import Request
from .transports import choose

__all__ = ["Seat", "StoreCore", "Supervise"]

CLAIMS: Final = 100  # users before the newest that are remembered until one of them connects


class Supervise(Protocol):
    """Makes what connects and reconnects: `Connection`, or another in its place."""

    def __call__(
        self,
        endpoint: str,
        options: StoreOptions,
        codec: Codec[Any],
        outbox: Outbox,
        listener: Publisher,
        runtime: Runtime,
        /,
    ) -> Connection:
        """Make it."""
        ...


class Seat(NamedTuple):
    """What a store has of its own in its core.

    Attributes:
        values: its subjects.
        reporter: reports on its `errors`.
        life: how its commands reach the event loop, and its end.
    """

    values: Values[Any]
    reporter: Reporter
    life: Lifecycle


class StoreCore:
    """One connection for one store.

    Args:
        endpoint: a path or a full URL.
        options: of the store.
        codec: decodes the frames.
        loop: where it runs.
        supervise: makes the connection.
        bounded_hold: whether `overflow="block"` may hold the server back for a while only.
        loud: whether outages are logged.
        shared: whether several stores may join.
    """

    __slots__ = (
        "__weakref__", "_bounded_hold", "_channels", "_claims", "_complete_store",
        "_finish_store", "_holding", "_other_user", "_pending", "_plain", "_principal",
        "_token_mark",
        "bus", "connection", "journal", "life", "name", "options", "outbox", "publisher",
        "reporter", "runtime", "send_path", "values",
    )  # fmt: skip

    life: Lifecycle

    def __init__(
        self,
        endpoint: str,
        options: StoreOptions,
        codec: Codec[Any],
        loop: LoopOption = "auto",
        supervise: Supervise = Connection,
        *,
        bounded_hold: bool = True,
        loud: bool = True,
        shared: bool = False,
    ) -> None:
        choose(options.transport)  # raises while there is no thread yet
        self.name = redact(endpoint)
        self.options = options
        self._bounded_hold = bounded_hold
        self._holding: Holding | None = None
        self.reporter = Reporter(self.name)
        self.reporter.hint(options)
        self.bus = Bus(self.reporter.raised)
        self.bus.shown = self.shown
        self.values: Values[Any] = Values(self.bus)
        self._principal: object = None
        self._token_mark: int | None = None
        # Who sends were queued for, by the mark from which on: since the last one who connected.
        whose = claimed(Identity(options.access_token, options.principal))
        self._claims: tuple[tuple[int, object], ...] = ((0, whose),)
        self._other_user = False  # what waits up to the mark may be another's than who connected
        self.runtime = Runtime(loop, self._bind, self._on_moved)
        self.outbox = Outbox(
            options.outbox_limit,
            options.outbox_bytes,
            options.outbox_overflow,
            options.send_ttl,
            None if options.send_ttl is None else self.runtime.time,
            self.reporter.dropped,
        )
        self.journal = Journal(self.name, self.runtime.wall, loud=loud)
        self.publisher = Publisher(self.values, self.reporter, self.journal, self, shared=shared)
        self.connection = supervise(
            endpoint, options, codec, self.outbox, self.publisher, self.runtime
        )
        own = options.protocol
        self.values.maker = codec if own is None else None  # else what `receive` returns
        self._plain = own is None or not any(
            overrides(own, method) for method in ("prepare", "encode", "correlate")
        )
        self._channels: Channels | None = None
        self.send_path = SendPath(
            self.outbox,
            self.connection,
            self.runtime,
            blocks=options.outbox_overflow == "block",
        )
        if codec.exact:
            self._read_exactly()
        self._pending: dict[Hashable, list[Request[Any]]] | None = None
        self._bind()
        disown_in_child(self)
        self.runtime.start()

    @property
    def channels(self) -> Channels:
        """All channels, made when somebody asks for one: they take 2 KB."""
        with self.bus.lock:
            if self._channels is None:
                own = self.options.protocol
                words = self.options.channel_protocol if own is None else own.channels
                self._channels = Channels(
                    self.bus,
                    words or NO_CHANNELS,
                    self.values.messages if own is None else None,
                    self.runtime.post,
                    self._put_ahead,
                    lambda: self.connection.state.is_connected,
                    self.reporter.error,
                    self.frame,
                    self._read_exactly,
                )
                self.send_path.catch_up = self._channels.catch_up
            return self._channels

    def seat(self, finish: Callable[[], Awaitable[None]], complete: Callable[[], None]) -> Seat:
        """Return what the store has of its own; its end is the connection's.

        Args:
            finish: ends what runs for the store, after the connection has.
            complete: ends its subjects.
        """
        self._finish_store, self._complete_store = finish, complete
        self.life = Lifecycle(
            self.runtime, self._finish, self._complete, self.options.close_timeout
        )
        return Seat(self.values, self.reporter, self.life)

    async def aclose(self) -> None:
        """Return at the end of the connection, where the end of a store is its end."""
        await self.life.aclose()

    # Commands, from any thread

    def connect(self) -> None:
        """Connect now, unless there is a connection or an attempt is under way."""
        self.life.call(self.connection.connect)

    def begin(self) -> None:
        """Connect for a store that was just made."""
        self.connect()

    def disconnect(self) -> None:
        """End the connection; what this thread sends after it is not dropped."""
        mark = self.outbox.mark()
        self.life.call(lambda: self.connection.disconnect(mark))

    def reconnect(self, code: int, reason: str, overlap: bool) -> None:
        """Open another session in place of this one; connect where there is none."""
        self.life.call(lambda: self.connection.reconnect(code, reason, overlap))

    def resubscribe(self, name: str) -> None:
        """Ask for a channel again."""
        self.life.call(lambda: self.channels.resubscribe(name))

    def frame(self, value: Any, on_key: Callable[[Hashable], None] | None = None) -> Frame:
        """Encode a value; with a protocol of one's own it is encoded when it is written.

        Raises:
            EncodeError: the value has no JSON form.
        """
        if self._plain:
            return encode(value)
        try:
            size = encode(value)
        except EncodeError:  # the protocol may know better
            size = Frame(b"", False)
        return ValueFrame.of(value, size, on_key)

    def expect(self, key: Hashable, request: Request[Any]) -> None:
        """Give a request the answer with its key; those with the same one get theirs in order."""
        self._pending = {} if self._pending is None else self._pending
        self._pending.setdefault(key, []).append(request)
        request._future.add_done_callback(
            lambda future: self.life.call(partial(self._forget, key, future))
        )

    def _forget(self, key: Hashable, future: object) -> None:
        pending = self._pending or {}
        left = [each for each in pending.pop(key, ()) if each._future is not future]
        if left:
            pending[key] = left

    def set_access_token(self, identity: Identity) -> None:
        """Use another identity from the next attempt on; connect now after a failure."""

        def use() -> None:
            self.connection.identity = identity
            if self.connection.state.status is Status.FAILED:
                self.connection.connect()

        unused = self._principal is None or self._token_mark is not None
        (_, before), claim = self._claims[-1], claimed(identity)
        self._token_mark = mark = self.outbox.mark()
        if before != claim:
            self._other_user = self._other_user or unused
            self._claims = (*self._claims[-CLAIMS:], (mark, claim))
        self.journal.on_token("set")
        self.life.call(use)

    # What it knows

    def holding(self) -> Holding:
        """Return what holds the server back for consumers that are full; one for all stores."""
        if self._holding is None:
            bounded = self._bounded_hold
            self._holding = Holding(
                lambda: self.connection.sessions.read, self.runtime, bounded=bounded
            )
        return self._holding

    def channel(self, values: Values[Any], name: str, message_type: Any) -> Observable[Any]:
        """Return a channel, for the store of these values."""
        return self.channels.get(name, message_type)

    def stats(self, reporter: Reporter, consumers: tuple[ConsumerStats, ...]) -> Stats:
        """Return the counters as they are now, with those that are a store's own."""
        return Stats(
            **asdict(self.connection.counters),
            **asdict(self.outbox.counters),
            queued=len(self.outbox),
            observer_errors=sum(each.count for each in {self.reporter, reporter}),
            consumers=consumers,
        )

    def shown(self, message: Any) -> str:
        """Return a message as a part of a line, without the connection's secrets; for a `repr`."""
        from .connecting.lines import message_line  # few programs need it

        if isinstance(message, (bytes, bytearray, memoryview)):  # masks know texts
            return f"{len(message)} bytes"
        text = self.connection.sessions.masked(message_line(message, 2 * VALUE))
        token: Any = self.connection.identity.token  # of a session to come
        if hasattr(token, "get_secret_value"):
            text = Mask([token.get_secret_value()])(text)
        return shortly(text)

    # Its end

    async def _finish(self) -> None:
        await self.connection.aclose()
        self._end_sources()
        await self._finish_store()

    def _end_sources(self) -> None:
        self.outbox.close("the store was closed")
        self.channels.complete()

    def _complete(self) -> None:
        self._end_sources()  # again: what finishes may have been cancelled before it
        self._complete_store()
        if self._holding is not None:
            self._holding.end()
        # What is emitted from now on, a late error, is delivered by whoever emits it.
        self.bus.bind(None, self.runtime.post)

    def _disown(self) -> None:
        """End in a child process what its parent goes on with; nobody is told."""
        keep(self)
        for part in (self.bus, self.runtime, self.publisher):
            part.disown()
        self.channels.disown()
        self.outbox.disown(f"not sent by this process: {INHERITED}")
        self.connection.sessions.disown()

    # Core: what the connection tells besides values

    def on_principal(self, principal: object, current: bool) -> None:
        """Forget the last message, and what waits, of another user or URL than an attempt's."""
        before, self._principal = self._principal, principal
        if callable(self.connection.identity.token):
            self.journal.on_token("provider")
        other = before is not None and principal != before
        other_user, mark = self._other_user and current, self._token_mark
        if current:
            self._token_mark, self._other_user = None, False
            self._claims = ((0, self._claims[-1][1]),)
        elif not other:  # an attempt whose token has been replaced by the present one
            mark = self._queued_before(claimed(self.connection.dialled))
            other_user = mark > 0
        if other:
            self.publisher.forget_message()
        if other or other_user:
            self.outbox.clear("it was queued for another user or URL", mark)

    def _queued_before(self, dialled: object) -> int:
        """Return the mark up to which sends were queued before an identity was set; 0 is none."""
        return next((mark for mark, claim in reversed(self._claims) if claim == dialled), 0)

    def on_session(self) -> None:
        """Subscribe the channels again, before what waits."""
        if self._channels is not None:
            self._channels.on_session()

    def on_envelope(self, envelope: Any, key: Hashable | None, answer: Any) -> None:
        """Answer the request with this key, and tell the channel that an envelope belongs to."""
        if key is not None and self._pending and (waiting := self._pending.get(key)):
            waiting.pop(0)._answered(answer)
        try:
            self.channels.dispatch(envelope)
        except Exception as raised:  # on the way of a frame it would end the connection
            name = type(raised).__name__
            self.reporter.error(StoreError(f"the channels' match raised {name}; fix that function"))

    def on_unusable_loop(self) -> Exception | None:
        """Move to the background thread: this loop cannot open sockets."""
        try:
            self.runtime.fall_back()
        except ConfigurationError as error:
            return error
        return None

    # Parts

    def _put_ahead(self, name: str, *frames: Frame, again: bool = False) -> None:
        self.outbox.put_ahead(name, *frames, again=again)
        self.connection.flush()

    def _read_exactly(self) -> None:
        if self.options.protocol is not None:
            self.options.protocol._exact = True

    def _bind(self) -> None:
        self.bus.lost = self.runtime.loop.is_closed
        self.bus.bind(self.runtime.owner, self.runtime.post)

    def _on_moved(self) -> None:
        self.send_path.on_moved()
        self._bind()
        if self._channels is not None:
            self._channels.on_moved()
        self.runtime.post(self.connection.abandon)
