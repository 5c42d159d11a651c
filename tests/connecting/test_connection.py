from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from heimdall_reactive import (
    ConnectionLost,
    ConnectionState,
    HandshakeRefused,
    InsecureToken,
    InvalidEndpoint,
    SessionEnded,
    Status,
    TokenError,
    use_websocket,
)
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer
from heimdall_reactive.testing import Accept, Hang, ScriptedPeer
from heimdall_reactive.testing import Refuse as Refused
from heimdall_reactive.transports import Wire
from tests.peers import peer, quick, raw_peer
from tests.support import record, run
from tests.virtual import URL, loop

Refuse = Callable[[ServerConnection, Request], Response | None]


async def hold(ws: ServerConnection) -> None:
    await ws.wait_closed()


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


def refusing(*statuses: int, headers: dict[str, str] | None = None) -> tuple[list[Request], Refuse]:
    """Refuse the first upgrades with these statuses, and note every request."""
    seen: list[Request] = []
    left = list(statuses)

    def process(ws: ServerConnection, request: Request) -> Response | None:
        seen.append(request)
        if not left:
            return None
        response = ws.respond(HTTPStatus(left.pop(0)), "no")
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response

    return seen, process


def statuses(store: Any) -> list[Status]:
    seen: list[Status] = []
    store.state.subscribe(lambda state: seen.append(state.status))
    return seen


async def test_connects_heals_and_ends_with_one_state_a_step() -> None:
    connections: list[ServerConnection] = []

    async def handler(ws: ServerConnection) -> None:
        connections.append(ws)
        await ws.wait_closed()

    async with peer(handler) as url, quick(url) as store:
        seen = statuses(store)
        await store.wait_connected(8)
        connections[0].transport.abort()
        state = await store.wait_for(lambda s: s.session == 2, 8)
        assert state.error is None
        assert state.close is None
        assert state.connected_at is not None
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
    assert seen == [
        "connecting", "connected", "waiting", "connecting", "connected",
        "disconnecting", "disconnected",
    ]  # fmt: skip
    assert connections[1].close_code == 1000


async def test_a_first_connection_that_fails_is_retried_like_any_other() -> None:
    seen, refuse = refusing(503, 500)
    async with peer(hold, process_request=refuse) as url, quick(url) as store:
        waits = [s async for s in _states(store, until=Status.CONNECTED)]
        assert [(s.status, s.attempt, s.http_status) for s in waits if s.retry_at] == [
            ("waiting", 1, 503),
            ("waiting", 2, 500),
        ]
        assert all(isinstance(s.error, HandshakeRefused) for s in waits if s.retry_at)
        assert len(seen) == 3
        assert not store.state.value.reconnecting


async def _states(store: Any, until: Status) -> AsyncIterator[ConnectionState]:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    subscription = store.state.subscribe(queue.put_nowait)
    try:
        while True:
            state = await asyncio.wait_for(queue.get(), 8)
            yield state
            if state.status is until:
                return
    finally:
        subscription.dispose()


