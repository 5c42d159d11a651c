"""The public surface: which names there are, and what those who guess wrong are told."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import logging
import pickle
import subprocess
import sys
import typing
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import reactivex
from pydantic import BaseModel
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject

import heimdall_reactive
from heimdall_reactive import (
    ConfigurationError,
    MessageStream,
    ReadOnlyError,
    Receipt,
    ServerMessage,
    StoreView,
    WebSocketClient,
    WebSocketStore,
    create_websocket,
    loop_hop,
    use_websocket,
)
from heimdall_reactive.consuming.hops import QueueHop
from heimdall_reactive.testing import ScriptedPeer
from heimdall_reactive.testing import run as virtually

from .support import record, run, warnings_in

URL = "ws://localhost/v1/ws"

READABLE = {
    "connected", "errors", "gaps", "history", "is_connected", "last_message", "latency",
    "messages", "messages_of", "select", "state", "transitions", "wait_connected", "wait_for",
}  # fmt: skip
COMMANDS = {"connect", "disconnect", "send"}
STORE = READABLE | COMMANDS | {
    "aclose", "channel", "close", "iterate", "journal", "observe_on", "on_each", "on_message",
    "reconnect", "request", "resubscribe", "scheduler", "set_access_token", "stats",
    "stats_every", "stream",
}  # fmt: skip
VIEW = READABLE | COMMANDS | {"dispose", "stats"}
CLIENT = {
    "aclose", "close", "dropped", "is_open", "on_close", "on_error", "on_message", "on_open",
    "send", "socket",
}  # fmt: skip


def store_of(**options: Any) -> WebSocketStore[Any]:
    options = {"share_linger": 0, **options}
    return use_websocket(URL, immediate=False, **options)


def names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


# Names


@pytest.mark.parametrize("share", [False, True])
async def test_a_store_has_the_members_of_the_contract_and_nothing_else(share: bool) -> None:
    async with store_of(share=share) as store:
        assert names(store) == STORE
        assert names(store.observe_on(loop_hop())) == VIEW
        assert names(WebSocketClient(store)) == CLIENT


async def test_a_subject_adds_nothing_public_to_those_of_rxpy() -> None:
    async with store_of() as store:
        stock = names(BehaviorSubject(0))
        for subject in (store.state, store.send, store.connect, store.select(lambda s: s)):
            assert names(subject) == stock
        bare = names(reactivex.never())
        for source in (store.messages, store.errors, store.history(1), store.channel("c")):
            assert names(source) == bare


def test_every_public_name_is_there_also_those_that_are_imported_later() -> None:
    assert set(heimdall_reactive.__all__) <= set(dir(heimdall_reactive))
    for name in heimdall_reactive.__all__:
        assert getattr(heimdall_reactive, name) is vars(heimdall_reactive)[name]
    missing: Any = heimdall_reactive
    with pytest.raises(AttributeError, match="has no attribute 'nobody'"):
        missing.nobody  # noqa: B018


FRESH = {
    "star": "from heimdall_reactive import *\nassert RolesUpdated and WebSocketClient",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
import heimdall_reactive as h
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda n: getattr(h, n), ["Pong", "RolesUpdated", "ServerMessage"] * 20))
assert found == [h.Pong, h.RolesUpdated, h.ServerMessage] * 20
""",
    "pickled": f"""
import pickle
import subprocess
import sys
import heimdall_reactive
assert pickle.loads({pickle.dumps(heimdall_reactive.Subscribe(channel="c"))!r}).channel == "c"
""",
    "stores": """
from threading import Thread
from heimdall_reactive import use_websocket
def use() -> None:
    use_websocket("ws://127.0.0.1:9", immediate=False).close()
threads = [Thread(target=use) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
""",
}


@pytest.mark.parametrize("program", FRESH)
def test_names_are_imported_later_without_a_difference(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FRESH[program]], check=False, capture_output=True,
        text=True, timeout=60, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def returned() -> set[Any]:
    """Return the types that the members of the public classes return or are."""
    found: set[Any] = set()
    for kind in (WebSocketStore, StoreView, WebSocketClient, MessageStream):
        for name, member in inspect.getmembers(kind):
            if name.startswith("_") and name != "__init__":
                continue
            call = getattr(member, "fget", None) or getattr(member, "func", None) or member
            if inspect.isfunction(call):
                space = {**vars(heimdall_reactive), **vars(inspect.getmodule(call))}
                found.add(get_type_hints(call, space, {"TypeForm": type}).get("return"))
    pending, flat = list(found), set()
    while pending:
        hint = pending.pop()
        pending += typing.get_args(hint)
        flat.add(typing.get_origin(hint) or hint)
    return {hint for hint in flat if isinstance(hint, type) and "heimdall" in hint.__module__}


