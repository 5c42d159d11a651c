"""The peer with a socket: each step and each deed of a link, seen by a plain client."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
)

from heimdall_reactive.testing import (
    CloseWith,
    Cut,
    EndlessHeader,
    Garbage,
    Handshake,
    Hang,
    HttpAnswer,
    Refuse,
    Reset,
    SocketPeer,
    redirect,
)

from .support import run


def dial(peer: SocketPeer, **options: Any) -> connect:
    options = {
        "compression": None, "ping_interval": None, "close_timeout": 0.1, "open_timeout": 2,
        "proxy": None, **options,
    }  # fmt: skip
    return connect(peer.url + "/v1/ws", **options)


def test_messages_go_both_ways_and_the_closing_handshake_is_answered() -> None:
    async def main() -> None:
        async with SocketPeer() as peer:
            headers = {"Authorization": "Bearer canary"}
            async with dial(peer, additional_headers=headers) as client:
                link = await peer.accepted(1)
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
            await link.ended(1)
            assert (link.close_code, link.close_reason, client.close_code) == (4001, "bye", 4001)
            assert all(frame.masked for frame in link.frames)
            assert [frame.opcode for frame in link.frames] == [1, 1, 2, 1, 9, 8]
            (record,) = peer.dials
            assert (record.path, record.token) == ("/v1/ws", "canary")
            assert "canary" not in repr(record)
            with pytest.raises(ConnectionError):
                await link.receive(1)

    run(main)


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
def test_a_step_fails_the_dial(step: Any, error: type[Exception]) -> None:
    async def main() -> None:
        async with SocketPeer(step) as peer:
            with pytest.raises(error):
                await dial(peer, open_timeout=0.15)
            async with dial(peer):
                assert peer.links[-1].number == 2
            assert [record.number for record in peer.dials] == [1, 2]

    run(main)


def test_a_redirect_leads_elsewhere() -> None:
    async def main() -> None:
        async with SocketPeer() as there:
            async with SocketPeer(redirect(there.url + "/other")) as here, dial(here):
                assert not here.links
            assert [record.path for record in there.dials] == ["/other"]

    run(main)


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
def test_a_step_ends_an_accepted_connection(step: Any, code: int) -> None:
    async def main() -> None:
        async with SocketPeer(step) as peer, dial(peer, ping_interval=0.05) as client:
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            ends = (closed.value.rcvd, closed.value.sent)
            assert code in [end.code for end in ends if end is not None] or code == 1006

    run(main)