async def test_gives_up_after_the_failures_in_a_row_that_are_allowed() -> None:
    seen, refuse = refusing(*[503] * 10)
    async with (
        peer(hold, process_request=refuse) as url,
        quick(url, max_reconnect_attempts=2) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert len(seen) == 3
        assert state.attempt == 2
        assert state.http_status == 503
        with pytest.raises(HandshakeRefused, match="503"):
            await store.wait_connected(1)
        store.connect()  # starts afresh
        await store.wait_for(lambda s: s.status is Status.CONNECTING and s.attempt == 0, 8)


@pytest.mark.parametrize("status", [400, 404, 410, 426])
async def test_a_refusal_that_will_not_pass_fails_at_once(status: int) -> None:
    seen, refuse = refusing(status)
    async with peer(hold, process_request=refuse) as url, quick(url) as store:
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert (state.http_status, len(seen)) == (status, 1)


@pytest.mark.parametrize(("status", "attempts"), [(401, 2), (403, 4)])
async def test_a_refused_token_is_asked_for_once_more_and_then_fails(
    status: int, attempts: int
) -> None:
    """A 403 may be no matter of the token: it is retried, with the attempts of any failure."""
    calls: list[str] = []

    async def provider() -> str:
        calls.append("t")
        return f"token-{len(calls)}"

    seen, refuse = refusing(*[status] * 9)
    async with (
        peer(hold, process_request=refuse) as url,
        quick(url, access_token=provider, max_reconnect_attempts=2) as store,
    ):
        await store.wait_for(lambda s: s.status is Status.FAILED, 8)
    sent = [request.headers["Authorization"] for request in seen]
    assert sent == [f"Bearer token-{n}" for n in range(1, attempts + 1)]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("sent", ["token", "header", "login", "nothing"])
async def test_a_refusal_speaks_of_the_token_only_where_a_credential_was_sent(
    sent: str, status: int
) -> None:
    given: dict[str, dict[str, Any]] = {
        "token": {"access_token": "t0ken"}, "header": {"additional_headers": {"X-API-Key": "k3y"}},
    }  # fmt: skip
    _, refuse = refusing(*[status] * 9)
    async with peer(hold, process_request=refuse) as url:
        url = url.replace("://", "://user:passw0rd@") if sent == "login" else url
        async with quick(url, max_reconnect_attempts=1, **given.get(sent, {})) as store:
            state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
    token, none = "check the access token", "no credential was sent"
    assert (token in str(state.error), none in str(state.error)) == (
        sent != "nothing", sent == "nothing",
    )  # fmt: skip
    tried = 1 if status == 401 and sent != "nothing" else 2
    assert store.stats.attempts == tried


async def test_a_static_token_that_is_refused_is_not_tried_again_until_it_is_replaced() -> None:
    seen, refuse = refusing(401)
    async with (
        peer(hold, process_request=refuse) as url,
        quick(url, access_token="old") as store,
    ):
        await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert len(seen) == 1
        store.set_access_token("new")
        await store.wait_connected(8)
    assert [r.headers["Authorization"] for r in seen] == ["Bearer old", "Bearer new"]


@pytest.mark.heimdall_virtual_time
async def test_a_token_that_is_set_before_the_old_one_is_refused_is_tried() -> None:
    peer = ScriptedPeer(Accept(), Refused(401, delay=1.0))
    options: dict[str, Any] = {"principal": "ada", "reconnect_delay": 60}
    async with use_websocket(URL, transport=peer, access_token="a", **options) as store:
        await store.wait_connected()
        store.set_access_token("b", principal="ada")
        peer.links[0].close(4401)
        await store.wait_for(lambda state: not state.is_connected)
        await store.wait_for(lambda state: state.status is Status.CONNECTING)
        store.set_access_token("c", principal="ada")  # "b" is under way, and will be refused
        await store.wait_for(lambda state: state.session == 2)
        assert loop().time() < 2
        peer.links[1].close(4401)  # "c" was sent, so there is nothing else to try
        await store.wait_for(lambda state: state.status is Status.FAILED)
        assert [dial.token for dial in peer.dials] == ["a", "b", "c"]


def test_every_attempt_has_a_fresh_token_and_fresh_headers() -> None:
    async def main() -> None:
        count = 0

        def provider() -> str:
            nonlocal count
            count += 1
            return f"t{count}"

        async def headers() -> dict[str, str]:
            return {"X-Try": str(count)}

        seen, refuse = refusing(503, 503)
        async with (
            peer(hold, process_request=refuse) as url,
            quick(url, access_token=provider, additional_headers=headers) as store,
        ):
            await store.wait_connected(8)
        assert [(r.headers["Authorization"], r.headers["X-Try"]) for r in seen] == [
            ("Bearer t1", "1"),
            ("Bearer t2", "2"),
            ("Bearer t3", "3"),
        ]

    run(main)


async def test_a_token_provider_that_fails_is_a_failed_attempt_and_a_report() -> None:
    answers: list[Any] = [RuntimeError("secret-in-text"), None, "bad\r\ntoken", "good"]

    async def provider() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with peer(hold) as url, quick(url, access_token=provider) as store:
        errors = record(store.errors)
        await store.wait_connected(8)
        assert [type(e) for e in errors] == [TokenError] * 3
        assert not any("secret" in str(e) or "bad" in str(e) for e in errors)


async def test_a_static_token_that_is_none_fails_at_once() -> None:
    async with quick("ws://127.0.0.1:9", access_token="bad token") as store:
        errors = record(store.errors)
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, TokenError)
        assert [type(e) for e in errors] == [TokenError]
        assert store.stats.attempts == 1


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("again", [False, True])
async def test_a_socket_that_comes_after_disconnect_is_dropped(again: bool) -> None:
    peer, asked, gate = ScriptedPeer(), asyncio.Event(), asyncio.Event()

    async def late(*dial: Any) -> Wire:
        """Dial as libraries do that let no one cancel them."""
        if not asked.is_set():
            asked.set()
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        return await peer(*dial)

    async with use_websocket(URL, transport=late) as store:
        await asked.wait()
        store.disconnect()
        if again:
            store.connect()
        await loop().idle()
        # The sockets of both attempts have come, the abandoned one's among them.
        assert len(peer.links) == 1 + again
        assert len(peer.live) == int(again)
        assert store.state.value.status is (Status.CONNECTED if again else Status.DISCONNECTED)
        assert store.state.value.session == int(again)


