"""The answer to the upgrade, where users and protocols see it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from heimdall_reactive import ConnectionState, SessionProtocol, Status
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.connecting.answers import answer_of, headers_of, subprotocol_of
from tests.peers import peer, quick
from tests.support import record

CANARY = "s3cret-canary"


def wire(*headers: tuple[str, str], subprotocol: str | None = None) -> Any:
    return SimpleNamespace(subprotocol=subprotocol, response=Response(101, "", Headers(headers)))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Server", "nginx", "nginx"),
        ("Set-Cookie", f"id={CANARY}; Path=/; HttpOnly", "id=***; Path=/; HttpOnly"),
        ("X-Auth-Token", CANARY, "***"),
        ("Authentication-Info", f'nextnonce="{CANARY}"', "***"),
        ("X-Session-Id", CANARY, "***"),
        ("X-Echo", f"you sent {CANARY}", "you sent ***"),
        ("X-Forged", "a\x85b", "a?b"),
    ],
)
def test_the_state_has_the_headers_without_secrets(name: str, value: str, shown: str) -> None:
    answer = answer_of(wire((name, value)), Mask([CANARY] if name == "X-Echo" else []))
    assert answer.headers == {name.lower(): shown}


def test_headers_of_one_name_are_one() -> None:
    cookies = [("Set-Cookie", "a=1; Expires=Mon, 01 Jan 2029 00:00:00 GMT"), ("set-cookie", "b=2")]
    one = wire(("Vary", "A"), ("vary", "B"), *cookies)
    joined = "a=1; Expires=Mon, 01 Jan 2029 00:00:00 GMT, b=2"
    assert headers_of(one) == {"vary": "A, B", "set-cookie": joined}
    shown = "a=***; Expires=Mon, 01 Jan 2029 00:00:00 GMT, b=***"
    assert answer_of(one, Mask()).headers["set-cookie"] == shown


def test_a_wire_that_knows_nothing_of_it_has_an_empty_answer() -> None:
    unknown: Any = SimpleNamespace()
    assert answer_of(unknown, Mask()) == (None, {})
    assert subprotocol_of(unknown) is None


def test_a_token_that_is_chosen_as_subprotocol_is_not_shown() -> None:
    assert (
        answer_of(wire(subprotocol=f"bearer.{CANARY}"), Mask([CANARY])).subprotocol == "bearer.***"
    )


def sticky(connection: ServerConnection, request: Request, response: Response) -> None:
    response.headers["Set-Cookie"] = f"server={CANARY}; Path=/"
    response.headers["X-Served-By"] = "node-1"


async def hold(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_the_state_shows_what_the_server_chose_while_it_is_connected() -> None:
    async with (
        peer(hold, process_response=sticky, subprotocols=["chat"]) as url,
        quick(url, subprotocols=["other", "chat"]) as store,
    ):
        states: list[ConnectionState] = record(store.state)
        state = await store.wait_connected(8)
        assert state.subprotocol == "chat"
        assert state.response_headers["x-served-by"] == "node-1"
        assert state.response_headers["set-cookie"] == "server=***; Path=/"
        assert CANARY not in repr(state)
        store.reconnect()
        await store.wait_for(lambda state: state.session == 2, 8)
        store.reconnect(overlap=True)
        await store.wait_for(lambda state: state.session == 3, 8)
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)
    up = (Status.CONNECTED, Status.DISCONNECTING)
    for state in states:
        assert (state.subprotocol == "chat") is (state.status in up), state
        assert ("x-served-by" in state.response_headers) is (state.status in up), state


async def test_a_protocol_has_the_cookie_that_the_next_attempt_sends() -> None:
    class Sticky(SessionProtocol):
        cookie = ""

        async def handshake(self, session: Any) -> None:
            self.cookie = session.response_headers["set-cookie"].partition(";")[0]

    cookies: list[str | None] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        cookies.append(connection.request.headers.get("Cookie"))
        if len(cookies) > 1:
            await connection.wait_closed()

    own = Sticky()
    async with (
        peer(note, process_response=sticky) as url,
        quick(url, protocol=own, additional_headers=lambda: {"Cookie": own.cookie}) as store,
    ):
        await store.wait_for(lambda state: state.session == 2, 8)
    assert cookies == ["", f"server={CANARY}"]
