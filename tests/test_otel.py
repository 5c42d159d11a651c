"""Metrics and spans of a store, over real sockets with a reconnection in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from heimdall_reactive import Status, WebSocketStore, use_websocket
from heimdall_reactive.otel import instrument
from heimdall_reactive.testing import Refuse

from .socket_peer import SocketLink, SocketPeer
from .support import run, until

CANARY = "s3cret-canary"


class Telescope:
    """Providers in memory, and what they have seen."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._exporter = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def watch(self, store: WebSocketStore[Any]) -> Any:
        return instrument(store, meter_provider=self.meters, tracer_provider=self.tracers)

    def points(self) -> dict[str, list[Any]]:
        """Return the data points of now by the name of their metric."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def values(self, name: str, *keys: str) -> dict[Any, float]:
        """Return the values of a counter by some of their attributes."""
        return {
            tuple(point.attributes.get(key) for key in keys): point.value
            for point in self.points().get(name, ())
        }

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def close(self) -> None:
        self.meters.shutdown()
        self.tracers.shutdown()


@pytest.fixture
def telescope() -> Iterator[Telescope]:
    made = Telescope()
    yield made
    made.close()


def echo(link: SocketLink, message: Any) -> None:
    link.send(message)


async def test_attempts_and_sessions_are_spans_and_messages_are_counted(
    telescope: Telescope,
) -> None:
    async with SocketPeer(Refuse(503), on_message=echo) as peer:
        url = f"{peer.url}/v1/ws?t={CANARY}"
        store = use_websocket(url, reconnect_delay=0.02, access_token=CANARY)
        telescope.watch(store)
        link = await peer.accepted()
        store.send({"n": 1})
        await until(store, lambda: store.last_message.value == {"n": 1})
        link.drop()
        link = await peer.accepted()
        store.send({"n": 2})
        await until(store, lambda: store.last_message.value == {"n": 2})
        link.send(b"\xff", text=False)
        assert telescope.values("websocket.client.active_sessions") == {(): 1}
        await until(store, lambda: store.stats.received == 3)
        await store.aclose()
        host = {"server.address": "127.0.0.1", "server.port": int(peer.url.rpartition(":")[2])}
        check_spans(telescope.spans(), host)
        check_metrics(telescope)
        shown = repr(telescope.points()) + repr([span.to_json() for span in telescope.spans()])
        assert CANARY not in shown


def check_spans(spans: list[ReadableSpan], host: dict[str, Any]) -> None:
    assert [span.name for span in spans] == [
        "websocket.connect", "websocket.connect", "websocket.session",
        "websocket.connect", "websocket.session",
    ]  # fmt: skip
    for span in spans:
        assert span.kind is SpanKind.CLIENT
        assert span.parent is None
        assert dict(span.attributes or {}).items() >= host.items()
    refused, _, lost, _, closed = (dict(span.attributes or {}) for span in spans)
    assert (refused["http.response.status_code"], refused["error.type"]) == (503, "http 503")
    assert (lost["websocket.close.code"], lost["error.type"]) == (1006, "close 1006")
    assert (closed["websocket.close.code"], closed["websocket.session.number"]) == (1000, 2)
    assert [span.status.status_code is StatusCode.ERROR for span in spans] == [
        True, False, True, False, False,
    ]  # fmt: skip


def check_metrics(telescope: Telescope) -> None:
    direction = "network.io.direction"
    assert telescope.values("websocket.client.messages", direction) == {
        ("receive",): 3, ("transmit",): 2,
    }  # fmt: skip
    assert telescope.values("websocket.client.io", direction)[("receive",)] >= 15
    assert telescope.values("websocket.client.active_sessions") == {}
    points = telescope.points()
    connects = points["websocket.client.connect.duration"]
    assert {p.attributes.get("error.type"): p.count for p in connects} == {"http 503": 1, None: 2}
    assert sum(point.count for point in points["websocket.client.session.duration"]) == 2


def test_several_stores_are_one_set_of_instruments_and_sums_never_go_back(
    telescope: Telescope, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with SocketPeer(on_message=echo) as peer:
            for expected in (1, 2):
                async with use_websocket(peer.url) as first, use_websocket(peer.url) as second:
                    watches = telescope.watch(first), telescope.watch(second)
                    await first.wait_connected(8)
                    await second.wait_connected(8)
                    assert telescope.values("websocket.client.active_sessions") == {(): 2}
                    await first.send({"n": 1})
                    for watch in watches:
                        watch.dispose()
                        watch.dispose()
                    assert telescope.values("websocket.client.active_sessions") == {}
                sent = telescope.values("websocket.client.messages", "network.io.direction")
                assert sent[("transmit",)] == expected

    run(main)
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def test_what_is_proved_and_what_is_sent_again_is_counted(telescope: Telescope) -> None:
    async with (
        SocketPeer() as peer,
        use_websocket(peer.url, resend=True, reconnect_delay=0.02) as store,
    ):
        telescope.watch(store)
        link = await peer.accepted()
        await store.send({"n": 1}).delivered(8)
        link.mute_pong()
        receipt = await store.send({"n": 2})
        link.drop()
        await receipt.delivered(8)
        assert telescope.values("websocket.client.delivered") == {(): 2}
        assert telescope.values("websocket.client.resent") == {(): 1}
        assert set(telescope.values("websocket.client.unsent").values()) == {0}


async def test_errors_are_counted_by_type_and_pings_measured(telescope: Telescope) -> None:
    async with SocketPeer() as peer, use_websocket(peer.url, ping_interval=0.02) as store:
        telescope.watch(store)
        heard = asyncio.Event()
        store.latency.subscribe(lambda seconds: None if seconds is None else heard.set())
        link = await peer.accepted()
        link.send("{not JSON", text=True)
        await until(store, lambda: store.stats.invalid == 1)
        await asyncio.wait_for(heard.wait(), 8)
        errors = telescope.values("websocket.client.errors", "error.type")
        assert errors == {("InvalidMessage",): 1}
        assert telescope.points()["websocket.client.ping.duration"][0].count >= 1


async def test_a_store_that_is_connected_already_has_its_session_told(telescope: Telescope) -> None:
    async with SocketPeer() as peer, use_websocket(peer.url) as store:
        await store.wait_connected(8)
        telescope.watch(store)
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)
        assert [span.name for span in telescope.spans()] == ["websocket.session"]
