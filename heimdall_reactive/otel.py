"""OpenTelemetry metrics and spans of a store; needs the extra `otel`.

Nothing happens for a message: the counters are read when they are collected. Names follow the
semantic conventions (general, network, HTTP); for WebSockets there are none of their own yet.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from reactivex.abc import DisposableBase
from reactivex.disposable import CompositeDisposable, Disposable

from .base.endpoints import ws_config
from .base.exceptions import InvalidEndpoint, StoreError
from .base.extras import of_extra
from .base.state import ConnectionState, Status
from .base.stats import Stats
from .store import WebSocketStore

with of_extra("otel"):
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

__all__ = ["instrument"]

Attributes: TypeAlias = dict[str, Any]
Parts: TypeAlias = tuple[tuple[str, Attributes], ...]  # a field of `Stats`, and what tells it apart

SCOPE: Final = "heimdall_reactive"
DIRECTION: Final = "network.io.direction"
CONNECT: Final = "websocket.connect"  # the names of the spans
SESSION: Final = "websocket.session"
UP: Final = (Status.CONNECTED, Status.DISCONNECTING)
COUNTERS: Final[tuple[tuple[str, str, str, Parts], ...]] = (
    ("websocket.client.messages", "{message}", "Messages received and written",
     (("received", {DIRECTION: "receive"}), ("sent", {DIRECTION: "transmit"}))),
    ("websocket.client.io", "By", "Payload of the messages",
     (("received_bytes", {DIRECTION: "receive"}), ("sent_bytes", {DIRECTION: "transmit"}))),
    ("websocket.client.delivered", "{message}", "Messages that the peer is proved to have",
     (("delivered", {}),)),
    ("websocket.client.resent", "{message}", "Times a message was written again",
     (("resent", {}),)),
    ("websocket.client.unsent", "{message}", "Messages that were not sent, or in doubt",
     tuple((name, {"websocket.fate": name}) for name in
           ("rejected", "dropped", "expired", "in_doubt"))),
)  # fmt: skip


def instrument(
    store: WebSocketStore[Any],
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> DisposableBase:
    """Export the metrics and spans of a store to OpenTelemetry, until the store ends.

    Of stores that share a connection, instrument one: their counters are the same.

    Args:
        store: to be measured.
        meter_provider: gets the metrics; None is the global one.
        tracer_provider: gets the spans of attempts and sessions; None is the global one.

    Returns:
        A disposable that ends it earlier.
    """
    meters = _meters_of(meter_provider or metrics.get_meter_provider())
    tracer = (tracer_provider or trace.get_tracer_provider()).get_tracer(SCOPE)
    told = _Told(store, meters, tracer)
    meters.add(told)
    return CompositeDisposable(
        store.transitions.subscribe(told.on_transition, on_completed=told.end),
        store.errors.subscribe(told.on_error),
        store.latency.subscribe(told.on_latency),
        Disposable(told.end),
    )


class _Told:
    """What is notified of one store."""

    def __init__(self, store: WebSocketStore[Any], meters: _Meters, tracer: trace.Tracer) -> None:
        self.attributes = _server_of(store._core.name)
        self._store = store
        self._meters = meters
        self._tracer = tracer
        self._span: Span | None = None
        self._began = 0.0
        state = store.state.value
        if state.status is Status.CONNECTING or state.status in UP:  # it had begun before
            self._begin(SESSION if state.status in UP else CONNECT, state)

    @property
    def stats(self) -> Stats:
        return self._store.stats

    @property
    def connected(self) -> bool:
        return self._store.connected

    def on_transition(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        before, state = pair
        was_open, is_open = before.status in UP, state.status in UP
        if before.status is Status.CONNECTING or (was_open and not is_open):
            self._finish(state, was_open)
        if state.status is Status.CONNECTING:
            self._begin(CONNECT, state)
        elif is_open and not was_open:
            self._begin(SESSION, state)

    def on_error(self, error: StoreError) -> None:
        self._meters.errors.add(1, {**self.attributes, "error.type": type(error).__name__})

    def on_latency(self, seconds: float | None) -> None:
        if seconds is not None:
            self._meters.pings.record(seconds, self.attributes)

    def end(self) -> None:
        self._meters.remove(self)
        if self._span is not None:
            self._span.end()
            self._span = None

    def _begin(self, name: str, state: ConnectionState) -> None:
        number = {"websocket.session.number": state.session, "websocket.attempt": state.attempt}
        # A trace of its own: whoever made the store has long gone on when it reconnects.
        self._span = self._tracer.start_span(
            name, Context(), SpanKind.CLIENT, {**self.attributes, **number}
        )
        self._began = time.perf_counter()

    def _finish(self, state: ConnectionState, was_open: bool) -> None:
        span, self._span = self._span, None
        outcome: Attributes = {}
        if state.error is not None:
            outcome["error.type"] = getattr(state.error, "cause", type(state.error).__name__)
        durations = self._meters.sessions if was_open else self._meters.connects
        durations.record(time.perf_counter() - self._began, {**self.attributes, **outcome})
        if span is None:
            return
        if state.error is not None:
            span.set_status(StatusCode.ERROR, type(state.error).__name__)
        if state.http_status is not None:
            outcome["http.response.status_code"] = state.http_status
        if was_open and state.close is not None:
            outcome["websocket.close.code"] = state.close.code
        span.set_attributes(outcome)
        span.end()


class _Meters:
    """The instruments of one provider: one set for all stores, as a name may be used once."""

    def __init__(self, provider: MeterProvider) -> None:
        self._lock = threading.Lock()
        self._live: tuple[_Told, ...] = ()
        self._past: dict[tuple[str, frozenset[tuple[str, Any]]], int] = {}
        meter = provider.get_meter(SCOPE)
        for name, unit, text, parts in COUNTERS:
            meter.create_observable_counter(name, [self._reader(parts)], unit, text)
        meter.create_observable_up_down_counter(
            "websocket.client.active_sessions",
            [self._gauge(lambda told: int(told.connected))], "{session}", "Open connections",
        )  # fmt: skip
        meter.create_observable_up_down_counter(
            "websocket.client.outbox.size",
            [self._gauge(lambda told: told.stats.queued)], "{message}", "Messages that wait",
        )  # fmt: skip
        self.errors = meter.create_counter(
            "websocket.client.errors", "{error}", "What went wrong without ending anything"
        )
        self.connects = meter.create_histogram(
            "websocket.client.connect.duration", "s", "Attempts to connect"
        )
        self.sessions = meter.create_histogram(
            "websocket.client.session.duration", "s", "Connections that have ended"
        )
        self.pings = meter.create_histogram(
            "websocket.client.ping.duration", "s", "Round trips of pings"
        )

    def add(self, told: _Told) -> None:
        with self._lock:
            self._live = (*self._live, told)

    def remove(self, told: _Told) -> None:
        """Count a store no more; what it has counted stays, as a counter never goes back."""
        with self._lock:
            if told not in self._live:
                return
            self._live = tuple(other for other in self._live if other is not told)
            stats = told.stats
            for _, _, _, parts in COUNTERS:
                for name, _ in parts:
                    key = name, frozenset(told.attributes.items())
                    self._past[key] = self._past.get(key, 0) + getattr(stats, name)

    def _reader(self, parts: Parts) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            with self._lock:
                sums, live = dict(self._past), self._live
            apart = dict(parts)
            for told in live:
                stats = told.stats
                for name in apart:
                    key = name, frozenset(told.attributes.items())
                    sums[key] = sums.get(key, 0) + getattr(stats, name)
            return [
                Observation(value, {**dict(server), **apart[name]})
                for (name, server), value in sums.items()
                if name in apart
            ]

        return read

    def _gauge(
        self, value_of: Callable[[_Told], int]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            sums: dict[frozenset[tuple[str, Any]], int] = {}
            for told in self._live:
                key = frozenset(told.attributes.items())
                sums[key] = sums.get(key, 0) + value_of(told)
            return [Observation(value, dict(server)) for server, value in sums.items()]

        return read


_all: weakref.WeakKeyDictionary[MeterProvider, _Meters] = weakref.WeakKeyDictionary()
_making = threading.Lock()


def _meters_of(provider: MeterProvider) -> _Meters:
    with _making:
        meters = _all.get(provider)
        if meters is None:
            meters = _all[provider] = _Meters(provider)
        return meters


def _server_of(name: str) -> Attributes:
    """Tell the server of a store; path and query stay out: the one has no bound, the other keys."""
    try:
        parts = urlsplit(ws_config.resolve(name))
    except InvalidEndpoint:
        return {}
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    return {
        "network.protocol.name": "websocket",
        "server.address": parts.hostname or "",
        "server.port": port,
        "url.scheme": parts.scheme,
    }
