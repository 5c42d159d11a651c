"""Stores that share a connection: who joins, who is refused, who leaves, and what is left."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from heimdall_reactive import (
    ConfigurationError,
    Status,
    StoreClosed,
    WebSocketStore,
    create_websocket,
    loop_hop,
    use_websocket,
    ws_config,
)
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.sharing import registry
from heimdall_reactive.testing import Accept, Hang, Refuse, ScriptedPeer, VirtualTimeLoop
from heimdall_reactive.testing import run as run_virtual

from .socket_peer import SocketPeer
from .support import fate, record, run, until

URL = "ws://localhost/v1/ws/updates"
CANARY = "s3cret-canary-of-sharing"


def shared(transport: Any = "websockets", url: str = URL, **options: Any) -> WebSocketStore[Any]:
    options = {"share_linger": 0, "reconnect_delay": 0.02, **options}
    return use_websocket(url, share=True, transport=transport, **options)


def jwt(subject: str, serial: int = 0) -> str:
    claims = json.dumps({"sub": subject, "serial": serial}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.sig"


def completions(store: WebSocketStore[Any]) -> list[str]:
    """Return the names of the subjects of a store that complete, as they do."""
    ended: list[str] = []
    for name in ("state", "is_connected", "last_message", "messages", "errors", "send", "connect"):
        getattr(store, name).subscribe(on_completed=lambda name=name: ended.append(name))
    return ended


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def settled() -> None:
    await asyncio.sleep(0.001)  # in virtual time: everything that can be done now is done


# Joining


async def test_two_stores_share_one_socket_and_see_the_same() -> None:
    async with SocketPeer() as peer:
        async with (
            shared(url=peer.url) as first,
            shared(url=peer.url) as second,
        ):
            seen = record(first.messages), record(second.messages)
            link = await peer.accepted()
            link.send({"n": 1})
            await until(second, lambda: len(seen[1]) == 1)
            link.drop()
            link = await peer.accepted()
            link.send({"n": 2})
            await until(second, lambda: len(seen[1]) == 2)
            first.send({"from": "first"})
            second.send({"from": "second"})
            assert [await link.receive(8), await link.receive(8)] == [
                {"from": "first"}, {"from": "second"},
            ]  # fmt: skip
            assert seen == ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 2}])
            assert first.state.value is second.state.value
            assert (first.stats, first.stats.attempts) == (second.stats, 2)
        assert len(peer.links) == 2
    assert not registry.all


@pytest.mark.heimdall_virtual_time
async def test_a_late_joiner_has_the_values_of_now_and_no_old_messages() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first:
        link = await peer.accepted()
        link.send({"n": 1})
        await settled()
        async with shared(peer) as late:
            assert late.connected
            assert late.last_message.value == {"n": 1}
            assert late.state.value is first.state.value
            values, messages = record(late.last_message), record(late.messages)
            link.send({"n": 2})
            await settled()
            assert (values, messages) == ([{"n": 1}, {"n": 2}], [{"n": 2}])
    assert len(peer.dials) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"url": "ws://localhost/elsewhere"},
        {"url": URL + "?t=1"},
        {"access_token": "another-token"},
        {"access_token": lambda: "token"},
        {"access_token": "token", "principal": "eve"},
        {"share": False},
    ],
    ids=lambda other: "-".join(other),
)
def test_other_endpoints_and_principals_have_connections_of_their_own(other: Any) -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        options: dict[str, Any] = {
            "access_token": "token",
            "share_linger": 0,
            "transport": peer,
            "share": True,
        }
        url = other.pop("url", URL)
        async with use_websocket(URL, **options), use_websocket(url, **{**options, **other}):
            await peer.accepted()
            await peer.accepted()
            assert len(peer.live) == 2

    other = dict(other)
    run_virtual(main)


def test_a_path_and_its_url_are_one_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEIMDALL_WS_URL", "ws://localhost")

    async def main() -> None:
        peer = ScriptedPeer()
        async with shared(peer, "/v1/ws"), shared(peer, "ws://localhost/v1/ws"):
            link = await peer.accepted()
            monkeypatch.setattr(ws_config, "_ws_url", "ws://127.0.0.1")
            link.drop()
            await peer.accepted()
            assert {dial.url for dial in peer.dials} == {"ws://localhost/v1/ws"}

    run_virtual(main)


async def test_an_endpoint_that_is_none_fails_both() -> None:
    async with shared(url="ws://h:0") as first, shared(url="ws://h:0") as second:
        for store in (first, second):
            await store.wait_for(lambda state: state.status is Status.FAILED, 8)


@pytest.mark.heimdall_virtual_time
async def test_other_options_are_refused_by_name_and_without_their_values() -> None:
    peer = ScriptedPeer()
    options: dict[str, Any] = {"access_token": CANARY, "principal": "ada"}
    async with shared(peer, **options) as store:
        refused: list[tuple[dict[str, Any], str]] = [
            ({"max_size": 5}, "max_size"),
            ({"additional_headers": {"X-Key": CANARY}}, "additional_headers"),
            ({"share_linger": 3, "origin": "https://x"}, "origin, share_linger"),
            ({"unix": "/run/s", "family": 2}, "family, unix"),
            ({"message_type": dict[str, int]}, "message_type"),
            ({"access_token": CANARY + "2"}, "access_token"),
            ({"access_token": lambda: CANARY}, "access_token"),
            ({"access_token": jwt("ada"), "principal": None}, "access_token, principal"),
        ]
        for different, named in refused:
            with pytest.raises(ConfigurationError, match=f"options: {named}; pass") as caught:
                shared(peer, **{**options, **different})
            assert CANARY not in str(caught.value)
        async with shared(peer, **options, immediate=False) as second:
            assert second.state.value is store.state.value
    assert not registry.all


@pytest.mark.parametrize("turns", range(4))
def test_what_only_lingers_gives_way_to_other_options(turns: int) -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with shared(peer, share_linger=60) as first:
            await peer.accepted()
            seen = completions(first)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with shared(peer, share_linger=60, max_size=1000) as second:
            await second.wait_connected()
            await settled()
            assert "state" in seen
            assert [link.live for link in peer.links] == [False, True]
            assert loop_time() < 1
            async with shared(peer, share_linger=60, max_size=1000) as third:
                await third.wait_connected()
        assert len(peer.links) == 2
        await asyncio.sleep(61)
        assert peer.live == []
        assert not registry.all

    run_virtual(main)


def test_a_cell_that_runs_again_may_share_with_other_options() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        options: dict[str, Any] = {"key": "cell", "share_linger": 60}
        shared(peer, **options)
        await peer.accepted()
        second = shared(peer, **options, should_reconnect=lambda _: True)
        await second.wait_connected()
        await settled()
        assert [link.live for link in peer.links] == [False, True]
        rule = second._core.options.should_reconnect
        async with shared(peer, share_linger=60, should_reconnect=rule):  # it is not alone
            with pytest.raises(ConfigurationError, match="other options: max_size;"):
                shared(peer, **options, max_size=1000, should_reconnect=rule)
            assert second.connected
        await second.aclose()
        await asyncio.sleep(61)
        assert peer.live == []
        assert not registry.all

    run_virtual(main)


@pytest.mark.heimdall_virtual_time
async def test_joining_dials_where_nobody_is_connected_or_trying() -> None:
    peer = ScriptedPeer(Refuse(404))
    async with shared(peer) as first:
        await first.wait_for(lambda state: state.status is Status.FAILED)
        async with shared(peer, immediate=False):
            assert first.state.value.status is Status.FAILED
        async with shared(peer):
            await first.wait_connected()
            first.disconnect()
            async with shared(peer) as third:
                await third.wait_connected()


@pytest.mark.heimdall_virtual_time
async def test_joining_in_a_back_off_waits_with_the_others() -> None:
    peer = ScriptedPeer(Refuse(503))
    async with shared(peer, reconnect_delay=60) as first:
        await first.wait_for(lambda state: state.status is Status.WAITING)
        async with shared(peer, reconnect_delay=60) as second:
            assert second.state.value is first.state.value
            assert len(peer.dials) == 1


# Commands


@pytest.mark.heimdall_virtual_time
async def test_disconnect_and_connect_are_commands_to_the_connection_of_all() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first, shared(peer) as second:
        await peer.accepted()
        commands = record(first.disconnect), record(second.disconnect)
        first.disconnect()
        await second.wait_for(lambda state: state.status is Status.DISCONNECTED)
        assert commands == ([None, True], [None])
        second.connect()
        await first.wait_connected()


@pytest.mark.heimdall_virtual_time
async def test_a_refreshed_token_is_taken_for_all_and_another_users_is_refused() -> None:
    peer = ScriptedPeer()
    async with shared(peer, access_token=jwt("ada")) as first:
        link = await peer.accepted()
        with pytest.raises(ConfigurationError, match="keeps its user"):
            first.set_access_token(jwt("eve"))
        first.set_access_token(jwt("ada", 1))
        with pytest.raises(ConfigurationError, match="access_token"):
            shared(peer, access_token=jwt("ada"))
        async with shared(peer, access_token=jwt("ada", 1)):
            link.drop()
            await peer.accepted()
        assert [dial.token for dial in peer.dials] == [jwt("ada"), jwt("ada", 1)]


@pytest.mark.heimdall_virtual_time
async def test_a_disconnect_inside_an_observer_comes_after_the_message_for_everybody() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first, shared(peer) as second:
        seen: list[Any] = []
        first.is_connected.subscribe(lambda up: seen.append(("first", up)))
        second.is_connected.subscribe(lambda up: seen.append(("second", up)))
        link = await peer.accepted()
        await settled()
        seen.clear()
        statuses: list[Any] = []

        def stop(_: object) -> None:
            first.disconnect()
            statuses.extend((first.state.value.status, second.state.value.status))

        first.messages.subscribe(stop)
        second.messages.subscribe(lambda m: seen.append(("second", m["n"])))
        link.send({"n": 1})
        await settled()
        assert seen == [("second", 1), ("first", False), ("second", False)]
        assert statuses == [Status.DISCONNECTING] * 2


@pytest.mark.heimdall_virtual_time
async def test_values_are_consistent_between_the_stores_in_every_observer() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first, shared(peer) as second:
        seen: list[Any] = []
        first.state.subscribe(lambda state: seen.append(second.state.value is state))
        second.state.subscribe(lambda state: seen.append(first.state.value is state))
        first.messages.subscribe(lambda m: seen.append(second.last_message.value is m))
        second.messages.subscribe(lambda m: seen.append(first.last_message.value is m))
        (await peer.accepted()).send({"n": 1})
        await settled()
        assert set(seen) == {True}
        assert len(seen) >= 6


@pytest.mark.heimdall_virtual_time
async def test_errors_are_told_to_all_and_a_refused_send_to_its_store() -> None:
    peer = ScriptedPeer()
    async with shared(peer, outbox_limit=1) as first, shared(peer, outbox_limit=1) as second:
        link = await peer.accepted()
        errors = record(first.errors), record(second.errors)
        link.send("{not JSON", text=True)
        await settled()
        assert [len(seen) for seen in errors] == [1, 1]
        link.stall()
        await settled()
        while first.send("x").error is None:
            pass
        assert [len(seen) for seen in errors] == [2, 1]
        first.messages.subscribe(lambda m: m.missing)
        link.send({})
        await settled()
        assert [len(seen) for seen in errors] == [3, 2]
        assert first.stats.observer_errors == 1


@pytest.mark.heimdall_virtual_time
async def test_gaps_and_latencies_are_told_to_all() -> None:
    peer = ScriptedPeer()
    async with shared(peer, ping_interval=5) as first, shared(peer, ping_interval=5) as second:
        gaps = record(first.gaps), record(second.gaps)
        link = await peer.accepted()
        link.latency = 0.2
        await asyncio.sleep(6)
        assert first.latency.value == second.latency.value
        assert first.latency.value is not None
        link.drop()
        await peer.accepted()
        await second.wait_connected()
        assert gaps[0] == gaps[1]
        assert len(gaps[0]) == 1


def test_a_message_of_another_user_is_forgotten_in_every_store() -> None:
    tokens = iter([jwt("ada"), jwt("eve")])

    def provider() -> str:
        return next(tokens)

    async def main() -> None:
        peer = ScriptedPeer()
        async with (
            shared(peer, access_token=provider) as first,
            shared(peer, access_token=provider) as second,
        ):
            link = await peer.accepted()
            link.send({"for": "ada"})
            await settled()
            link.drop()
            await peer.accepted()
            assert (first.last_message.value, second.last_message.value) == (None, None)

    run_virtual(main)


@pytest.mark.heimdall_virtual_time
async def test_channels_are_counted_over_the_stores_and_end_with_theirs() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first:
        link = await peer.accepted()
        second = shared(peer)
        ended: list[str] = []
        first.channel("gps").subscribe()
        second.channel("gps").subscribe(on_completed=lambda: ended.append("gps"))
        assert await link.receive() == {"type": "Subscribe", "channel": "gps"}
        await second.aclose()
        await settled()
        assert ended == ["gps"]
        assert len(link.received) == 1


@pytest.mark.heimdall_virtual_time
async def test_a_client_with_callbacks_shares_as_well() -> None:
    peer = ScriptedPeer()
    opened: list[str] = []
    async with shared(peer):
        options: dict[str, Any] = {"share_linger": 0, "reconnect_delay": 0.02}
        async with create_websocket(
            URL, transport=peer, share=True, on_open=lambda: opened.append("client"), **options
        ) as client:
            await client.socket.wait_connected()
    assert opened == ["client"]
    assert len(peer.dials) == 1


# Leaving


@pytest.mark.heimdall_virtual_time
async def test_one_leaves_without_disturbing_the_other() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first:
        second = shared(peer)
        link = await peer.accepted()
        ended, others = completions(second), completions(first)
        states, messages = record(second.state), record(second.messages)
        await second.aclose()
        await second.aclose()
        second.close()
        assert sorted(ended) == sorted(
            ["state", "is_connected", "last_message", "messages", "errors", "send", "connect"]
        )
        assert states[-1].status is Status.DISCONNECTED
        assert (second.connected, first.connected) == (False, True)
        with pytest.raises(StoreClosed):
            second.send("x")
        second.disconnect()
        link.send({"n": 1})
        await settled()
        assert (messages, others) == ([], [])
        assert first.last_message.value == {"n": 1}
        assert peer.live == [link]
    assert peer.live == []


@pytest.mark.heimdall_virtual_time
async def test_a_store_that_leaves_in_its_own_observer_spares_the_others() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first, shared(peer) as second:
        first.messages.subscribe(lambda _: first.close())
        seen, left = record(second.messages), record(first.messages)
        link = await peer.accepted()
        link.send({"n": 1})
        await settled()
        link.send({"n": 2})
        await settled()
        assert seen == [{"n": 1}, {"n": 2}]
        assert left == [{"n": 1}]


@pytest.mark.heimdall_virtual_time
async def test_the_last_to_leave_ends_the_connection_after_a_linger() -> None:
    clock = asyncio.get_running_loop().time
    peer = ScriptedPeer()
    first = shared(peer, share_linger=5)
    link = await peer.accepted()
    await first.aclose()
    assert clock() < 1
    await asyncio.sleep(4)
    assert peer.live == [link]
    second = shared(peer, share_linger=5)
    await asyncio.sleep(10)
    assert second.connected
    await second.aclose()
    await asyncio.sleep(4)
    assert peer.live == [link]
    await asyncio.sleep(2)
    assert peer.live == []
    assert len(peer.dials) == 1
    assert not registry.all
    async with shared(peer, share_linger=0) as third:  # other options: it is another connection
        await third.wait_connected()
    assert len(peer.dials) == 2


@pytest.mark.heimdall_virtual_time
async def test_joining_and_leaving_in_one_breath_keeps_one_connection() -> None:
    peer = ScriptedPeer()
    store = shared(peer, share_linger=5)
    link = await peer.accepted()
    for _ in range(5):
        store.close()
        await settled()
        store = shared(peer, share_linger=5)
    assert peer.live == [link]
    await store.aclose()
    await asyncio.sleep(6)
    assert peer.live == []


@pytest.mark.heimdall_virtual_time
async def test_a_connection_that_is_ending_is_not_joined() -> None:
    peer = ScriptedPeer()
    first = shared(peer)
    (await peer.accepted()).latency = 0.5
    closing = asyncio.create_task(first.aclose())
    await asyncio.sleep(0.1)
    async with shared(peer) as second:
        await second.wait_connected()
        assert len(peer.dials) == 2
    await closing


def test_a_loop_that_ends_while_a_connection_lingers_ends_it() -> None:
    async def main() -> None:
        async with SocketPeer() as peer:
            async with shared(url=peer.url, share_linger=60):
                links.append(await peer.accepted())
            assert peer.live

    links: list[Any] = []
    asyncio.run(main())  # a socket that is left fails the test
    gc.collect()
    assert not registry.all


def test_stores_that_are_dropped_open_leave_nothing_in_the_registry() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        first, second = shared(peer), shared(peer)
        await peer.accepted()
        kept.append(weakref.ref(first))
        await first.aclose()
        await second.aclose()

    kept: list[weakref.ref[Any]] = []
    for _ in range(3):
        run_virtual(main)
    gc.collect()
    assert not registry.all
    assert [ref() for ref in kept] == [None] * 3


# Threads and loops


def test_threads_share_one_connection_of_the_background_thread() -> None:
    with serve_in_thread(require_token=False) as server:
        url, barrier = server.url + "/v1/ws", threading.Barrier(8)
        found: list[int] = []
        counts: list[int] = []

        def consume() -> None:
            barrier.wait()
            with use_websocket(url, share=True, share_linger=0.05) as store:
                store.wait_connected(8).result()
                found.append(store.state.value.session)
                counts.append(len(server.connections))
                barrier.wait()

        workers = [threading.Thread(target=consume) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == [1] * 8
        assert counts == [1] * 8


def test_the_last_to_leave_from_a_thread_blocks_until_nothing_is_left() -> None:
    with serve_in_thread(require_token=False) as server:
        before = set(threading.enumerate())
        with (
            use_websocket(server.url + "/v1/ws", share=True, share_linger=0) as first,
            use_websocket(server.url + "/v1/ws", share=True, share_linger=0) as second,
        ):
            second.wait_connected(8).result()
            first.close()
            assert second.connected
        assert set(threading.enumerate()) == before


def test_a_thread_joins_the_connection_of_a_loop_by_naming_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with SocketPeer() as peer:

            def consume() -> int:
                options: dict[str, Any] = {"share_linger": 0, "reconnect_delay": 0.02}
                with use_websocket(peer.url, share=True, loop=loop, **options) as store:
                    store.send({"from": "a thread"}).result(8)
                    return store.wait_connected(8).result().session

            async with shared(url=peer.url) as store:
                link = await peer.accepted()
                assert await asyncio.to_thread(consume) == 1
                assert await link.receive(8) == {"from": "a thread"}
                assert store.connected

    run(main)
    gc.collect()


def test_a_loop_that_does_not_run_is_left_at_once() -> None:
    loop = asyncio.new_event_loop()
    try:
        with use_websocket(
            "ws://127.0.0.1:9", share=True, share_linger=60, loop=loop, immediate=False
        ):
            pass
        assert not asyncio.all_tasks(loop)
        assert not registry.all
    finally:
        loop.close()


PROGRAM = """
import sys
from heimdall_reactive import use_websocket
with use_websocket(sys.argv[1], share=True, share_linger=60) as store:
    store.wait_connected(8).result()
