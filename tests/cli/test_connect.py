"""`connect`: a prompt in a real terminal, pipes, and the options of every connection."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import shutil
import socket
import ssl
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.datastructures import Headers

from heimdall_reactive.cli import main
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer, serve_in_thread
from tests.peers import frame, peer, raw_peer
from tests.support import errors_in

PROGRAM = [sys.executable, "-m", "heimdall_reactive"]
LIMIT = 60
COLUMNS, LINES = 120, 24


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def command(*arguments: str) -> int:
    """Run the console script in a thread: its loop is not the server's."""
    return await asyncio.to_thread(main, arguments)


async def piped(data: bytes, *arguments: str) -> tuple[int, bytes, str]:
    """Run it in another process: code, what it wrote, and errors."""
    done = await asyncio.to_thread(
        subprocess.run, [*PROGRAM, *arguments], input=data, capture_output=True, timeout=LIMIT
    )
    return done.returncode, done.stdout, errors_in(done.stderr)


# Pipes


async def test_each_line_is_a_message_and_answers_are_all_of_standard_output() -> None:
    async with peer(echo) as url:
        code, out, err = await piped(b'one\n{"a": 2}\nlast', "connect", url, "--count", "3")
    assert (code, out) == (0, b'one\n{"a": 2}\nlast\n')
    assert err == "-- connecting\n-- connected, session 1\n"


async def test_no_line_is_lost_or_cut_where_the_server_reads_slowly() -> None:
    lines = [b"%d" % n for n in range(5_000)] + [b"x" * 300_000]
    got = []

    async def slow(socket: ServerConnection) -> None:
        async for message in socket:
            got.append(message)
            if len(got) % 1_000 == 0:
                await asyncio.sleep(0.01)

    async with peer(slow) as url:
        code, out, err = await piped(b"\n".join(lines), "connect", url, "-q", "--wait", "0")
    assert (code, out, err) == (0, b"", "")
    assert got == [line.decode() for line in lines]


async def test_json_has_messages_on_standard_output_and_states_on_standard_error() -> None:
    async with peer(echo) as url:
        code, out, err = await piped(b"[1]\n", "connect", url, "--json", "--count", "1")
    assert code == 0
    (record,) = map(json.loads, out.splitlines())
    assert (record["event"], record["format"], record["data"]) == ("message", "json", [1])
    assert [json.loads(line)["status"] for line in err.splitlines()] == ["connecting", "connected"]


@pytest.mark.parametrize(
    ("options", "data", "out"),
    [
        (["--hex"], b"ff00\n", b"ff00\n"),
        (["--binary"], b"\xff\xfe\n", b"\xff\xfe"),
        (["--raw"], b"a\n", b"a"),
    ],
)
async def test_binary_and_raw(options: list[str], data: bytes, out: bytes) -> None:
    async with peer(echo) as url:
        assert (await piped(data, "connect", url, "-q", "--count", "1", *options))[:2] == (0, out)


async def test_a_line_that_cannot_be_sent_ends_a_pipe() -> None:
    async with peer(echo) as url:
        code, _, err = await piped(b"ff\n\xff\n", "connect", url, "-q", "--hex")
        assert (code, err.count("\n")) == (1, 1)
        assert "message 2 was not sent: the message is not hexadecimal digits" in err


async def test_execute_sends_several_and_waits_for_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with peer(echo) as url:
        assert await command("connect", url, "-x", "a", "-x", "b", "-q", "-t", "-w", "0.2") == 0
    out, err = capsys.readouterr()
    stamp = r"\d\d:\d\d:\d\d\.\d{3}  "
    assert re.fullmatch(f"{stamp}a\n{stamp}b\n", out)
    assert err == ""


async def test_a_lost_connection_that_is_not_opened_again_is_a_failure() -> None:
    async def deaf(socket: ServerConnection) -> None:
        await socket.recv()
        socket.transport.abort()

    async with peer(deaf) as url:
        code, _, err = await piped(b"a\n", "connect", url, "-q", "--reconnect", "0")
    assert code == 1
    assert re.fullmatch(r"heimdall-reactive: error: the connection ended with code 1006 .*\n", err)


