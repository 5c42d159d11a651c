"""The peer of every measurement: one process, one thread, that copies pre-built frames.

Run as `python -m benchmarks.peer [CERTIFICATE]`; it prints its ports, of TCP and of TLS, and serves
until its input ends. What is compressed, the path says. The first text message of a connection is a
command:

- `{"mode": "flood", "payload": p, "count": n}` sends n frames without a pause; `"times": t` repeats
  the payload in each, `"binary": true` makes them binary.
- `{"mode": "ready", ...}` does the same once somebody has said `go`.
- `{"mode": "go", "count": n}` waits until n connections are ready, and starts them.
- `{"mode": "echo", "payload": p, "count": n}` answers n frames of the first one's length with p.
- `{"mode": "sink", "count": n}` reads n frames of the first one's length, then says `done`.
- `{"mode": "hold"}` answers pings.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import selectors
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from . import tls
from .frames import EXTENSIONS, frame, frames, inflated
from .machine import raise_descriptor_limit

__all__ = ["Urls", "command", "running"]

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK: Final = 64 * 1024  # bytes of frames a write
CONNECTIONS: Final = 8192  # that may be open at once, where the system lets us
GRACE: Final = 5.0  # seconds that the process has to end
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

T = TypeVar("T")
Work: TypeAlias = Generator[int, None, T]  # yields what the socket has to be able to do


class Urls(NamedTuple):
    """Where the peer is.

    Attributes:
        plain: its URL.
        secure: the one over TLS.
    """

    plain: str
    secure: str


class Peer:
    """All connections, on one selector.

    Args:
        certificate: of the side with TLS; None has no such side.
    """

    def __init__(self, certificate: str | None) -> None:
        self.selector = selectors.DefaultSelector()
        self.ready: list[Connection] = []
        self.wanted = 0  # connections that have to be ready before they start
        self._context = tls.server_context(certificate) if certificate else None

    def listen(self, secure: bool) -> int:
        """Accept connections; return the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listener.setblocking(False)
        context = self._context if secure else None

        def accept() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.go_on(Connection(self, listener.accept()[0], context))

        self.selector.register(listener, READ, accept)
        return int(listener.getsockname()[1])

    def run(self) -> None:
        """Serve until the standard input ends."""
        self.selector.register(sys.stdin, READ, sys.exit)
        while True:
            for key, _ in self.selector.select():
                if isinstance(key.data, Connection):
                    self.go_on(key.data)
                else:
                    key.data()

    def go_on(self, connection: Connection) -> None:
        """Have a connection do what it can now."""
        try:
            events = next(connection.work)
        except (StopIteration, OSError, EOFError):
            if connection.events:
                self.selector.unregister(connection.sock)
            connection.sock.close()
            return
        if not connection.events:
            self.selector.register(connection.sock, events, connection)
        elif events != connection.events:
            self.selector.modify(connection.sock, events, connection)
        connection.events = events

    def start(self) -> None:
        """Start the connections that are ready, once they are as many as wanted."""
        if not self.wanted or len(self.ready) < self.wanted:
            return
        ready, self.ready, self.wanted = self.ready, [], 0
        for connection in ready:
            connection.work = connection.flooding
            self.go_on(connection)


