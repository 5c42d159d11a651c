from __future__ import annotations

import asyncio
import base64
import gc
import json
import threading
from typing import Any, Literal

import pytest
import reactivex as rx
from pydantic import BaseModel
from reactivex import Subject
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject
from websockets.asyncio.server import ServerConnection

import heimdall_reactive
from benchmarks.peer import command, running
from heimdall_reactive import (
    AccountBanned,
    ConfigurationError,
    ConnectionState,
    EncodeError,
    InvalidMessage,
    ObserverError,
    ReadOnlyError,
    RolesUpdated,
    SendError,
    SourceError,
    Status,
    StoreClosed,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
    ws_config,
)
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer, serve_in_thread
from tests.support import SENT, fate

from .peers import peer, quick
from .support import descriptors, record, run, threads, until


class Tick(BaseModel):
    type: Literal["tick"] = "tick"
    n: int


class Quote(BaseModel):
    type: Literal["quote"] = "quote"
    price: float


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


def sending(*frames: str | bytes) -> Any:
    async def handler(ws: ServerConnection) -> None:
        for data in frames:
            await ws.send(data)
        await ws.wait_closed()

    return handler


# Section 1: the store


async def test_the_first_example_of_the_contract() -> None:
    async with DevServer() as server:
        ws_config.ws_url = server.url
        try:
            store = use_websocket("/v1/ws/updates", access_token=DEMO_TOKEN)
        finally:
            ws_config.ws_url = None
        connected = record(store.is_connected)
        async with store:
            # The endpoint is resolved by the attempt, which may come later than this line.
            assert isinstance(store.is_connected, BehaviorSubject)
            for subject in (store.last_message, store.send, store.connect, store.disconnect):
                assert isinstance(subject, BehaviorSubject)
            state = await store.wait_for(lambda s: s.status is not Status.CONNECTING, 8)
            assert state.status in (Status.CONNECTED, Status.WAITING)
        assert connected[0] is False


async def test_the_base_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DevServer() as server:
        monkeypatch.setenv("HEIMDALL_WS_URL", server.url)
        async with use_websocket("/v1/ws/status") as store:
            await store.wait_connected(8)


async def test_is_connected_is_distinct_and_follows_the_socket() -> None:
    async with DevServer() as server, quick(f"{server.url}/v1/ws/status") as store:
        seen = record(store.is_connected)
        await store.wait_connected(8)
        assert store.connected
        server.drop()
        await store.wait_for(lambda s: s.session == 2, 8)
        assert seen == [False, True, False, True]
        with pytest.warns(RuntimeWarning, match="always true"):
            assert bool(store.is_connected)
        with pytest.raises(ReadOnlyError):
            store.is_connected.on_next(True)


async def test_every_message_notifies_equal_ones_too_and_the_last_is_kept_over_a_reconnect() -> (
    None
):
    connections: list[ServerConnection] = []

    async def handler(ws: ServerConnection) -> None:
        connections.append(ws)
        if len(connections) == 1:
            for n in (1, 2, 3, 3):
                await ws.send(f'{{"n":{n}}}')
        await ws.wait_closed()

    async with peer(handler) as url, quick(url) as store:
        last, hot = record(store.last_message), record(store.messages)
        await until(store, lambda: len(hot) == 4)
        assert hot == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 3}]
        assert last == [None, *hot]
        connections[0].transport.abort()
        await store.wait_for(lambda s: s.session == 2, 8)
        assert store.last_message.value == {"n": 3}
        assert record(store.last_message) == [{"n": 3}]
        assert record(store.messages) == []