async def test_a_message_that_nothing_proves_is_in_doubt() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(7)  # the message
        writer.write(frame(8, (1000).to_bytes(2)))  # a close, and never a pong
        await reader.read()

    async with raw_peer(mute) as url:
        code, _, err = await piped(b"a\n", "connect", url, "-q")
    assert code == 3
    assert err == (
        "heimdall-reactive: error: in doubt: nothing proves that the server received everything\n"
    )


# Reconnection


async def test_a_goodbye_is_the_end_unless_reconnect_says_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def goodbye(socket: ServerConnection) -> None:
        await socket.send("hello")

    async with peer(goodbye) as url:
        assert await command("watch", url) == 0
        assert capsys.readouterr().out.count("hello") == 1
        assert await command("watch", url, "--raw", "--reconnect", "forever", "--count", "2") == 0
    out, err = capsys.readouterr()
    assert out == "hellohello"
    assert re.search(
        r"^-- reconnecting in \d+ s \(attempt 1\): the connection ended", err, re.MULTILINE
    )


async def test_reconnect_0_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    async with peer(echo) as url:
        pass
    assert await command("connect", url, "--reconnect", "0", "-q", "-x", "a") == 1
    assert re.fullmatch(
        rf"heimdall-reactive: error: no connection: .* \({url}\)\n", capsys.readouterr().err
    )


# The options of every connection


async def test_what_the_upgrade_says(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Headers] = []

    async def look(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers)
        await socket.send(socket.subprotocol or "")

    async with peer(look, subprotocols=["v2"]) as url:
        for name in ("watch", "connect"):
            options = ["-H", "X-Key: 1:2", "-HX-Two:b", "-s", "v1", "-s", "v2", "-o", "https://a.b"]
            options += ["--auth", "ada:p:w", "--count", "1", "--raw"]
            given = [] if name == "watch" else ["-x", "a"]
            assert await command(name, url, *options, *given) == 0
            assert capsys.readouterr().out == "v2"
    for headers in seen:
        assert (headers["X-Key"], headers["X-Two"]) == ("1:2", "b")
        assert headers["Origin"] == "https://a.b"
        assert headers["Authorization"] == "Basic YWRhOnA6dw=="