def test_types_that_are_returned_can_be_imported() -> None:
    assert {kind.__name__ for kind in returned()} <= set(heimdall_reactive.__all__)
    assert {"Waiter", "Command", "Trigger", "State", "Request", "Journal"} <= set(
        heimdall_reactive.__all__
    )


# Values


@pytest.mark.parametrize("name", ["state", "is_connected", "last_message", "latency", "send"])
async def test_assigning_a_value_is_refused_and_changes_nothing(name: str) -> None:
    async with store_of() as store:
        subject: Any = getattr(store, name)
        before = subject.value
        with pytest.raises(ReadOnlyError, match=repr(name)):
            subject.value = True
        assert subject.value is before
        assert not store.connected


def sources(store: WebSocketStore[Any]) -> list[Observable[Any]]:
    request = store.request({"n": 1}, match=bool)
    request.subscribe(on_error=lambda error: None)
    return [
        store.messages, store.state, store.errors, store.gaps, store.transitions, store.send,
        store.messages_of(dict), store.history(2), store.channel("c"), store.stats_every(1.0),
        store.select(lambda state: state.session), request,
    ]  # fmt: skip


def test_a_loop_over_an_observable_names_what_to_loop_over() -> None:
    async def main() -> None:
        async with store_of() as store:
            for source in sources(store):
                loop: Any = source
                for use in (list, iter_once, lambda each: 1 in each, lambda each: each[0]):
                    with pytest.raises(TypeError, match=r"store\.stream\(\).*store\.iterate\(\)"):
                        use(loop)
                assert isinstance(source[1:], Observable)

    def iter_once(source: Any) -> None:
        for _ in source:
            return

    run(main)


async def test_observables_of_a_store_still_count_as_observables_for_operators() -> None:
    async with store_of() as store:
        same = record(reactivex.just(False).pipe(ops.sequence_equal(
            store.is_connected.pipe(ops.take(1))
        )))  # fmt: skip
        assert same == [True]


# Calls that cannot work


async def test_a_type_that_is_none_is_refused_at_the_call() -> None:
    async with store_of() as store:
        wrong: list[Any] = ["x", 3, None, list[int], heimdall_reactive.ServerMessage]
        for kind in wrong:
            with pytest.raises(TypeError, match="messages_of"):
                store.messages_of(kind)
        with pytest.raises(TypeError, match="nothing"):
            store.messages_of()
        both: Any = int | str
        store.messages_of(int, str)
        store.messages_of(both)


class Known(BaseModel):
    """A model that is passed as `message_type`."""


class Unknown(BaseModel):
    """A model that nobody passes as `message_type`."""


@pytest.mark.parametrize("message_type", [None, Any, str | bytes, ServerMessage, Known])
@pytest.mark.parametrize("share", [False, True])
async def test_a_type_that_no_message_has_is_refused_at_the_call(
    message_type: Any, share: bool
) -> None:
    async with store_of(message_type=message_type, share=share) as store:
        if message_type is ServerMessage:  # an annotated union: nobody knows
            store.messages_of(Unknown)
            return
        for source in (store, store.observe_on(loop_hop())):
            with pytest.raises(ConfigurationError, match="pass message_type=Unknown, or a union"):
                source.messages_of(Unknown)
            with pytest.raises(ConfigurationError, match="never emit"):
                source.messages_of(str, Unknown)


async def test_a_protocol_may_make_messages_of_any_type() -> None:
    async with store_of(protocol=heimdall_reactive.SessionProtocol()) as store:
        store.messages_of(Unknown)


def sync(message: object) -> None: ...
def undeclared(message):  # type: ignore[no-untyped-def]
    return message


class Sync:
    def method(self, message: object) -> int:
        return 1


@pytest.mark.parametrize(
    "call", [sync, undeclared, Sync().method, print, [].append, functools.partial(sync)]
)
async def test_a_sync_function_is_refused_as_an_async_handler(call: Any) -> None:
    async with store_of() as store:
        for attach in (store.on_message, lambda c: store.on_each(store.state, c)):
            with pytest.raises(TypeError, match=r"messages\.subscribe"):
                attach(call)
        assert store.stats.consumers == ()