class Connection:
    """One client.

    Args:
        peer: has all of them.
        sock: the client's.
        context: of TLS, None without.
    """

    def __init__(self, peer: Peer, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.events = 0
        self.work: Work[None] = self._serve(context)
        self.flooding: Work[None]
        self._peer = peer
        self._left = b""
        self._path = b""
        self._buffer = memoryview(bytearray(CHUNK))

    def _serve(self, context: ssl.SSLContext | None) -> Work[None]:
        """Answer the upgrade, then do what the first message says."""
        if context is not None:
            self.sock = secured = context.wrap_socket(
                self.sock, server_side=True, do_handshake_on_connect=False
            )
            yield from self._able(secured.do_handshake)
        yield from self._upgrade()
        order: dict[str, Any] = json.loads((yield from self._frame(1)))
        yield from getattr(self, order.pop("mode"))(**order)

    def flood(
        self, payload: str, count: int, times: int = 1, binary: bool = False
    ) -> Work[None]:  # fmt: skip
        """Send frames without a pause."""
        before, chunk = list[bytes](), b""
        for many in frames(self._path, payload.encode() * times, binary, CHUNK):
            if count < len(many):
                yield from self._send(b"".join(many[:count]))
                break
            if many is not before:
                before, chunk = many, b"".join(many)
            yield from self._send(chunk)
            count -= len(many)
        yield from self.hold()  # to end first would take from the client what it has not read

    def ready(self, **arguments: Any) -> Work[None]:
        """Send frames when told."""
        self.flooding = self.flood(**arguments)
        self._peer.ready.append(self)
        self._peer.start()
        yield from self.hold()

    def go(self, count: int) -> Work[None]:
        """Start those that are ready, once they are as many."""
        self._peer.wanted = count
        self._peer.start()
        yield from self.hold()

    def echo(self, payload: str, count: int) -> Work[None]:
        """Answer frames."""
        answer = frame(payload.encode())
        size = yield from self._frame_size()
        for _ in range(count):
            yield from self._read(size)
            yield from self._send(answer)
        yield from self.hold()

    def sink(self, count: int) -> Work[None]:
        """Read frames, and say when all are there."""
        size = yield from self._frame_size()
        left = size * count - len(self._left)
        buffer = self._buffer = memoryview(bytearray(1 << 20))
        while left > 0:
            left -= yield from self._receive(buffer)
        yield from self._send(frame(b'"done"'))
        yield from self._more()  # the client has had enough: a close frame, or the end

    def hold(self) -> Work[None]:
        """Answer pings, until the client has had enough."""
        while True:
            data = yield from self._frame(9)
            yield from self._send(b"\x8a" + bytes([len(data)]) + data)

    def _upgrade(self) -> Work[None]:
        head = b""
        while b"\r\n\r\n" not in head:
            head += yield from self._more()
        lines = head.split(b"\r\n")
        key = next(x[18:].strip() for x in lines if x.lower().startswith(b"sec-websocket-key:"))
        self._path = lines[0].split()[1] if b"permessage-deflate" in head else b"/"
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        yield from self._send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + EXTENSIONS.get(self._path, b"") + b"\r\n"
        )

    def _frame(self, opcode: int) -> Work[bytes]:
        """Return the payload of the next frame of a kind; the others are skipped."""
        while True:
            head = yield from self._read(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes((yield from self._read(2)), "big")
            mask, data = (yield from self._read(4)), (yield from self._read(size))
            if head[0] & 0x0F == 8:
                raise EOFError
            if head[0] & 0x0F == opcode:
                data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
                return inflated(data) if head[0] & 0x40 else data

    def _frame_size(self) -> Work[int]:
        """Return the length of the frames to come, by looking at the first one's head."""
        head = yield from self._read(2)
        size, more = head[1] & 0x7F, {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        extra = yield from self._read(more)
        self._left = head + extra + self._left
        return len(head) + more + 4 + (int.from_bytes(extra, "big") if more else size)

    def _read(self, size: int) -> Work[bytes]:
        while len(self._left) < size:
            self._left += yield from self._more()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _more(self) -> Work[bytes]:
        count = yield from self._receive(self._buffer)
        return bytes(self._buffer[:count])

    def _receive(self, buffer: memoryview) -> Work[int]:
        if not isinstance(self.sock, ssl.SSLSocket):  # which may have read more than it gave
            yield READ
        count: int = yield from self._able(lambda: self.sock.recv_into(buffer))
        if not count:
            raise EOFError
        return count

    def _send(self, data: bytes) -> Work[None]:
        left = memoryview(data)
        while left:
            count = yield from self._able(lambda: self.sock.send(left))  # noqa: B023
            left = left[count:]

    @staticmethod
    def _able(call: Any) -> Work[Any]:
        """Call something until it can do what it should."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                yield READ
            except (ssl.SSLWantWriteError, BlockingIOError):  # one that reads is readable
                yield WRITE


def main() -> None:
    """Serve until the standard input ends."""
    raise_descriptor_limit(CONNECTIONS)
    peer = Peer(sys.argv[1] if len(sys.argv) > 1 else None)
    print(peer.listen(secure=False), peer.listen(secure=True), flush=True)
    peer.run()


@contextlib.contextmanager
def running() -> Iterator[Urls]:
    """Run the peer as a process of its own; give its URLs."""
    certificate = []
    with contextlib.suppress(ImportError):  # then nobody is measured over TLS
        certificate.append(str(tls.certificate()))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer", *certificate],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            plain, secure = process.stdout.readline().split()
            yield Urls(f"ws://127.0.0.1:{plain}", f"wss://127.0.0.1:{secure}")
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
