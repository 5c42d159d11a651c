"""Proxies: what reaches the server through them, and whose fault it is when nothing does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import ConfigurationError, ConnectError, ConnectTimeout, StoreOptions
from heimdall_reactive.transports.websockets_dial import dial
from tests.peers import peer, quick, raw_peer
from tests.support import until

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
SECRET = "s3cret-canary"
SERVER = "ws://h.example/"


async def copy(reader: Reader, writer: Writer) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    finally:
        writer.close()


async def carry(reader: Reader, writer: Writer, port: int) -> None:
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))


async def http(reader: Reader, writer: Writer, asked: list[str]) -> None:
    """Be an HTTP proxy, for one connection."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    asked.append(request)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await carry(reader, writer, int(request.split()[1].rpartition(":")[2]))


SOCKS = pytest.mark.skipif(
    find_spec("python_socks") is None, reason="pip install 'python-socks[asyncio]'"
)


async def socks(reader: Reader, writer: Writer, asked: list[str]) -> None:
    """Be a SOCKS proxy, for one connection (RFC 1928)."""
    _, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(b"\x05\x00")
    *_, kind = await reader.readexactly(4)
    size = 4 if kind == 1 else (await reader.readexactly(1))[0]
    host = await reader.readexactly(size)
    port = int.from_bytes(await reader.readexactly(2), "big")
    asked.append(socket.inet_ntoa(host) if kind == 1 else host.decode())
    writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    await carry(reader, writer, port)


@asynccontextmanager
async def proxy(
    behave: Callable[[Reader, Writer, list[str]], Awaitable[None]], **options: Any
) -> AsyncIterator[tuple[int, list[str]]]:
    asked: list[str] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        try:
            await behave(reader, writer, asked)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1], asked


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def converse(url: str, **options: Any) -> None:
    async with quick(url, **options) as store:
        store.send({"n": 1})
        await until(store, lambda: store.last_message.value == {"n": 1})
        assert store.stats.attempts == 1


