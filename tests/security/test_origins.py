"""Where credentials may go, and to whom: T7 to T12 of the list in docs/security.md."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from heimdall_reactive import (
    CertificateError,
    ConfigurationError,
    ConnectionState,
    InsecureToken,
    RedirectRefused,
    Status,
    StoreOptions,
    WebSocketStore,
)
from heimdall_reactive.connecting.tokens import place
from heimdall_reactive.testing import Accept, HttpAnswer, redirect
from heimdall_reactive.transports.websockets_dial import default_context
from tests.peers import quick
from tests.socket_peer import SocketPeer

from .canary import CANARY

CLEAR = "ws://192.0.2.1/"  # TEST-NET-1: nobody has it


async def end_of(store: WebSocketStore[Any]) -> ConnectionState:
    state: ConnectionState = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
    return state


# T7 to T10: where the token may go

CREDENTIALS: list[tuple[str, dict[str, Any]]] = [
    (CLEAR, {"access_token": "token"}),
    (CLEAR, {"access_token": "token", "token_placement": "first_message"}),
    (CLEAR, {"additional_headers": {"authorization": "Basic eDp5"}}),
    (CLEAR, {"additional_headers": [("Cookie", "session=1")]}),
    (CLEAR, {"additional_headers": lambda: {"X-API-Key": "k"}}),
    ("ws://ada:pass@192.0.2.1/", {}),
    ("ws://localhost:3000/", {"access_token": "t", "proxy": "http://192.0.2.1:3128"}),
    ("ws://localhost:3000/", {"access_token": "t", "proxy": "http://[2001:db8::1]"}),
]


@pytest.mark.parametrize(("url", "options"), CREDENTIALS)
async def test_t07_no_credential_travels_in_clear_and_no_socket_is_opened_for_it(
    url: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "create_connection", lambda *a, **k: opened.append(a))
    monkeypatch.setattr(loop, "sock_connect", lambda *a, **k: opened.append(a))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: opened.append(a))
    async with quick(url, **options) as store:
        assert isinstance((await end_of(store)).error, InsecureToken)
    assert opened == []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("LocalHost", True), ("127.0.0.1", True), ("127.255.0.9", True),
        ("[::1]", True), ("[0:0:0:0:0:0:0:1]", True),
        ("localhost.evil", False), ("127.0.0.1.nip.io", False), ("2130706433", False),
        ("0x7f000001", False), ("127.1", False), ("0177.0.0.1", False), ("0.0.0.0", False),
        ("[::ffff:127.0.0.1]", False), ("[::]", False), ("localhost.", False),
        ("127.0.0.1@192.0.2.1", False),
    ],
)  # fmt: skip
def test_t07_only_what_can_be_no_other_host_is_loopback(host: str, loopback: bool) -> None:
    options, token = StoreOptions(), SecretStr("token")
    url, tls = f"ws://{host}/", f"wss://{host}/"
    if loopback:
        assert place(url, token, [], options)
    else:
        with pytest.raises(InsecureToken):
            place(url, token, [], StoreOptions(token_placement="first_message"))
    if "@" not in host:
        assert place(url, None, [("X-Client", "1")], options)
    assert place(tls, token, [], StoreOptions(token_placement="first_message"))
    allowed = StoreOptions(allow_insecure_token=True, token_placement="first_message")
    assert place(url, token, [], allowed)


def test_t07_two_authorization_headers_are_refused() -> None:
    token, header = SecretStr("token"), [("authorization", "Basic eDp5")]
    for url, headers in (("wss://h/", header), ("wss://ada:pass@h/", [])):
        with pytest.raises(ConfigurationError, match="more than one Authorization"):
            place(url, token, headers, StoreOptions())
    with pytest.raises(ConfigurationError):
        place("wss://ada:pass@h/", None, header, StoreOptions())
    assert place("wss://ada:pass@h/", token, [], StoreOptions(token_placement="subprotocol"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["port", "host", "scheme", "path"])
async def test_t08_a_redirect_leads_to_no_other_origin(status: int, where: str) -> None:
    async with SocketPeer() as other, SocketPeer() as peer:
        target = {
            "port": other.url, "host": other.url.replace("127.0.0.1", "localhost"),
            "scheme": peer.url.replace("ws:", "wss:"), "path": "/moved",
        }[where]  # fmt: skip
        peer.script(redirect(target, status))
        headers = {"X-Api-Key": CANARY}
        async with quick(peer.url, access_token=CANARY, additional_headers=headers) as store:
            if where == "path":
                await store.wait_connected(8)
                assert [dial.path for dial in peer.dials] == ["/", "/moved"]
            else:
                assert isinstance((await end_of(store)).error, RedirectRefused)
                assert (len(peer.dials), other.dials) == (1, [])


@pytest.mark.leaky
async def test_t09_a_redirect_from_tls_to_clear_text_is_refused(certificate: Path) -> None:
    async with SocketPeer() as clear, SocketPeer(ssl=serving(certificate)) as peer:
        peer.always(redirect(clear.url.replace("127.0.0.1", "localhost")))
        url = peer.url.replace("127.0.0.1", "localhost")
        async with quick(url, ssl=trusting(certificate), access_token=CANARY) as store:
            assert isinstance((await end_of(store)).error, RedirectRefused)
            assert clear.dials == []


async def test_t10_the_next_attempt_goes_to_the_configured_url() -> None:
    async with (
        SocketPeer(redirect("/moved", 307), HttpAnswer(503)) as peer,
        quick(peer.url + "/home", access_token=CANARY) as store,
    ):
        await store.wait_connected(8)
        assert [dial.path for dial in peer.dials] == ["/home", "/moved", "/home"]
        assert peer.dials[2].token == CANARY


# T11 and T12: who is on the peer


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


@pytest.mark.leaky
@pytest.mark.parametrize("case", ["good", "unknown", "wrong name"])
async def test_t11_a_certificate_that_is_not_accepted_stops_the_store(
    certificate: Path, case: str
) -> None:
    context = None if case == "unknown" else trusting(certificate)
    async with SocketPeer(ssl=serving(certificate)) as peer:
        host = "127.0.0.1" if case == "wrong name" else "localhost"
        url = peer.url.replace("127.0.0.1", host)
        async with quick(url, ssl=context, access_token=CANARY) as store:
            if case == "good":
                await store.wait_connected(8)
                return
            assert isinstance((await end_of(store)).error, CertificateError)
            assert store.stats.attempts == 1
            assert not any(dial.request for dial in peer.dials)


def test_t11_a_context_that_is_not_given_verifies_and_wants_tls_1_2_or_newer() -> None:
    context = default_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_t11_a_context_that_verifies_nothing_gets_no_token() -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    token = SecretStr("token")
    with pytest.raises(InsecureToken, match="verifies no certificate"):
        place("wss://h.example/", token, [], StoreOptions(ssl=context))
    assert place("wss://h.example/", None, [], StoreOptions(ssl=context))
    assert place("wss://localhost/", token, [], StoreOptions(ssl=context))
    allowed = StoreOptions(ssl=context, allow_insecure_token=True)
    assert place("wss://h.example/", token, [], allowed)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_t12_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SocketPeer() as proxy, SocketPeer(Accept()) as peer:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, proxy.url.replace("ws:", "http:"))
        url = peer.url.replace("127.0.0.1", host)
        async with quick(url, access_token=CANARY) as store:
            await store.wait_connected(8)
        assert proxy.dials == []
