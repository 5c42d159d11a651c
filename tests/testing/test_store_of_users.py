"""A store of ours through every fault of the kit: it reconnects, or says why not."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import CertificateError, HandshakeRefused, Status
from heimdall_reactive.testing import (
    Accept,
    BlackHole,
    CloseWith,
    Cut,
    DropSyn,
    Fault,
    FaultProxy,
    HttpAnswer,
    MuteClose,
    NoAnswer,
    Refuse,
    RefuseConnection,
    Reset,
    Stall,
    Trickle,
)
from tests.peers import quick
from tests.socket_peer import SocketPeer, build_frame
from tests.support import record, run, until

SHORT = {"open_timeout": 1.5, "ping_interval": 0.05, "ping_timeout": 3.0, "close_timeout": 0.1}
TRANSIENT: list[Fault] = [
    HttpAnswer(503),
    HttpAnswer(429, [("Retry-After", "0")]),
    NoAnswer(),
    Trickle(50, handshake=True),
    Reset(handshake=True),
    Cut(handshake=True),
    Cut(after=20, handshake=True),
    BlackHole(handshake=True),
    Reset(),
    Cut(),
    Cut(after=4),
    BlackHole(after=4),
    Stall(60, after=4),
    CloseWith(1012),
    CloseWith(1012, hold=True),
]


@pytest.mark.parametrize("fault", TRANSIENT, ids=repr)
async def test_a_store_heals_by_itself(fault: Fault) -> None:
    async with (
        SocketPeer(on_message=lambda link, message: link.send(message)) as peer,
        FaultProxy(peer.url) as proxy,
    ):
        proxy.next(fault)
        async with quick(proxy.url + "/v1/ws", **SHORT) as store:
            await proxy.wait_for(lambda: proxy.accepted == 2)
            await store.wait_for(lambda state: state.status is Status.CONNECTED, 8)
            store.send({"n": 1})
            link = peer.links[-1]
            assert await link.receive(8) == {"n": 1}
        await link.ended(8)
        assert len(proxy.log) == 2


@pytest.mark.parametrize("fault", [RefuseConnection(), DropSyn()], ids=repr)
async def test_a_store_waits_for_a_port_that_comes_back(fault: Fault) -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
        proxy.always(fault)
        options = {**SHORT, "max_reconnect_attempts": None}
        async with quick(proxy.url, **options) as store:
            await store.wait_for(lambda state: state.attempt >= 2, 8)
            proxy.always(None)
            await store.wait_connected(8)


@pytest.mark.parametrize(
    "fault", [HttpAnswer(404), HttpAnswer(302), HttpAnswer(200, body=b"please log in")], ids=repr
)
async def test_a_store_stops_where_trying_again_is_no_use(fault: Fault) -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
        proxy.always(fault)
        async with quick(proxy.url, **SHORT) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 8)
            assert isinstance(state.error, HandshakeRefused)
        assert proxy.accepted == 1


async def test_disconnecting_does_not_wait_for_a_peer_that_never_closes() -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
        proxy.next(MuteClose())
        async with quick(proxy.url, **SHORT) as store:
            await store.wait_connected(8)
            store.disconnect()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)


@pytest.mark.parametrize(
    "place", [(n, False) for n in range(9)] + [(n, True) for n in (1, 50, 100)]
)
def test_a_cut_at_any_byte_costs_nothing_but_a_session(place: tuple[int, bool]) -> None:
    after, handshake = place

    async def main() -> None:
        async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
            peer.always(Accept(first_messages=[{"n": 0}]))
            proxy.next(Cut(after=after, handshake=handshake))
            async with quick(proxy.url) as store:
                messages = record(store.messages)
                await until(store, lambda: bool(messages))
                assert messages == [{"n": 0}]
                assert proxy.accepted == 2

    assert len(build_frame(1, b'{"n":0}')) == 9
    run(main)


@pytest.mark.leaky
async def test_a_peer_may_speak_tls(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting: Any = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with SocketPeer(Refuse(503), ssl=context) as peer:
        async with quick(peer.url.replace("127.0.0.1", "localhost")) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 8)
            assert isinstance(state.error, CertificateError)
            assert not peer.dials
        async with quick(peer.url.replace("127.0.0.1", "localhost"), ssl=trusting) as store:
            link = await peer.accepted(8)
            link.send({"n": 1})
            await until(store, lambda: store.last_message.value == {"n": 1})
            link.reset()
            (await peer.accepted(8)).drop()
            await peer.accepted(8)
        assert len(peer.dials) == 4
