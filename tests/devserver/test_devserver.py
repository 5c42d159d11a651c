"""The development server over real sockets: tokens, channels, script commands, bookkeeping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from heimdall_reactive import use_websocket
from heimdall_reactive.base.exceptions import ConfigurationError, HandshakeRefused, WaitTimeout
from heimdall_reactive.base.messages import RolesUpdated
from heimdall_reactive.devserver import (
    DEMO_TOKEN,
    ENDPOINTS,
    DevServer,
    ScriptStep,
    parse_script,
    serve_in_thread,
)
from heimdall_reactive.devserver.builders import KINDS

T = TypeVar("T")

# The client's own log at DEBUG shows headers; these tests look at the server's.
QUIET = logging.getLogger("tests.devserver.client")
QUIET.setLevel(logging.WARNING)


def run(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a test on a new loop and insist that it leaves no task."""

    async def whole() -> T:
        async with asyncio.timeout(10):
            result = await test()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        return result

    return asyncio.run(whole())


def dial(
    server: DevServer,
    token: str | None = None,
    path: str = "/v1/ws",
    subprotocols: list[str] | None = None,
    compression: str | None = None,
) -> connect:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return connect(
        server.url + path,
        additional_headers=headers,
        subprotocols=None if subprotocols is None else [Subprotocol(s) for s in subprotocols],
        compression=compression,
        proxy=None,
        ping_interval=None,  # else a task of the client may end a turn after its connection
        logger=QUIET,
    )


async def refused(attempt: connect) -> InvalidStatus:
    # `connect` retries some statuses only when it is iterated over, never when awaited.
    with pytest.raises(InvalidStatus) as caught:
        await attempt
    return caught.value


async def close_code(client: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code


async def heard(client: ClientConnection) -> Any:
    return json.loads(await client.recv())


async def asked(client: ClientConnection, **message: object) -> Any:
    await client.send(json.dumps(message))
    return await heard(client)


# -- the opening handshake


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_endpoint_accepts_a_token(path: str) -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, server.issue("u1"), path):
            (peer,) = await server.wait_for_connections(1)
            assert (peer.path, peer.user_id, peer.channels) == (path, "u1", frozenset())

    run(body)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/ws/", "/v1/ws/other", "/v2/ws"])
def test_other_paths_are_not_found(path: str) -> None:
    async def body() -> None:
        async with DevServer() as server:
            error = await refused(dial(server, DEMO_TOKEN, path))
            assert error.response.status_code == 404
            assert [d.status for d in server.dials] == [404]

    run(body)


def test_a_missing_or_unknown_or_expired_token_is_401() -> None:
    async def body() -> None:
        async with DevServer() as server:
            good = server.issue("u1")
            server.expire(good)
            for token in (None, "nobody", good, server.issue("u1", expires_in=0)):
                error = await refused(dial(server, token))
                assert error.response.status_code == 401
                assert error.response.headers["WWW-Authenticate"] == "Bearer"
            async with dial(server, server.issue("u1", expires_in=60)):
                pass

    run(body)


def test_a_revoked_token_is_403_and_open_connections_stay() -> None:
    async def body() -> None:
        async with DevServer() as server:
            token = server.issue("u1")
            async with dial(server, token) as client:
                server.revoke_token(token)
                assert (await refused(dial(server, token))).response.status_code == 403
                assert (await asked(client, type="Ping"))["type"] == "Pong"
            with pytest.raises(ConfigurationError) as caught:
                server.revoke_token("stranger-token")
            assert "stranger-token" not in str(caught.value)

    run(body)


def test_status_and_open_servers_need_no_token() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, None, "/v1/ws/status"):
            assert (await server.wait_for_connections(1))[0].user_id == "anonymous"
        async with (
            DevServer(require_token=False) as server,
            dial(server),
            dial(server, "unknown"),
            dial(server, DEMO_TOKEN),
        ):
            users = [peer.user_id for peer in await server.wait_for_connections(3)]
            assert users == ["anonymous", "anonymous", "demo"]

    run(body)