async def test_a_token_that_comes_after_the_attempt_was_given_up_is_dropped() -> None:
    gates: list[asyncio.Future[str]] = []
    asked = asyncio.Event()

    async def provider() -> str:
        gate = asyncio.get_running_loop().create_future()
        gates.append(gate)
        asked.set()
        return str(await gate)

    seen, refuse = refusing()
    async with (
        peer(hold, process_request=refuse) as url,
        quick(url, access_token=provider) as store,
    ):
        await asyncio.wait_for(asked.wait(), 8)
        asked.clear()
        store.disconnect()
        assert store.state.value.status is Status.DISCONNECTED
        store.connect()
        await asyncio.wait_for(asked.wait(), 8)
        if not gates[0].done():
            gates[0].set_result("late")
        gates[1].set_result("current")
        await store.wait_connected(8)
    assert [r.headers["Authorization"] for r in seen] == ["Bearer current"]


async def test_accept_then_close_meets_growing_delays() -> None:
    opened: list[float] = []

    async def handler(ws: ServerConnection) -> None:
        opened.append(asyncio.get_running_loop().time())
        await ws.close(1013)

    async with (
        peer(handler) as url,
        quick(url, max_reconnect_attempts=4, reconnect_delay=0.01) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, ConnectionLost)
        assert state.close is not None
        assert state.close.code == 1013
    gaps = [b - a for a, b in pairwise(opened)]
    assert len(opened) == 5
    assert gaps[1] > 0.19
    assert gaps[2] > 0.39
    assert gaps[3] > 0.79


async def test_failures_are_forgotten_only_after_a_stable_connection() -> None:
    connections: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(ws: ServerConnection) -> None:
        connections.put_nowait(ws)
        await ws.wait_closed()

    async with peer(handler) as url, quick(url, stable_after=0.1) as store:
        waits = record(store.state.filter(lambda s: s.status is Status.WAITING))
        for _ in range(2):
            (await connections.get()).transport.abort()
        third = await connections.get()
        # Not a wait for something to happen, but for the time that the option names.
        await asyncio.sleep(0.15)
        third.transport.abort()
        await connections.get()
        assert [s.attempt for s in waits] == [1, 2, 1]


@pytest.mark.parametrize("wait", [30.0, 300.0])
async def test_connect_dials_now_in_the_middle_of_a_back_off(wait: float) -> None:
    seen, refuse = refusing(503)
    async with (
        peer(hold, process_request=refuse) as url,
        quick(url, reconnect_delay=wait) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.WAITING, 8)
        assert state.retry_at is not None
        store.connect()
        assert store.state.value.status is Status.CONNECTING
        await store.wait_connected(8)
        assert len(seen) == 2


async def test_connect_is_a_no_op_while_connecting_or_connected() -> None:
    seen, refuse = refusing()
    async with peer(hold, process_request=refuse) as url, quick(url) as store:
        store.connect()
        await store.wait_connected(8)
        store.connect()
        await store.send("x")
        assert len(seen) == 1
        assert store.stats.attempts == 1


