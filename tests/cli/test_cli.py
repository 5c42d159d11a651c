"""The console script, run as its users run it: other processes, real sockets, real signals."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import heimdall_reactive.cli.demo as demo_module
from heimdall_reactive.cli import main
from heimdall_reactive.cli.story import CHAPTERS, Chapter
from heimdall_reactive.cli.text import preview, printable
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer, serve_in_thread
from heimdall_reactive.recording.lines import Header, write_header
from tests.socket_peer import SocketPeer
from tests.support import errors_in

PROGRAM = [sys.executable, "-m", "heimdall_reactive"]
DEMO = ["--token", DEMO_TOKEN]
LIMIT = 60  # seconds until a program on a busy machine has started, or ended


class Run:
    """A running console script whose lines are read as signals."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )

    def line(self, wanted: str) -> str:
        """Read on to the line that contains something."""
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, b""):
            if wanted in line.decode():
                return line.decode()
        assert self.process.stderr is not None
        pytest.fail(f"ended without {wanted!r}: {self.process.stderr.read().decode()}")

    def error_line(self) -> str:
        assert self.process.stderr is not None
        return next(line.decode() for line in self.process.stderr if errors_in(line))

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def end(self, signum: signal.Signals | None = None) -> tuple[int, str, str]:
        """Wait for the end, after a signal if one is given: code, rest of output, errors."""
        if signum is not None:
            self.process.send_signal(signum)
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out.decode(), errors_in(err)


@contextmanager
def started(*arguments: str) -> Iterator[Run]:
    run = Run(*arguments)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.communicate()


@pytest.fixture
def server() -> Iterator[DevServer]:
    with serve_in_thread(echo=True) as server:
        yield server


def user_url(server: DevServer) -> str:
    return f"{server.url}/v1/ws/user"


# demo


@pytest.mark.leaky
def test_demo_tells_its_story_in_plain_lines_and_reconnects() -> None:
    with started("demo", "--seconds", "4") as run:
        code, out, err = run.end()
    assert (code, err) == (0, "")
    story, _, summary = out.partition("\nSummary\n")
    assert all(
        re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  (story|status|sent|received|error) +\S.*", line)
        for line in story.splitlines()
        if line
    )
    assert "\x1b" not in out
    for chapter in CHAPTERS:
        assert chapter.text in story
    for seen in ("HTTP 503", "HTTP 401", "1012", "keepalive ping timeout", "accountBanned"):
        assert seen in story
    assert "0 lost" in summary
    assert re.search(r"sends +[1-9]\d* delivered, \d+ in doubt", summary)
    assert "8 of 8 chapters, reconnected every time" in summary


@pytest.mark.leaky
def test_demo_is_live_in_a_terminal() -> None:
    code, screen = in_terminal([*PROGRAM, "demo", "--seconds", "3"])
    assert code == 0
    live, left, after = screen.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in live  # on the other screen ...
    assert left  # ... which it leaves
    for shown in ("CONNECTED", "WAITING", "FAILED", "attempt 1 in", "session 2", "✓", "▶"):
        assert shown in live
    assert "8 of 8 chapters" in after
    assert "\x1b[?25h" in screen  # the cursor is back


@pytest.mark.leaky
def test_demo_is_plain_in_a_terminal_without_rich() -> None:
    program = "import sys; sys.modules['rich'] = None; from heimdall_reactive.cli import main; "
    call = "sys.exit(main(['demo', '--seconds', '1']))"
    code, screen = in_terminal([sys.executable, "-c", program + call])
    assert code == 0
    assert "pip install 'heimdall-reactive[cli]'" in screen
    assert "\x1b" not in screen
    assert "8 of 8 chapters" in screen