def test_a_token_in_subprotocol_or_query_is_read() -> None:
    async def body() -> None:
        async with DevServer() as server:
            token = server.issue("u1")
            bearer = f"bearer.{token}"
            async with dial(server, subprotocols=[bearer, "heimdall"]) as client:
                assert client.subprotocol == "heimdall"
                (peer,) = await server.wait_for_connections(1)
                assert (peer.user_id, peer.subprotocol) == ("u1", "heimdall")
            await server.wait_for_connections(0)
            async with dial(server, subprotocols=[bearer]) as client:
                assert client.subprotocol == bearer
                (peer,) = await server.wait_for_connections(1)
                assert peer.subprotocol == "bearer"
            async with dial(server, path=f"/v1/ws/user?x=1&access_token={token}"):
                assert server.dials[-1].path == "/v1/ws/user"
            assert {d.user_id for d in server.dials} == {"u1"}
            assert {d.fingerprint for d in server.dials} == {server.fingerprint(token)}
            assert (await refused(dial(server, subprotocols=["heimdall"]))).response.status_code

    run(body)


def test_a_first_message_can_bring_the_token() -> None:
    async def body() -> None:
        async with DevServer(first_message_auth=True) as server:
            token = server.issue("u1")
            async with dial(server) as client:
                await client.send(json.dumps({"type": "Auth", "token": token}))
                assert (await asked(client, type="Ping"))["type"] == "Pong"
                assert [peer.user_id for peer in server.connections] == ["u1"]
            assert all(token not in str(entry) for entry in server.received)
            for first in ('{"type":"Ping"}', '{"type":"Auth","token":"x"}', '{"type":"Auth"}'):
                async with dial(server) as client:
                    await client.send(first)
                    assert await close_code(client) == 4401
            server.ban("u1")
            async with dial(server) as client:
                await client.send(json.dumps({"type": "Auth", "token": token}))
                assert await close_code(client) == 4403
            assert (await refused(dial(server, "unknown"))).response.status_code == 401

    run(body)


def test_a_first_message_that_does_not_come_closes_with_4401() -> None:
    async def body() -> None:
        async with (
            DevServer(first_message_auth=True, auth_timeout=0.05) as server,
            dial(server) as client,
        ):
            assert server.connections == []
            assert server.send_raw("x") == 0
            assert await close_code(client) == 4401

    run(body)


@pytest.mark.parametrize("level", [logging.INFO, logging.NOTSET])
def test_tokens_show_up_nowhere(caplog: pytest.LogCaptureFixture, level: int) -> None:
    caplog.set_level(logging.DEBUG)
    # `dictConfig` takes the levels away below a logger that it is given.
    caplog.set_level(level, "heimdall_reactive.devserver.wire")

    async def body() -> list[str]:
        async with DevServer(first_message_auth=True) as server:
            token = server.issue("secret-holder")
            async with (
                dial(server, token),
                dial(server, subprotocols=[f"bearer.{token}"]),
                dial(server, path=f"/v1/ws?access_token={token}"),
                dial(server) as late,
            ):
                await late.send(json.dumps({"type": "Auth", "token": token, "extra": 1}))
                peers = await server.wait_for_connections(4)
                await late.send(json.dumps({"type": "Auth", "token": [token]}))
                assert (await heard(late))["type"] == "Error"
                return [token, repr(peers), repr(server.dials), repr(server.received)]

    token, *shown = run(body)
    assert "listening" in caplog.text
    assert all(token not in text for text in [caplog.text, *shown])


# -- the control protocol


def test_subscribers_and_only_they_get_what_is_published() -> None:
    async def body() -> None:
        async with (
            DevServer() as server,
            dial(server, DEMO_TOKEN) as one,
            dial(server, DEMO_TOKEN) as two,
        ):
            await one.send(json.dumps({"type": "Subscribe", "channel": "public:news"}))
            await server.wait_until(lambda: any(p.channels for p in server.connections))
            assert server.publish("public:news", {"n": [1, "ü"]}) == 1
            assert server.publish("public:other", 1) == 0
            got = await heard(one)
            assert set(got) == {"type", "channel", "data"}
            assert (got["type"], got["channel"]) == ("Message", "public:news")
            assert json.loads(got["data"]) == {"n": [1, "ü"]}
            await one.send(json.dumps({"type": "Unsubscribe", "channel": "public:news"}))
            assert (await asked(one, type="Ping"))["type"] == "Pong"
            assert server.publish("public:news", 2) == 0
            assert (await asked(two, type="Ping"))["type"] == "Pong"
            with pytest.raises(ConfigurationError):
                server.publish("nowhere", 1)

    run(body)


