"""How the log is reached, and what is told where it is not: by every door, on each server."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import Status
from heimdall_reactive.cli import main
from heimdall_reactive.dataflow import Feed, Ingest, Log, LogError, Record, connect_log, use_log

from .conftest import served
from .feed_server import FeedServer
from .kills import until
from .nats_server import PROGRAMS, NatsServer, free_port, version

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

USERS = """
authorization {
    users = [
        {user: all, password: s3cret}
        {user: reader, password: s3cret, permissions: {
            publish: {deny: ["*.in.*", "$JS.API.CONSUMER.>"]}
        }}
    ]
}
"""
FEED = Feed(endpoint="ws://127.0.0.1:1/", options={"reconnect_delay": 0.1})


@pytest.fixture(scope="module", params=PROGRAMS or [""], ids=version)
def locked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: Path
) -> Iterator[NatsServer]:
    """Run a server with TLS and users, and keep a stream `S` in it."""
    tls = f'tls {{cert_file: "{certificate}", key_file: "{certificate}"}}'
    folder = tmp_path_factory.mktemp("locked")
    with served(folder, config=f"{tls}\n{USERS}", program=request.param) as server:
        yield server


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


def url(server: NatsServer) -> str:
    return f"nats://localhost:{server.port}"  # the name that the certificate is of


async def refused(servers: str, **options: Any) -> str:
    """Return why an ingest does not start; it must say so at once."""
    begun = time.monotonic()
    with pytest.raises(LogError) as caught:
        await Ingest(servers, "S", [FEED], **options).start()
    assert time.monotonic() - begun < 3
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("login", [{"user": "all", "password": "s3cret2"}, {}, {"token": "s3cret"}])
async def test_an_ingest_names_credentials_that_do_not_let_it_in(
    locked: NatsServer, certificate: Path, login: dict[str, str]
) -> None:
    said = await refused(url(locked), tls=trusting(certificate), **login)
    assert "it does not let us in, check the credentials (Authorization Violation)" in said


async def test_an_ingest_names_a_certificate_that_it_does_not_trust(locked: NatsServer) -> None:
    said = await refused(url(locked), user="all", password="s3cret")
    assert "its certificate is not trusted" in said
    assert "give its CA" in said


async def test_an_ingest_says_that_nobody_listens_and_that_a_name_is_not_known() -> None:
    assert "nobody listens there" in await refused("nats://127.0.0.1:1")
    assert "its name is not known" in await refused("nats://nowhere.invalid")


async def test_of_several_servers_one_that_lets_us_in_is_enough(
    locked: NatsServer, certificate: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--auth", "another") as other:
        servers = ["nats://127.0.0.1:1", other.url, url(locked)]
        login: dict[str, Any] = {"user": "all", "password": "s3cret"}
        for _ in range(3):
            async with await connect_log(servers, "S", tls=trusting(certificate), **login) as log:
                assert log.client.connected_url is not None
                assert log.client.connected_url.port == locked.port


async def go_through_every_door(
    servers: str, folder: Path, login: dict[str, Any], arguments: list[str], spark: dict[str, str]
) -> None:
    """Write by the command and by an `Ingest`, and read by `use_log` and by the reader of Spark."""
    ready = folder / "ready"
    async with FeedServer() as server:
        arguments = [
            "ingest", f"cli={server.url}/live/cli", "--log", servers, "--stream", "DOORS",
            "--id", "seq", "--seconds", "1", "--ready-file", str(ready), *arguments,
        ]  # fmt: skip
        command = asyncio.create_task(asyncio.to_thread(main, arguments))
        await until(lambda: server.clients("cli") == 1 and ready.exists())
        server.tell("cli")
        feed = Feed(endpoint=f"{server.url}/live/c", channel="c", id="seq")
        async with (
            Ingest(servers, "DOORS", [feed], **login) as ingest,
            use_log("DOORS", "c", servers=servers, client=login) as store,
        ):
            await store.wait_connected(5)
            await ingest.ready()
            server.tell("c")
            await until(lambda: (store.last_message.value or {}).get("seq") == 1)
        assert await command == 0
    assert not ready.exists()
    rows = await asyncio.to_thread(spark_rows, {"servers": servers, **spark})
    assert {"cli", "c"} <= {row["_channel"] for row in rows}


async def test_tls_and_a_user_open_every_door(
    locked: NatsServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LOG_USER", "all")
    monkeypatch.setenv("LOG_PASSWORD", "s3cret")
    ca = str(certificate.with_suffix(".crt"))
    await go_through_every_door(
        url(locked),
        tmp_path,
        {"user": "all", "password": "s3cret", "tls": trusting(certificate)},
        ["--nats-ca", ca, "--nats-user-env", "LOG_USER", "--nats-password-env", "LOG_PASSWORD"],
        {"caFile": ca, "user": "all", "passwordEnv": "LOG_PASSWORD"},
    )
    out = capsys.readouterr().out
    assert "ready: 1 connected" in out
    assert "s3cret" not in out


async def test_a_certificate_of_the_client_and_a_token_open_every_door(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_TOKEN", "s3cret")
    own, ca = str(certificate), str(certificate.with_suffix(".crt"))
    tls = f'tls {{cert_file: "{own}", key_file: "{own}", ca_file: "{ca}", verify: true}}'
    with served(tmp_path / "server", "--auth", "s3cret", config=tls) as server:
        without = await refused(url(server), tls=trusting(certificate), token="s3cret")
        assert "TLS failed" in without or "ended the connection" in without
        context = trusting(certificate)
        context.load_cert_chain(own)
        await go_through_every_door(
            url(server),
            tmp_path,
            {"token": "s3cret", "tls": context},
            ["--nats-ca", ca, "--nats-cert", own, "--nats-token-env", "LOG_TOKEN"],
            {"caFile": ca, "certificateFile": own, "accessTokenEnv": "LOG_TOKEN"},
        )


def spark_rows(options: dict[str, str]) -> list[dict[str, Any]]:
    """Return what a batch job of Spark reads, without Spark."""
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    from heimdall_reactive.dataflow.spark import HeimdallDataSource

    made = HeimdallDataSource({"stream": "DOORS", "model": "json", **options})
    reader: Any = made.reader(made.schema())
    return [
        row
        for part in reader.partitions()
        for batch in reader.read(part)
        for row in batch.to_pylist()
    ]


async def test_an_ingest_says_which_permission_it_lacks(
    locked: NatsServer, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls: dict[str, Any] = {"tls": trusting(certificate), "password": "s3cret"}
    async with FeedServer() as server, await connect_log(url(locked), "S", user="all", **tls):
        one = Feed(endpoint=f"{server.url}/live/c", channel="c", id="seq")
        async with Ingest(url(locked), "S", [one], user="reader", drain=0.1, **tls) as ingest:
            await until(lambda: server.clients("c") == 1)
            server.tell("c")
            refusal = 'the log failed (permissions violation for publish to "s.in.c")'
            await until(lambda: refusal in caplog.text, 3)
            assert ingest.stats.publisher.acknowledged == 0


async def test_a_store_says_which_permission_it_lacks(
    locked: NatsServer, certificate: Path
) -> None:
    login: dict[str, Any] = {"tls": trusting(certificate), "password": "s3cret"}
    async with await connect_log(url(locked), "S", user="all", **login):
        options: dict[str, Any] = {"servers": url(locked), "max_reconnect_attempts": 0}
        async with use_log("S", "a", client={**login, "user": "reader"}, **options) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 10)
            assert "permissions violation for publish to" in str(state.error)
            assert "$js.api.consumer.create" in str(state.error)


async def test_a_server_that_is_full_is_named(tmp_path: Path) -> None:
    with served(tmp_path, config="max_connections: 1") as server:
        log: Log | None = None
        while log is None:  # the server may not have noticed yet that the fixture has looked
            with suppress(LogError):
                log = await connect_log(server.url, "S")
        async with log:
            said = await refused(server.url)
            assert "maximum connections exceeded" in said or "is it full" in said


@pytest.mark.parametrize("how", ["tls=", "tls://"])
async def test_no_secret_is_sent_in_clear_where_tls_was_asked_for(how: str) -> None:
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"auth_required": true, "max_payload": 1000, "headers": true}\r\n')
        heard.append(await reader.read())
        writer.close()
        ended.set()

    async with await asyncio.start_server(pretend, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        tls = {"tls": ssl.create_default_context()} if how == "tls=" else {}
        scheme = "nats" if how == "tls=" else "tls"
        login = {"user": "me", "password": "s3cret"}
        said = await refused(f"{scheme}://127.0.0.1:{port}", **login, **tls)
        await ended.wait()
    assert "the server does not ask for TLS" in said
    assert b"s3cret" not in b"".join(heard)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what nats-py gives to aiohttp
async def test_the_log_is_reached_over_websocket_with_tls(
    certificate: Path, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp", reason="nats-py needs it for wss://")
    port = free_port()
    tls = f'tls {{cert_file: "{certificate}", key_file: "{certificate}"}}'
    config = f'websocket {{listen: "127.0.0.1:{port}", {tls}}}'
    with served(tmp_path, "--auth", "s3cret", config=config):
        login: dict[str, Any] = {"tls": trusting(certificate), "token": "s3cret"}
        async with await connect_log(f"wss://localhost:{port}", "S", **login) as log:
            assert (await log.publish(Record("c", b"1", "1"))).seq == 1


async def test_a_server_without_jetstream_is_named(tmp_path: Path) -> None:
    accounts = "accounts {plain {users: [{user: me, password: s3cret}]}}"
    with served(tmp_path, config=accounts) as server:
        said = await refused(server.url, user="me", password="s3cret")
        assert "not enabled" in said or "no JetStream" in said


async def test_a_close_that_is_cancelled_leaves_nothing(log_server: NatsServer) -> None:
    """The fixture of every test looks for tasks and sockets that are left."""
    for turns in range(1, 8):
        log = await connect_log(log_server.url, "S")
        closing = asyncio.create_task(log.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])


@pytest.mark.parametrize("how", ["credentials", "nkey"])
async def test_keys_open_the_log_to_an_ingest_and_a_store(tmp_path: Path, how: str) -> None:
    pytest.importorskip("nkeys", reason="pip install 'heimdall-reactive[nats]'")
    from nkeys import PREFIX_BYTE_USER

    from .nats_keys import new_key, operator_config, public

    file = tmp_path / "secret"
    if how == "credentials":
        config = operator_config(file)
        login: dict[str, Any] = {"user_credentials": str(file)}
    else:
        file.write_bytes(seed := new_key(PREFIX_BYTE_USER))
        config = f"authorization {{ users = [ {{nkey: {public(seed)}}} ] }}"
        login = {"nkeys_seed": str(file)}
    with served(tmp_path / "server", config=config) as server:
        async with (
            FeedServer() as peer,
            Ingest(server.url, "S", [Feed(endpoint=f"{peer.url}/live/feed", id="seq")], **login),
            use_log("S", servers=server.url, client=login) as store,
        ):
            await until(lambda: peer.clients("feed") == 1)
            await store.wait_connected(5)
            peer.tell("feed")
            await until(lambda: (store.last_message.value or {}).get("seq") == 1)
        assert "check the credentials" in await refused(server.url)


@pytest.mark.leaky
def test_without_the_library_of_keys_the_call_says_what_to_install() -> None:
    program = (
        "import asyncio, sys; sys.modules['nkeys'] = None\n"
        "from heimdall_reactive.dataflow import connect_log\n"
        "asyncio.run(connect_log('nats://127.0.0.1:1', 'S', user_credentials='/nowhere'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ConfigurationError: user_credentials needs a library: pip install" in done.stderr
