"""The programs of the cookbook, run as they stand on the page; only the port is another."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from .support import errors_in

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "examples" / "cookbook"
PAGE = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
PROGRAMS = sorted(path.stem for path in BOOK.glob("*.py") if path.stem != "__init__")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs end by signals")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def program(name: str, folder: Path, port: int, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of the page; it is ended where the test does not end it."""
    text = (BOOK / f"{name}.py").read_text(encoding="utf-8")
    (folder / f"{name}.py").write_text(text.replace("8765", str(port)), encoding="utf-8")
    run = subprocess.Popen(
        [sys.executable, *(command or (f"{name}.py",))], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


def line(run: subprocess.Popen[str], wanted: str) -> str:
    """Return the next line that has these words, or wait until pytest's timeout."""
    assert run.stdout is not None
    for text in run.stdout:
        if re.search(wanted, text):
            return text
    raise AssertionError(f"no line with {wanted!r}: {run.communicate()[1]}")


def end(run: subprocess.Popen[str], how: signal.Signals = signal.SIGINT) -> str:
    """Interrupt a program, which ends with 0 and without complaint; return its last words."""
    run.send_signal(how)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, errors_in(err)) == (0, "")
    return out


@pytest.fixture
def market(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with program("market", tmp_path, port) as run:
        line(run, "listening")
        yield port


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_page_has_each_program_as_it_is(name: str) -> None:
    text = (BOOK / f"{name}.py").read_text(encoding="utf-8")
    assert f"```python examples/cookbook/{name}.py\n{text}```\n" in PAGE, "run docs/_reference.py"


def test_messages_are_printed_until_ctrl_c(market: int, tmp_path: Path) -> None:
    with program("print_messages", tmp_path, market) as run:
        assert "'symbol'" in line(run, "price")
        assert end(run).endswith("bye\n")


def test_a_table_shows_the_newest_of_each_symbol(market: int, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    pytest.importorskip("pyte")
    from examples.screenshots.terminal import Terminal

    text = (BOOK / "live_table.py").read_text(encoding="utf-8").replace("8765", str(market))
    (tmp_path / "live_table.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "live_table.py")]
    rows = re.compile(r"connected.*│ A +│ 100\.\d\d │.*│ C +│ 100\.\d\d │", re.DOTALL)
    with Terminal(command, 60, 12, env=environment) as terminal:
        terminal.until(lambda lines: rows.search("\n".join(lines)) is not None)
        terminal.type("\x03")
        terminal.until(lambda lines: "bye" in lines)
        assert terminal.end() == 0


def test_batches_are_written_and_the_last_one_too(market: int, tmp_path: Path) -> None:
    with program("to_sqlite", tmp_path, market) as run:
        written = [int(line(run, "wrote").split()[1])]
        rest = end(run)
    assert "dropped batches: 0" in rest
    written += map(int, re.findall(r"wrote (\d+)", rest))
    with closing(sqlite3.connect(tmp_path / "trades.db")) as database:
        ids = [row[0] for row in database.execute("SELECT id FROM trades ORDER BY id")]
    assert sum(written) == len(ids)
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_browsers_get_server_sent_events(market: int, tmp_path: Path) -> None:
    pytest.importorskip("fastapi.sse")
    pytest.importorskip("uvicorn")
    port = free_port()
    command = ("-m", "uvicorn", "relay:app", "--port", str(port))
    with program("relay", tmp_path, market, *command) as run:
        assert run.stderr is not None
        assert any("Uvicorn running" in text for text in run.stderr)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/trades", timeout=20) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            assert next(text for text in response if b"price" in text).startswith(b"data: {")


def test_a_hole_in_an_order_book_asks_for_a_snapshot(market: int, tmp_path: Path) -> None:
    with program("order_book", tmp_path, market) as run:
        assert "'99': 5" in line(run, "snapshot")
        assert "hole: 11 after 9" in line(run, "hole")
        assert "'99': 5" in line(run, "snapshot")
        assert "best bid: 9" in end(run)


def test_a_trade_is_joined_with_the_quote_of_its_symbol(market: int, tmp_path: Path) -> None:
    with program("joined", tmp_path, market) as run:
        assert re.search(r"[ABC] 100\.\d+ (bought|sold) 99.9 100.1", line(run, "bought|sold"))
        assert end(run).endswith("bye\n")


def chatting(folder: Path, test: Callable[[subprocess.Popen[str], int], None]) -> None:
    port = free_port()
    with program("market", folder, port) as server:
        line(server, "listening")
        test(server, port)


def test_a_bot_answers_by_the_number_of_the_command(tmp_path: Path) -> None:
    def test(server: subprocess.Popen[str], port: int) -> None:
        with program("bot", tmp_path, port) as run:
            assert '"id":1,"reply":"2"' in line(server, '"id":1,')
            assert '"id":5,"reply":"10"' in line(server, '"id":5,')
            end(run)

    chatting(tmp_path, test)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_stopped_ends_in_order(tmp_path: Path, how: signal.Signals) -> None:
    def test(server: subprocess.Popen[str], port: int) -> None:
        with program("shutdown", tmp_path, port) as run:
            line(run, "running")
            line(server, '"count":3')
            told = end(run, how)
        assert re.fullmatch(r"\{'delivered': \d+\}\nclosed\n", told)

    chatting(tmp_path, test)