def test_published_models_travel_by_alias() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            await client.send(json.dumps({"type": "Subscribe", "channel": "stats"}))
            await asked(client, type="Ping")
            message = server.fire("accountBanned", user_id="somebody else")
            server.publish("stats", message)
            assert json.loads((await heard(client))["data"])["userId"] == "somebody else"

    run(body)


@pytest.mark.parametrize(
    ("channel", "admin", "good"),
    [
        ("user:u1", False, True),
        ("user:u2", False, False),
        ("user:u2", True, False),
        ("user:", True, False),
        ("admin:audit", True, True),
        ("admin:audit", False, False),
        ("admin:", True, False),
        ("public", False, True),
        ("public:chat", False, True),
        ("public:", False, False),
        ("gps", False, True),
        ("notifications", False, True),
        ("stats", False, True),
        ("discord:events", False, True),
        ("discord:other", False, False),
        ("Public", False, False),
        ("", False, False),
    ],
)
def test_channel_rights(channel: str, admin: bool, good: bool) -> None:
    async def body() -> None:
        async with (
            DevServer() as server,
            dial(server, server.issue("u1", admin=admin)) as client,
        ):
            await client.send(json.dumps({"type": "Subscribe", "channel": channel}))
            answer = await asked(client, type="Ping")
            assert answer["type"] == ("Pong" if good else "Error")
            assert (channel in server.connections[0].channels) is good

    run(body)


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "3",
        '{"type":5}',
        '{"type":"ping"}',
        '{"type":"Subscribe"}',
        '{"type":"Subscribe","channel":7}',
        '{"type":"Auth","token":"x"}',
        "[" * 100_000,
        b"\x00\x01",
    ],
)
def test_nonsense_is_answered_and_the_connection_lives(message: str | bytes) -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            await client.send(message)
            answer = await heard(client)
            assert set(answer) == {"type", "message"}
            assert answer["type"] == "Error"
            assert len(answer["message"]) < 200
            assert (await asked(client, type="Ping")) == {"type": "Pong"}

    run(body)


def test_an_echo_is_at_the_root_too() -> None:
    with (
        serve_in_thread(echo=True, require_token=False) as server,
        use_websocket(server.url, message_type=str) as store,
    ):
        messages = store.iterate(timeout=10)
        store.send("hello")
        assert next(messages) == "hello"
    with (
        serve_in_thread(require_token=False) as server,
        use_websocket(server.url, auto_reconnect=False) as store,
        pytest.raises(HandshakeRefused, match="404"),
    ):
        store.wait_connected(10).result()


def test_echo_returns_what_is_no_control_message() -> None:
    async def body() -> None:
        async with (
            DevServer(echo=True) as server,
            dial(server, DEMO_TOKEN, compression="deflate") as client,
        ):
            for message in ("hello", b"\xff\x00", '{"type":"mine"}', "", b""):
                await client.send(message)
                assert await client.recv() == message
            assert (await asked(client, type="Ping")) == {"type": "Pong"}
            assert (await asked(client, type="Subscribe", channel="no"))["type"] == "Error"

    run(body)


# -- server messages


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_the_nine_reaches_its_user_only(kind: str) -> None:
    async def body() -> None:
        async with (
            DevServer() as server,
            dial(server, server.issue("u1")) as one,
            dial(server, DEMO_TOKEN) as two,
        ):
            message = server.fire(kind, user_id="u1")
            got = await heard(one)
            assert got["type"] == kind
            assert got["timestamp"].endswith("Z")
            assert None not in got.values()
            assert type(message).model_validate(got) == message
            server.send_raw("end")
            everybody = kind == "rolePermissionsChanged"
            assert ("userId" in got) is not everybody
            if everybody:
                assert (await heard(two))["type"] == kind
            assert await two.recv() == "end"

    run(body)


def test_there_are_nine() -> None:
    assert len(set(KINDS)) == 9


def test_fire_takes_fields_and_checks_them() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            assert isinstance(server.fire("rolesUpdated", roles=["a"]), RolesUpdated)
            assert (await heard(client))["roles"] == ["a"]
            server.fire("emailChangeVerified", new_email="n@example.org", oldEmail="o@example.org")
            got = await heard(client)
            assert (got["newEmail"], got["oldEmail"]) == ("n@example.org", "o@example.org")
            with pytest.raises(ConfigurationError, match="roles"):
                server.fire("rolesUpdated", roles=3)
            with pytest.raises(ConfigurationError, match="rolesupdated"):
                server.fire("rolesupdated")

    run(body)