class TestDisconnectWins:
    """In every phase, with exactly one terminal state and no dial after it."""

    def check(self, store: Any, seen: list[Status]) -> None:
        assert seen.count(Status.DISCONNECTED) == 1
        assert seen[-1] is Status.DISCONNECTED

    async def test_before_anything(self) -> None:
        async with quick("ws://127.0.0.1:9", immediate=False) as store:
            seen = statuses(store)
            store.disconnect()
            self.check(store, seen)

    async def test_while_the_provider_is_asked(self) -> None:
        asked = asyncio.Event()

        async def provider() -> str:
            asked.set()
            await asyncio.Future()
            raise AssertionError

        async with quick("ws://127.0.0.1:9", access_token=provider) as store:
            seen = statuses(store)
            await asked.wait()
            store.disconnect()
            self.check(store, seen)

    async def test_while_the_handshake_is_not_answered(self) -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()
            gone.set()

        async with raw_peer(mute, upgrade=False) as url, quick(url) as store:
            seen = statuses(store)
            await asked.wait()
            store.disconnect()
            self.check(store, seen)
            await asyncio.wait_for(gone.wait(), 8)

    async def test_during_a_back_off(self) -> None:
        dials, refuse = refusing(503)
        async with (
            peer(hold, process_request=refuse) as url,
            quick(url, reconnect_delay=0.05) as store,
        ):
            seen = statuses(store)
            await store.wait_for(lambda s: s.status is Status.WAITING, 8)
            store.disconnect()
            await asyncio.sleep(0.12)  # longer than the delay: nothing may happen
            self.check(store, seen)
            assert len(dials) == 1

    async def test_while_connected_to_a_peer_that_never_answers_the_close(self) -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                pass

        async with raw_peer(mute) as url, quick(url, close_timeout=0.1) as store:
            seen = statuses(store)
            await store.wait_connected(8)
            store.disconnect()
            store.disconnect()
            await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
            self.check(store, seen)

    @pytest.mark.parametrize("phase", ["connecting", "connected", "waiting", "disconnecting"])
    async def test_inside_the_notification_of_a_phase(self, phase: str) -> None:
        _, refuse = refusing(503)
        async with peer(hold, process_request=refuse) as url, quick(url) as store:
            here = store.state.filter(lambda s: s.status == phase)
            here.subscribe(store.disconnect)
            seen = statuses(store)
            if phase == "disconnecting":
                await store.wait_connected(8)
                store.disconnect()
            await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
            self.check(store, seen)

    async def test_connect_while_disconnecting_dials_after_the_end(self) -> None:
        async with peer(hold) as url, quick(url) as store:
            await store.wait_connected(8)
            seen = statuses(store)
            store.disconnect()
            store.connect()
            await store.wait_for(lambda s: s.session == 2, 8)
            assert seen == [
                "connected", "disconnecting", "disconnected", "connecting", "connected",
            ]  # fmt: skip


@pytest.mark.parametrize("refusal", [401, 403])
async def test_a_refusal_where_no_credential_was_sent_is_retried(refusal: int) -> None:
    seen, refuse = refusing(refusal, refusal)
    async with peer(hold, process_request=refuse) as url, quick(url) as store:
        await store.wait_connected(8)
        assert len(seen) == 3


async def test_a_clean_close_by_the_server_is_final_where_a_rule_says_so() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.close(1000, "bye\r\nforged")

    rules = {"close 1000": "end"}
    async with peer(handler) as url, quick(url, reconnect_rules=rules) as store:
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (1000, "server")
        assert state.close.reason == "bye??forged"
        assert state.error is None


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 1014, 3000, 4000])
def test_other_closes_are_retried(code: int) -> None:
    async def main() -> None:
        first = True

        async def handler(ws: ServerConnection) -> None:
            nonlocal first
            if first:
                first = False
                await ws.close(code)
            await ws.wait_closed()

        async with peer(handler) as url, quick(url) as store:
            await store.wait_for(lambda s: s.session == 2, 8)

    run(main)


async def test_should_reconnect_overrides_the_table_both_ways() -> None:
    codes = [1000, 1011]
    asked: list[int] = []

    async def handler(ws: ServerConnection) -> None:
        await ws.close(codes.pop(0))

    def decide(close: Any) -> bool:
        asked.append(close.code)
        return bool(close.code == 1000)

    async with peer(handler) as url, quick(url, should_reconnect=decide) as store:
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert state.close is not None
        assert asked == [1000, 1011]


async def test_auto_reconnect_false_leaves_a_loss_as_it_is() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.close(1011)

    async with peer(handler) as url, quick(url, auto_reconnect=False) as store:
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert isinstance(state.error, ConnectionLost)


@pytest.mark.parametrize(
    "kind", ["accountBanned", "accountDeleted", "forceLogout", "sessionRevoked"]
)
async def test_a_close_that_follows_a_session_ending_message_is_not_retried(kind: str) -> None:
    async with (
        DevServer() as server,
        quick(f"{server.url}/v1/ws/user", access_token=DEMO_TOKEN) as store,
    ):
        seen = record(store.messages)
        await store.wait_connected(8)
        await server.wait_for_connections(1)
        server.fire(kind)
        server.drop(1012)
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, SessionEnded)
        assert state.error.kind == kind
        assert [m.type for m in seen] == [kind]
        assert store.stats.attempts == 1


