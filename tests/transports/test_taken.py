"""What the peer's host has taken of a real socket, and how a connection is dropped."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from heimdall_reactive.transports.deafness import deafen, hear, is_allowed
from heimdall_reactive.transports.taken import abort, all_taken, taken, unheard

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a peer has taken")


class Buffer:
    """A transport without a socket: all that it knows is what waits."""

    def __init__(self, waiting: int, sock: Any = None) -> None:
        self.waiting = waiting
        self.sock = sock
        self.aborted = False

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self.sock

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted = True


async def connected(sock: socket.socket) -> tuple[Any, socket.socket]:
    """Return a client's writer and the peer's end, which nobody reads."""
    _, writer = await asyncio.open_connection(*sock.getsockname())
    accepted, _ = sock.accept()
    return writer, accepted


@LINUX
async def test_what_the_peers_host_has_acknowledged_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        before, _ = taken(writer.transport, 100.0)
        writer.write(b"x" * 1000)
        await writer.drain()
        assert len(accepted.recv(1000, socket.MSG_WAITALL)) == 1000
        while (after := taken(writer.transport, 100.0)[0]) == before:  # noqa: ASYNC110
            await asyncio.sleep(0)  # nobody reports an acknowledgement
        _, at = taken(writer.transport, 100.0)
        assert after - before == 1000
        assert 90.0 < at <= 100.0
        later = taken(writer.transport, 200.0)
        assert later[0] == after
        assert later[1] > 190.0
        accepted.close()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("closed", [False, True])
def test_elsewhere_it_is_how_much_less_waits(closed: bool) -> None:
    sock = None
    if closed:
        sock = socket.socket()
        sock.close()
    buffer: Any = Buffer(300, sock)
    assert taken(buffer, 7.0) == (-300, 7.0)
    buffer.waiting = 100
    assert taken(buffer, 8.0) == (-100, 8.0)


async def test_a_connection_that_is_dropped_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        abort(writer.transport)
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionResetError):
            await loop.run_in_executor(None, accepted.recv, 1)
        accepted.close()


@pytest.mark.parametrize("sock", [None, object()])
def test_what_has_no_real_socket_is_dropped_too(sock: Any) -> None:
    buffer: Any = Buffer(0, sock)
    abort(buffer)
    assert buffer.aborted


@LINUX
async def test_all_is_taken_when_the_last_byte_is_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        writer.write(b"x")
        while not all_taken(writer.transport):  # noqa: ASYNC110
            await asyncio.sleep(0)
        peer: Any = Buffer(0, accepted)
        deafen(peer)
        writer.write(b"y")
        assert not all_taken(writer.transport)
        hear(peer)
        assert accepted.recv(2, socket.MSG_WAITALL) == b"xy"  # the kernel has sent it again
        accepted.close()
        writer.transport.abort()


@LINUX
async def test_not_all_is_taken_while_something_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        writer.write(b"x" * 2**24)
        assert not all_taken(writer.transport)
        accepted.close()
        writer.transport.abort()


def test_elsewhere_nobody_knows_whether_all_was_taken() -> None:
    buffer: Any = Buffer(0)
    assert not all_taken(buffer)


@LINUX
async def test_who_hears_nothing_notices_a_reset_all_the_same() -> None:
    if not is_allowed():
        pytest.skip("the kernel drops packets for privileged processes only")
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        peer: Any = Buffer(0, accepted)
        deafen(peer)
        writer.write(b"x")
        abort(writer.transport)
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionResetError):
            await loop.run_in_executor(None, accepted.recv, 1)
        accepted.close()


@LINUX
async def test_a_peer_that_pretends_to_hear_nothing_has_taken_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writer, accepted = await connected(server)
        address = writer.transport.get_extra_info("sockname")
        while not all_taken(writer.transport):  # noqa: ASYNC110
            await asyncio.sleep(0)
        unheard.add(address)
        try:
            assert not all_taken(writer.transport)
            assert taken(writer.transport, 7.0) == (0, 7.0)
        finally:
            unheard.discard(address)
        assert all_taken(writer.transport)
        abort(writer.transport)
        accepted.close()


def test_nobody_is_deaf_without_a_socket() -> None:
    buffer: Any = Buffer(0)
    deafen(buffer)
    hear(buffer)