async def test_certificates_of_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    files = {name: str(tmp_path / name) for name in ("ca", "cert", "key")}
    client = authority.issue_cert("ada@example.org")
    authority.cert_pem.write_to_path(files["ca"])
    client.cert_chain_pems[0].write_to_path(files["cert"])
    client.private_key_pem.write_to_path(files["key"])
    ours = ["--cert", files["cert"], "--key", files["key"]]
    async with serve(echo, "localhost", 0, ssl=server) as listening:
        url = f"wss://localhost:{next(iter(listening.sockets)).getsockname()[1]}"
        dial = ["connect", url, "-q", "--reconnect", "0", "-x", "a", "--count", "1"]
        assert await command(*dial, *ours, "--cacert", files["ca"]) == 0
        assert await command(*dial, *ours, "-k") == 0
        assert capsys.readouterr() == ("a\na\n", "")
        assert await command(*dial, *ours) == 1
        assert "certificate" in capsys.readouterr().err
    for wrong in (["--cacert", "/none"], ["--cert", files["ca"]], ["--key", files["key"]]):
        assert await command(*dial, *wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


async def test_a_unix_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "socket")
    async with unix_serve(echo, path):
        arguments = ["connect", "ws://localhost/", "--unix", path, "-x", "a", "--count", "1"]
        assert await command(*arguments) == 0
    assert capsys.readouterr().out == "a\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-H", "s-e-c-r-e-t"], "a header is written 'NAME: VALUE'"),
        (["-H", "Host: s-e-c-r-e-t", "-H", "Host: b"], "more than one 'Host'"),
        (["--auth", "s-e-c-r-e-t"], "a login is written USER:PASSWORD"),
        (["--auth", "a:s-e-c-r-e-t", "--token", "x"], "--auth and a token"),
        (["--proxy", "socks9://x"], "proxy must be"),
        (["--proxy", "http://127.0.0.1:1"], "proxy"),
        (["--reconnect", "-1"], "'-1' is not a number above 0"),
        (["--reconnect", "often"], "'often' is not a number above 0"),
        (["--wait", "-x"], "expected one argument"),
        (["--wait", "long"], "'long' is not a number of seconds of 0 or more"),
        (["--json", "--raw"], "not allowed with"),
        (["--hex", "--binary"], "not allowed with"),
    ],
)
def test_what_cannot_work_is_one_line_without_secrets(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = "ws://192.0.2.1/"
    assert main(["connect", endpoint, "-q", "-x", "a", "--reconnect", "0", *arguments]) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
    assert "s-e-c-r-e-t" not in err


# A terminal


class Terminal:
    """A program in a terminal that answers where its cursor is, as real ones do."""

    def __init__(self, *arguments: str, program: Sequence[str] = PROGRAM) -> None:
        self.fd, theirs = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        self.process = subprocess.Popen(
            [*program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, **size, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.seen = b""

    def read(self, wanted: str) -> str:
        """Read on until something is shown, and return what came up to it."""
        while wanted.encode() not in self.seen:
            try:
                data = os.read(self.fd, 65_536)
            except OSError:  # how Linux tells that the peer has closed
                data = b""
            if not data:
                pytest.fail(f"ended without {wanted!r}: {self.seen!r}")
            if b"\x1b[6n" in data:
                self.type("\x1b[1;1R")
            self.seen += data
        before, _, self.seen = self.seen.partition(wanted.encode())
        return before.decode("utf-8", "replace")

    def end(self) -> int:
        """Read to the end, for a program waits until its terminal has taken all."""
        with suppress(OSError):  # how Linux tells that the peer has closed
            while os.read(self.fd, 65_536):
                pass
        return self.process.wait(LIMIT)

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())


@contextmanager
def terminal(*arguments: str, program: Sequence[str] = PROGRAM) -> Iterator[Terminal]:
    made = Terminal(*arguments, program=program)
    watchdog = threading.Timer(LIMIT, made.process.kill)
    watchdog.start()
    try:
        yield made
    finally:
        watchdog.cancel()
        watchdog.join()
        made.process.kill()
        made.process.wait()
        os.close(made.fd)


@pytest.fixture
def server() -> Iterator[DevServer]:
    with serve_in_thread(echo=True) as server:
        yield server


@pytest.mark.leaky
def test_a_prompt_has_history_colours_and_goes_on_over_a_drop(
    server: DevServer, tmp_path: Path
) -> None:
    pytest.importorskip("prompt_toolkit")
    url, history = f"{server.url}/v1/ws/user", tmp_path / "history"
    arguments = ["connect", url, "--token", DEMO_TOKEN, "--history", str(history)]
    with terminal(*arguments) as shown:
        shown.read("\x1b[32m-- connected, session 1\x1b[0m")
        shown.read(f"{url}  |  connected, session 1")  # below the prompt
        shown.type("hello\r")
        shown.read("\x1b[36m< hello\x1b[0m")
        server.send_raw("bad \x1b[2J")
        shown.read(r"< bad \x1b[2J")
        server.drop()
        shown.read("\x1b[33m-- reconnecting in ")
        shown.read("|  reconnecting")
        shown.type("\x1b[A\r")  # the last line again, while there is no connection
        shown.read("-- connected, session 2")
        shown.read("\x1b[36m< hello\x1b[0m")
        shown.read("|  connected, session 2")  # it takes keys as they are only when it is drawn
        shown.type("\x04")
        assert shown.end() == 0
    assert history.read_text(encoding="utf-8").count("+hello") == 1
    assert [message for _, message in server.received] == ["hello", "hello"]


@pytest.mark.leaky
@pytest.mark.parametrize("patient", [True, False])
def test_lines_that_were_not_sent_at_the_end_are_counted(patient: bool) -> None:
    pytest.importorskip("prompt_toolkit")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/"
    with terminal("connect", url, "--reconnect", "forever") as shown:
        shown.read("|  reconnecting")
        shown.type("lost?\r")
        shown.read("|  reconnecting")
        shown.type("and this\r")
        shown.read("|  reconnecting")
        shown.type("\x04")
        shown.read("2 messages are not sent yet: one more attempt, for 3 s at most")
        if not patient:
            shown.type("\x03")
        shown.read("heimdall-reactive: error: 2 messages not sent: there was no connection\r\n")
        assert shown.end() == 1


@pytest.mark.leaky
def test_a_store_that_gives_up_says_what_was_not_sent() -> None:
    pytest.importorskip("prompt_toolkit")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/"
    with terminal("connect", url, "--reconnect", "1") as shown:
        shown.read("|  reconnecting")
        shown.type("lost?\r")
        shown.read(f"Connection refused ({url}); 1 message not sent")
        assert shown.end() == 1


@pytest.mark.leaky
def test_a_line_that_waits_at_the_end_is_sent_by_one_more_attempt(server: DevServer) -> None:
    pytest.importorskip("prompt_toolkit")
    server.refuse(503, times=1)
    url = f"{server.url}/v1/ws/user"
    with terminal("connect", url, "--token", DEMO_TOKEN) as shown:
        shown.read("|  reconnecting in ")
        shown.type("late\r")
        shown.read("|  reconnecting in ")
        shown.type("\x04")
        shown.read("1 message is not sent yet")
        shown.read("-- connected, session 1")
        assert shown.end() == 0
    assert [message for _, message in server.received] == ["late"]


@pytest.mark.leaky
def test_typed_lines_that_were_answered_are_no_alarm_when_the_server_stops(
    server: DevServer,
) -> None:
    pytest.importorskip("prompt_toolkit")
    with terminal("connect", f"{server.url}/v1/ws/user", "--token", DEMO_TOKEN) as shown:
        for line in ("plain", "words"):
            shown.read("|  connected")
            shown.type(f"{line}\r")
            shown.read(f"< {line}")
        server.drop()
        before = shown.read("-- reconnecting in ")
        before += shown.read("|  connected, session 2")
        assert "error" not in before
        shown.type("\x04")
        assert shown.end() == 0


@pytest.mark.leaky
async def test_a_typed_line_that_nothing_proves_is_told_by_number() -> None:
    pytest.importorskip("prompt_toolkit")
    silent = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(6 + len("hello"))  # the message, masked; then never a pong
        await silent.wait()

    def talk(url: str) -> None:
        with terminal("connect", url) as shown:
            shown.read("|  connected")
            shown.type("hello\r")
            shown.read("1 sent")
            shown.type("\x04")
            shown.read("error: 1 message may not have arrived: no proof came\r\n")
            assert shown.end() == 3

    async with raw_peer(mute) as url:
        await asyncio.to_thread(talk, url)
        silent.set()


@pytest.mark.leaky
def test_a_wrong_line_at_the_prompt_ends_nothing(server: DevServer) -> None:
    pytest.importorskip("prompt_toolkit")
    with terminal("connect", f"{server.url}/v1/ws/user", "--token", DEMO_TOKEN, "--hex") as shown:
        shown.read("|  connected")
        shown.type("xyz\r")
        shown.read("error: 'xyz' is not hexadecimal digits")
        shown.read("|  connected")
        shown.type("ff00\r")
        shown.read("< ff00")
        server.drop(1000)
        assert shown.end() == 0


@pytest.mark.leaky
def test_a_terminal_without_the_library_has_plain_lines(server: DevServer) -> None:
    code = (
        "import sys; sys.modules['prompt_toolkit'] = None; from heimdall_reactive.cli import main"
    )
    program = [sys.executable, "-c", f"{code}; sys.exit(main())"]
    url = f"{server.url}/v1/ws/user"
    with terminal("connect", url, "--token", DEMO_TOKEN, "-w", "0", program=program) as shown:
        shown.read("pip install 'heimdall-reactive[cli]'")
        shown.read("-- connected, session 1")
        shown.type("\x1b[2J hello\n")
        shown.read("hello\r\n")  # the terminal's own echo
        shown.read(r"\x1b[2J hello")
        shown.type("\x04")
        assert shown.end() == 0


# Completion


def test_completion_is_made_for_three_shells(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        out = capsys.readouterr().out
        assert "subscribe" in out
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=out.encode(), check=True, timeout=LIMIT)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    script = f"""
        source <({sys.executable} -m heimdall_reactive completion bash)
        ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $which; echo "${{COMPREPLY[@]}}"; }}
        which=$(complete -p heimdall-reactive | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        ask heimdall-reactive com
        ask heimdall-reactive connect --sub
        ask heimdall-reactive connect --cacert ./c
    """
    (tmp_path / "ca.pem").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stdout.decode().splitlines() == [
        "completion", "--subscribe --subprotocol", "./ca.pem",
    ]  # fmt: skip


def test_completion_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'heimdall-reactive[cli]'" in capsys.readouterr().err
