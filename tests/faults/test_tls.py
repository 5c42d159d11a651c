"""The fault matrix, where the connection is one of TLS."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

from heimdall_reactive import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    RedirectRefused,
    TlsError,
    WaitTimeout,
)
from heimdall_reactive.testing import BlackHole, Cut, Fault, FaultProxy, Reset, redirect
from tests.socket_peer import SocketPeer
from tests.support import run

from .stage import SLACK, stage
from .test_connecting import FAILS, HEALS, Row, check, named, stops


def contexts(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the server's context, and one that trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context, ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


@pytest.mark.parametrize(
    ("fault", "error", "cause"),
    [
        (BlackHole(handshake=True), ConnectTimeout, "timeout"),
        (BlackHole(handshake=True, after=100), ConnectTimeout, "timeout"),
        (Cut(handshake=True, after=100), ConnectError, "reset"),
        (Reset(handshake=True, after=100), ConnectError, "reset"),
    ],
    ids=repr,
)
def test_a_fault_in_the_handshake_of_tls_heals(
    certificate: Path, fault: Fault, error: type[Exception], cause: str
) -> None:
    context, trusting = contexts(certificate)
    options = {"ssl": trusting, "open_timeout": 1.5 if cause == "timeout" else 60.0}

    async def main() -> None:
        async with SocketPeer(ssl=context) as peer, FaultProxy(("127.0.0.1", peer.port)) as proxy:
            proxy.next(fault)
            url = proxy.url.replace("ws://127.0.0.1", "wss://localhost")
            async with stage(peer, url, **options) as on:
                await on.settles(HEALS)
                check(Row("", [], error, cause, HEALS, options=options), on)
                await on.converses()

    run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a peer has taken")
async def test_a_peer_that_answers_no_ping_is_told_from_one_that_is_gone_within_tls(
    certificate: Path,
) -> None:
    context, trusting = contexts(certificate)
    options = {"ssl": trusting, "ping_interval": 0.2, "ping_timeout": 0.3}
    async with SocketPeer(ssl=context) as peer, FaultProxy(("127.0.0.1", peer.port)) as proxy:
        url = proxy.url.replace("ws://127.0.0.1", "wss://localhost")
        async with stage(peer, url, **options) as on:
            link = await peer.accepted(8)
            link.mute_pong()
            await on.settles("connecting>connected")
            with pytest.raises(WaitTimeout):  # three times the timeout
                await on.store.wait_for(lambda state: not state.is_connected, 1.0)
            await on.converses()
            proxy.now(BlackHole())
            state = await on.store.wait_for(lambda state: not state.is_connected, SLACK)
            assert state.close is not None
            assert state.close.reason == "keepalive ping timeout"


async def test_wss_to_a_plaintext_port_stops() -> None:
    row = stops("plaintext", [], TlsError, "tls")
    async with SocketPeer() as peer, stage(peer, peer.url.replace("ws", "wss")) as on:
        await on.settles(FAILS)
        check(row, on)


@pytest.mark.parametrize("fault", ["self-signed", "wrong name", "redirect to ws", None])
def test_tls_that_can_not_be_trusted_stops(certificate: Path, fault: str | None) -> None:
    context, trusting = contexts(certificate)
    row = stops("certificate", [], CertificateError, "certificate")

    async def main() -> None:
        steps = [redirect("ws://localhost/")] if fault == "redirect to ws" else []
        async with SocketPeer(*steps, ssl=context) as peer:
            url = peer.url if fault == "wrong name" else named(peer)
            options = {} if fault == "self-signed" else {"ssl": trusting}
            async with stage(peer, url, **options) as on:
                await on.settles("connecting>connected" if fault is None else FAILS)
                if fault is None:
                    await on.converses()
                elif steps:
                    check(row._replace(error=RedirectRefused, cause="redirect"), on)
                else:
                    check(row, on)

    run(main)
