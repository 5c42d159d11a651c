"""Which options a dial has, over which sockets it goes, and where redirects lead."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets import exceptions as ws
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from heimdall_reactive import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    InvalidEndpoint,
    RedirectRefused,
    Status,
    StoreOptions,
)
from heimdall_reactive.transports.websockets_dial import (
    Dialler,
    default_context,
    dial,
    open_wire,
)
from heimdall_reactive.transports.websockets_wire import WebSocketsWire
from tests.peers import answer_to, peer, quick, raw_peer
from tests.support import run

SECRET = "s3cret-canary"


def answer(status: int, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, SECRET, fields)


# The options of a dial


def dialled(url: str = "ws://h.example/", **options: Any) -> dict[str, Any]:
    """Return what `websockets` is given."""
    seen: dict[str, Any] = {}

    async def dialler(url: str, **given: Any) -> Any:
        seen.update(given, url=url)
        raise ConfigurationError("seen")

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="seen"):
            await open_wire(
                WebSocketsWire, url, [("A", "1")], options.pop("protocols", None),
                StoreOptions(**options), dialler,
            )  # fmt: skip

    run(main)
    return seen


def test_the_options_of_a_dial_are_those_of_the_store() -> None:
    seen = dialled(
        open_timeout=1.0, close_timeout=2.0, max_size=3, compression=None, origin="https://o",
        protocols=["a", "b"], ping_interval=4.0,
    )  # fmt: skip
    wanted = {
        "url": "ws://h.example/", "additional_headers": [("A", "1")], "subprotocols": ["a", "b"],
        "proxy": True, "compression": None, "open_timeout": 1.0, "ping_interval": None,
        "close_timeout": 2.0, "max_size": 3, "write_limit": (0, 0), "origin": "https://o",
        "create_connection": WebSocketsWire, "ssl": None,
    }  # fmt: skip
    logger, options = seen.pop("logger"), seen.pop("options")
    assert options.ping_interval == 4.0
    assert seen == wanted
    assert logger.name == "heimdall_reactive.wire"
    plain = dialled()
    assert (plain["subprotocols"], plain["origin"], plain["compression"]) == (
        None, None, "deflate",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "proxy", "used"),
    [
        ("ws://h.example/", True, True),
        ("ws://localhost/", True, None),
        ("ws://[::1]:1/", True, None),
        ("ws://localhost/", "http://p.example", "http://p.example"),
        ("ws://h.example/", None, None),
    ],
)
def test_the_environments_proxy_is_for_other_hosts_only(url: str, proxy: Any, used: Any) -> None:
    assert dialled(url, proxy=proxy)["proxy"] == used


def test_tls_has_the_stores_context_or_one_that_verifies() -> None:
    own = ssl.create_default_context()
    seen = dialled("wss://h.example/", ssl=own)
    assert (seen["ssl"], seen["write_limit"]) == (own, (1, 0))
    default = dialled("wss://h.example/")["ssl"]
    assert default is default_context()
    assert default.verify_mode is ssl.CERT_REQUIRED
    assert default.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert dialled()["ssl"] is None


async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_wire_forgets_what_is_secret_and_has_the_stores_pings() -> None:
    options = StoreOptions(ping_interval=7.0, ping_timeout=3.0)
    async with raw_peer(read) as url:
        host = url.removeprefix("ws://").rstrip("/")
        wire: Any = await dial(f"ws://ada:{SECRET}@{host}/?t={SECRET}", [], None, options)
        uri = wire.protocol.uri
        assert (uri.username, uri.password, uri.query, wire.request) == (None, None, "", None)
        assert wire.protocol.available_subprotocols is None
        assert (wire.ping_interval, wire.ping_timeout) == (7.0, 3.0)
        wire.kill()


# Over which sockets


async def hold(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_a_unix_socket_is_dialled_at_each_attempt(tmp_path: Path) -> None:
    requests: list[Any] = []

    async def drop_first(connection: ServerConnection) -> None:
        requests.append(connection.request)
        if len(requests) > 1:
            await connection.wait_closed()

    path = tmp_path / "ws.sock"
    async with (
        unix_serve(drop_first, str(path)),
        quick("ws://h.example/v1?x=1", unix=path, proxy="http://127.0.0.1:9") as store,
    ):
        await store.wait_for(lambda state: state.session == 2, 8)
        assert store.send("hello")
    assert [(r.path, r.headers["Host"]) for r in requests] == [("/v1?x=1", "h.example")] * 2


async def test_a_callable_of_sock_is_asked_at_each_attempt() -> None:
    made: list[str] = []

    async def drop_first(connection: ServerConnection) -> None:
        if len(made) > 1:
            await connection.wait_closed()

    async with peer(drop_first) as url:
        port = int(url.rpartition(":")[2])

        async def connect() -> socket.socket:
            made.append("socket")
            return socket.create_connection(("127.0.0.1", port))

        async with quick("ws://h.example/", sock=connect) as store:
            await store.wait_for(lambda state: state.session == 2, 8)
    assert made == ["socket"] * 2


async def test_a_socket_lasts_for_one_attempt() -> None:
    async def drop(connection: ServerConnection) -> None:
        await connection.close(1012)

    async with peer(drop) as url:
        sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        async with quick("ws://h.example/", sock=sock) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 8)
    assert (state.session, state.attempt, type(state.error)) == (1, 1, ConfigurationError)
    assert "pass a callable that returns a connected socket for each attempt" in str(state.error)


@pytest.mark.parametrize(
    ("made", "error"), [(5, ConfigurationError), (ConnectionRefusedError(), ConnectError)]
)
async def test_a_callable_of_sock_that_makes_none_fails_the_attempt(
    made: Any, error: type[Exception]
) -> None:
    def make() -> Any:
        if isinstance(made, Exception):
            raise made
        return made

    with pytest.raises(error):
        await dial("ws://h.example/", [], None, StoreOptions(sock=make))


async def test_a_local_address_is_where_the_server_sees_us() -> None:
    seen: list[Any] = []

    async def note(connection: ServerConnection) -> None:
        seen.append(connection.remote_address[0])

    async with peer(note) as url, quick(url, local_addr=("127.0.0.5", 0)) as store:
        await store.wait_for(lambda state: state.session == 1, 8)
    assert seen[0] == "127.0.0.5"


@pytest.mark.leaky
async def test_server_hostname_is_what_the_certificate_must_have(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with peer(hold, ssl=serving) as url:
        url = url.replace("ws:", "wss:")
        with pytest.raises(CertificateError):
            await dial(url, [], None, StoreOptions(ssl=trusting))
        async with quick(url, ssl=trusting, server_hostname="localhost") as store:
            await store.wait_connected(8)


@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_a_socket_of_ours_sends_at_once(make_loop: Any) -> None:
    async def main() -> int:
        async with raw_peer(read) as url:
            wire: Any = await dial(url.replace("127.0.0.1", "localhost"), [], None, StoreOptions())
            sock = wire.transport.get_extra_info("socket")
            option: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            wire.kill()
            return option

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(main()) != 0


async def test_a_name_server_that_does_not_answer_is_told_from_a_mute_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = threading.Event()
    options = StoreOptions(open_timeout=0.2, proxy=None)
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_: answer.wait(20) and [])
        with pytest.raises(ConnectTimeout) as caught:
            await dial("ws://h.example/", [], None, options)
        answer.set()
    assert str(caught.value) == "no address of 'h.example' within 0.2 s (ws://h.example/)"
    async with raw_peer(read, upgrade=False) as url:
        with pytest.raises(ConnectTimeout) as caught:
            await dial(url, [], None, options)
    assert str(caught.value) == f"no answer to the opening handshake within 0.2 s ({url})"


@pytest.mark.leaky
async def test_tls_on_a_port_without_it_says_so() -> None:
    async def close(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    for handler, cause in ((close, "reset"), (answer_http, "tls")):
        async with raw_peer(handler, upgrade=False) as url:
            url = url.replace("ws:", "wss:")
            with pytest.raises(ConnectError, match="if the port has no TLS, say ws://") as caught:
                await dial(url, [], None, StoreOptions())
        assert caught.value.cause == cause
        assert url in str(caught.value)


# Headers


async def test_a_host_of_the_users_own_replaces_that_of_the_url() -> None:
    lines: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        lines.extend(request.lower().split(b"\r\n"))
        writer.write(answer_to(request))
        await reader.read()

    async with raw_peer(note, upgrade=False) as url:
        options = StoreOptions(origin="https://o.example")
        wire = await dial(url, [("host", "Tenant.example:80"), ("X", "1")], None, options)
        wire.kill()
    assert [line for line in lines if line.startswith(b"host")] == [b"host: tenant.example:80"]
    assert lines.count(b"origin: https://o.example") == lines.count(b"x: 1") == 1


# Redirects


@pytest.mark.parametrize(
    ("url", "location", "kind"),
    [
        ("wss://h.example/a", "/b", str),
        ("wss://h.example/a", "wss://h.example:443/b", str),
        ("ws://h.example/a", "ws://h.example:80/b", str),
        ("ws://h.example:81/a", "ws://h.example/b", RedirectRefused),
        ("wss://h.example/a", "wss://h.example:444/b", RedirectRefused),
        ("wss://h.example/a", "wss://other.example/a", RedirectRefused),
        ("wss://h.example/a", "ws://h.example/a", RedirectRefused),
        ("ws://h.example/a", "wss://h.example/a", RedirectRefused),
        ("wss://h.example/a", "wss://[h/", InvalidEndpoint),
        ("wss://h.example/a", "ftp://h.example/a", InvalidEndpoint),
        ("ws://h.example/a", "/b#part", InvalidEndpoint),
        ("wss://h.example/a", "https://h.example/b", str),
        ("wss://h.example/a", "HTTPS://h.example:443/b", str),
        ("ws://h.example:81/a", "http://h.example:81/b", str),
        ("wss://h.example/a", "http://h.example/b", RedirectRefused),
        ("ws://h.example/a", "https://h.example/b", RedirectRefused),
    ],
)
def test_a_redirect_is_followed_on_its_own_origin_only(
    url: str, location: str, kind: type[Any]
) -> None:
    dialler = Dialler(url)
    followed = dialler.process_redirect(ws.InvalidStatus(answer(302, Location=location)))
    assert type(followed) is kind


@pytest.mark.parametrize("location", ["/b", "https://h.example/b", "wss://eve:x@h.example:443/b"])
def test_a_redirect_keeps_the_login_of_the_endpoint(location: str) -> None:
    dialler = Dialler("wss://ann:secret@h.example/a")
    followed = dialler.process_redirect(ws.InvalidStatus(answer(301, Location=location)))
    assert followed == "wss://ann:secret@h.example/b"


def test_what_is_no_redirect_stays_what_it_is() -> None:
    error = ws.InvalidStatus(answer(503))
    assert Dialler("wss://h.example/").process_redirect(error) is error


def test_a_redirect_to_two_places_is_refused() -> None:
    headers = Headers([("Location", "/a"), ("Location", "/b")])
    error = ws.InvalidStatus(Response(302, "", headers))
    followed = Dialler("wss://h.example/").process_redirect(error)
    assert isinstance(followed, InvalidEndpoint)
    said = "the server redirects to what is not a WebSocket URL (wss://h.example/)"
    assert str(followed) == said