async def test_send_is_a_function_an_observer_and_a_subject() -> None:
    async with peer(echo) as url, quick(url, message_type=str | bytes) as store:
        hot = record(store.messages)
        await store.wait_connected(8)
        assert store.send.value is None
        receipt = store.send("text")
        assert (await receipt).state in SENT
        store.send(b"\x00\xff")
        store.send(Tick(n=1))
        clicks: Subject[Any] = Subject()
        clicks.subscribe(store.send)
        clicks.on_next({"type": "ping"})
        await until(store, lambda: len(hot) == 4)
        assert hot == ["text", b"\x00\xff", '{"type":"tick","n":1}', '{"type":"ping"}']
        assert store.send.value == {"type": "ping"}


async def test_sends_wait_while_not_connected_and_go_in_order() -> None:
    async with peer(echo) as url, quick(url, immediate=False) as store:
        hot = record(store.messages)
        assert store.state.value.status is Status.IDLE
        receipts = [store.send(n) for n in range(100)]
        assert {r.state for r in receipts} == {"queued"}
        # What an observer of the connection sends goes behind what waits already.
        store.is_connected.filter(lambda up: up).map(lambda _: 100).subscribe(store.send)
        store.connect()
        await until(store, lambda: len(hot) == 101)
        assert hot == list(range(101))
        assert {fate(r) for r in receipts} == {"written"}


async def test_a_full_outbox_rejects_and_says_so() -> None:
    async with quick("ws://127.0.0.1:9", immediate=False, outbox_limit=2) as store:
        errors = record(store.errors)
        accepted = record(store.send)
        states = [store.send(n).state for n in range(3)]
        assert states == ["queued", "queued", "rejected"]
        assert isinstance(errors[0], SendError)
        assert accepted == [None, 0, 1]
        assert store.stats.rejected == 1


async def test_disconnect_drops_what_waits() -> None:
    async with quick("ws://127.0.0.1:9", immediate=False) as store:
        receipt = store.send("x")
        store.disconnect()
        assert receipt.state == "dropped"
        with pytest.raises(SendError, match="disconnect"):
            await receipt


async def test_a_value_with_no_json_form_fails_in_the_callers_stack() -> None:
    async with quick("ws://127.0.0.1:9", immediate=False) as store:
        with pytest.raises(EncodeError):
            store.send(object())
        errors = record(store.errors)
        store.send.on_next(object())  # an upstream observable must not be torn down by it
        assert [type(e) for e in errors] == [EncodeError]
        assert store.send.value is None


async def test_transitions_have_both_sides_and_select_is_distinct() -> None:
    async with peer(echo) as url, quick(url) as store:
        pairs = record(store.transitions)
        session = store.select(lambda s: s.session)
        sessions = record(session)
        await store.wait_connected(8)
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert all(a is not b for a, b in pairs)
        assert [b for _, b in pairs][:-1] == [a for a, _ in pairs][1:]
        assert sessions == [0, 1]
        assert session.value == 1


async def test_a_selection_lives_as_long_as_it_is_observed() -> None:
    async with peer(echo) as url, quick(url) as store:
        ups: list[bool] = []
        subscription = store.select(lambda s: s.is_connected).subscribe(ups.append)
        gc.collect()
        await store.wait_connected(8)
        assert ups == [False, True]
        subscription.dispose()
        gc.collect()
        assert not store._values.selections  # nothing is computed for nobody


