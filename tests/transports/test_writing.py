"""Frames in one system call: their bytes, and how many of them have gone."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from heimdall_reactive.base.frames import Frame
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.transports.writing import can_batch, hand_over, serialize
from tests.peers import peer, quick

FRAMES = st.lists(
    st.builds(
        Frame,
        st.one_of(st.binary(max_size=40), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
        st.just(False),
    ),
    max_size=5,
)


def read_back(pieces: list[bytes], extensions: list[Any]) -> list[tuple[Opcode, bytes]]:
    server = ServerProtocol(max_size=None)
    server.state = State.OPEN
    server.extensions = extensions
    assert server.side is Side.SERVER  # it refuses what is not masked
    server.parser = Protocol.parse(server)  # of frames: its own begins with a handshake
    next(server.parser)
    server.receive_data(b"".join(pieces))
    assert server.parser_exc is None
    return [(frame.opcode, bytes(frame.data)) for frame in server.events_received()]  # type: ignore[union-attr]


@given(FRAMES, st.booleans())
def test_a_server_reads_the_frames_that_were_written(frames: list[Frame], packed: bool) -> None:
    ours = [PerMessageDeflate(False, False, 15, 15)] if packed else []
    theirs = [PerMessageDeflate(False, False, 15, 15)] if packed else []
    pieces = serialize([*frames, encode("é")], ours)
    wanted = [(Opcode.BINARY, frame.data) for frame in frames]
    assert read_back(pieces, list(theirs)) == [*wanted, (Opcode.TEXT, "é".encode())]


def test_each_frame_has_a_key_of_its_own() -> None:
    keys = {piece[2:6] for piece in serialize([Frame(b"", True)] * 50, [])}
    assert len(keys) == 50


async def test_of_frames_that_a_full_socket_does_not_take_one_has_begun_at_most() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    transport.set_write_buffer_limits(0, 0)
    pieces = [b"%04d" % n * 250 for n in range(100)]
    try:
        assert can_batch(transport)
        begun, taken = hand_over(transport, pieces)
        assert 0 < taken < 100
        assert begun - taken in (0, 1)
        got, wanted = b"", b"".join(pieces[:begun])
        theirs.setblocking(False)
        while len(got) < len(wanted):
            got += await loop.sock_recv(theirs, 1 << 16)
        assert got == wanted  # the rest of the frame that had begun has followed, and no more
        assert transport.get_write_buffer_size() == 0
    finally:
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)


async def test_a_burst_of_one_turn_is_two_system_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = os.write

    def counting(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        return write(descriptor, data)

    async with peer(lambda ws: ws.wait_closed()) as url, quick(url, compression=None) as store:
        await store.wait_connected(8)
        monkeypatch.setattr("heimdall_reactive.transports.writing.os.write", counting)
        receipts = [store.send(n) for n in range(100)]
        assert receipts[0].state == "written"  # the first waits for nothing
        assert {receipt.state for receipt in receipts[1:]} == {"queued"}
        await receipts[-1]  # whoever waits does not wait for the end of the turn
        assert {receipt.state for receipt in receipts} == {"written"}
        assert len(calls) == 2
        await asyncio.sleep(0)
        store.send("first")
        written = asyncio.Event()
        store.send("behind").add_done_callback(lambda _: written.set())
        await asyncio.wait_for(written.wait(), 8)
        assert len(calls) == 4


async def test_what_was_sent_in_a_turn_goes_out_before_its_disconnect() -> None:
    got: list[str | bytes] = []

    async def keep(ws: Any) -> None:
        got.extend([message async for message in ws])

    async with peer(keep) as url:
        store = quick(url)
        await store.wait_connected(8)
        receipts = [store.send(str(n)) for n in range(5)]
        store.disconnect()
        await store.aclose()
        assert {receipt.state for receipt in receipts} == {"delivered"}
    assert got == ["0", "1", "2", "3", "4"]


@pytest.mark.leaky
async def test_a_burst_over_tls_arrives_in_order(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    got: list[str | bytes] = []

    async def keep(ws: Any) -> None:
        got.extend([message async for message in ws])

    async with peer(keep, ssl=context) as url:
        secure = url.replace("ws://127.0.0.1", "wss://localhost")
        async with quick(secure, ssl=trusting) as store:
            await store.wait_connected(8)
            receipts = [store.send(f"{n}" * 500) for n in range(500)]
            await receipts[-1].delivered(timeout=8)
            assert {receipt.state for receipt in receipts} == {"delivered"}
    assert got == [f"{n}" * 500 for n in range(500)]