@pytest.mark.parametrize("endpoint", ["ws://", "ws://h:0/", "ws://h/#f", "ws://h/ a"])
async def test_an_endpoint_that_can_not_work_fails_with_a_clear_error(endpoint: str) -> None:
    async with use_websocket(endpoint) as store:
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, InvalidEndpoint)


@pytest.mark.parametrize("endpoint", ["http://x/", "127.0.0.1:8803", "localhost:8803/ws"])
@pytest.mark.parametrize("share", [False, True])
async def test_an_endpoint_that_is_a_mistake_is_refused_at_the_call(
    endpoint: str, share: bool
) -> None:
    with pytest.raises(InvalidEndpoint, match="say 'ws://"):
        use_websocket(endpoint, share=share)


async def test_a_token_is_not_sent_in_clear_to_another_host() -> None:
    async with use_websocket("ws://192.0.2.1/", access_token="t") as store:
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, InsecureToken)


async def test_a_redirect_to_another_origin_is_refused_and_not_visited() -> None:
    visits, watch = refusing()
    async with peer(hold, process_request=watch) as other:
        seen, refuse = refusing(302, headers={"Location": other})
        async with (
            peer(hold, process_request=refuse) as url,
            quick(url, access_token="t") as store,
        ):
            state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
            assert "another origin" in str(state.error)
            assert len(seen) == 1
            assert visits == []


@pytest.mark.parametrize(
    ("placement", "expect"),
    [
        ("header", lambda r: r.headers.get("Authorization") == "Bearer s3"),
        ("subprotocol", lambda r: "bearer.s3" in r.headers.get("Sec-WebSocket-Protocol", "")),
        ("unsafe_query", lambda r: r.path == "/?access_token=s3"),
    ],
)
async def test_the_token_goes_where_it_is_to_go(
    placement: Any, expect: Callable[[Any], bool]
) -> None:
    seen, watch = refusing()
    async with (
        peer(
            hold, process_request=watch, select_subprotocol=lambda _, o: o[0] if o else None
        ) as url,
        quick(f"{url}/", access_token="s3", token_placement=placement) as store,
    ):
        await store.wait_connected(8)
    assert expect(seen[0])


async def test_a_first_message_token_goes_before_everything_that_waits() -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: ServerConnection) -> None:
        async for message in ws:
            got.put_nowait(message)

    async with (
        peer(handler) as url,
        quick(url, access_token='a"b', token_placement="first_message", immediate=False) as store,
    ):
        store.send("queued")
        store.connect()
        assert await got.get() == '{"type":"Auth","token":"a\\"b"}'
        assert await got.get() == "queued"


# Between two sessions


@pytest.mark.heimdall_virtual_time
async def test_a_socket_that_gave_way_is_dropped_when_the_store_closes() -> None:
    peer_ = ScriptedPeer()
    store = use_websocket(URL, transport=peer_, close_timeout=30)
    await store.wait_connected()
    peer_.links[0].mute_close()
    store.reconnect(4000, "resume")
    await store.wait_for(lambda state: state.session == 2)
    assert peer_.links[0].live
    await store.aclose()
    assert loop().time() < 30
    assert (peer_.live, loop().timers) == ([], [])


@pytest.mark.heimdall_virtual_time
async def test_a_sleep_that_ends_with_a_loss_counts_into_the_gap() -> None:
    peer_ = ScriptedPeer()
    async with use_websocket(URL, transport=peer_, reconnect_delay=1.0) as store:
        await store.wait_connected()
        gaps = record(store.gaps)
        await asyncio.sleep(0.5)
        peer_.links[0].send([1])
        await loop().idle()
        heard = loop().wall()
        loop().suspend(60)  # nobody has looked at the clock since
        peer_.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert [gap.since for gap in gaps] == [pytest.approx(heard)]
        assert (store.stats.attempts, store.stats.reconnects) == (2, 1)


@pytest.mark.heimdall_virtual_time
async def test_what_waits_is_dropped_with_its_reason_when_the_store_closes() -> None:
    peer_ = ScriptedPeer(Hang())
    store = use_websocket(URL, transport=peer_, send_ttl=60)
    receipt = store.send("waits")
    await loop().idle()
    await store.aclose()
    assert (receipt.state, str(receipt.error)) == (
        "dropped",
        "not sent: the store was closed; await the receipt of the last send first",
    )  # fmt: skip
    assert loop().timers == []