# -- script commands


def test_ban_closes_refuses_and_is_forgiven() -> None:
    async def body() -> None:
        async with DevServer() as server:
            token = server.issue("u1")
            async with dial(server, token) as client, dial(server, DEMO_TOKEN) as other:
                server.ban("u1")
                assert [peer.user_id for peer in server.connections] == ["demo"]
                assert (await heard(client))["type"] == "accountBanned"
                assert await close_code(client) == 4403
                assert (await refused(dial(server, token))).response.status_code == 403
                assert (await asked(other, type="Ping"))["type"] == "Pong"
                server.ban(close=False)
                assert (await heard(other))["userId"] == "demo"
                assert (await asked(other, type="Ping"))["type"] == "Pong"
            server.forgive("u1")
            async with dial(server, token):
                pass
            assert (await refused(dial(server, DEMO_TOKEN))).response.status_code == 403
            server.forgive()
            async with dial(server, DEMO_TOKEN):
                pass

    run(body)


def test_revoke_ends_every_token_of_the_user() -> None:
    async def body() -> None:
        async with DevServer() as server:
            first, second = server.issue("u1"), server.issue("u1")
            async with dial(server, first) as client, dial(server, DEMO_TOKEN) as other:
                server.revoke("u1")
                got = await heard(client)
                assert (got["type"], got["userId"]) == ("sessionRevoked", "u1")
                assert await close_code(client) == 4401
                assert (await refused(dial(server, second))).response.status_code == 403
                server.revoke()
                assert await close_code(other) == 4401
            async with dial(server, server.issue("u1")):
                pass

    run(body)


@pytest.mark.parametrize(("code", "seen"), [(None, 1006), (1001, 1001), (4000, 4000)])
def test_drop(code: int | None, seen: int) -> None:
    async def body() -> None:
        async with (
            DevServer() as server,
            dial(server, DEMO_TOKEN) as one,
            dial(server, DEMO_TOKEN) as two,
        ):
            server.drop(code)
            assert server.connections == []
            assert server.send_raw("late") == 0
            assert await close_code(one) == seen
            assert await close_code(two) == seen

    run(body)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000])
def test_a_code_that_cannot_be_sent_is_an_error(code: int) -> None:
    with pytest.raises(ConfigurationError):
        DevServer().drop(code)


def test_refuse_counts_and_queues() -> None:
    async def body() -> None:
        async with DevServer() as server:
            server.refuse(503, 2, retry_after=7)
            server.refuse(429)
            for status, wait in ((503, "7"), (503, "7"), (429, None)):
                error = await refused(dial(server, DEMO_TOKEN))
                assert error.response.status_code == status
                assert error.response.headers.get("Retry-After") == wait
            async with dial(server, DEMO_TOKEN):
                pass
            assert [d.status for d in server.dials] == [503, 503, 429, 101]
            assert [d.user_id for d in server.dials] == [None, None, None, "demo"]
            times = [d.at for d in server.dials]
            assert times == sorted(times)
            assert "authorization" in server.dials[0].headers
            with pytest.raises(ConfigurationError):
                server.refuse(200)
            with pytest.raises(ConfigurationError):
                server.refuse(times=0)
            with pytest.raises(ConfigurationError):
                server.refuse(retry_after="1\r\nX: y")

    run(body)


def test_a_stall_silences_the_present_connections_only() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            server.stall(60)
            server.stall(0)
            await client.send('{"type":"Ping"}')
            pong = asyncio.ensure_future(await client.ping())
            async with dial(server, DEMO_TOKEN) as fresh:
                assert (await asked(fresh, type="Ping"))["type"] == "Pong"
                assert {number for number, _ in server.received} == {2}
                assert not pong.done()
            server.drop(4000)
            assert await close_code(client) == 4000

    run(body)


def test_a_stall_ends_and_keeps_the_order() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            begin = time.monotonic()
            server.stall(0.2)
            sent = [str(number) for number in range(50)]
            for number in sent:
                server.send_raw(number)
            await client.send('{"type":"Ping"}')
            assert [await client.recv() for _ in sent] == sent
            assert time.monotonic() - begin >= 0.19
            assert (await heard(client))["type"] == "Pong"
            server.send_raw("after")
            assert await client.recv() == "after"

    run(body)


