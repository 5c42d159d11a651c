"""The other side of every measurement: a process of its own that only copies pre-built frames.

Run as `python -m benchmarks.peer`; it prints its port and serves until its input ends. The first
text message of a connection is a command:

- `{"mode": "flood", "payload": p, "count": n}` sends n text frames without a pause.
- `{"mode": "echo", "payload": p, "count": n}` answers n frames of the first one's length with p.
- `{"mode": "sink", "count": n}` reads n frames of the first one's length, then says `done`.
- `{"mode": "hold"}` does nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .machine import raise_descriptor_limit

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE: Final = (
    b"Sec-WebSocket-Extensions: permessage-deflate; "
    b"server_max_window_bits=12; client_max_window_bits=12\r\n"
)
CHUNK: Final = 64 * 1024  # bytes of frames a write
CONNECTIONS: Final = 8192  # that may be open at once, where the system lets us
STACK: Final = 256 * 1024  # bytes of each thread's stack
GRACE: Final = 5.0  # seconds that the process has to end


def text_frame(payload: bytes) -> bytes:
    """Build a server's text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Connection:
    """One client, on a thread of its own with a blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._left = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        """Answer the upgrade, then do what the first message says."""
        with self._sock, contextlib.suppress(OSError, EOFError):
            self._upgrade()
            command = json.loads(self._message())
            mode = getattr(self, command.pop("mode"))
            mode(**command)
            self._sock.recv(CHUNK)  # the client has had enough: a close frame, or the end

    def flood(self, payload: str, count: int) -> None:
        """Send frames without a pause."""
        frame = text_frame(payload.encode())
        many = max(1, CHUNK // len(frame))
        chunk = frame * many
        for _ in range(count // many):
            self._sock.sendall(chunk)
        self._sock.sendall(frame * (count % many))

    def echo(self, payload: str, count: int) -> None:
        """Answer frames."""
        frame = text_frame(payload.encode())
        size = self._frame_size()
        for _ in range(count):
            self._read(size)
            self._sock.sendall(frame)

    def sink(self, count: int) -> None:
        """Read frames, and say when all are there."""
        left = self._frame_size() * count - len(self._left)
        while left > 0:
            left -= len(self._sock.recv(min(left, 1 << 20)) or self._end())
        self._sock.sendall(text_frame(b'"done"'))

    def hold(self) -> None:
        """Do nothing."""

    def _upgrade(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._sock.recv(4096) or self._end()
        lines = head.split(b"\r\n")
        key = next(x[18:].strip() for x in lines if x.lower().startswith(b"sec-websocket-key:"))
        # On this path only: the peer compresses nothing, but what that takes is the client's.
        deflate = DEFLATE if b"/deflate " in lines[0] and b"permessage-deflate" in head else b""
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self._sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + deflate + b"\r\n"
        )

    def _message(self) -> bytes:
        while True:  # pings may come first
            head = self._read(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self._read(2), "big")
            mask, data = self._read(4), self._read(size)
            if head[0] & 0x0F == 1:
                data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
                return _inflated(data) if head[0] & 0x40 else data

    def _frame_size(self) -> int:
        """Return the length of the frames to come, by looking at the first one's head."""
        head = self._read(2)
        size, extra = head[1] & 0x7F, b""
        if size == 126:
            extra = self._read(2)
            size = int.from_bytes(extra, "big")
        self._left = head + extra + self._left
        return len(head) + len(extra) + 4 + size

    def _read(self, size: int) -> bytes:
        while len(self._left) < size:
            self._left += self._sock.recv(CHUNK) or self._end()
        data, self._left = self._left[:size], self._left[size:]
        return data

    @staticmethod
    def _end() -> bytes:
        raise EOFError


def _inflated(data: bytes) -> bytes:
    """Decompress the first message of a connection (RFC 7692 section 7.2.2)."""
    return zlib.decompressobj(wbits=-15).decompress(data + b"\x00\x00\xff\xff")


def main() -> None:
    """Serve until the standard input ends."""
    raise_descriptor_limit(CONNECTIONS)
    threading.stack_size(STACK)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=Connection(client).serve, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run the peer as a process of its own; give its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"ws://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            process.kill()


def command(mode: str, **arguments: Any) -> str:
    """Make the first message of a connection."""
    return json.dumps({"mode": mode, **arguments})


if __name__ == "__main__":
    main()