async def test_an_http_proxy_is_asked_for_a_tunnel() -> None:
    async with peer(echo) as url, proxy(http) as (port, asked):
        await converse(
            url.replace("127.0.0.1", "localhost"),
            proxy=f"http://ada:{SECRET}@localhost:{port}", allow_insecure_token=True,
        )  # fmt: skip
    assert asked[0].startswith(f"CONNECT localhost:{url.rpartition(':')[2]} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic " in asked[0]


@pytest.mark.leaky
@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_tls_goes_to_the_server_and_to_the_proxy(make_loop: Any, certificate: Path) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(tls_twice(certificate))


async def tls_twice(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with peer(echo, ssl=serving) as url, proxy(http, ssl=serving) as (port, asked):
        url = url.replace("ws://127.0.0.1", "wss://localhost")
        through = f"https://localhost:{port}"
        await converse(url, ssl=trusting, proxy=through, proxy_ssl=trusting)
        with pytest.raises(ConnectError, match="pass proxy_ssl=") as caught:
            await dial(url, [], None, StoreOptions(ssl=trusting, proxy=through))
        assert caught.value.cause == "proxy"
    assert len(asked) == 1


@SOCKS
@pytest.mark.parametrize(
    ("scheme", "asked_for"), [("socks5h", "localhost"), ("socks5", "127.0.0.1")]
)
async def test_a_socks_proxy_is_asked_for_the_server(scheme: str, asked_for: str) -> None:
    async with peer(echo) as url, proxy(socks) as (port, asked):
        url = url.replace("127.0.0.1", "localhost")
        await converse(url, proxy=f"{scheme}://localhost:{port}")
    assert asked == [asked_for]


# Whose fault it is


async def failure(through: Any, kind: type[Exception] = ConnectError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        await dial(SERVER, [], None, StoreOptions(proxy=through, **options))
    assert SECRET not in str(caught.value)
    assert kind is not ConnectError or getattr(caught.value, "cause", None) == "proxy"
    return str(caught.value)


def answering(data: bytes) -> Callable[[Reader, Writer], Awaitable[None]]:
    async def handle(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)

    return handle


REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
LOGIN = b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (REFUSED, "refused the connection to the server with HTTP 403; may it go there?"),
        (b"SSH-2.0\r\n", "closed the connection, or answered with no HTTP response"),
        (b"", "closed the connection, or answered with no HTTP response"),
    ],
)
async def test_a_proxy_that_refuses_or_is_none_is_named(data: bytes, said: str) -> None:
    async with raw_peer(answering(data), upgrade=False) as url:
        address = url.replace("ws:", "http:")
        login = address.replace("//", f"//ada:{SECRET}@")
        allowed: dict[str, Any] = {"allow_insecure_token": True}
        assert await failure(login, **allowed) == f"the proxy {address} {said}"


async def test_a_proxy_that_asks_for_a_login_says_where_to_put_it() -> None:
    async with raw_peer(answering(LOGIN), upgrade=False) as url:
        address = url.replace("ws:", "http:")
        said = await failure(address, ConfigurationError)
        assert said == f"the proxy asks for a login (HTTP 407); put it into proxy= ({address})"


async def test_a_proxy_that_is_mute_is_named() -> None:
    async def mute(reader: Reader, _: Writer) -> None:
        await reader.read()

    async with raw_peer(mute, upgrade=False) as url:
        address = url.replace("ws:", "http:")
        said = await failure(address, ConnectTimeout, open_timeout=0.2)
        assert said == f"no answer from the proxy {address} within 0.2 s ({SERVER})"


@pytest.mark.parametrize("scheme", ["http", "https", pytest.param("socks5h", marks=SOCKS)])
async def test_a_proxy_that_is_not_reached_is_named(scheme: str) -> None:
    said = await failure(f"{scheme}://127.0.0.1:9")
    assert said == (
        f"the proxy {scheme}://127.0.0.1:9 was not reached: no connection: Connection refused; "
        "check proxy=, or the environment's proxies"
    )
    said = await failure(f"{scheme}://name.invalid:9")
    assert said == (
        f"the proxy {scheme}://name.invalid:9 was not reached: its name is not found; "
        "check proxy=, or the environment's proxies"
    )


@pytest.mark.leaky
async def test_tls_with_a_proxy_that_has_none_says_so() -> None:
    async def close(reader: Reader, _: Writer) -> None:
        await reader.read(10)

    async with raw_peer(close, upgrade=False) as url:
        address = url.replace("ws:", "https:")
        assert await failure(address) == (
            f"TLS with the proxy {address} failed; if its port has no TLS, say http://"
        )


@SOCKS
async def test_a_socks_proxy_that_refuses_is_named() -> None:
    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.read(3)
        writer.write(b"\x05\xff")

    async with raw_peer(refuse, upgrade=False) as url:
        address = url.replace("ws:", "socks5h:")
        assert await failure(address) == (
            f"the proxy {address} refused the connection to the server; may it go there, "
            "and does it need a login?"
        )


async def test_a_proxy_of_the_environment_without_a_scheme_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY", "ws_proxy", "socks_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"{SECRET}.example:3128")
    assert await failure(True) == (
        "the proxy of the environment (HTTPS_PROXY and the like) is not usable; it must be a URL "
        "such as http://proxy.example:3128 or socks5h://proxy.example:1080"
    )


def test_a_socks_proxy_without_its_library_says_what_to_install() -> None:
    program = """
import asyncio, sys
sys.modules["python_socks"] = None
from heimdall_reactive import StoreOptions
from heimdall_reactive.transports.websockets_dial import dial

async def main():
    try:
        await dial("ws://h.example/", [], None, StoreOptions(proxy="socks5h://127.0.0.1:9"))
    except Exception as error:
        print(error.cause, error)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    said = "the proxy socks5h://127.0.0.1:9 needs a library: pip install 'python-socks[asyncio]'"
    assert (done.stdout, done.stderr) == (f"proxy {said}\n", "")