def test_what_returns_an_awaitable_is_accepted_as_an_async_handler() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        seen: list[Any] = []

        async def handler(message: Any) -> None:
            seen.append(message)

        class Handler:
            async def __call__(self, message: Any) -> None:
                await handler(message)

            async def method(self, message: Any) -> None:
                await handler(message)

        def declared(message: Any) -> Awaitable[None]:
            return handler(message)

        @functools.wraps(handler)
        def wrapped(message: Any) -> Any:
            return handler(message)

        calls: list[Callable[[Any], Awaitable[object]]] = [
            handler, Handler(), Handler().method, declared, wrapped, lambda m: handler(m),
            functools.partial(handler),
        ]  # fmt: skip
        async with use_websocket(URL, transport=peer) as store:
            for call in calls:
                store.on_message(call)
            store.on_message(store.send)  # its receipts can be awaited
            (await peer.accepted()).send({"n": 1})
            await asyncio.sleep(0.1)
            assert seen == [{"n": 1}] * len(calls)
            assert store.send.value == {"n": 1}
            assert store.stats.observer_errors == 0

    virtually(main)


async def test_awaiting_a_command_says_what_to_await() -> None:
    store = store_of(auto_reconnect=False)
    calls: list[tuple[Callable[[], Any], str]] = [
        (store.connect, "await wait_connected()"),
        (store.disconnect, "await wait_for("),
        (store.close, "await aclose()"),
        (create_websocket(URL, immediate=False).close, "await aclose()"),
    ]
    for call, words in calls:
        result = call()
        assert not result
        assert not inspect.isawaitable(result)  # frameworks would await it
        with pytest.raises(TypeError) as caught:
            await result
        assert words in str(caught.value)
    await store.aclose()


async def test_pickling_or_copying_a_store_says_what_to_do() -> None:
    async with store_of() as store:
        things: list[Any] = [
            store, WebSocketClient(store), store.observe_on(loop_hop()), store.state,
            store.messages, store.send,
        ]  # fmt: skip
        for thing in things:
            for use in (pickle.dumps, copy.deepcopy):
                with pytest.raises(TypeError, match="use_websocket"):
                    use(thing)


# Bridges and views


@pytest.mark.parametrize("first", ["source", "target"])
def test_a_bridge_between_stores_ends_quietly(first: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        peers = ScriptedPeer(), ScriptedPeer()
        source = use_websocket(URL, transport=peers[0])
        target = use_websocket(URL, transport=peers[1])
        source.messages.subscribe(target.send)
        link = await peers[0].accepted()
        await target.wait_connected()
        link.send({"n": 1})
        await asyncio.sleep(0.1)
        assert target.send.value == {"n": 1}
        errors = record(target.errors)
        await {"source": source, "target": target}[first].aclose()
        if first == "target":
            link.send({"n": 2})
            await asyncio.sleep(0.1)
        await source.aclose()
        await target.aclose()
        assert (errors, target.send.value) == ([], {"n": 1})

    with caplog.at_level(logging.INFO, "heimdall_reactive"):
        virtually(main)
    assert warnings_in(caplog) == []


async def test_what_a_command_raises_of_its_own_is_still_reported() -> None:
    async with store_of() as store:
        errors = record(store.errors)
        store.send.on_next(object())
        assert len(errors) == 1


def test_a_view_that_nobody_has_or_observes_is_collected() -> None:
    async def main() -> None:
        async with store_of() as store:
            hop = QueueHop()
            view = store.observe_on(hop)
            seen = record(view.state)
            messages, gone = view.messages, weakref.ref(view)
            subscription = messages.subscribe(seen.append)
            del view, messages
            gc.collect()
            assert gone() is not None  # it is observed
            assert len(store.stats.consumers) == 1
            store.connect()
            hop.run_pending()
            assert len(seen) == 2
            subscription.dispose()
            gc.collect()
            assert gone() is not None  # `state` still is

    async def abandoned() -> None:
        async with store_of() as store:
            hop = QueueHop()
            view = store.observe_on(hop)
            subscriptions = [view.state.subscribe(print), view.messages.subscribe(print)]
            kept = view.history(3)
            gone = weakref.ref(view)
            store.connect()
            del view
            for subscription in subscriptions:
                subscription.dispose()
            gc.collect()
            assert gone() is not None  # somebody has one of its observables, and a step waits
            del kept
            hop.run_pending()
            gc.collect()
            assert gone() is None
            assert store.stats.consumers == ()
            store.disconnect()
            assert hop.run_pending() == 0

    run(main)
    run(abandoned)


def test_a_view_waits_as_its_store_does() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with use_websocket(URL, transport=peer) as store:
            view = store.observe_on(loop_hop())
            assert (await view.wait_connected(1.0)).is_connected
            assert (await view.wait_for(lambda state: state.session == 1)).session == 1
            assert isinstance(await view.send("x"), Receipt)

    virtually(main)