async def test_a_selector_that_raises_is_reported_and_its_value_stays() -> None:
    async with peer(echo) as url, quick(url, immediate=False) as store:
        errors = record(store.errors)
        attempt = store.select(lambda s: 1 // (s.session == 0))
        store.connect()
        await store.wait_connected(8)
        assert attempt.value == 1
        assert isinstance(errors[0], ObserverError)


async def test_messages_of_is_a_typed_filter() -> None:
    frames = ('{"type":"tick","n":1}', '{"type":"quote","price":2}', '{"type":"tick","n":3}')
    async with peer(sending(*frames)) as url, quick(url, message_type=Tick | Quote) as store:
        hot, ticks = record(store.messages), record(store.messages_of(Tick))
        both = record(store.messages_of(Tick, Quote))
        await until(store, lambda: len(hot) == 3)
        assert ticks == [Tick(n=1), Tick(n=3)]
        assert both == hot


async def test_latency_is_measured_by_pings_and_belongs_to_a_session() -> None:
    async with peer(echo) as url, quick(url) as store:
        seen = record(store.latency)
        got = asyncio.Event()
        store.latency.filter(lambda s: s is not None).subscribe(lambda _: got.set())
        await asyncio.wait_for(got.wait(), 8)
        assert seen[0] is None
        assert 0 < seen[1] < 1
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert store.latency.value is None


def test_waits_time_out_and_end_with_the_store() -> None:
    async def main() -> None:
        store = quick("ws://127.0.0.1:9", immediate=False)
        with pytest.raises(WaitTimeout):
            await store.wait_connected(0.01)
        with pytest.raises(ZeroDivisionError):
            await store.wait_for(lambda s: 1 // 0 == 1, 1)
        waiting = asyncio.ensure_future(_wait(store))
        await asyncio.sleep(0)
        await store.aclose()
        with pytest.raises(StoreClosed):
            await waiting
        assert len(store.state.observers) == 0

    async def _wait(store: Any) -> ConnectionState:
        return await store.wait_connected()  # type: ignore[no-any-return]

    run(main)


def test_unknown_and_impossible_options_are_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="unknown options: reconect_delay"):
        use_websocket("/", reconect_delay=1)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="ping_timeout must be"):
        use_websocket("/", ping_timeout=0)


def test_the_public_names_are_there() -> None:
    for name in heimdall_reactive.__all__:
        assert getattr(heimdall_reactive, name) is not None
    promised = (
        "use_websocket create_websocket WebSocketStore WebSocketClient Backoff Status "
        "ConnectionState Receipt ws_config ServerMessage HeimdallError"
    )
    assert set(promised.split()) <= set(heimdall_reactive.__all__)


# Section 2: messages over the wire


async def test_the_nine_messages_arrive_typed_and_unknown_types_as_plain_json() -> None:
    async with DevServer() as server:
        url = f"{server.url}/v1/ws/user"
        async with quick(url, access_token=DEMO_TOKEN) as store:
            hot = record(store.messages)
            await server.wait_for_connections(1)
            kinds = [
                "accountDeleted", "accountBanned", "sessionRevoked", "forceLogout",
                "rolesUpdated", "permissionsUpdated", "rolePermissionsChanged",
                "emailLinkVerified", "emailChangeVerified",
            ]  # fmt: skip
            sent = [server.fire(kind) for kind in kinds]
            server.send_raw('{"type":"brandNew","x":[1]}')
            server.send_raw(b"\x01\x02")
            await until(store, lambda: len(hot) == 11)
            assert hot[:9] == sent
            assert [m.type for m in hot[:9]] == kinds
            assert hot[0].timestamp.tzinfo is not None
            assert hot[9:] == [{"type": "brandNew", "x": [1]}, b"\x01\x02"]
            assert isinstance(hot[1], AccountBanned)
            assert isinstance(hot[4], RolesUpdated)