def test_a_close_ends_a_stall_and_an_abort_forgets_it() -> None:
    async def body() -> None:
        async with DevServer() as server:
            async with dial(server, DEMO_TOKEN) as client:
                server.stall(60)
                server.send_raw("held")
                server.drop(4000)
                assert await client.recv() == "held"
                assert await close_code(client) == 4000
            async with dial(server, DEMO_TOKEN) as client:
                server.stall(60)
                server.send_raw("lost")
                server.drop()
                with pytest.raises(ConnectionClosed):
                    await client.recv()

    run(body)


def test_restart_comes_back_on_the_same_port() -> None:
    async def body() -> None:
        async with DevServer() as server:
            port = server.port
            async with dial(server, DEMO_TOKEN) as client:
                server.restart(0.2)
                server.restart(0.0)
                begin = time.monotonic()
                assert await close_code(client) == 1012
                assert not server.listening
                with pytest.raises(ConnectionRefusedError):
                    await dial(server, DEMO_TOKEN)
            await server.wait_until(lambda: server.listening)
            assert time.monotonic() - begin >= 0.19
            assert server.port == port
            async with dial(server, DEMO_TOKEN) as client:
                assert (await asked(client, type="Ping"))["type"] == "Pong"
                assert server.connections[0].id == 2

    run(body)


def test_restart_also_ends_a_dial_that_says_nothing() -> None:
    async def body() -> None:
        async with DevServer() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            async with dial(server, DEMO_TOKEN):  # the server has seen both now
                server.restart(60)
                assert await reader.read() == b""
            await _hang_up(writer)

    run(body)


def test_stop_during_a_restart_does_not_come_back() -> None:
    async def body() -> None:
        async with DevServer() as server:
            server.restart(60)
        with pytest.raises(ConnectionRefusedError):
            await dial(server, DEMO_TOKEN)
        async with DevServer() as server:
            server.restart(0)

    run(body)


# -- scripts


def test_a_script_is_read() -> None:
    text = "2 drop; 4.5 refuse 503 2 # twice; 3 drop\n\n6\tban demo;8  restart 0.5;;9 drop 1001\n"
    assert parse_script(text) == [
        ScriptStep(2.0, "drop", ()),
        ScriptStep(4.5, "refuse", (503, 2)),
        ScriptStep(6.0, "ban", ("demo",)),
        ScriptStep(8.0, "restart", (0.5,)),
        ScriptStep(9.0, "drop", (1001,)),
    ]
    assert parse_script(" # nothing\n;") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("drop", "seconds"),
        ("2", "unknown command ''"),
        ("-1 drop", "seconds"),
        ("nan drop", "seconds"),
        ("1e3 drop", "seconds"),
        ("99999999 drop", "86400"),
        ("1 explode", "unknown command 'explode'"),
        ("1 drop 1006", "close code"),
        ("1 drop 1001 2", "arguments"),
        ("1 refuse 200", "HTTP status"),
        ("1 refuse 599", "HTTP status"),
        ("1 refuse 503 0", "times"),
        ("1 refuse x", "whole number"),
        ("1 stall", "arguments"),
        ("1 restart soon", "seconds"),
        ("1 fire nothing", "server message"),
        ("1 drop\n2 oops", "line 2"),
    ],
)
def test_a_wrong_script_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_script(text)


_WORDS = st.from_regex(r"[a-z0-9_.-]{1,8}", fullmatch=True)
_TIMES = st.integers(0, 10_000).map(lambda number: number / 8)
_STEPS = st.one_of(
    st.builds(ScriptStep, _TIMES, st.sampled_from(["ban", "revoke", "forgive"]), st.tuples(_WORDS)),
    st.builds(ScriptStep, _TIMES, st.just("drop"), st.tuples(st.integers(3000, 4999))),
    st.builds(ScriptStep, _TIMES, st.just("refuse"), st.tuples(st.just(503), st.integers(1, 99))),
    st.builds(ScriptStep, _TIMES, st.sampled_from(["stall", "restart"]), st.tuples(_TIMES)),
    st.builds(ScriptStep, _TIMES, st.just("fire"), st.tuples(st.sampled_from(KINDS), _WORDS)),
    st.builds(ScriptStep, _TIMES, st.sampled_from(["ban", "drop", "refuse", "restart"])),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(_STEPS),
    separator=st.sampled_from([";", "\n", " ;\n", "# note; 1 drop\n"]),
    blank=st.sampled_from([" ", "  ", "\t"]),
)
def test_what_is_written_is_read(steps: list[ScriptStep], separator: str, blank: str) -> None:
    lines = [blank.join(map(str, [step.at, step.command, *step.args])) for step in steps]
    assert parse_script(separator.join(lines)) == steps


