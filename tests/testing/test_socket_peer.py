"""The peer with a socket: each step and each deed of a link, seen by a plain client."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
)

from heimdall_reactive.base.exceptions import WaitTimeout
from heimdall_reactive.testing import (
    Accept,
    CloseWith,
    Cut,
    Garbage,
    Hang,
    HttpAnswer,
    Refuse,
    Reset,
    redirect,
)
from tests.socket_peer import EndlessHeader, Handshake, SocketLink, SocketPeer, build_frame


def dial(peer: SocketPeer, **options: Any) -> connect:
    options = {
        "compression": None, "ping_interval": None, "close_timeout": 0.1, "open_timeout": 10,
        "proxy": None, **options,
    }  # fmt: skip
    return connect(peer.url + "/v1/ws", **options)


async def test_messages_go_both_ways_and_the_closing_handshake_is_answered() -> None:
    async with SocketPeer() as peer:
        headers = {"Authorization": "Bearer canary"}
        async with dial(peer, additional_headers=headers) as client:
            link = await peer.accepted(8)
            assert peer.link is link
            link.send({"a": 1})
            link.send("hi")
            link.send(b"\x00")
            link.fragments(b"fr", b"ag")
            assert [await client.recv() for _ in range(4)] == ['{"a":1}', "hi", b"\x00", "frag"]
            for message in ("[1]", "text", b"\xff", "l" * 70_000):
                await client.send(message)
            assert [await link.receive(1) for _ in range(4)] == [
                [1], "text", b"\xff", "l" * 70_000,
            ]  # fmt: skip
            await (await client.ping())
            assert link.pings == 1
            await client.close(4001, "bye")
        await link.ended(8)
        assert (link.close_code, link.close_reason, client.close_code) == (4001, "bye", 4001)
        assert all(frame.masked for frame in link.frames)
        assert [frame.opcode for frame in link.frames] == [1, 1, 2, 1, 9, 8]
        (record,) = peer.dials
        assert (record.path, record.token) == ("/v1/ws", "canary")
        assert "canary" not in repr(record)
        with pytest.raises(ConnectionError):
            await link.receive(1)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Refuse(503, retry_after=3), InvalidStatus),
        (HttpAnswer(200, body=b"please log in"), InvalidStatus),
        (HttpAnswer(302), InvalidStatus),
        (Hang(), TimeoutError),
        (Garbage(b"what?\r\n\r\n", when="handshake"), InvalidMessage),
        (Garbage(b"what?\r\n\r\n", when="handshake", hold=True), TimeoutError),
        (Reset(handshake=True), InvalidMessage),
        (Cut(handshake=True), InvalidMessage),
        (Handshake(accept="wrong"), InvalidHeaderValue),
        (Handshake(subprotocol="chat"), NegotiationError),
        (Handshake(bytes_per_second=50), TimeoutError),
        (EndlessHeader(), TimeoutError),
        (EndlessHeader(None), TimeoutError),
    ],
    ids=repr,
)
async def test_a_step_fails_the_dial(step: Any, error: type[Exception]) -> None:
    async with SocketPeer(step) as peer:
        with pytest.raises(error):
            await dial(peer, open_timeout=0.15 if error is TimeoutError else 10)
        async with dial(peer):
            assert peer.links[-1].number == 2
        assert [record.number for record in peer.dials] == [1, 2]


async def test_a_redirect_leads_elsewhere() -> None:
    async with SocketPeer() as there:
        async with SocketPeer(redirect(there.url + "/other")) as here, dial(here):
            assert not here.links
        assert [record.path for record in there.dials] == ["/other"]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (CloseWith(4401, "expired"), 4401),
        (CloseWith(4401, hold=True), 4401),
        (CloseWith(999), 1002),
        (CloseWith(1000, b"\xff"), 1007),
        (Garbage(b"\x83\x00"), 1002),
        (Reset(), 1006),
        (Cut(), 1006),
    ],
    ids=repr,
)
async def test_a_step_ends_an_accepted_connection(step: Any, code: int) -> None:
    async with (
        SocketPeer(step) as peer,
        dial(peer, ping_interval=0.05, ping_timeout=1) as client,
    ):
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        ends = (closed.value.rcvd, closed.value.sent)
        assert code in [end.code for end in ends if end is not None] or code == 1006


def half_a_frame(link: SocketLink) -> None:
    link.raw(b"\x81\x05he")
    link.drop()


DEEDS: list[tuple[str, Callable[[SocketLink], object], int]] = [
    ("no code", lambda link: link.close(None), 1005),
    ("code that must not travel", lambda link: link.close(1005), 1002),
    ("half a code", lambda link: link.frame(8, b"\x03"), 1002),
    ("masked", lambda link: link.frame(1, b"x", masked=True), 1002),
    ("reserved bit", lambda link: link.frame(1, b"x", rsv=4), 1002),
    ("reserved opcode", lambda link: link.frame(3), 1002),
    ("orphan continuation", lambda link: link.frame(0, b"x"), 1002),
    ("long ping", lambda link: link.ping(bytes(126)), 1002),
    ("not UTF-8", lambda link: link.send(b"\xff", text=True), 1007),
    ("a terabyte announced", lambda link: link.frame(2, length=1 << 40), 1009),
    ("too long", lambda link: link.send("x" * 2000), 1009),
    ("too many fragments", lambda link: link.fragments(*[b"x"] * 5000), 1009),
    ("FIN inside a frame", half_a_frame, 1006),
    ("RST", lambda link: link.reset(), 1006),
]


@pytest.mark.parametrize(("name", "deed", "code"), DEEDS, ids=[deed[0] for deed in DEEDS])
async def test_a_deed_ends_the_connection(
    name: str, deed: Callable[[SocketLink], object], code: int
) -> None:
    async with (
        SocketPeer() as peer,
        dial(peer, max_size=1000, ping_interval=0.05, ping_timeout=1) as client,
    ):
        deed(await peer.accepted(8))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        ends = [end.code for end in (closed.value.rcvd, closed.value.sent) if end is not None]
        assert code in (ends or [1006])


async def test_a_deflate_bomb_is_defused() -> None:
    step = Handshake(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(8 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    async with SocketPeer(step) as peer, dial(peer, compression="deflate") as client:
        (await peer.accepted(8)).frame(2, bomb.removesuffix(b"\0\0\xff\xff"), rsv=4)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1009


async def test_a_peer_that_never_pongs_is_found_out_and_one_that_does_is_not() -> None:
    options = {"ping_interval": 0.02, "ping_timeout": 0.1}
    async with SocketPeer() as peer, dial(peer, **options) as client:
        link = await peer.accepted(8)
        await link.wait_for(lambda: link.pings > 3)
        link.mute_pong()
        with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
            await client.recv()
        await link.wait_for(lambda: link.close_code == 1011)


async def test_a_muted_close_leaves_the_client_to_its_own_time() -> None:
    async with SocketPeer() as peer, dial(peer) as client:
        link = await peer.accepted(8)
        link.mute_close()
        await client.close()
        assert client.close_code == 1006
        assert link.close_code == 1000


async def test_a_silence_holds_everything_back_in_order() -> None:
    async with SocketPeer() as peer, dial(peer) as client:
        link = await peer.accepted(8)
        link.silence()
        link.send("one")
        link.send("two")
        await client.send("up")
        with pytest.raises(TimeoutError):
            await link.receive(0.05)
        link.resume()
        assert [await client.recv(), await client.recv()] == ["one", "two"]
        assert await link.receive(1) == "up"


async def endless(client: ClientConnection) -> None:
    while True:
        await client.send(bytes(1 << 20))


async def test_a_stall_fills_the_buffers_of_the_client() -> None:
    async with SocketPeer() as peer, dial(peer) as client:
        link = await peer.accepted(8)
        link.stall()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(endless(client), 0.2)
        link.resume()
        assert await link.receive(1) == bytes(1 << 20)


async def test_a_flood_goes_as_fast_as_the_client_takes_it() -> None:
    async with SocketPeer() as peer, dial(peer) as client:
        link = await peer.accepted(8)
        assert await link.flood(build_frame(1, b"drop"), 500) == 500
        link.send("the last")
        assert [await client.recv() for _ in range(501)][-1] == "the last"


async def test_the_peer_answers_by_itself_if_told_how() -> None:
    first = Accept(first_messages=["welcome"], then=lambda link: link.send("and"))

    def answer(link: SocketLink, message: Any) -> None:
        link.send([message])

    async with SocketPeer(first, on_message=answer) as peer, dial(peer) as client:
        await client.send("ping")
        assert [await client.recv() for _ in range(3)] == ["welcome", "and", '["ping"]']
        assert repr(peer) == "<SocketPeer 1 dials, 1 live>"
        peer.always(Refuse(429))
        with pytest.raises(InvalidStatus):
            await dial(peer)


async def test_a_script_may_be_replaced_and_waiting_has_an_end() -> None:
    async with SocketPeer(Refuse(500), Refuse(500)) as peer:
        peer.script(Refuse(403))
        with pytest.raises(InvalidStatus, match="403"):
            await dial(peer)
        with pytest.raises(TimeoutError):
            await peer.accepted(0.01)
        waiting = asyncio.create_task(peer.accepted())
        await peer.wait_for(lambda: len(peer.dials) == 1)
    with pytest.raises(WaitTimeout):
        await waiting


async def test_a_plain_request_on_a_tls_port_and_the_other_way_round() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    async with SocketPeer(ssl=context) as peer:
        assert peer.url.startswith("wss://")
        with pytest.raises((InvalidMessage, OSError)):
            await connect(peer.url.replace("wss", "ws"), proxy=None, open_timeout=1)
    async with SocketPeer() as peer:
        with pytest.raises(ssl.SSLError):
            await connect(peer.url.replace("ws", "wss"), proxy=None, open_timeout=1)


async def test_a_client_that_never_speaks_tls_leaves_nothing_behind() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    async with SocketPeer(ssl=context) as peer:
        _, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        with pytest.raises(WaitTimeout):
            await peer.wait_for(lambda: peer.dials, timeout=0.05)
    writer.close()
    await writer.wait_closed()
