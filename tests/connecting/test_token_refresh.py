"""A token that expires is renewed before, on the open socket or by another session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heimdall_reactive import (
    AccessToken,
    ProtocolSession,
    SessionProtocol,
    TokenError,
)
from heimdall_reactive.testing import Refuse, ScriptedPeer
from tests.support import record
from tests.virtual import loop, steady_store_of

pytestmark = pytest.mark.heimdall_virtual_time


class Provider:
    """Returns tokens that live for a while, and counts them."""

    def __init__(self, life: float) -> None:
        self.life = life
        self.count = 0
        self.fails = False

    async def __call__(self) -> AccessToken:
        self.count += 1
        if self.fails:
            raise OSError("no network")
        return AccessToken(f"token-{self.count}", loop().wall() + self.life)


class Renewing(SessionProtocol):
    """Takes a token on the open socket, unless told not to."""

    def __init__(self) -> None:
        self.takes = True

    async def refresh(self, token: str, session: ProtocolSession) -> bool:
        assert await session.token() != token
        session.send({"token": token})
        return self.takes


async def test_a_protocol_hands_the_next_token_over_on_the_open_socket() -> None:
    service, provider = ScriptedPeer(), Provider(600.0)
    async with steady_store_of(service, protocol=Renewing(), access_token=provider) as store:
        await store.wait_connected()
        states = record(store.state)
        await asyncio.sleep(539)
        assert provider.count == 1
        await asyncio.sleep(2)
        assert service.links[0].received == [{"token": "token-2"}]
        await asyncio.sleep(540)
        assert service.links[0].received == [{"token": "token-2"}, {"token": "token-3"}]
        assert len(states) == len(service.dials) == 1
        session = store._core.connection.sessions.current
        assert session is not None
        assert "token-3" not in session.mask("closed for token-3 and more")
    assert loop().timers == []


@pytest.mark.parametrize("protocol", [None, SessionProtocol(), Renewing()])
async def test_else_another_session_is_opened_before_this_one_ends(protocol: Any) -> None:
    service, provider = ScriptedPeer(), Provider(600.0)
    if isinstance(protocol, Renewing):
        protocol.takes = False
    async with steady_store_of(service, protocol=protocol, access_token=provider) as store:
        await store.wait_connected()
        connected, gaps = record(store.is_connected), record(store.gaps)
        await asyncio.sleep(541)
        assert store.state.value.session == 2
        assert (connected, gaps) == ([True], [])
        tokens = [dial.token for dial in service.dials]
        assert tokens == ["token-1", "token-3" if isinstance(protocol, Renewing) else "token-2"]
        await asyncio.sleep(541)
        assert store.state.value.session == 3
    assert loop().timers == []


async def test_what_fails_is_reported_and_tried_again_while_there_is_time() -> None:
    service, provider = ScriptedPeer(), Provider(600.0)
    async with steady_store_of(service, protocol=Renewing(), access_token=provider) as store:
        await store.wait_connected()
        errors = record(store.errors)
        provider.fails = True
        await asyncio.sleep(560)
        assert [type(error) for error in errors] == [TokenError]
        provider.fails = False
        await asyncio.sleep(20)
        assert service.links[0].received == [{"token": "token-3"}]


async def test_a_next_session_that_is_refused_is_tried_again_while_there_is_time() -> None:
    service, provider = ScriptedPeer(), Provider(600.0)
    async with steady_store_of(service, access_token=provider) as store:
        await store.wait_connected()
        errors = record(store.errors)
        service.script(Refuse(503))
        await asyncio.sleep(545)
        assert len(errors) == 1
        assert (store.connected, store.state.value.session) == (True, 1)
        await asyncio.sleep(40)
        assert store.state.value.session == 2


@pytest.mark.parametrize(("life", "most"), [(30.0, 5), (0.0, 61), (-5.0, 61)])
async def test_a_short_or_expired_token_does_not_storm_the_provider(life: float, most: int) -> None:
    service, provider = ScriptedPeer(), Provider(life)
    async with steady_store_of(service, protocol=Renewing(), access_token=provider) as store:
        await store.wait_connected()
        await asyncio.sleep(60)
        assert most - 1 <= provider.count <= most
        assert store.connected


@pytest.mark.parametrize("protocol", [None, Renewing()])
async def test_a_token_that_no_provider_renews_is_kept_to_its_end(protocol: Any) -> None:
    service = ScriptedPeer()
    token = AccessToken("static", loop().wall() + 5)
    async with steady_store_of(
        service, protocol=protocol, access_token=token, principal="ada"
    ) as store:
        await store.wait_connected()
        await asyncio.sleep(10)
        assert (len(service.dials), service.links[0].received) == (1, [])
        store.set_access_token("next", principal="ada")
        await store.wait_for(lambda state: state.session == 2)
        assert service.dials[1].token == "next"


async def test_a_sleep_of_the_machine_counts_against_a_token() -> None:
    service, provider = ScriptedPeer(), Provider(3600.0)
    async with steady_store_of(service, protocol=Renewing(), access_token=provider) as store:
        await store.wait_connected()
        loop().suspend(3590.0)
        await asyncio.sleep(3)
        assert {"token": "token-2"} in service.links[0].received


async def test_a_token_expires_by_the_clock_that_is_set() -> None:
    service, provider = ScriptedPeer(), Provider(600.0)
    async with steady_store_of(service, protocol=Renewing(), access_token=provider) as store:
        await store.wait_connected()
        loop().step_clock(-600.0)
        await asyncio.sleep(700)  # it would have expired, had the clock been right before
        assert provider.count == 1
        loop().step_clock(600.0)
        await asyncio.sleep(3)
        assert {"token": "token-2"} in service.links[0].received