_SCRAPS = st.lists(st.sampled_from(["1", "2.5", "drop", "ban", "refuse", "503", ";", "#", "\n"]))


@settings(max_examples=200, deadline=None)
@given(st.text() | _SCRAPS.map(" ".join))
def test_any_text_is_read_or_explained(text: str) -> None:
    steps: list[ScriptStep] = []
    with contextlib.suppress(ConfigurationError):
        steps = parse_script(text)
    assert all(0 <= step.at <= 86_400 for step in steps)


def test_play_performs_steps_at_their_times() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            begin = time.monotonic()
            await server.play("0.1 drop 4001; 0 fire rolesUpdated; 0.1 refuse 503 1 9")
            assert time.monotonic() - begin >= 0.09
            assert (await heard(client))["type"] == "rolesUpdated"
            assert await close_code(client) == 4001
            error = await refused(dial(server, DEMO_TOKEN))
            assert error.response.headers["Retry-After"] == "9"
            with pytest.raises(ConfigurationError):
                await server.play("0 drop; 0 nonsense")
            await server.play([ScriptStep(0, "refuse", (500,))])
            assert (await refused(dial(server, DEMO_TOKEN))).response.status_code == 500

    run(body)


def test_stop_ends_a_script() -> None:
    async def body() -> None:
        server = DevServer()
        await server.start()
        playing = asyncio.create_task(server.play("0 fire forceLogout; 60 refuse 503"))
        async with dial(server, DEMO_TOKEN):
            await server.stop()
        await playing
        async with server, dial(server, DEMO_TOKEN):
            assert server.dials[-1].status == 101

    run(body)


@pytest.mark.parametrize(
    ("line", "code"),
    [("ban demo", 4403), ("ban", 4403), ("revoke", 4401), ("drop 4002", 4002), ("restart 0", 1012)],
)
def test_command_lines_are_performed(line: str, code: int) -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            server.run(line)
            assert await close_code(client) == code
            with pytest.raises(ConfigurationError):
                server.run("2 drop")

    run(body)


# -- bookkeeping


def test_received_keeps_messages_as_they_came() -> None:
    async def body() -> None:
        async with (
            DevServer(echo=True, history=3) as server,
            dial(server, DEMO_TOKEN) as client,
        ):
            waiting = asyncio.create_task(server.wait_for_message(lambda m: m == b"\x01"))
            for message in ("a", "b", ' {"type": "Ping"}', b"\x01"):
                await client.send(message)
            assert await waiting == b"\x01"
            assert list(server.received) == [(1, "b"), (1, ' {"type": "Ping"}'), (1, b"\x01")]
            assert await server.wait_for_message(lambda m: "Ping" in str(m)) != b"\x01"

    run(body)


