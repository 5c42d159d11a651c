"""Requests: one message out, its answer in, or a clear failure at once."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import (
    ConfigurationError,
    EncodeError,
    ObserverError,
    RequestLost,
    SendError,
    SessionProtocol,
    Status,
    StoreClosed,
    WaitTimeout,
    WebSocketStore,
)
from heimdall_reactive.requests import Request
from heimdall_reactive.testing import Accept, Hang, Link, Refuse, ScriptedPeer

from . import support
from .peers import peer as served
from .peers import quick
from .support import record
from .virtual import loop
from .virtual import steady_store_of as store_of


class WithIds(SessionProtocol):
    def correlate(self, value: Any) -> int:
        return int(value["id"])


def answers(number: int) -> Callable[[Any], bool]:
    return lambda message: bool(message.get("id") == number)


@pytest.mark.heimdall_virtual_time
async def test_many_requests_are_in_flight_and_each_gets_its_answer() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        requests = [store.request({"id": n}, match=answers(n)) for n in range(100)]
        await loop().idle()
        for message in reversed(peer.links[0].received):
            peer.links[0].send({"id": message["id"], "answer": message["id"] * 2})
        found = await asyncio.gather(*requests)
        assert [message["answer"] for message in found] == [n * 2 for n in range(100)]
        assert await requests[0] is found[0]  # however often it is awaited
        assert len(peer.links[0].received) == 100


@pytest.mark.heimdall_virtual_time
async def test_a_lost_connection_fails_what_was_written_at_once_and_not_what_still_waits() -> None:
    peer = ScriptedPeer(on_message=lambda link, m: link.send(m) if m["id"] == 2 else None)
    async with store_of(peer) as store:
        await store.wait_connected()
        written = store.request({"id": 1}, match=answers(1), timeout=600)
        await loop().idle()
        peer.links[0].drop()
        with pytest.raises(RequestLost, match="1006"):
            await written
        assert loop().time() < 1
        queued = store.request({"id": 2}, match=answers(2), timeout=600)
        assert await queued == {"id": 2}
        assert store.state.value.session == 2


@pytest.mark.heimdall_virtual_time
async def test_a_planned_reconnection_keeps_a_request_that_the_next_session_may_answer() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        request = store.request({"id": 1}, match=answers(1), timeout=None)
        await loop().idle()
        store.reconnect(4000, "resume")
        await store.wait_for(lambda state: state.session == 2)
        assert peer.links[1].received == []  # it is waited for, not repeated
        peer.links[1].send({"id": 1, "answer": 2})
        assert await request == {"id": 1, "answer": 2}


@pytest.mark.heimdall_virtual_time
async def test_a_planned_reconnection_that_fails_loses_what_was_written() -> None:
    peer = ScriptedPeer(Accept(), Refuse(503), Accept())
    async with store_of(peer) as store:
        await store.wait_connected()
        request = store.request({"id": 1}, match=answers(1), timeout=600)
        await loop().idle()
        store.reconnect()
        with pytest.raises(RequestLost, match="503"):
            await request
        assert loop().time() < 1


@pytest.mark.heimdall_virtual_time
async def test_a_request_takes_its_time_or_any() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        wrong: Any
        for wrong in ("5", -1, float("nan")):
            with pytest.raises(ConfigurationError, match="timeout must be 0 seconds or more"):
                store.request({"id": 1}, match=answers(1), timeout=wrong)
        request = store.request({"id": 1}, match=answers(1), timeout=None)
        await asyncio.sleep(3600)
        peer.links[0].send({"id": 1})
        assert await request == {"id": 1}


@pytest.mark.heimdall_virtual_time
async def test_an_answer_that_does_not_come_in_time_is_an_ordinary_message_later() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        seen = support.record(store.messages)
        await store.wait_connected()
        with pytest.raises(WaitTimeout, match="no answer within 5 s"):
            await store.request({"id": 1}, match=answers(1), timeout=5)
        assert loop().time() == pytest.approx(5)
        peer.links[0].send({"id": 1})
        await loop().idle()
        assert seen == [{"id": 1}]


@pytest.mark.heimdall_virtual_time
async def test_a_request_that_can_not_be_sent_fails_with_the_reason() -> None:
    peer = ScriptedPeer(Hang())
    async with store_of(peer, outbox_limit=1, send_ttl=3, open_timeout=60) as store:
        with pytest.raises(EncodeError):
            store.request(object(), match=answers(1))
        expires = store.request({"id": 1}, match=answers(1))
        with pytest.raises(SendError, match="outbox_limit"):
            await store.request({"id": 2}, match=answers(2))
        with pytest.raises(SendError, match="send_ttl"):
            await expires
        dropped = store.request({"id": 3}, match=answers(3))
        store.disconnect()
        with pytest.raises((SendError, RequestLost)):
            await dropped


@pytest.mark.heimdall_virtual_time
async def test_a_store_that_closes_or_gives_up_fails_its_requests() -> None:
    peer = ScriptedPeer()
    store = store_of(peer)
    await store.wait_connected()
    ended = store.request({"id": 1}, match=answers(1))
    await loop().idle()
    peer.links[0].close(1000)
    with pytest.raises(RequestLost):
        await ended
    assert store.state.value.status is Status.WAITING
    closing = store.request({"id": 2}, match=answers(2))
    await store.aclose()
    with pytest.raises((StoreClosed, SendError, RequestLost)):
        await closing


@pytest.mark.heimdall_virtual_time
async def test_a_predicate_that_raises_fails_its_own_request_only() -> None:
    peer = ScriptedPeer(on_message=Link.send)
    async with store_of(peer) as store:
        await store.wait_connected()
        broken = store.request({"id": 1}, match=lambda message: message["none"])
        good = store.request({"id": 2}, match=answers(2))
        with pytest.raises(KeyError):
            await broken
        assert await good == {"id": 2}
        assert store.connected


@pytest.mark.heimdall_virtual_time
async def test_a_predicate_that_finds_nothing_to_iterate_over_fails_its_request() -> None:
    peer = ScriptedPeer(on_message=Link.send)
    async with store_of(peer) as store:
        await store.wait_connected()
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await store.request({"id": 1}, match=lambda message: next(iter(message.get("no", ()))))


@pytest.mark.heimdall_virtual_time
async def test_an_async_predicate_is_refused() -> None:
    async def answered(_: Any) -> bool:
        return True

    wrong: Any = answered
    async with store_of(ScriptedPeer()) as store:
        with pytest.raises(TypeError, match=r"match= .*answered is async"):
            store.request({"id": 1}, match=wrong)


def test_a_wait_that_is_cancelled_as_the_request_fails_leaves_no_complaint() -> None:
    async def mute(connection: Any) -> None:
        await connection.wait_closed()

    async def main() -> None:
        async with served(mute) as url, quick(url) as store:
            await store.wait_connected(8)
            for _ in range(5):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):  # and the request's own time ends with it
                        await store.request({}, match=answers(1), timeout=0.05)

    support.run(main)
    gc.collect()  # then the loop would log an exception that was never retrieved


@pytest.mark.heimdall_virtual_time
async def test_a_cancelled_wait_leaves_nothing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        await store.wait_connected()
        timers = len(loop().timers)
        task = asyncio.ensure_future(_wait(store))
        await loop().idle()
        assert len(loop().timers) == timers + 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await loop().idle()
        assert len(loop().timers) == timers


async def _wait(store: WebSocketStore[Any]) -> Any:
    return await store.request({"id": 1}, match=answers(1), timeout=600)


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("protocol", [None, "ids"])
@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("answer", ": write"),
        ("late", ", which failed: no answer within 5 s: write"),
        ("loss", ", which failed: the answer can no longer come: the connection ended with code"),
    ],
)
async def test_a_request_that_nobody_looks_at_warns(
    fate: str, said: str, protocol: str | None
) -> None:
    peer = ScriptedPeer()
    gc.disable()  # it is told at once, not when the garbage collector comes by
    try:
        async with store_of(peer, protocol=None if protocol is None else WithIds()) as store:
            await store.wait_connected()
            match = answers(1) if protocol is None else None
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                store.request({"id": 1}, match=match, timeout=5)
                await loop().idle()
                assert caught == []  # it may still be looked at
                if fate == "answer":
                    peer.links[0].send({"id": 1})
                elif fate == "loss":
                    peer.links[0].drop()
                await asyncio.sleep(6)
    finally:
        gc.enable()
    (warning,) = caught
    assert warning.category is RuntimeWarning
    text = str(warning.message)
    assert text.startswith(f"nobody has looked at the answer to a request{said}")
    assert text.endswith("send() expects no answer")


@pytest.mark.heimdall_virtual_time
async def test_a_request_that_somebody_looks_at_or_that_was_not_made_does_not_warn() -> None:
    peer = ScriptedPeer(on_message=Link.send)
    async with store_of(peer, outbox_limit=1) as store:
        await store.wait_connected()
        observed = store.request({"id": 1}, match=answers(1))
        observed.subscribe()
        early = store.request({"id": 2}, match=answers(2))
        task = asyncio.ensure_future(early)
        await loop().idle()
        task.cancel()
        with pytest.raises(EncodeError):
            store.request(object(), match=answers(3))
        await asyncio.sleep(20)
    del observed, early, task
    gc.collect()  # a warning is an error


@pytest.mark.heimdall_virtual_time
async def test_a_request_is_an_observable_too() -> None:
    peer = ScriptedPeer(on_message=lambda link, m: link.send(m) if m["id"] < 3 else None)
    async with store_of(peer) as store:
        await store.wait_connected()
        seen: list[Any] = []

        def ask(number: int) -> Observable[Any]:
            return store.request({"id": number}, match=answers(number), timeout=5)

        reactivex.of(1, 2, 3).pipe(ops.flat_map(ask)).subscribe(
            lambda message: seen.append(message["id"]), seen.append, lambda: seen.append("end")
        )
        await asyncio.sleep(6)
        assert seen[:2] == [1, 2]
        assert isinstance(seen[2], WaitTimeout)
        assert len(seen) == 3
        late = store.request({"id": 0}, match=answers(0))
        await late
        late.subscribe(seen.append, on_completed=lambda: seen.append("end"))
        await loop().idle()
        assert seen[3:] == [{"id": 0}, "end"]  # sent once, observed when it likes
        assert len(peer.links[0].received) == 4


def test_requests_over_a_real_socket_from_a_thread() -> None:
    async def main() -> None:
        async def echo(ws: Any) -> None:
            async for message in ws:
                await ws.send(message)

        async with served(echo) as url, quick(url) as store:
            await store.wait_connected(8)

            def ask() -> Any:
                return store.request({"id": 1}, match=answers(1)).result(8)

            assert await asyncio.to_thread(ask) == {"id": 1}
            with pytest.raises(RuntimeError, match="await it"):
                store.request({"id": 2}, match=answers(2)).result()
            await store.request({"id": 3}, match=answers(3))

    support.run(main)


@pytest.mark.heimdall_virtual_time
async def test_a_request_that_still_waits_at_a_loss_is_sent_on_the_next_session() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        store.send("fills the socket")
        await loop().idle()
        request = store.request({"id": 1}, match=answers(1), timeout=60)
        assert repr(request) == "<Request waiting, queued>"
        await loop().idle()
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert peer.links[1].received == [{"id": 1}]
        peer.links[1].send({"id": 1, "answer": True})
        assert await request == {"id": 1, "answer": True}
        assert repr(request) == '<Request answered: {"id": 1, "answer": true}>'


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("queued", [False, True])
async def test_a_request_ends_with_the_store_that_it_waits_for(queued: bool) -> None:
    peer = ScriptedPeer(*[Hang()] * queued)
    async with store_of(peer) as store:
        if not queued:
            await store.wait_connected()
        waiting = store.request({"id": 1}, match=answers(1), timeout=60)
        await loop().idle()
        store.disconnect()
        error = SendError if queued else RequestLost
        with pytest.raises(error, match="disconnect"):
            await waiting


@pytest.mark.heimdall_virtual_time
async def test_a_request_of_a_store_that_is_idle_ends_when_that_is_closed() -> None:
    store = store_of(ScriptedPeer(), immediate=False)
    request = store.request({"id": 1}, match=answers(1), timeout=60)
    await loop().idle()
    await store.aclose()
    with pytest.raises((StoreClosed, SendError, RequestLost)):
        await request


@pytest.mark.heimdall_virtual_time
async def test_the_last_of_several_waits_that_is_cancelled_gives_the_request_up() -> None:
    async def wait(request: Request[Any]) -> Any:
        return await request

    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        request = store.request({"id": 1}, match=answers(1), timeout=60)
        ends: list[Any] = []
        request.subscribe(ends.append, ends.append, lambda: ends.append("completed"))
        gone = request.subscribe(ends.append, ends.append)
        gone.dispose()
        first, second = (asyncio.ensure_future(wait(request)) for _ in range(2))
        await loop().idle()
        first.cancel()
        await loop().idle()
        assert (second.done(), ends) == (False, [])
        second.cancel()
        await loop().idle()
        assert request._future.cancelled()
        (error,) = ends
        assert isinstance(error, RequestLost)
        assert error.reason == "cancelled"
        assert store.last_message.observers == []


@pytest.mark.heimdall_virtual_time
async def test_an_observer_of_a_request_that_raises_is_reported() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        errors = record(store.errors)
        request = store.request({"id": 1}, match=answers(1), timeout=60)
        raised = LookupError("secret")

        def fail(_: object) -> None:
            raise raised

        request.subscribe(fail, fail)
        peer.links[0].send({"id": 1})
        await loop().idle()
        assert [(type(e), getattr(e, "subject", None)) for e in errors] == [
            (ObserverError, "request")
        ]


def test_a_thread_is_told_whether_its_wait_or_the_request_has_ended() -> None:
    async def main() -> None:
        async def silent(ws: Any) -> None:
            await ws.wait_closed()

        async with served(silent) as url, quick(url) as store:
            await store.wait_connected(8)

            def ask() -> None:
                request = store.request({"id": 1}, match=answers(1), timeout=0.2)
                with pytest.raises(WaitTimeout, match=r"within 0\.01 s; the request goes on"):
                    request.result(0.01)
                with pytest.raises(WaitTimeout, match=r"^no answer within 0\.2 s$"):
                    request.result(8)

            await asyncio.to_thread(ask)
            with pytest.raises(RuntimeError, match=r"^request\.result\(\) would block"):
                store.request({"id": 2}, match=answers(2)).result()

    support.run(main)