BAD = [
    ('{"type":"accountBanned"}', "timestamp"),
    ("{", "not JSON"),
    ('{"a":"\\ud800"}', "not JSON"),
    ("[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=["body", "json", "surrogate", "depth"])
async def test_a_bad_message_costs_a_report_and_not_the_connection(bad: str, reason: str) -> None:
    async with peer(sending(bad, '{"next":1}')) as url, quick(url) as store:
        errors = record(store.errors)
        await until(store, lambda: store.last_message.value is not None)
        assert store.last_message.value == {"next": 1}
        assert isinstance(errors[0], InvalidMessage)
        assert reason in errors[0].reason
        assert store.stats.invalid == 1
        assert store.state.value.session == 1


async def test_an_unknown_type_and_a_binary_message_are_invalid_where_the_type_excludes_them() -> (
    None
):
    frames = ('{"type":"other"}', b"binary", '{"type":"tick","n":1}')
    async with peer(sending(*frames)) as url, quick(url, message_type=Tick | Quote) as store:
        errors = record(store.errors)
        await until(store, lambda: store.last_message.value is not None)
        assert store.last_message.value == Tick(n=1)
        assert [type(e) for e in errors] == [InvalidMessage, InvalidMessage]
        assert store.connected


@pytest.mark.parametrize(
    ("poison", "code"), [("invalid utf-8", 1007), ("x" * 2 * 2**20, 1009)], ids=["utf-8", "2 MiB"]
)
async def test_what_the_protocol_forbids_ends_the_connection_which_heals(
    poison: str, code: int
) -> None:
    closes: list[int | None] = []

    async def handler(ws: ServerConnection) -> None:
        if not closes:
            closes.append(None)
            if code == 1007:
                await ws.send(b"\xff\xfe", text=True)
            else:
                await ws.send(poison)
            await ws.wait_closed()
            closes[0] = ws.close_code
        else:
            await ws.send('{"next":1}')
            await ws.wait_closed()

    async with peer(handler) as url, quick(url) as store:
        pairs = record(store.transitions)
        errors = record(store.errors)
        await until(store, lambda: store.last_message.value is not None)
        assert store.last_message.value == {"next": 1}
        ended = [b.close for _, b in pairs if b.status is Status.WAITING]
        assert [(c.code, c.who) for c in ended if c] == [(code, "client")]
        assert closes == [code]
        if code == 1007:
            assert "UTF-8" in str(errors[0])


# Section 3: behaviour


async def test_everything_has_one_order_also_for_emissions_inside_callbacks() -> None:
    async def handler(ws: ServerConnection) -> None:
        for n in range(3):
            await ws.send(f"{n}")
        await ws.close(1011)

    async with peer(handler) as url, quick(url, auto_reconnect=False) as store:
        one: list[Any] = []
        two: list[Any] = []

        def answer(message: int) -> None:
            one.append(message)
            store.send(f"echo {message}")

        store.messages.subscribe(answer)
        for seen in (one, two):
            if seen is two:
                store.messages.subscribe(seen.append)
            store.send.filter(lambda v: v is not None).subscribe(seen.append)
            store.is_connected.subscribe(seen.append)
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        expected = [False, True, 0, "echo 0", 1, "echo 1", 2, "echo 2", False]
        assert one == expected
        assert two == expected


async def test_values_read_in_any_callback_are_current_and_consistent() -> None:
    async with peer(echo) as url, quick(url) as store:
        mixed: list[Any] = []
        selected = store.select(lambda s: (s.status, s.session))

        def check(_: object) -> None:
            state = store.state.value
            if (state.is_connected, (state.status, state.session)) != (
                store.is_connected.value,
                selected.value,
            ):
                mixed.append(state)

        for source in (store.is_connected, store.state, selected, store.transitions):
            source.subscribe(check)
        for _ in range(3):
            await store.wait_connected(8)
            store.disconnect()
            await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
            store.connect()
        assert mixed == []


def test_a_raising_observer_is_reported_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with peer(sending("1", "2")) as url, quick(url) as store:
            errors = record(store.errors)
            before = record(store.messages)
            after: list[Any] = []
            store.messages.subscribe(lambda m: 1 / 0)  # type: ignore[arg-type]
            store.messages.subscribe(after.append)
            await until(store, lambda: len(after) == 2)
            assert before == after == [1, 2]
            assert [type(e.error) for e in errors] == [ZeroDivisionError] * 2
            assert store.connected
            assert store.stats.observer_errors == 2

    run(main)
    assert "an observer raised" in caplog.text


async def test_an_observer_of_the_errors_that_raises_does_not_feed_itself() -> None:
    async with peer(sending("{", "1")) as url, quick(url) as store:
        store.errors.subscribe(lambda e: 1 / 0)  # type: ignore[arg-type]
        await until(store, lambda: store.last_message.value == 1)
        assert store.stats.observer_errors == 1


async def test_finite_and_failing_sources_leave_the_commands_alive() -> None:
    async with peer(echo) as url, quick(url, immediate=False) as store:
        errors = record(store.errors)
        rx.of("a", "b").subscribe(store.send)
        rx.throw(RuntimeError("source")).subscribe(store.send)
        rx.of(1).subscribe(store.connect)
        hot = record(store.messages)
        store.send('"c"')
        await until(store, lambda: len(errors) >= 3)
        assert [type(e) for e in errors] == [SourceError, InvalidMessage, InvalidMessage]
        await until(store, lambda: hot == ["c"])
        rx.of(1).subscribe(store.disconnect)
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        store.connect()
        await store.wait_connected(8)


async def test_a_late_observer_of_a_command_triggers_nothing() -> None:
    received: list[Any] = []

    async def handler(ws: ServerConnection) -> None:
        received.extend([message async for message in ws])

    async with peer(handler) as url, quick(url) as store:
        await store.wait_connected(8)
        await store.send("once")
        assert record(store.send) == ["once"]
        assert record(store.disconnect) == [None]
        assert store.connected
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        store.connect()
        assert record(store.disconnect) == [True]
        await store.wait_connected(8)
    assert received == ["once"]


async def test_commands_may_come_from_any_thread() -> None:
    async with peer(echo) as url, quick(url) as store:
        hot = record(store.messages)
        where: set[int] = set()
        store.messages.subscribe(lambda _: where.add(threading.get_ident()))
        store.send.skip(1).subscribe(lambda _: where.add(threading.get_ident()))

        def work(k: int) -> None:
            for n in range(50):
                store.send([k, n])

        await asyncio.gather(*(asyncio.to_thread(work, k) for k in range(4)))
        await until(store, lambda: len(hot) == 200)
        for k in range(4):
            assert [m for m in hot if m[0] == k] == [[k, n] for n in range(50)]
        assert where == {threading.get_ident()}
        states = record(store.state)
        await asyncio.to_thread(store.disconnect)
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert states[-1].status is Status.DISCONNECTED
    await asyncio.get_running_loop().shutdown_default_executor()


# Loops and threads


def test_a_synchronous_program_needs_no_event_loop() -> None:
    with serve_in_thread(echo=True) as server:
        with quick(f"{server.url}/v1/ws/status") as store:
            store.wait_connected(8).result()
            got = threading.Event()
            store.messages.filter(lambda m: m == "hello").subscribe(lambda _: got.set())
            assert store.send('"hello"').result(8).state in SENT
            assert got.wait(8)
            server.drop()
            store.wait_for(lambda s: s.session == 2).result(8)
            with pytest.raises(WaitTimeout):
                store.wait_for(lambda s: False).result(0.01)
        assert store.state.value.status is Status.DISCONNECTED


def test_stores_without_a_loop_share_one_thread_which_ends_with_the_last() -> None:
    before = threads()
    with serve_in_thread() as server:
        serving = threads()
        stores = [quick(f"{server.url}/v1/ws/status") for _ in range(5)]
        for store in stores:
            store.wait_connected(8).result()
        assert len(threads() - serving) == 1
        for store in stores:
            store.close()
            store.close()
        assert threads() == serving
    assert threads() == before


async def test_blocking_waits_are_refused_on_a_running_loop() -> None:
    async with quick("ws://127.0.0.1:9", immediate=False) as store:
        with pytest.raises(RuntimeError, match="await"):
            store.wait_connected().result(1)
        with pytest.raises(RuntimeError, match="await"):
            store.send("x").result(1)


async def test_a_store_on_the_thread_serves_an_async_program() -> None:
    async with peer(echo) as url, quick(url, loop="thread") as store:
        await store.wait_connected(8)
        hot = record(store.messages)
        await store.send(1)
        await until(store, lambda: hot == [1])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_store_outlives_the_loop_it_was_made_on() -> None:
    with serve_in_thread(echo=True) as server:

        async def make() -> Any:
            store = quick(f"{server.url}/v1/ws/status")
            await store.wait_connected(8)
            return store

        # Not `run`: the socket is abandoned with its loop, as `asyncio.run` does it too.
        loop = asyncio.new_event_loop()
        store = loop.run_until_complete(make())
        loop.close()
        receipt = store.send("1")  # never raises because a loop has closed
        assert receipt.result(3).state in SENT
        assert store.state.value.session == 2
        store.close()
        gc.collect()


@pytest.mark.parametrize("phase", [Status.WAITING, Status.CONNECTING])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_store_that_was_not_yet_connected_outlives_its_loop_too(phase: Status) -> None:
    with serve_in_thread(echo=True) as server:
        if phase is Status.WAITING:
            server.refuse(503, 1)

        async def make() -> Any:
            store = quick(f"{server.url}/v1/ws/status", reconnect_delay=30.0)
            await store.wait_for(lambda s: s.status is phase, 8)
            return store

        store = asyncio.run(make())
        assert store.send("1").result(8).state in SENT
        assert store.state.value.session == 1
        store.close()
        gc.collect()


def test_a_given_loop_of_another_thread_carries_the_store() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    with serve_in_thread(echo=True) as server:
        store = quick(f"{server.url}/v1/ws/status", loop=loop)
        where: list[int | None] = []
        store.state.skip(1).subscribe(lambda _: where.append(threading.get_ident()))
        store.send("1")  # before the loop runs: it waits
        thread.start()
        store.wait_connected(8).result()
        assert store.send("2").result(8).state in SENT
        store.close()
        assert set(where) == {thread.ident}
        loop.call_soon_threadsafe(loop.stop)
        thread.join(8)
        loop.close()


def test_a_given_loop_that_is_closed_falls_back_to_the_thread() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with serve_in_thread() as server, quick(f"{server.url}/v1/ws/status", loop=loop) as store:
        store.wait_connected(8).result()


def test_a_loop_that_opens_no_sockets_falls_back_to_the_thread() -> None:
    class NoSockets(asyncio.SelectorEventLoop):
        async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    with serve_in_thread() as server:

        async def main() -> None:
            async with quick(f"{server.url}/v1/ws/status", reconnect_delay=30.0) as store:
                await store.wait_connected(8)  # at once: it is not a failure of the server's

        loop = NoSockets()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()


# The end


async def test_closing_ends_every_subject_after_its_last_value() -> None:
    async with peer(echo) as url:
        store = quick(url)
        events: list[str] = []
        sources: dict[str, Any] = {
            "state": store.state, "is_connected": store.is_connected,
            "last_message": store.last_message, "latency": store.latency,
            "messages": store.messages, "transitions": store.transitions,
            "errors": store.errors, "send": store.send, "connect": store.connect,
            "disconnect": store.disconnect, "select": store.select(lambda s: s.session),
        }  # fmt: skip
        for name, source in sources.items():
            source.subscribe(lambda _: None, on_completed=lambda n=name: events.append(n))
        await store.wait_connected(8)
        last = record(store.state)
        await store.aclose()
        await store.aclose()
        store.close()
        assert sorted(events) == sorted(sources)
        assert last[-1].status is Status.DISCONNECTED
        late: list[Any] = []
        store.is_connected.subscribe(late.append, on_completed=lambda: late.append("end"))
        assert late == [False, "end"]
        with pytest.raises(StoreClosed):
            store.send("x")
        with pytest.raises(StoreClosed):
            store.connect()
        store.disconnect()
        store.set_access_token("x")


async def test_closing_fails_the_receipts_that_are_open() -> None:
    store = quick("ws://127.0.0.1:9", immediate=False)
    receipt = store.send("x")
    await store.aclose()
    assert receipt.state == "dropped"


async def test_a_close_inside_a_callback_on_the_loop_ends_the_store() -> None:
    async with peer(sending("1")) as url:
        store = quick(url)
        done = asyncio.Event()
        store.state.subscribe(lambda _: None, on_completed=done.set)
        store.messages.subscribe(lambda _: store.close())
        await asyncio.wait_for(done.wait(), 8)
        await store.aclose()


def test_nothing_is_left_after_a_hundred_stores() -> None:
    async def main() -> None:
        async with DevServer(echo=True) as server:
            url = f"{server.url}/v1/ws/status"
            async with quick(url) as warm:
                await warm.wait_connected(8)
            await server.wait_for_connections(0)
            loop = asyncio.get_running_loop()
            before = (descriptors(), threads(), asyncio.all_tasks())
            stores = [quick(url, open_timeout=60) for _ in range(98)]
            stores.append(quick("ws://127.0.0.1:9"))  # refused, and waiting
            stores.append(quick(url, reconnect_delay=60.0))
            await asyncio.gather(*(_connected(store) for store in stores[:98]))
            for store in stores:
                store.send("1")
            await asyncio.gather(*(store.aclose() for store in stores))
            await server.wait_for_connections(0, 30)
            gc.collect()
            assert asyncio.all_tasks() == before[2]
            assert threads() == before[1]
            assert len(descriptors()) <= len(before[0])
            timers = [t for t in getattr(loop, "_scheduled", ()) if not t.cancelled()]
            mine = [t for t in timers if "heimdall_reactive.connecting.connection" in repr(t)]
            assert mine == []

    async def _connected(store: Any) -> None:
        await store.wait_connected(30)

    run(main)


def jwt(user: str, n: int) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'sub': user, 'n': n})}.x"


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        (jwt("ada", 1), jwt("ada", 2), jwt("bob", 1)),
        ("opaque-a", "opaque-a", "opaque-b"),
        (lambda: "t1", None, lambda: "t2"),
    ],
    ids=["jwt", "opaque", "provider"],
)
async def test_the_last_message_and_the_queue_of_one_user_do_not_reach_the_next(
    first: Any, same: Any, other: Any
) -> None:
    async with peer(echo) as url, quick(url, access_token=first) as store:
        await store.wait_connected(8)
        store.send(1)
        await until(store, lambda: store.last_message.value == 1)
        hot, last = record(store.messages), record(store.last_message)
        for token, kept in ((same or first, True), (other, False)):
            store.disconnect()
            await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
            receipt = store.send(2)
            store.set_access_token(token)
            store.connect()
            await store.wait_connected(8)
            assert fate(receipt) == ("written" if kept else "dropped")
            if kept:
                await until(store, lambda: store.last_message.value == 2)
        assert store.last_message.value is None
        assert last == [1, 2, None]
        assert hot == [2]


