"""From the wire to one subscriber: the store, its rivals, rxjs on Node, and the bytes alone."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from .measuring import LIMIT, Case, Measure, Skipped, Stage, Step
from .payloads import SIZES, payload
from .peer import command, text_frame
from .receiving import RECEIVERS, Receiver, loop_factory

__all__ = ["on_uvloop", "receive"]

SLOW: Final = ("WebSocketApp (websocket-client)",)  # get a tenth of the messages
COUNTS: Final = {"0.1 KB": 30_000, "1 KB": 15_000, "16 KB": 3_000}
UVLOOP: Final = (
    "store", "raw websockets + json.loads", "stock BehaviorSubject by hand",
    "raw picows + json.loads",
)  # fmt: skip
SCRIPT: Final = Path(__file__).parent / "node_rival.mjs"
NPM: Final = 60.0  # seconds that npm may take


def receive(stage: Stage) -> Case:
    """Build the case of three sizes."""
    receivers: dict[str, Receiver] = dict(RECEIVERS)
    if not stage.quick:
        receivers["rxjs webSocket on Node"] = _node
    receivers["the bytes alone, not parsed"] = _bytes_alone
    steps = [
        Step(entry, _timed(stage, receiver, size, 10 if entry in SLOW else 1))
        for size in (list(SIZES)[:2] if stage.quick else SIZES)
        for entry, receiver in receivers.items()
    ]
    return Case("receive", "From the wire to one subscriber", "µs a message", "size", steps)


def on_uvloop(stage: Stage) -> Case:
    """Build the same case on uvloop's event loop, for small messages."""
    steps = [
        Step(entry, _with_uvloop(_timed(stage, RECEIVERS[entry], "0.1 KB")))
        for entry in UVLOOP
        if entry in RECEIVERS
    ]
    return Case("uvloop", "The same on uvloop", "µs a message", "size", steps)


def _timed(stage: Stage, receiver: Receiver, size: str, part: int = 1) -> Measure:
    text, count = payload(SIZES[size]), stage.count(COUNTS[size]) // part
    return lambda: {size: receiver(stage.url, text, count) * 1e6}


def _with_uvloop(measure: Measure) -> Measure:
    def measured() -> dict[str, float]:
        with _uvloop():
            return dict(measure())

    return measured


@contextlib.contextmanager
def _uvloop() -> Iterator[None]:
    """Have the receivers run on event loops of uvloop."""
    import uvloop

    before = loop_factory.set(uvloop.new_event_loop)
    try:
        yield
    finally:
        loop_factory.reset(before)


def _bytes_alone(url: str, text: str, count: int) -> float:
    """Read with a blocking socket and look at nothing: what the peer and the system can do."""
    order = command("flood", payload=text, count=count).encode()
    total = len(text_frame(text.encode())) * count
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), LIMIT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        # The peer knows the two shorter forms of length only; a mask of zeros changes nothing.
        size = len(order)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        sock.sendall(b"\x81" + length + bytes(4) + order)
        buffer, seen, began, first = bytearray(1 << 18), 0, 0.0, 0
        while seen < total:
            seen += sock.recv_into(buffer) or _ended()
            if not began and seen > total // 10:
                began, first = perf_counter(), seen
        return (perf_counter() - began) / (total - first) * total / count


def _ended() -> int:
    raise EOFError("the peer has closed")


def _node(url: str, text: str, count: int) -> float:
    """Have Node receive with rxjs, from npm, or with its own WebSocket where that is not there."""
    node, environment = _node_program()
    done = subprocess.run(
        [*node, str(SCRIPT), url, command("flood", payload=text, count=count), str(count)],
        env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Skipped(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "Node failed"
        )
    return float(done.stdout)


@functools.cache
def _node_program() -> tuple[list[str], dict[str, str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Skipped("no Node and npm here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    flags = ["--experimental-websocket"] if int(version[1:].split(".")[0]) < 22 else []
    # Kept until the process ends: each round needs it.
    folder = tempfile.TemporaryDirectory(prefix="rxjs-")
    _folders.append(folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "rxjs@7"],
            cwd=folder.name, capture_output=True, timeout=NPM, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return [node, *flags], {**os.environ, "RXJS": f"{folder.name}/node_modules/rxjs"}
    raise Skipped("npm could not install rxjs")


_folders: list[tempfile.TemporaryDirectory[str]] = []
