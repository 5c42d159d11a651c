"""One canary token over every fault: only the right server gets to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from heimdall_reactive import Status, WebSocketStore, use_websocket
from heimdall_reactive.testing import (
    Accept,
    BlackHole,
    CloseWith,
    Cut,
    EndlessHeader,
    FaultProxy,
    Garbage,
    Handshake,
    HttpAnswer,
    NoAnswer,
    RefuseConnection,
    Reset,
    SocketPeer,
    build_frame,
    redirect,
)

from .canary import CANARY, FORMS, Heard, listening, search, talkative, watch
from .support import run

TEXT = 1


def sync_provider() -> str:
    return CANARY


async def async_provider() -> SecretStr:
    return SecretStr(CANARY)


def raising_provider() -> str:
    raise PermissionError(f"no token like {CANARY}")


async def raising_async_provider() -> str:
    raise PermissionError(f"no token like {CANARY}")


async def headers_provider() -> dict[str, str]:
    return {"X-Api-Key": CANARY}


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "header": ("/", {"access_token": CANARY}),
    "secret": ("/", {"access_token": SecretStr(CANARY)}),
    "provider": ("/", {"access_token": sync_provider}),
    "async provider": ("/", {"access_token": async_provider}),
    "subprotocol": ("/", {"access_token": CANARY, "token_placement": "subprotocol"}),
    "first message": ("/", {"access_token": CANARY, "token_placement": "first_message"}),
    "query by option": ("/", {"access_token": CANARY, "token_placement": "unsafe_query"}),
    "query of the URL": (f"/?access_token={CANARY}", {}),
    "password of the URL": ("ada", {}),
    "user of the URL": ("user", {}),
    "X-Api-Key": ("/", {"additional_headers": {"X-Api-Key": CANARY}}),
    "Cookie": ("/", {"additional_headers": [("Cookie", f"lang=en; session={CANARY}")]}),
    "headers provider": ("/", {"additional_headers": headers_provider}),
}
NEVER_SENT: dict[str, dict[str, Any]] = {
    "raising": {"access_token": raising_provider},
    "raising async": {"access_token": raising_async_provider},
    "raising headers": {"additional_headers": raising_async_provider},
    "line break": {"access_token": f"{CANARY}\r\nX-Evil: 1"},
    "line break of a provider": {"access_token": lambda: f"{CANARY}\n"},
    "line break in a header": {"additional_headers": {"X-Api-Key": f"{CANARY}\r\n"}},
    "not ASCII": {"access_token": f"{CANARY}\u202e"},
    "no subprotocol": {"access_token": f"{CANARY}/=", "token_placement": "subprotocol"},
    "bytes of a provider": {"access_token": CANARY.encode},
}
QUICK: dict[str, Any] = {
    "max_reconnect_attempts": 1, "open_timeout": 0.15, "close_timeout": 0.1,
    "ping_interval": 0.1, "ping_timeout": 0.1, "token_timeout": 0.2,
}  # fmt: skip


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
        await store.wait_for(lambda state: state.status in ended, 5)
        search(store)


def raw(status_line: str, *headers: str) -> Garbage:
    lines = "\r\n".join([status_line, *headers, "", ""])
    return Garbage(lines.encode(), when="handshake")


ECHO = CANARY.encode()
LOUD = (("X-Echo", CANARY), ("Set-Cookie", f"session={CANARY}"), ("Retry-After", CANARY))
HTTP = {
    f"http {status}": HttpAnswer(status, LOUD, ECHO)
    for status in (200, 400, 401, 403, 404, 407, 408, 426, 429, 500, 503)
}
FAULTS: dict[str, Any] = {
    **HTTP,
    "reason phrase": raw(f"HTTP/1.1 401 {CANARY}", "Content-Length: 0"),
    "status line": raw(f"HTTP/1.1 {CANARY}"),
    "header name": raw("HTTP/1.1 401 No", f"{CANARY}\x00: 1"),
    "garbage": Garbage(b"GET /" + ECHO + b" HTTP/1.1\r\nAuthorization: " + ECHO, when="handshake"),
    "long header": raw("HTTP/1.1 401 No", "X-Echo: " + CANARY * 1000),
    "reset in the handshake": Reset(handshake=True),
    "cut in the handshake": Cut(handshake=True),
    "no answer": NoAnswer(),
    "endless header": EndlessHeader(),
    "redirect, same origin": redirect(f"/login?token={CANARY}"),
    "redirect, login": redirect(f"//ada:{CANARY}@127.0.0.1:1/"),
    "redirect, other origin": redirect(f"ws://localhost:1/{CANARY}"),
    "redirect, no WebSocket": redirect(f"http://127.0.0.1/?access_token={CANARY}"),
    "redirect, no URL": redirect(f"ws://[{CANARY}"),
    "wrong accept": Handshake(accept=CANARY),
    "wrong subprotocol": Handshake(subprotocol=f"other.{CANARY}"),
    "wrong extension": Handshake(headers=[("Sec-WebSocket-Extensions", CANARY)]),
    "reset": Reset(),
    "cut": Cut(),
    "close": CloseWith(1008, f"bad token {CANARY}"),
    "close with a piece": CloseWith(4401, f"no {CANARY[:14]}"),
    "close with other forms": CloseWith(1011, " ".join((*FORMS[2:],))[:120]),
    "close, held open": CloseWith(1001, CANARY, hold=True),
    "close of no code": CloseWith(4999, b"\xff" + ECHO),
    "frame garbage": Garbage(ECHO),
    "reserved opcode": Garbage(build_frame(3, ECHO)),
    "not UTF-8": Garbage(build_frame(TEXT, ECHO + b"\xff")),
    "cut frame": Garbage(build_frame(TEXT, ECHO, length=500)),
    "too big": Garbage(build_frame(TEXT, ECHO, length=2**40)),
    "long ping": Garbage(build_frame(9, ECHO * 10)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_brings_no_secret_to_light(fault: str) -> None:
    with listening() as heard:

        async def main() -> None:
            talkative(heard)
            async with SocketPeer() as peer:
                peer.always(FAULTS[fault])
                ends = [
                    to_the_end(url_of(peer, path), heard, **options)
                    for path, options in WAYS.values()
                ]
                await asyncio.gather(*ends)
                if not fault.endswith("in the handshake"):
                    sent = [any(f.encode() in d.request for f in FORMS) for d in peer.dials]
                    assert sum(sent) >= len(WAYS) - 1  # a first message is no part of a request
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
                await to_the_end(url, heard, additional_headers=headers)

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
    async with asyncio.timeout(5):
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
    await store.wait_connected(2)


async def in_a_back_off(store: WebSocketStore[Any], peer: SocketPeer) -> None:
    await store.wait_for(lambda state: state.status is Status.WAITING, 2)


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