async def test_repr_shows_no_secret() -> None:
    store = use_websocket(
        "ws://user:pass@127.0.0.1:9/x?access_token=q", access_token="t0ken", immediate=False
    )
    assert repr(store) == "<WebSocketStore ws://127.0.0.1:9/x idle>"
    await store.aclose()


async def test_operators_compose_over_a_reconnection() -> None:
    async with DevServer(echo=True) as server, quick(f"{server.url}/v1/ws/status") as store:
        seen: list[Any] = []
        store.is_connected.pipe(
            ops.filter(lambda up: up),
            ops.scan(lambda n, _: n + 1, 0),
            ops.with_latest_from(store.state),
        ).subscribe(lambda pair: seen.append((pair[0], pair[1].session)))
        await store.wait_connected(8)
        server.drop(1012)
        await store.wait_for(lambda s: s.session == 2, 8)
        assert seen == [(1, 1), (2, 2)]


async def test_an_observer_of_the_errors_that_raises_them_again_does_not_loop() -> None:
    def again(error: Exception) -> None:
        raise error

    async with peer(sending("{", "1")) as url, quick(url) as store:
        errors = record(store.errors)
        store.errors.subscribe(again)
        await until(store, lambda: store.last_message.value == 1)
        assert len(errors) == 1


async def test_the_sends_of_a_thread_share_one_wake_up() -> None:
    async with peer(echo) as url, quick(url) as store:
        await store.wait_connected(8)
        hot = record(store.messages)
        posts: list[Any] = []
        post = store._core.runtime.post

        def counted(call: Any) -> None:
            posts.append(call)
            post(call)

        store._bus.bind(threading.get_ident(), counted)
        thread = threading.Thread(target=lambda: [store.send(n) for n in range(100)])
        thread.start()
        thread.join()  # the loop cannot come: one wake-up must do for all
        await until(store, lambda: len(hot) == 100)
        assert len(posts) == 1