def test_waiting_ends_in_time_and_passes_errors_on() -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            with pytest.raises(WaitTimeout):
                await server.wait_for_connections(2, timeout=0.01)
            with pytest.raises(WaitTimeout):
                await server.wait_for_message(lambda _: True, timeout=0.01)
            failing = asyncio.create_task(server.wait_for_message(lambda m: bool(1 // 0)))
            waiting = asyncio.create_task(server.wait_for_message(lambda m: m == "never"))
            await asked(client, type="Ping")
            with pytest.raises(ZeroDivisionError):
                await failing
            await server.stop()
            with pytest.raises(WaitTimeout, match="stopped"):
                await waiting
            with pytest.raises(ConfigurationError):
                await server.wait_for_connections(0)

    run(body)


# -- clients that misbehave, and the end


async def _mute(server: DevServer) -> asyncio.StreamWriter:
    """Open a WebSocket that never reads again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Authorization: Bearer demo-token\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return writer


async def _hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_stop_is_quick_whatever_the_clients_do() -> None:
    async def body() -> None:
        server = DevServer(buffer_limit=2**30)
        await server.start()
        _, silent = await asyncio.open_connection("127.0.0.1", server.port)
        mute, full, stalled = [await _mute(server) for _ in range(3)]
        await server.wait_for_connections(3)
        for _ in range(20):
            server.send_raw(bytes(1_000_000))  # more than the system's buffers take
        server.stall(60)
        mute2 = await _mute(server)
        begin = time.monotonic()
        await server.stop()
        assert time.monotonic() - begin < 10  # the stall takes a minute
        assert server.connections == []
        await server.stop()
        await _hang_up(silent, mute, full, stalled, mute2)

    run(body)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_served() -> None:
    async def body() -> None:
        async with DevServer(buffer_limit=200_000) as server:
            writer = await _mute(server)
            async with dial(server, DEMO_TOKEN) as client:
                await server.wait_for_connections(2)
                count = 0
                while server.dropped_slow == 0:
                    server.send_raw(bytes(100_000))
                    assert len(await client.recv()) == 100_000
                    count += 1
                    assert count < 1000
                assert [peer.id for peer in server.connections] == [2]
                assert server.dropped_slow == 1
            await _hang_up(writer)

    run(body)


def test_what_a_stall_holds_is_bounded() -> None:
    async def body() -> None:
        async with DevServer(buffer_limit=1000) as server, dial(server, DEMO_TOKEN) as client:
            server.stall(60)
            for _ in range(11):
                server.send_raw(bytes(100))
            assert server.dropped_slow == 1
            assert await close_code(client) == 1006

    run(body)


@pytest.mark.parametrize("first_byte", [0xC1, 0x88], ids=["a reserved bit", "a close frame"])
def test_a_peer_that_ends_and_never_hangs_up_is_cut_off(first_byte: int) -> None:
    async def body() -> None:
        async with DevServer() as server, dial(server, DEMO_TOKEN) as client:
            writer = await _mute(server)
            await server.wait_for_connections(2)
            writer.write(struct.pack("!BB4x", first_byte, 0x80))
            await server.wait_for_connections(1)
            assert (await asked(client, type="Ping"))["type"] == "Pong"
            await _hang_up(writer)

    run(body)


def test_start_and_stop_and_start_again() -> None:
    server = DevServer()
    for _ in range(2):

        async def body() -> None:
            await server.start()
            await server.start()
            async with dial(server, DEMO_TOKEN) as client:
                await server.stop()
                assert await close_code(client) == 1001

        run(body)


def test_a_taken_port_is_an_error_and_nothing_is_left() -> None:
    async def body() -> None:
        async with DevServer() as server:
            second = DevServer(port=server.port)
            with pytest.raises(OSError):
                await second.start()
            await second.stop()
        await second.start()
        await second.stop()

    run(body)


# -- threads


def test_a_server_in_a_thread_is_commanded_from_here() -> None:
    before = threading.active_count()
    with serve_in_thread(echo=True) as server:
        token = server.issue("u1")

        async def body() -> None:
            async with dial(server, token) as client:
                (peer,) = await server.wait_for_connections(1)
                assert peer.user_id == "u1"
                assert server.send_raw("hello") == 1
                assert await client.recv() == "hello"
                server.run("drop 4005")
                assert await close_code(client) == 4005
                await server.play("0 refuse 418")
            assert (await refused(dial(server, token))).response.status_code == 418

        run(body)
        assert server.call(server.wait_for_connections(0), timeout=5) == []
        with pytest.raises(ConfigurationError):
            server.fire("nothing")
    assert threading.active_count() == before
    assert server.send_raw("nobody hears") == 0


def test_threads_may_command_at_the_same_time() -> None:
    with serve_in_thread(history=5) as server:
        tokens: list[str] = []

        def issue() -> None:
            tokens.extend(server.issue(f"u{number}") for number in range(50))

        threads = [threading.Thread(target=issue) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(set(tokens)) == 200


def test_a_thread_that_cannot_bind_tells_the_caller() -> None:
    with serve_in_thread() as server, pytest.raises(OSError), serve_in_thread(port=server.port):
        pass


def test_call_on_the_own_loop_is_an_error() -> None:
    async def body() -> None:
        async with DevServer() as server:
            with pytest.raises(ConfigurationError):
                server.call(server.wait_for_connections(0))

    run(body)


@pytest.mark.parametrize(
    ("host", "start"), [("0.0.0.0", "ws://127.0.0.1:"), ("localhost", "ws://localhost:")]
)
def test_the_url_can_be_dialled(host: str, start: str) -> None:
    async def body() -> None:
        async with DevServer(host) as server, dial(server, DEMO_TOKEN) as client:
            assert server.url == f"{start}{server.port}"
            assert (await asked(client, type="Ping"))["type"] == "Pong"

    run(body)
