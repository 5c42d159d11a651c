"""`StoreView`: the subjects of a store on another thread or event loop."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

from reactivex import abc
from reactivex.disposable import CompositeDisposable

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.state import ConnectionState, Gap
from heimdall_reactive.base.stats import ConsumerStats
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.readable import Readable
from heimdall_reactive.reactive.source import Source
from heimdall_reactive.reactive.subjects import Command, Trigger
from heimdall_reactive.reactive.values import Values

from .buffers import Buffer, Buffers
from .hops import Hop
from .streams import detach

__all__ = ["StoreView", "Viewed"]

In = TypeVar("In")
# What is done with the view on the hop's side, and a value. Not a bound method: the store has the
# buffer, and must not keep the view alive.
ViewStep: TypeAlias = "tuple[Callable[[StoreView[Any], Any], None], Any]"

KEPT_LIMIT: Final = 1024  # states that wait for a hop that stands still; then they are merged


class Viewed(Readable[In]):
    """What a view shows: the values of a store, and its commands."""

    send: Command[Any, Receipt]
    connect: Trigger
    disconnect: Trigger


class StoreView(Readable[In], abc.DisposableBase):
    """A store as seen from another thread: the same subjects, told where the hop leads.

    State and messages come through one queue, in the order of the store, and one wake-up brings
    all that waits. The values are those of the moment, on the view's side: what an observer reads
    here is consistent with what it was told. Commands go straight to the store. The view ends
    with the store, after what waits, or when nobody has or observes it or any of its subjects.

    Args:
        store: what is viewed.
        hop: calls something soon on the peer; where it raises, the view is disposed of.
        buffer: what waits.
        buffers: where the counters are shown.

    Attributes:
        send: sends a value, as the store's.
        connect: connects now, as the store's.
        disconnect: ends the connection, as the store's.
    """

    def __init__(
        self, store: Viewed[In], hop: Hop, buffer: Buffer[ViewStep], buffers: Buffers
    ) -> None:
        bus = Bus(store._report)
        of_store = store._values.bus
        bus.shown = of_store.shown
        bus.lost = lambda: of_store.lost is not None and of_store.lost()
        super().__init__(Values(bus), store._call, store._report)
        self._bus = bus
        self._hop = hop
        self._buffer = buffer
        # Not a `WakeUp`: this stays set until `_come` ends. An event loop inside of an observer, as
        # a dialog's, would move all that comes into the bus, which has no bound.
        self._armed = False
        self._disposed = False
        self._attached = False
        self._over = False  # the store has ended
        self._fresh = False  # the newest message was put, and `last_message` follows
        self.send: Command[Any, Receipt] = Command(bus, "send", store.send)
        self.connect: Trigger = Trigger(bus, "connect", store.connect)
        self.disconnect: Trigger = Trigger(bus, "disconnect", store.disconnect)
        self._link = link = _Link(self)
        disown_in_child(self)
        bus.keep = self._keep  # whoever has a subject has its bus, and so this view
        subscriptions = CompositeDisposable()
        self._detach = weakref.finalize(self, detach, subscriptions, buffers, buffer)
        self._detach.atexit = False
        buffers.add(buffer)
        with store.send._bus.lock:  # the values and what follows them: nothing is between
            self._values.adopt(store._values)
            for mine in (self.send, self.connect, self.disconnect):
                mine._value = getattr(store, mine._name).value
            for each in link.subscriptions(store):
                subscriptions.add(each)
            self._attached = True
        if self._over:
            self._put_end()

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now; also after the end."""
        return self._buffer.stats()

    def __repr__(self) -> str:
        ended = " ended;" if self._disposed else ""
        return glance(self, f"{self.state.value};{ended} {self.stats.words()}")

    def dispose(self) -> None:
        """Detach: nothing is told any more, not even what waits. Idempotent, from any thread."""
        with self._buffer.lock:
            self._disposed = True
            self._buffer.clear()
        self._detach()

    def _disown(self) -> None:
        """Leave the view, as its store, to the parent process."""
        self._buffer.lock = threading.RLock()
        self._disposed = True
        self._bus.disown()
        self._values.disown()

    def _keep(self, source: Source[Any]) -> None:
        """Live on while a subject is observed; the bus's lock is held."""
        observed, seen = self._link.observed, None
        while seen is not source._records:  # a finaliser may have changed them
            seen = source._records
            (observed.add if seen else observed.discard)(source)

    # On the store's side

    def _put_message(self, message: In) -> None:
        self._fresh = True
        self._put(StoreView._tell_message, message)

    def _put_reset(self, value: In | None) -> None:
        if not self._fresh:
            self._put(StoreView._reset, value, True)
        self._fresh = False

    def _put_state(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        self._put(StoreView._tell_state, pair[1], True)

    def _put_latency(self, seconds: float | None) -> None:
        if seconds is not None:  # None comes with the state
            self._put(StoreView._tell_latency, seconds, True)

    def _put_gap(self, gap: Gap) -> None:
        self._put(StoreView._tell_gap, gap, True)

    def _put_error(self, error: StoreError) -> None:
        self._put(StoreView._tell_error, error)

    def _put_send(self, value: Any) -> None:
        self._put(StoreView._tell_send, value)

    def _put_connect(self, value: Any) -> None:
        self._put(StoreView._tell_connect, value)

    def _put_disconnect(self, value: Any) -> None:
        self._put(StoreView._tell_disconnect, value)

    def _put_end(self, _: None = None) -> None:
        self._over = True
        self._put(StoreView._end, None, True)

    def _put(
        self, apply: Callable[[StoreView[Any], Any], None], value: Any, keep: bool = False
    ) -> None:
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
        last: dict[object, ViewStep] = {}
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
            self._report(error, self._buffer.name)

    # On the hop's side

    def _come(self) -> None:
        """Tell what waited when this began; what arrives later has a wake-up of its own."""
        try:
            for _ in range(len(self._buffer)):
                apply, value = self._buffer.take()
                apply(self, value)
        except IndexError:  # it was disposed of by now
            pass
        finally:  # also after an interrupt, which must not freeze the view
            with self._buffer.lock:
                self._armed = more = bool(self._buffer)
            if more:
                self._wake()

    def _tell_message(self, message: In) -> None:
        self._bus.emit(self.last_message, message)

    def _reset(self, value: In | None) -> None:
        self.last_message._reset(value)

    def _tell_state(self, state: ConnectionState) -> None:
        self._bus.emit_all(self._values.changes(state))

    def _tell_latency(self, seconds: float) -> None:
        if self.connected:
            self._bus.emit(self.latency, seconds)

    def _tell_gap(self, gap: Gap) -> None:
        self._bus.emit(self._values.gaps, gap)

    def _tell_error(self, error: StoreError) -> None:
        self._bus.emit(self._values.errors, error)

    def _tell_send(self, value: Any) -> None:
        self._bus.emit(self.send, value)

    def _tell_connect(self, value: Any) -> None:
        self._bus.emit(self.connect, value)

    def _tell_disconnect(self, value: Any) -> None:
        self._bus.emit(self.disconnect, value)

    def _end(self, _: None) -> None:
        self._values.complete((self.send, self.connect, self.disconnect))
        self.dispose()


class _Link:
    """What a store has of a view: its observed subjects, which keep it alive, and no more.

    Args:
        view: which.
    """

    def __init__(self, view: StoreView[Any]) -> None:
        self.observed: set[Source[Any]] = set()
        self._view = weakref.ref(view)

    def subscriptions(self, store: Viewed[Any]) -> list[abc.DisposableBase]:
        """Subscribe the view; its bus's lock is held."""
        to, view = self._to, StoreView
        # `messages` before `last_message`: what only the latter is notified of is a reset.
        return [
            store.messages.subscribe(to(view._put_message)),
            store.last_message.subscribe(to(view._put_reset)),
            store.transitions.subscribe(to(view._put_state)),
            store.latency.subscribe(to(view._put_latency)),
            store.gaps.subscribe(to(view._put_gap)),
            store.errors.subscribe(
                to(view._put_error), on_completed=lambda: to(view._put_end)(None)
            ),
            store.send.subscribe(to(view._put_send)),
            store.connect.subscribe(to(view._put_connect)),
            store.disconnect.subscribe(to(view._put_disconnect)),
        ]

    def _to(self, method: Callable[[StoreView[Any], Any], None]) -> Callable[[Any], None]:
        def put(value: Any) -> None:
            view = self._view()
            if view is not None:
                method(view, value)

        return put