def in_terminal(command: list[str]) -> tuple[int, str]:
    """Run a program in a terminal of 80 columns and 24 lines: its code and all it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    left_out = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while data := os.read(ours, 65_536):
                written += data
        except OSError:  # how Linux tells that the peer has closed
            pass
        os.close(ours)
    return process.returncode, written.decode()


def test_demo_admits_that_it_did_not_reconnect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = CHAPTERS[0]
    other = Chapter(first.title, first.text, first.length, first.act, lambda seen: False)
    monkeypatch.setattr(demo_module, "CHAPTERS", (other,))
    assert main(["demo", "--seconds", "0.5"]) == 1
    assert "0 of 1 chapters, unexpected: connect: the store did something else" in (
        capsys.readouterr().out
    )


# serve, watch and send together


@pytest.mark.leaky
def test_serve_watch_and_send_talk_to_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with started("serve", "--port", "0", "--echo") as served:
        url = served.line("serving").split()[1] + "/v1/ws/user"
        with started("watch", url, *DEMO, "--json", "--count", "1") as watched:
            connected = json.loads(watched.line('"connected"'))
            assert (connected["event"], connected["session"]) == ("state", 1)
            served.type("fire rolesUpdated")
            served.line("done      fire rolesUpdated")
            message = json.loads(watched.line("message"))
            assert (message["event"], message["format"]) == ("message", "json")
            assert message["data"]["type"] == "rolesUpdated"
            assert watched.end() == (0, "", "")
        assert main(["send", url, '{"note":1}', *DEMO, "--wait-reply"]) == 0
        assert capsys.readouterr() == ('{"note":1}\n', "")
        assert main(["send", url, "quiet", *DEMO]) == 0
        assert capsys.readouterr() == ("delivered\n", "")
        assert "#3 quiet" in served.line("quiet")
        code, out, err = served.end(signal.SIGINT)
    assert (code, err) == (0, "")
    assert DEMO_TOKEN not in out


@pytest.mark.leaky
def test_serve_tells_a_wrong_line_and_goes_on_without_input() -> None:
    with started("serve", "--port", "0", "--no-token") as run:
        run.line("serving")
        run.type("bogus \x1b[31m")
        assert re.fullmatch(
            r"heimdall-reactive: error: unknown command 'bogus'; use .*\n", run.error_line()
        )
        assert run.process.stdin is not None
        run.type("help")
        run.line("fire TYPE")
        run.process.stdin.write(b"drop 1001")  # the end of input ends a line, and not the server
        run.process.stdin.close()
        run.process.stdin = None
        run.line("done      drop 1001")
        code, _, err = run.end(signal.SIGTERM)
    assert (code, err) == (0, "")


@pytest.mark.leaky
def test_serve_beats_and_plays_a_script() -> None:
    options = ("--port", "0", "--heartbeat", "0.05", "--script", "0 refuse 503")
    with started("serve", *options) as served:
        url = served.line("serving").split()[1] + "/v1/ws/user"
        assert main(["send", url, "x", *DEMO]) == 1
        served.line("HTTP 503")
        with started("watch", url, *DEMO, "--count", "2") as watched:
            watched.line("-- connected, session 1")
            watched.line("{")
            assert watched.end()[0] == 0


# watch


@pytest.mark.leaky
def test_watch_prints_what_came_and_keeps_the_terminal_safe(server: DevServer) -> None:
    with started("watch", user_url(server), *DEMO, "--count", "3") as run:
        run.line("-- connected, session 1")
        for message in ('{"a": 1}', "\x1b[2J\r\n\x9b", b"\x00\x01"):
            server.send_raw(message)
        code, out, _ = run.end()
    assert code == 0
    times, texts = zip(*(line.split("  ", 1) for line in out.splitlines()), strict=True)
    assert texts == ('{"a": 1}', r"\x1b[2J\r\n\x9b", "binary  2 bytes: 00 01")
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", time) for time in times)


@pytest.mark.leaky
def test_watch_json_is_strict_and_loses_nothing(server: DevServer) -> None:
    messages = ('{"n": 1.5}', "NaN", "1e999", "not\nJSON\x1b", b"\xff")
    with started("watch", user_url(server), *DEMO, "--json", "--count", "5") as run:
        run.line('"connected"')
        for message in messages:
            server.send_raw(message)
        code, out, _ = run.end()
    assert code == 0

    def refuse(constant: str) -> Any:
        pytest.fail(constant)

    records = [json.loads(line, parse_constant=refuse) for line in out.splitlines()]
    assert [(record["format"], record["data"]) for record in records] == [
        ("json", {"n": 1.5}),
        ("text", "NaN"),
        ("text", "1e999"),
        ("text", "not\nJSON\x1b"),
        ("binary", "/w=="),
    ]
    assert out.isascii()


@pytest.mark.leaky
def test_watch_ends_quietly_when_nobody_reads(server: DevServer) -> None:
    with started("watch", user_url(server), *DEMO) as run:
        run.line("-- connected")
        assert run.process.stdout is not None
        run.process.stdout.close()
        server.fire("rolesUpdated")
        assert run.process.stderr is not None
        assert errors_in(run.process.stderr.read()) == ""
        assert run.process.wait(20) == 0
        run.process.stdout = None


@pytest.mark.leaky
def test_watch_reconnects_and_ends_with_the_server_s_last_word(server: DevServer) -> None:
    with started("watch", user_url(server), *DEMO, "--json") as run:
        run.line('"connected"')
        server.drop()
        lost = json.loads(run.line('"waiting"'))
        assert lost["close"]["code"] == 1006
        assert lost["retry_at"].endswith("Z")
        run.line('"session": 2')
        server.drop(1000)
        last = json.loads(run.line('"disconnected"'))
        assert (last["close"]["code"], last["close"]["who"]) == (1000, "server")
        assert run.end() == (0, "", "")


def test_watch_ends_after_its_seconds(
    server: DevServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEIMDALL_WS_URL", server.url)
    monkeypatch.setenv("A_TOKEN", DEMO_TOKEN + "\n")
    assert main(["watch", "/v1/ws/user", "--token-env", "A_TOKEN", "--seconds", "0.2"]) == 0
    assert "-- connected, session 1" in capsys.readouterr().out


# record and replay


@pytest.mark.leaky
def test_a_recording_is_replayed_as_it_was_watched(server: DevServer, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with started("record", user_url(server), str(path), *DEMO, "--json", "--count", "3") as run:
        run.line('"connected"')
        server.send_raw('{"a": 1}')
        server.send_raw(b"\x00\x01")
        run.line("AAE=")
        server.drop()
        run.line('"session": 2')
        server.send_raw("last")
        assert run.end()[0] == 0
    assert DEMO_TOKEN not in path.read_text(encoding="utf-8")
    with started("replay", str(path), "--instant", "--json") as run:
        code, out, err = run.end()
    assert (code, err) == (0, "")
    shown = [json.loads(line) for line in out.splitlines()]
    assert [record["data"] for record in shown if record["event"] == "message"] == [
        {"a": 1}, "AAE=", "last",
    ]  # fmt: skip
    statuses = [record["status"] for record in shown if record["event"] == "state"]
    assert statuses == [
        "idle", "connecting", "connected", "waiting", "connecting", "connected",
    ]  # fmt: skip
    with started("replay", str(path), "--speed", "1000", "--count", "1") as run:
        assert '{"a": 1}' in run.end()[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_record_ends_where_the_disk_is_full(
    server: DevServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", user_url(server), "/dev/full", *DEMO]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_replay_tells_the_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(write_header(Header("/v1/ws", "0.1.0", 0.0)) + b"bad\n")
    assert main(["replay", str(path)]) == 1
    assert "line 2 of the recording: not JSON" in capsys.readouterr().err


# send


@pytest.mark.leaky
def test_send_reads_standard_input_as_it_is(server: DevServer) -> None:
    with started("send", user_url(server), "-", *DEMO, "--wait-reply") as run:
        assert run.process.stdin is not None
        run.process.stdin.write("zwei\nZeilen ü".encode())
        assert run.end() == (0, "zwei\nZeilen ü\n", "")


def test_send_tells_that_no_reply_came(
    server: DevServer, capsys: pytest.CaptureFixture[str]
) -> None:
    subscribe = '{"type":"Subscribe","channel":"public"}'
    arguments = ["send", user_url(server), subscribe, *DEMO, "--wait-reply", "--timeout", "2"]
    assert main(arguments) == 1
    assert_one_error(capsys, "no reply received within 2 s")


@pytest.mark.leaky
def test_send_tells_that_the_line_was_cut_before_the_reply(server: DevServer) -> None:
    subscribe = '{"type":"Subscribe","channel":"public"}'
    with started("send", user_url(server), subscribe, *DEMO, "--wait-reply") as run:
        server.call(server.wait_for_message(lambda message: message == subscribe, LIMIT))
        server.drop()
        code, out, err = run.end()
    assert (code, out) == (1, "")
    assert re.fullmatch(r"heimdall-reactive: error: no reply received: .* 1006 .*\n", err)


@pytest.mark.leaky
def test_send_says_delivered_once_the_server_has_it(server: DevServer) -> None:
    with started("send", user_url(server), "hello", *DEMO) as run:
        assert run.end() == (0, "delivered\n", "")
    assert [message for _, message in server.received] == ["hello"]


@pytest.mark.leaky
@pytest.mark.parametrize("end", ["silent", "cut"])
def test_send_says_in_doubt_where_nothing_proves_that_the_server_has_it(end: str) -> None:
    code, out, err = asyncio.run(send_to_a_peer_that_never_answers(end))
    assert (code, err) == (3, "")
    assert re.fullmatch(r"in doubt: [^\n]+\n", out)


async def send_to_a_peer_that_never_answers(end: str) -> tuple[int, str, str]:
    async with SocketPeer() as peer:
        with started("send", peer.url, "hello", "--timeout", "1") as run:
            link = await peer.accepted(LIMIT)
            link.mute_pong()
            if end == "silent":
                link.mute_close()
            assert await link.receive(LIMIT) == "hello"
            if end == "cut":
                link.reset()
            return await asyncio.to_thread(run.end)


# Ends and errors


@pytest.mark.leaky
@pytest.mark.parametrize(
    ("command", "signum", "code"),
    [
        ("demo", signal.SIGINT, 130),
        ("demo", signal.SIGTERM, 143),
        ("send", signal.SIGINT, 130),
        ("watch", signal.SIGINT, 0),
        ("watch", signal.SIGTERM, 0),
        ("record", signal.SIGINT, 0),
        ("record", signal.SIGTERM, 0),
    ],
)
def test_signals_end_a_command_cleanly(
    server: DevServer, command: str, signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    subscribe = '{"type":"Subscribe","channel":"public"}'
    arguments = {
        "demo": [],
        "send": [user_url(server), subscribe, *DEMO, "--wait-reply"],
        "watch": [user_url(server), *DEMO],
        "record": [user_url(server), str(tmp_path / "file"), *DEMO],
    }
    with started(command, *arguments[command]) as run:
        if command == "send":
            server.call(server.wait_for_message(lambda message: message == subscribe, LIMIT))
        else:
            run.line("connected, session 1")
        ended, _, err = run.end(signum)
    assert (ended, err) == (code, "")
    if command == "record":  # it is complete all the same
        assert (tmp_path / "file").read_text(encoding="utf-8").endswith('"event":"end"}\n')


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["watch", "/x", "--token-env", "NOT_SET_AT_ALL"], "'NOT_SET_AT_ALL' is not set"),
        (["watch", "/x", "--token", " "], "the access token is empty"),
        (["watch", "/x", "--count", "0"], "'0' is not a number above 0"),
        (["demo", "--seconds", "nan"], "'nan' is not a number of seconds"),
        (["replay", "x", "--speed", "0"], "'0' is not a speed"),
        (["replay", "x", "--speed", "2", "--instant"], "not allowed with"),
        (["serve", "--port", "65536"], "'65536' is not a port"),
        (["serve", "--script", "1 explode"], "unknown command 'explode'"),
        (["serve", "--script", "@/does/not/exist"], "cannot read '/does/not/exist'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert_one_error(capsys, words)


def test_failures_are_one_line_and_code_1(
    server: DevServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as bound:  # bound and not listening: a dial is refused
        bound.bind(("127.0.0.1", 0))
        nobody = f"ws://127.0.0.1:{bound.getsockname()[1]}/"
        for arguments, words in (
            (["send", nobody, "x"], "no connection"),
            (["send", "http://x", "x"], "is not a WebSocket URL"),
            (["watch", "http://x"], "is not a WebSocket URL"),
            (["watch", "localhost:9/ws"], "say 'ws://localhost:9/ws'"),
            (["send", server.url + "/nothing", "x", *DEMO], "HTTP 404"),
            (["send", user_url(server), "x", "--token", "w-r-o-n-g"], "HTTP 401"),
            (["watch", user_url(server), "--json", "--token", "w-r-o-n-g"], "HTTP 401"),
            (["watch", "ws://example.org/", "--token", "w-r-o-n-g"], "unencrypted"),
            (["record", user_url(server), "/does/not/exist"], "cannot write '/does/not/exist'"),
            (["replay", "/does/not/exist"], "cannot read '/does/not/exist'"),
            (["replay", __file__], "line 1 of the recording: this is not a recording"),
            (["serve", "--port", str(server.port)], "cannot listen on"),
            (["demo", "--port", str(server.port)], "cannot listen on"),
        ):
            assert main(arguments) == 1
            assert_one_error(capsys, words)


def assert_one_error(capsys: pytest.CaptureFixture[str], words: str) -> None:
    out, err = capsys.readouterr()
    assert re.fullmatch(r"heimdall-reactive: error: [^\n]+\n", err)
    assert words in err
    assert "w-r-o-n-g" not in out + err


def test_no_error_quotes_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--token", "w-r-o-n-g", "watch", "/x"]) == 2
    assert_one_error(capsys, "invalid choice: '***'")
    assert main(["watch", "/x", "--bogus", "--token=a"]) == 2
    assert_one_error(capsys, "unrecognized arguments: --bogus")


@pytest.mark.parametrize("command", ["demo", "serve", "watch", "send", "record", "replay"])
def test_help_names_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: heimdall-reactive {command}" in out
    assert "exit codes: 0 done" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"heimdall-reactive \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_nothing_printed_steers_a_terminal() -> None:
    assert printable("plain ü \U0001f600") == "plain ü \U0001f600"
    assert printable("\x1b]0;t\x07\u202e\x7f\ud800") == r"\x1b]0;t\x07\u202e\x7f\ud800"
    assert preview(bytes(20)) == f"binary  20 bytes: {bytes(16).hex(' ')} ..."
