"""Reading over TLS where the peer ends TCP without a goodbye: nothing that came is lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heimdall_reactive import CloseInfo
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.transports.websockets_dial import dial
from tests.socket_peer import build_frame
from tests.socket_peer.frames import TEXT
from tests.socket_peer.handshake import upgrade_answer
from tests.transports.bench import Notes

MESSAGES = [str(n) * 40 for n in range(1000)]


@pytest.mark.leaky
@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_what_came_while_nothing_was_read_is_read_at_the_end(
    make_loop: Any, certificate: Path
) -> None:
    """uvloop 0.23 ends such a connection without what its TLS has not handed on yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ended = threading.Event()

    def say_and_go(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as peer:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += peer.recv(4096)
            frames = [build_frame(TEXT, message.encode()) for message in MESSAGES]
            peer.sendall(upgrade_answer(request) + b"".join(frames))
        ended.set()

    async def main(port: int) -> Notes:
        options = StoreOptions(ssl=ssl.create_default_context(cafile=str(authority)))
        wire: Any = await dial(f"wss://localhost:{port}", [], None, options)
        await asyncio.to_thread(ended.wait, 10)
        notes = Notes()
        wire.start(notes)
        async with asyncio.timeout(10):
            await notes.ended.wait()
        return notes

    authority = certificate.with_suffix(".crt")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=say_and_go, args=(listener,))
        thread.start()
        with asyncio.Runner(loop_factory=make_loop) as runner:
            notes = runner.run(main(listener.getsockname()[1]))
        thread.join()
    assert [frame.decode() for frame in notes.frames] == MESSAGES
    assert isinstance(notes.told[-1], CloseInfo)
