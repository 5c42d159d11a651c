"""One canary token over every fault: only the right server gets to see it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import Status, WebSocketStore, use_websocket
from heimdall_reactive.recording import record
from heimdall_reactive.testing import (
    Accept,
    BlackHole,
    FaultProxy,
    HttpAnswer,
    NoAnswer,
    RefuseConnection,
)
from tests.socket_peer import SocketPeer
from tests.support import run

from .canary import CANARY, FORMS, Heard, listening, refuse, search, talkative, watch
from .canary_cases import ECHO, FAULTS, LOUD, NEVER_SENT, SILENT, WAYS

QUICK: dict[str, Any] = {"max_reconnect_attempts": 1, "close_timeout": 0.1}
IMPATIENT: dict[str, Any] = {"open_timeout": 1.5, "ping_interval": 0.1, "ping_timeout": 0.1}


def url_of(peer: SocketPeer, path: str) -> str:
    login = {"ada": f"ada:{CANARY}@", "user": f"{CANARY}:@"}.get(path)
    if login is None:
        return peer.url + path
    return peer.url.replace("ws://", f"ws://{login}") + "/"


def canary_store(url: str, heard: Heard, **options: Any) -> WebSocketStore[Any]:
    """Make a store whose every callable keeps what it is given."""

    def delay(context: Any) -> float:
        heard.objects.append(context)
        return 0.01

    given: dict[str, Any] = {
        "reconnect_delay": delay, "should_reconnect": heard.objects.append, **QUICK, **options,
    }  # fmt: skip
    store = use_websocket(url, **given)
    watch(store, heard)
    return store


async def to_the_end(url: str, heard: Heard, **options: Any) -> None:
    """Lead a store through what the peer has prepared, and search it."""
    async with canary_store(url, heard, **options) as store:
        store.send({"type": "Ping"})
        ended = (Status.FAILED, Status.DISCONNECTED)
        await store.wait_for(lambda state: state.status in ended, 30)
        search(store)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_brings_no_secret_to_light(fault: str) -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.always(FAULTS[fault])
                patience = IMPATIENT if fault in SILENT else {}
                ends = [
                    to_the_end(url_of(peer, path), heard, **options, **patience)
                    for path, options in WAYS.values()
                ]
                await asyncio.gather(*ends)
                if not fault.endswith("in the handshake"):
                    sent = [any(f.encode() in d.request for f in FORMS) for d in peer.dials]
                    assert sum(sent) >= len(WAYS) - 1  # a first message is not part of a request
                assert CANARY not in repr([*peer.dials, *peer.links])

        run(main)


@pytest.mark.parametrize(
    "fault", [RefuseConnection(), BlackHole(), BlackHole(handshake=True)], ids=repr
)
def test_a_fault_of_the_way_brings_no_secret_to_light(fault: Any) -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
                proxy.always(fault)
                url = proxy.url.replace("ws://", f"ws://ada:{CANARY}@") + f"/?key={CANARY}"
                headers = {"X-Api-Key": CANARY}
                await to_the_end(url, heard, additional_headers=headers, **IMPATIENT)

        run(main)


END = {"end": 1}
BAD: dict[str, Any] = {
    "not JSON": CANARY,
    "cut JSON": '{"token": "' + CANARY,
    "a known type": {"type": "rolesUpdated", "roles": CANARY, CANARY: CANARY},
    "an unknown type": {"type": f"echo {CANARY}", "number": "x"},
    "a piece of it as the type": {"type": CANARY[:14], "number": "x"},
    "a key": {"type": "a", CANARY: 1},
    "deep": "[" * 5000 + CANARY,
}


@pytest.mark.parametrize("typed", [False, True])
def test_a_bad_message_that_echoes_a_secret_is_not_quoted(typed: bool) -> None:
    options: dict[str, Any] = {"message_type": dict[str, int]} if typed else {}
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.always(Accept(first_messages=[*BAD.values(), END]))
                for path, given in WAYS.values():
                    store = canary_store(url_of(peer, path), heard, **given, **options)
                    async with store:
                        await has(store, END)
                        assert store.stats.invalid >= (len(BAD) if typed else 3)
                        search(store)

        run(main)


async def has(store: WebSocketStore[Any], message: Any) -> None:
    found = asyncio.Event()
    store.last_message.subscribe(lambda value: found.set() if value == message else None)
    async with asyncio.timeout(15):
        await found.wait()


def test_a_message_is_the_users_and_arrives_as_it_is() -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.always(Accept(first_messages=[{"echo": CANARY}]))
                async with canary_store(peer.url, heard, access_token=CANARY) as store:
                    await has(store, {"echo": CANARY})

                    def careless(message: Any) -> None:
                        raise ValueError(f"cannot show {message}")

                    store.last_message.subscribe(careless)  # what it raised is on `errors` only
                    assert store.stats.observer_errors == 1
                    heard.objects.clear()

        run(main)


@pytest.mark.parametrize("way", NEVER_SENT)
def test_a_token_that_is_none_is_not_shown_and_not_sent(way: str) -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                await to_the_end(peer.url, heard, **NEVER_SENT[way])
                assert peer.dials == []

        run(main)


async def late_async_provider() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise PermissionError(f"gave up {CANARY}") from None
    return CANARY


async def never_a_provider() -> str:
    await asyncio.Event().wait()
    return CANARY


async def while_asked(store: WebSocketStore[Any], peer: SocketPeer) -> None:
    assert store.state.value.status is Status.CONNECTING


async def in_the_handshake(store: WebSocketStore[Any], peer: SocketPeer) -> None:
    await peer.wait_for(lambda: peer.dials and peer.dials[0].request)


async def while_connected(store: WebSocketStore[Any], peer: SocketPeer) -> None:
    await store.wait_connected(15)


async def in_a_back_off(store: WebSocketStore[Any], peer: SocketPeer) -> None:
    await store.wait_for(lambda state: state.status is Status.WAITING, 15)


PHASES: dict[str, tuple[Any, Callable[..., Awaitable[None]], dict[str, Any]]] = {
    "at once": (Accept(), while_asked, {}),
    "provider asked": (Accept(), while_asked, {"access_token": never_a_provider}),
    "provider that raises then": (Accept(), while_asked, {"access_token": late_async_provider}),
    "handshake": (NoAnswer(), in_the_handshake, {}),
    "connected": (Accept(), while_connected, {}),
    "back-off": (HttpAnswer(503, LOUD, ECHO), in_a_back_off, {"reconnect_delay": 60}),
}


@pytest.mark.parametrize("end", ["aclose", "disconnect"])
@pytest.mark.parametrize("phase", PHASES)
def test_an_end_in_any_phase_brings_no_secret_to_light(phase: str, end: str) -> None:
    step, reached, more = PHASES[phase]
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.always(step)
                options = {"access_token": CANARY, "open_timeout": 5.0, "token_timeout": 5.0}
                store = canary_store(peer.url, heard, **{**options, **more})
                await reached(store, peer)
                if end == "disconnect":
                    store.disconnect()
                await store.aclose()
                search(store)

        run(main)


@pytest.mark.parametrize("provider", [never_a_provider, late_async_provider])
def test_a_provider_that_is_timed_out_leaves_no_orphaned_error(provider: Any) -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                await to_the_end(peer.url, heard, access_token=provider, token_timeout=0.02)

        run(main)


@pytest.mark.parametrize("way", WAYS)
def test_a_recording_has_no_secret_even_where_the_server_echoes_it(
    way: str, tmp_path: Path
) -> None:
    path, options = WAYS[way]
    echoes = [{"echo": form} for form in FORMS]
    said = [*echoes, CANARY.encode(), f"half of it: {CANARY[:14]}", END]
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.script(Accept(first_messages=said), HttpAnswer(401, LOUD, ECHO))
                store = canary_store(url_of(peer, path), heard, **options)
                recorder = record(store, tmp_path / "recording")
                await has(store, END)
                await store.send({"token": CANARY})
                await store.send(CANARY.encode())
                peer.links[0].close(4401, f"no {CANARY[:14]}")
                await store.wait_for(lambda state: state.status is Status.FAILED, 15)
                await store.aclose()
                await recorder.aclose()

        run(main)
    text = (tmp_path / "recording").read_text(encoding="utf-8")
    refuse(text, "the recording")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        refuse(base64.b64decode(line.get("binary", "")).decode("latin-1"), "the recording")
    assert sum(line.get("event") == "received" for line in lines) == len(said)
    assert '{"echo":"***' in text.replace('\\"', '"').replace(" ", "")
