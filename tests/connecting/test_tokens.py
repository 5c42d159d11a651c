"""Tokens and headers: who is asked, what is taken, where it goes, and where it never shows."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import ssl
import threading
import traceback
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import use_websocket
from heimdall_reactive.base.endpoints import redact
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    ConnectError,
    InsecureToken,
    TokenError,
)
from heimdall_reactive.base.options import StoreOptions, TokenPlacement
from heimdall_reactive.base.session_protocol import ProtocolSession, SessionProtocol
from heimdall_reactive.connecting.providers import ProviderCalls
from heimdall_reactive.connecting.tokens import (
    MAX_TOKEN,
    Identity,
    Upgrade,
    ask_headers,
    ask_token,
    digest,
    place,
    prepare,
    principal_of,
)
from heimdall_reactive.testing import ScriptedPeer
from tests.peers import peer, quick
from tests.support import run

CANARY = "s3cret-canary"
SECRET = SecretStr(CANARY)
URL = "wss://h.example/v1"


def ask(source: Any, timeout: float = 5.0) -> str | None:
    async def body() -> str | None:
        token = await ask_token(source, timeout, ProviderCalls())
        assert CANARY not in repr(token)
        return None if token is None else token.get_secret_value()

    return run(body)


def refusal(source: Any, timeout: float = 5.0) -> TokenError:
    with pytest.raises(TokenError) as caught:
        ask(source, timeout)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error))
    assert CANARY not in repr(error)
    assert error.__context__ is None  # nor in what a log may dig out
    return error


async def async_provider() -> str:
    return CANARY


async def async_secret() -> SecretStr:
    return SECRET


def sync_provider() -> str:
    return CANARY


def deferred_provider() -> Awaitable[str]:
    return async_provider()


@pytest.mark.parametrize(
    "source",
    [
        CANARY,
        SECRET,
        sync_provider,
        lambda: SECRET,
        async_provider,
        async_secret,
        deferred_provider,
    ],
)
def test_a_token_may_come_from_anywhere(source: Any) -> None:
    assert ask(source) == CANARY


def test_a_token_has_any_length_up_to_the_bound() -> None:
    assert ask("x") == "x"
    assert ask("x" * MAX_TOKEN) == "x" * MAX_TOKEN


def test_no_token_is_no_token() -> None:
    assert ask(None) is None


def test_a_sync_provider_runs_on_a_thread_of_its_own_with_the_context() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")
    threads: list[threading.Thread] = []

    def provider() -> str:
        threads.append(threading.current_thread())
        return user.get()

    user.set("u1")
    assert ask(provider) == "u1"
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def raising(error: BaseException) -> Callable[[], str]:
    def provider() -> str:
        raise error

    return provider


def raising_async(error: BaseException) -> Callable[[], Awaitable[str]]:
    async def provider() -> str:
        raise error

    return provider


@pytest.mark.parametrize("error", [ValueError(CANARY), OSError(CANARY), TimeoutError(CANARY)])
@pytest.mark.parametrize("make", [raising, raising_async])
def test_a_provider_that_raises_is_named_by_its_error_only(
    make: Callable[[BaseException], Any], error: Exception
) -> None:
    assert str(refusal(make(error))) == f"the token provider raised {type(error).__name__}"


def test_a_provider_that_raises_what_no_future_may_carry_is_an_error_too() -> None:
    assert str(refusal(raising(StopIteration(CANARY)))) == "the token provider raised RuntimeError"


def test_a_provider_that_hangs_is_given_up() -> None:
    async def hangs() -> str:
        await asyncio.Event().wait()
        return CANARY

    assert str(refusal(hangs, 0.01)) == "the token provider gave no answer within 0.01 s"


@pytest.mark.parametrize("fails", [False, True])
def test_a_blocking_provider_is_given_up_and_its_late_answer_dropped(fails: bool) -> None:
    over, ended = threading.Event(), threading.Event()
    threads: SimpleQueue[threading.Thread] = SimpleQueue()

    def hangs() -> str:
        threads.put(threading.current_thread())
        assert over.wait(8)
        if fails:
            raise ValueError(CANARY)
        return CANARY

    async def body() -> None:
        with pytest.raises(TokenError, match="no answer"):
            await ask_token(hangs, 0.01, ProviderCalls())
        over.set()
        threads.get(timeout=8).join(8)
        await asyncio.sleep(0)
        ended.set()

    run(body)
    assert ended.is_set()


def test_a_blocking_provider_may_end_after_the_loop() -> None:
    over = threading.Event()
    threads: SimpleQueue[threading.Thread] = SimpleQueue()

    def hangs() -> str:
        threads.put(threading.current_thread())
        assert over.wait(8)
        return CANARY

    refusal(hangs, 0.01)
    over.set()
    thread = threads.get(timeout=8)
    thread.join(8)
    assert not thread.is_alive()


def test_a_wait_for_a_provider_can_be_cancelled() -> None:
    threads: SimpleQueue[threading.Thread] = SimpleQueue()

    def provider() -> Awaitable[str]:
        threads.put(threading.current_thread())
        return async_provider()

    async def body() -> None:
        task = asyncio.ensure_future(ask_token(provider, 5, ProviderCalls()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        threads.get(timeout=5).join(5)
        await asyncio.sleep(0)  # its coroutine arrives late, and is closed

    run(body)


@pytest.mark.parametrize(
    "token",
    [
        "", CANARY + "\r\nX: 1", CANARY + "\n", f"{CANARY} x", CANARY + "\x00", CANARY + "\x7f",
        CANARY + "\u00e9", "x" * (MAX_TOKEN + 1), 1, b"bytes", SecretStr(""),
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(token: Any) -> None:
    assert "access token" in str(refusal(lambda: token))
    if not callable(token):
        assert "access token" in str(refusal(token))


def test_a_provider_that_returns_none_is_told_what_to_do() -> None:
    assert "return a token, or pass none at all" in str(refusal(lambda: None))


# Headers


async def async_headers() -> dict[str, str]:
    return {"A": "1"}


@pytest.mark.parametrize(
    ("source", "pairs"),
    [
        (None, []),
        ({"A": "1", "B": "2"}, [("A", "1"), ("B", "2")]),
        ([("A", "1"), ("A", "2")], [("A", "1"), ("A", "2")]),
        (lambda: {"A": "1"}, [("A", "1")]),
        (async_headers, [("A", "1")]),
    ],
)
def test_headers_may_come_from_anywhere_in_order(source: Any, pairs: list[Any]) -> None:
    assert run(lambda: ask_headers(source, 1.0, ProviderCalls())) == pairs


@pytest.mark.parametrize("hang", [True, False])
def test_a_provider_of_headers_that_fails_is_a_failed_attempt(hang: bool) -> None:
    async def provider() -> dict[str, str]:
        if hang:
            await asyncio.Future()
        raise ValueError(CANARY)

    with pytest.raises(ConnectError) as caught:
        run(lambda: ask_headers(provider, 0.01, ProviderCalls()))
    assert caught.value.cause == "headers"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


# Placement

HEADERS = [("X-A", "1")]


def placed(placement: TokenPlacement = "header", url: str = URL, **options: Any) -> Any:
    return place(url, SECRET, HEADERS, StoreOptions(token_placement=placement, **options))


def test_without_a_token_nothing_is_placed() -> None:
    upgrade = place("ws://h.example/", None, HEADERS, StoreOptions(subprotocols=["a"]))
    assert tuple(upgrade)[:4] == ("ws://h.example/", HEADERS, ["a"], None)


def test_in_a_header() -> None:
    upgrade = placed()
    assert tuple(upgrade)[:4] == (
        URL, [("Authorization", f"Bearer {CANARY}"), *HEADERS], None, None,
    )  # fmt: skip
    assert repr(upgrade) == "<Upgrade>"


def test_in_a_subprotocol_behind_those_that_are_offered() -> None:
    assert tuple(placed("subprotocol"))[:4] == (URL, HEADERS, [f"bearer.{CANARY}"], None)
    upgrade = placed("subprotocol", subprotocols=["a", "b"])
    assert upgrade.subprotocols == ["a", "b", f"bearer.{CANARY}"]


def test_in_a_subprotocol_only_where_it_can_be_one() -> None:
    with pytest.raises(TokenError, match="header"):
        place(URL, SecretStr("a/b="), [], StoreOptions(token_placement="subprotocol"))


def test_in_a_first_message() -> None:
    assert tuple(placed("first_message"))[:3] == (URL, HEADERS, None)  # the protocol sends it


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("token", [CANARY, 'a"b\\c'])
async def test_heimdalls_protocol_sends_it_before_anything_else(token: str) -> None:
    peer = ScriptedPeer()
    options: Any = {"access_token": token, "token_placement": "first_message"}
    async with use_websocket("ws://localhost/v1/ws", transport=peer, **options) as store:
        store.send("first of all that waits")
        link = await peer.accepted()
        await store.wait_connected()
        await asyncio.sleep(1)
        assert link.received == [{"type": "Auth", "token": token}, "first of all that waits"]
        assert store.send.value == "first of all that waits"


@pytest.mark.parametrize("url", [URL, URL + "?", URL + "?a=1"])
def test_in_the_query_by_an_unsafe_name(url: str) -> None:
    odd = "a+b&c=d/e%"
    upgrade = place(url, SecretStr(odd), HEADERS, StoreOptions(token_placement="unsafe_query"))
    query = parse_qs(urlsplit(upgrade.url).query)
    assert query.pop("access_token") == [odd]
    assert query == ({"a": ["1"]} if "a=1" in url else {})
    assert upgrade.headers == HEADERS


@pytest.mark.parametrize("placement", ["header", "subprotocol", "first_message", "unsafe_query"])
@pytest.mark.parametrize("host", ["h.example", "localhost.evil", "127.0.0.1.nip.io", "2130706433"])
def test_a_token_does_not_travel_in_clear(placement: TokenPlacement, host: str) -> None:
    with pytest.raises(InsecureToken, match="allow_insecure_token=True") as caught:
        placed(placement, f"ws://{host}/v1")
    assert CANARY not in str(caught.value)
    assert placed(placement, f"ws://{host}/v1", allow_insecure_token=True)
    assert placed(placement, f"wss://{host}/v1")


@pytest.mark.parametrize(
    ("url", "headers", "what"),
    [
        ("ws://ada:pw@h.example/", [], "password"),
        ("ws://ada@h.example/", [], "password"),
        ("ws://:pw@h.example/", [], "password"),
        ("ws://h.example/", [("Cookie", "id=1")], "credentials in the headers"),
        ("ws://h.example/", [("X-API-Key", "1")], "credentials in the headers"),
        ("ws://h.example/", [("Proxy-Authorization", "x")], "credentials in the headers"),
        ("ws://h.example/", [("AUTHORIZATION", "Basic x")], "credentials in the headers"),
    ],
)
def test_other_credentials_do_not_travel_in_clear_either(
    url: str, headers: list[tuple[str, str]], what: str
) -> None:
    with pytest.raises(InsecureToken) as caught:
        place(url, None, headers, StoreOptions())
    assert str(caught.value) == (
        f"the {what} would be sent unencrypted; use a wss:// endpoint, "
        f"or allow_insecure_token=True where the network is trusted ({redact(url)})"
    )
    assert place(url, None, headers, StoreOptions(allow_insecure_token=True)).url == url


def test_a_token_is_not_given_to_whoever_answers() -> None:
    context = ssl.create_default_context()
    assert placed(ssl=context).url == URL
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(InsecureToken) as caught:
        placed(ssl=context)
    assert str(caught.value) == (
        "the access token would go to whoever answers, as ssl= verifies no certificate; "
        "use a context that does, or allow_insecure_token=True where the network is trusted "
        f"({URL})"
    )
    assert placed(url="wss://localhost/", ssl=context).url == "wss://localhost/"


@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", "socks5h://192.0.2.1:1080"])
def test_behind_a_proxy_elsewhere_localhost_is_not_this_machine(proxy: str) -> None:
    with pytest.raises(InsecureToken):
        placed(url="ws://localhost/", proxy=proxy)
    assert placed(url="ws://localhost/", proxy="http://127.0.0.1:3128").url == "ws://localhost/"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("wss://ada:pw@h.example/", []),
        ("wss://ada@h.example/", []),
        ("wss://:pw@h.example/", []),
        (URL, [("authorization", "Basic x")]),
    ],
)
def test_there_is_one_authorization_header(url: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ConfigurationError, match="more than one Authorization header"):
        place(url, SECRET, headers, StoreOptions())
    assert place(url, None, headers, StoreOptions()).headers == headers
    assert place(url, SECRET, headers, StoreOptions(token_placement="subprotocol")).headers == (
        headers
    )


def test_a_protocol_with_a_handshake_keeps_the_token_out_of_the_header() -> None:
    class Login(SessionProtocol):
        subprotocols = ("of.the.protocol",)

        async def handshake(self, session: ProtocolSession) -> None:
            raise NotImplementedError

    upgrade = placed(protocol=Login())
    assert (upgrade.headers, upgrade.subprotocols) == (HEADERS, ["of.the.protocol"])
    assert placed(protocol=Login(), subprotocols=["own"]).subprotocols == ["own"]
    assert placed(protocol=SessionProtocol()).headers[0] == ("Authorization", f"Bearer {CANARY}")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3000", "127.0.0.1", "[::1]:3000"])
def test_a_token_may_travel_in_clear_on_this_machine(host: str) -> None:
    assert placed(url=f"ws://{host}/").url == f"ws://{host}/"


@pytest.mark.parametrize("headers", [5, ["AB", "CDE"], {"A": "1\r\nB: 2"}, {"A\n": "1"}, [("A",)]])
def test_what_are_no_headers_is_refused(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="additional_headers"):
        run(lambda: ask_headers(headers, 1.0, ProviderCalls()))


@pytest.mark.parametrize("headers", [{"Upgrade": "h2c"}, {"X-Tenant": 42}, {"Origin": "https://h"}])
def test_what_a_provider_returns_is_refused_as_what_is_given_at_once(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"additional_headers.*{next(iter(headers))}"):
        run(lambda: ask_headers(lambda: headers, 1.0, ProviderCalls(), "https://o.example"))


def test_a_unix_socket_leaves_this_machine_no_more_than_loopback_does() -> None:
    token = SecretStr(CANARY)
    assert place("ws://h.example/", token, [], StoreOptions(unix="/run/s")).headers
    with pytest.raises(InsecureToken):
        place("ws://h.example/", token, [], StoreOptions())


# What is masked


def test_all_that_may_be_secret_of_an_upgrade_is_masked() -> None:
    async def body() -> Upgrade:
        url = "wss://ada%40home:p%3Aw-long@h.example/v1?key=query-secret&n=1234567"
        headers = {"X-Word": "Bearer", "X-Key": "Scheme header-secret; short"}
        options = StoreOptions(token_placement="subprotocol", additional_headers=headers)
        return await prepare(url, Identity(CANARY, None), options, ProviderCalls())

    upgrade = run(body)
    login = base64.b64encode(b"ada@home:p:w-long").decode().rstrip("=")
    for secret in (CANARY, "ada@home", "p:w-long", login, "query-secret", "header-secret"):
        assert upgrade.mask(f"<{secret}>") == "<***>"
    for harmless in ("short", "1234567", "Bearer"):
        assert upgrade.mask(harmless) == harmless
    assert (upgrade.token, upgrade.identity) == (SECRET, Identity(CANARY, None))


def test_a_digest_tells_texts_apart_and_shows_none_of_them() -> None:
    texts = ("a", "b", "", "\ud800", "\ud801", "x" * 10_000)
    digests = {digest(text) for text in texts}
    assert len(digests) == len(texts)
    assert {len(each) for each in digests} == {64}


# Whose it is


def jwt(claims: object) -> SecretStr:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return SecretStr(f"e30.{body}.signature")


@pytest.mark.parametrize(
    ("token", "principal"),
    [
        (None, None),
        (SecretStr("opaque"), None),
        (SecretStr("a.b.c"), None),
        (SecretStr("a.!!!!.c"), None),
        (jwt({"sub": "ada"}), "ada"),
        (jwt({"sub": 7}), None),
        (jwt({}), None),
        (jwt(["sub"]), None),
    ],
)
def test_the_principal_is_the_subject_of_a_jwt(
    token: SecretStr | None, principal: str | None
) -> None:
    assert principal_of(token) == principal


async def test_what_was_queued_for_nobody_is_not_sent_by_an_attempt_whose_token_gave_way() -> None:
    async def ask() -> str:
        asked.set()
        await answer.wait()
        return "adas-token"

    async def note(socket: ServerConnection) -> None:
        async for message in socket:
            got.append(message)  # noqa: PERF401 - as it comes

    got: list[str | bytes] = []
    asked, answer = asyncio.Event(), asyncio.Event()
    async with peer(note) as url, quick(url, immediate=False) as store:
        receipt = store.send("for nobody")
        store.set_access_token(ask, principal="ada")
        store.connect()
        await asked.wait()
        store.set_access_token(None)  # while the attempt of ada is under way
        answer.set()
        await store.wait_connected(8)
        await store.send("now").delivered(8)
        assert receipt.state == "dropped"
    assert got == ["now"]


async def test_what_was_queued_waits_for_the_next_token_of_the_same_user() -> None:
    async def ask() -> str:
        asked.set()
        await answer.wait()
        return "first"

    async def note(socket: ServerConnection) -> None:
        async for message in socket:
            got.append(message)  # noqa: PERF401 - as it comes

    got: list[str | bytes] = []
    asked, answer = asyncio.Event(), asyncio.Event()
    async with peer(note) as url:
        store = quick(url, immediate=False, access_token=ask, principal="ada")
        async with store:
            receipt = store.send("for ada")
            store.connect()
            await asked.wait()
            store.set_access_token("second", principal="ada")  # while the attempt is under way
            answer.set()
            await receipt.delivered(8)
    assert got == ["for ada"]
