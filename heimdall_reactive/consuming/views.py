"""`StoreView`: the subjects of a store on another thread or event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.base.stats import ConsumerStats
from heimdall_reactive.reactive.face import Face
from heimdall_reactive.reactive.subjects import Command, State, Trigger

from .buffers import Buffer, Buffers
from .hops import Hop

__all__ = ["StoreView", "Viewed"]

In = TypeVar("In")
Step: TypeAlias = tuple[Callable[[Any], None], Any]  # what is done on the hop's side, with a value

KEPT_LIMIT: Final = 1024  # states that wait for a hop that stands still; then they are merged


class Viewed(Face[In]):
    """What a view shows: the values of a store, and its commands."""

    send: Command[Any, Receipt]
    connect: Trigger
    disconnect: Trigger


class StoreView(Face[In], abc.DisposableBase, Generic[In]):
    """A store as seen from another thread: the same subjects, told where the hop leads.

    State and messages come through one queue, in the order of the store, and one wake-up brings
    all that waits. The values are those of the moment, on the view's side: what an observer reads
    here is consistent with what it was told. Commands go straight to the store. The view ends
    with the store, after what waits.

    Args:
        store: what is viewed.
        hop: calls something soon on the other side; where it raises, the view is disposed of.
        buffer: what waits.
        buffers: where the counters are shown.

    Attributes:
        send: sends a value, as the store's.
        connect: dials now, as the store's.
        disconnect: ends the connection, as the store's.
    """

    def __init__(self, store: Viewed[In], hop: Hop, buffer: Buffer[Step], buffers: Buffers) -> None:
        super().__init__(buffer.name)
        self._store = store
        self._hop = hop
        self._buffer = buffer
        self._buffers = buffers
        self._armed = False  # the hop was asked, and has not come yet
        self._disposed = False
        self._attached = False
        self._over = False  # the store has ended
        self._fresh = False  # the newest message was put, and `last_message` follows
        self.send: Command[Any, Receipt] = Command(self._bus, "send", store.send)
        self.connect: Trigger = Trigger(self._bus, "connect", store.connect)
        self.disconnect: Trigger = Trigger(self._bus, "disconnect", store.disconnect)
        buffers.add(buffer)
        with store.send.bus.lock:  # the values and what follows them: nothing is between
            self._adopt_values()
            self._subscriptions = CompositeDisposable(self._attach())
            self._attached = True
        if self._over:
            self._put_end()

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now; also after the end."""
        return self._buffer.stats()

    def dispose(self) -> None:
        """Detach: nothing is told any more, not even what waits. Idempotent, from any thread."""
        with self._buffer.lock:
            self._disposed = True
            self._buffer.clear()
        self._subscriptions.dispose()
        self._buffers.remove(self._buffer)

    def report(self, error: BaseException, source: str) -> None:
        """Report what an observer of the view raised, on the store's `errors` and in the log."""
        self._store.report(error, source)

    def on_error(self, error: StoreError) -> None:
        """Tell what the store has told and logged already."""
        self._bus.emit(self._errors, error)

    # On the store's side

    def _adopt_values(self) -> None:
        pairs: list[tuple[State[Any], State[Any]]] = [
            (self.state, self._store.state),
            (self.is_connected, self._store.is_connected),
            (self.last_message, self._store.last_message),
            (self.latency, self._store.latency),
            (self.send, self._store.send),
            (self.connect, self._store.connect),
            (self.disconnect, self._store.disconnect),
        ]
        for mine, other in pairs:
            mine.value = other.value

    def _attach(self) -> list[abc.DisposableBase]:
        store = self._store
        # `messages` before `last_message`: what only the latter is told of is a reset.
        return [
            store.messages.subscribe(self._put_message),
            store.last_message.subscribe(self._put_reset),
            store.transitions.subscribe(self._put_state),
            store.latency.subscribe(self._put_latency),
            store.gaps.subscribe(lambda gap: self._put(self.on_gap, gap, True)),
            store.errors.subscribe(
                lambda error: self._put(self.on_error, error), on_completed=self._put_end
            ),
            *(
                self._follow(mine, other)
                for mine, other in (
                    (self.send, store.send),
                    (self.connect, store.connect),
                    (self.disconnect, store.disconnect),
                )
            ),
        ]

    def _follow(self, mine: Command[Any, Any], other: Observable[Any]) -> abc.DisposableBase:
        def tell(value: Any) -> None:
            self._bus.emit(mine, value)

        return other.subscribe(lambda value: self._put(tell, value))

    def _put_message(self, message: In) -> None:
        self._fresh = True
        self._put(self.on_incoming, message)

    def _put_reset(self, value: In | None) -> None:
        if not self._fresh:
            self._put(self.last_message.reset, value, True)
        self._fresh = False

    def _put_state(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        self._put(self.on_state, pair[1], True)

    def _put_latency(self, seconds: float | None) -> None:
        if seconds is not None:  # None comes with the state
            self._put(self.on_latency, seconds, True)

    def _put_end(self) -> None:
        self._over = True
        self._put(self._end, None, True)

    def _put(self, apply: Callable[[Any], None], value: Any, keep: bool = False) -> None:
        if not self._attached:
            return  # the replays: the values were adopted
        with self._buffer.lock:
            if self._disposed:
                return
            if keep and self._buffer.kept >= KEPT_LIMIT:
                self._merge()
            self._buffer.put((apply, value), keep=keep)
            wake, self._armed = not self._armed, True
        if wake:
            self._wake()

    def _merge(self) -> None:
        """Let the last of each kept value stand for all: the hop has stood still for long."""
        last: dict[object, Step] = {}
        for step in self._buffer.drop_all():
            last.pop(step[0], None)
            last[step[0]] = step
        for step in last.values():
            self._buffer.put(step, keep=True)

    def _wake(self) -> None:
        try:
            self._hop(self._come)
        except Exception as error:  # a loop that was closed, a window that is gone
            self.dispose()
            self._store.report(error, self._name)

    # On the hop's side

    def _come(self) -> None:
        """Tell what waited when this began; what comes meanwhile has a wake-up of its own."""
        try:
            for _ in range(len(self._buffer)):
                apply, value = self._buffer.take()
                apply(value)
        except IndexError:  # it was disposed of meanwhile
            pass
        finally:  # also after an interrupt, which must not freeze the view
            with self._buffer.lock:
                self._armed = more = bool(self._buffer)
            if more:
                self._wake()

    def _end(self, _: None) -> None:
        self._complete_values()
        self._bus.complete((self.send, self.connect, self.disconnect))
        self.dispose()