async def test_an_idle_store_holds_few_objects() -> None:
    """What most stores never use is made at its first use: 119 objects with 3.11, 130 with 3.14."""

    async def connected() -> WebSocketStore[Any]:
        store = use_websocket(urls.plain, compression=None)
        await store.wait_connected()
        await store.send(command("hold"))
        return store

    with running() as urls:
        stores = [await connected() for _ in range(5)]  # what all share
        gc.collect()
        before = len(gc.get_objects())
        stores += [await connected() for _ in range(20)]
        gc.collect()
        assert (len(gc.get_objects()) - before) / 20 <= 131
        for store in stores:
            await store.aclose()


async def test_a_store_that_is_closed_cannot_be_entered_and_takes_no_handler() -> None:
    async def take(_: object) -> None: ...

    store = use_websocket("ws://127.0.0.1:9", immediate=False)
    await store.aclose()
    with pytest.raises(StoreClosed), store:
        pass
    with pytest.raises(StoreClosed):
        async with store:
            pass
    with pytest.raises(StoreClosed):
        store.on_message(take)
    assert [message async for message in store.stream()] == []  # as any observable that has ended


async def test_a_duration_that_is_probably_in_milliseconds_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with use_websocket("/ws?key=secret", immediate=False, open_timeout=5000):
        pass
    (record,) = caplog.records
    assert record.getMessage().startswith("/ws: open_timeout=5000 means 83 minutes")
    assert (record.levelname, vars(record)["event"]) == ("WARNING", "option")
    assert vars(record)["details"] == {"option": "open_timeout", "value": 5000}


async def test_sends_that_give_way_to_later_ones_are_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: Any = {"outbox_limit": 2, "outbox_overflow": "drop_oldest"}
    async with use_websocket("/ws", immediate=False, **options) as store:
        errors = record(store.errors)
        for n in range(7):
            store.send(n)
        assert (store.stats.dropped, errors) == (5, [])
        lines = list(caplog.messages)
    assert [line.partition(" dropped so far")[0] for line in lines] == [
        f"/ws: the outbox is full: {count}" for count in ("1 send", "2 sends", "4 sends")
    ]


@pytest.mark.parametrize("command", ["disconnect", "close"])
async def test_what_is_dropped_at_an_end_by_us_is_reported(
    command: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = use_websocket("/ws", immediate=False)
    errors = record(store.errors)
    receipts = [store.send(n) for n in range(2)]
    if command == "disconnect":
        store.disconnect()
    await store.aclose()
    (error,) = errors
    why = "disconnect() was called" if command == "disconnect" else "the store was closed"
    assert str(error).startswith(f"2 sends were dropped: {why}")
    assert [receipt.state for receipt in receipts] == ["dropped"] * 2
    assert caplog.messages == [f"/ws: {error}"]