"""


def test_a_program_that_ends_does_not_wait_for_a_linger() -> None:
    with serve_in_thread(require_token=False) as server:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, server.url + "/v1/ws"],
            check=True, timeout=20,
        )  # fmt: skip


def test_threads_that_come_and_go_never_lose_the_connection_of_another() -> None:
    with serve_in_thread(require_token=False) as server:
        url, problems = server.url + "/v1/ws", list[BaseException]()

        def come_and_go(linger: float) -> None:
            try:
                for _ in range(25):
                    with use_websocket(url, share=True, share_linger=linger) as store:
                        store.send("{}").result(8)
                        assert store.wait_connected(8).result().is_connected
            except BaseException as error:
                problems.append(error)

        for linger in (0.0, 0.002):
            workers = [threading.Thread(target=come_and_go, args=(linger,)) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        assert problems == []
    with use_websocket("ws://127.0.0.1:9", immediate=False):
        pass  # what lingers on the background thread shares it with this one
    gc.collect()


# With the rest of a store


async def test_close_on_a_loop_begins_what_aclose_waits_for() -> None:
    async with SocketPeer() as peer:
        store = shared(url=peer.url)
        await store.wait_connected(8)
        store.close()
        assert not store._life.ended
        await store.aclose()
        assert not registry.all
        await asyncio.wait_for(peer.links[0].ended(8), 8)


@pytest.mark.heimdall_virtual_time
async def test_receipts_of_what_waits_fail_when_the_last_store_leaves() -> None:
    peer = ScriptedPeer(Hang())
    first, second = shared(peer), shared(peer)
    waits, also = first.send("one"), second.send("two")
    await first.aclose()
    assert (waits.state, also.state) == ("queued", "queued")
    await second.aclose()
    assert (waits.state, also.state) == ("dropped", "dropped")


@pytest.mark.heimdall_virtual_time
async def test_what_a_store_has_sent_before_it_leaves_is_written() -> None:
    peer = ScriptedPeer(Accept(delay=1))
    async with shared(peer) as stays:
        leaves = shared(peer)
        receipt = leaves.send("goodbye")
        await leaves.aclose()
        link = await peer.accepted()
        assert await link.receive() == "goodbye"
        assert fate(receipt) == "written"
        assert stays.connected


@pytest.mark.heimdall_virtual_time
async def test_streams_handlers_views_and_requests_end_with_their_store() -> None:
    peer = ScriptedPeer()
    handled: list[Any] = []
    viewed: list[Any] = []

    async def handle(message: Any) -> None:
        handled.append(message)

    async with shared(peer) as stays:
        leaves = shared(peer)
        stream, kept = leaves.stream(), stays.stream()
        leaves.on_message(handle)
        view = leaves.observe_on(loop_hop())
        view.messages.subscribe(viewed.append, on_completed=lambda: viewed.append("end"))
        link = await peer.accepted()
        request = leaves.request({"ask": 1}, match=lambda m: m.get("answer") == 1)
        link.send({"answer": 1})
        assert await request == {"answer": 1}
        assert len(leaves.stats.consumers) == 3
        assert len(stays.stats.consumers) == 1
        await leaves.aclose()
        link.send({"n": 2})
        assert [message async for message in stream] == [{"answer": 1}]
        assert [await anext(kept), await anext(kept)] == [{"answer": 1}, {"n": 2}]
        assert (handled, viewed) == ([{"answer": 1}], [{"answer": 1}, "end"])


@pytest.mark.heimdall_virtual_time
async def test_a_selection_of_a_shared_store_is_its_own() -> None:
    peer = ScriptedPeer()
    async with shared(peer) as first:
        second = shared(peer)
        statuses = record(second.select(lambda state: str(state.status)))
        await peer.accepted()
        await second.wait_connected()
        first.select(lambda state: 1 / 0 if state.session > 1 else 0).subscribe()
        await second.aclose()
        assert statuses == ["connecting", "connected", "disconnected"]


# Odd moments


@pytest.mark.heimdall_virtual_time
async def test_the_last_store_leaves_in_an_observer_of_its_message() -> None:
    peer = ScriptedPeer()
    store = shared(peer)
    store.messages.subscribe(lambda _: store.close())
    (await peer.accepted()).send({"n": 1})
    await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
    await store.aclose()
    assert peer.live == []
    assert not registry.all


@pytest.mark.heimdall_virtual_time
async def test_a_store_that_joins_in_an_observer_gets_what_comes_next() -> None:
    peer = ScriptedPeer()
    joined: list[WebSocketStore[Any]] = []
    states: list[Any] = []
    messages: list[Any] = []

    def join_now(up: bool) -> None:
        if up:
            store = shared(peer)
            joined.append(store)
            store.state.subscribe(states.append)
            store.messages.subscribe(messages.append)

    async with shared(peer) as first:
        first.is_connected.subscribe(join_now)
        (await peer.accepted()).send({"n": 1})
        await settled()
        assert [state.status for state in states] == [Status.CONNECTED]
        assert messages == [{"n": 1}]
        await joined[0].aclose()


@pytest.mark.heimdall_virtual_time
async def test_a_store_that_joins_before_a_state_is_committed_gets_it_as_well() -> None:
    peer = ScriptedPeer()
    joined: list[WebSocketStore[Any]] = []

    def join_once(state: Any) -> bool:
        if state.is_connected and not joined:
            joined.append(shared(peer))
        return True

    async with shared(peer) as first:
        selection = first.select(join_once)
        await first.wait_connected()
        assert selection.value
        assert joined[0].state.value is first.state.value
        assert joined[0].connected
        await joined[0].aclose()


def test_stores_share_a_loop_that_does_not_run_yet() -> None:
    async def main() -> None:
        link = await peer.accepted()
        link.send({"n": 1})
        await settled()

    loop = VirtualTimeLoop()
    peer = ScriptedPeer()
    first, second = shared(peer, loop=loop), shared(peer, loop=loop)
    loop.run_until_complete(main())
    assert first.last_message.value == second.last_message.value == {"n": 1}
    first.close()
    assert second.connected
    second.close()
    assert peer.live == []
    loop.close()
    assert not registry.all


def test_a_loop_that_was_closed_is_left_for_the_background_thread() -> None:
    async def main() -> None:
        async with SocketPeer() as peer:
            stores.extend((shared(url=peer.url), shared(url=peer.url)))
            stores[0].disconnect()

    stores: list[WebSocketStore[Any]] = []
    asyncio.run(main())
    with serve_in_thread(require_token=False):
        for store in stores:
            store.close()
    assert [store.state.value.status for store in stores] == [Status.DISCONNECTED] * 2
    assert not registry.all


def test_a_provider_without_a_hash_is_one_user() -> None:
    @dataclass
    class Provider:
        token: str

        def __call__(self) -> str:
            return self.token

    async def main() -> None:
        peer = ScriptedPeer()
        provider, equal = Provider("token"), Provider("token")
        async with (
            shared(peer, access_token=provider) as first,
            shared(peer, access_token=provider) as second,
            shared(peer, access_token=equal) as third,
        ):
            await third.wait_connected()
            assert first.state.value is second.state.value
            assert len(peer.dials) == 2

    run_virtual(main)


@pytest.mark.heimdall_virtual_time
async def test_no_object_of_a_shared_store_shows_a_token() -> None:
    peer = ScriptedPeer()
    url = f"ws://u:{CANARY}@localhost/?t={CANARY}"
    async with shared(peer, url) as store, shared(peer, url):
        await peer.accepted()
        for key, core in registry.all.items():
            assert CANARY not in repr((key, core, vars(core), store, vars(store)))
