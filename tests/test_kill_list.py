"""Twenty cases in which other reconnecting clients fail, by number; each in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from heimdall_reactive import (
    Backoff,
    Heartbeat,
    InvalidMessage,
    ObserverError,
    RetryContext,
    Status,
    WebSocketStore,
)
from heimdall_reactive.testing import (
    Accept,
    Hang,
    Refuse,
    ScriptedPeer,
    Unreachable,
    VirtualTimeLoop,
)

from .support import fate, record
from .virtual import store_of

ENDED = (Status.DISCONNECTED, Status.FAILED)


def now() -> float:
    return asyncio.get_running_loop().time()


async def idle() -> None:
    """Return when all is done that can be done now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await loop.idle()


async def status(store: WebSocketStore[Any], wanted: Status) -> None:
    await store.wait_for(lambda state: state.status is wanted)


@pytest.mark.heimdall_virtual_time
async def test_01_connect_in_the_middle_of_a_back_off_dials_now() -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, reconnect_delay=1.0) as store:
        await status(store, Status.WAITING)
        await asyncio.sleep(0.2)
        store.connect()
        await store.wait_connected()
        assert peer.dials[1].at - peer.dials[0].at < 0.25
        await asyncio.sleep(3)  # the timer of the back-off must not dial as well
        assert len(peer.dials) == 2


@pytest.mark.heimdall_virtual_time
async def test_02_equal_messages_in_one_turn_are_all_delivered() -> None:
    peer = ScriptedPeer(Accept(first_messages=[[1], [2], [3], [3]]))
    async with store_of(peer) as store:
        seen, latest = record(store.messages), record(store.last_message)
        await store.wait_connected()
        await idle()
        assert seen == [[1], [2], [3], [3]]
        assert latest == [None, *seen]


@pytest.mark.heimdall_virtual_time
async def test_03_what_was_queued_for_one_user_never_reaches_another() -> None:
    peer = ScriptedPeer(Refuse(401))
    async with store_of(peer, access_token="ada", principal="ada") as store:
        adas = store.send("ada's")
        await status(store, Status.FAILED)
        store.set_access_token("bob", principal="bob")
        bobs = store.send("bob's")
        await store.wait_connected()
        await idle()
        assert peer.links[0].received == ["bob's"]
        assert (fate(adas), fate(bobs)) == ("dropped", "written")


@pytest.mark.heimdall_virtual_time
async def test_04_a_flush_that_breaks_after_one_of_three_sends_just_the_other_two_again() -> None:
    peer = ScriptedPeer(Unreachable(), Accept(then=lambda link: link.stall(after=1)))
    async with store_of(peer, reconnect_delay=0.1) as store:
        for n in (1, 2, 3):
            store.send(n)
        first = await peer.accepted()
        await store.wait_connected()
        await idle()
        first.drop()
        second = await peer.accepted()
        await idle()
        assert (first.received, second.received) == ([1], [2, 3])


@pytest.mark.heimdall_virtual_time
async def test_05_on_the_wire_authentication_comes_before_the_queue() -> None:
    # Re-subscriptions, which belong between the two, come with channels.
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, access_token="t", token_placement="first_message") as store:
        store.send("queued")
        up = store.is_connected.filter(bool)
        up.map(lambda _: "observed").subscribe(store.send)
        await store.wait_connected()
        await idle()
        auth = {"type": "Auth", "token": "t"}
        assert peer.links[0].received == [auth, "queued", "observed"]


@pytest.mark.heimdall_virtual_time
async def test_06_behind_a_malformed_frame_the_next_is_delivered_on_the_same_connection() -> None:
    peer = ScriptedPeer(Accept(first_messages=["{", [1]]))
    async with store_of(peer, message_type=list[int]) as store:
        seen, errors = record(store.messages), record(store.errors)
        await store.wait_connected()
        await idle()
        assert seen == [[1]]
        assert [type(error) for error in errors] == [InvalidMessage]
        assert store.state.value.session == 1


@pytest.mark.heimdall_virtual_time
async def test_07_a_first_dial_that_is_refused_is_retried_by_default() -> None:
    peer = ScriptedPeer(Unreachable(), Refuse(503))
    async with store_of(peer) as store:
        await store.wait_connected()
        assert len(peer.dials) == 3


@pytest.mark.heimdall_virtual_time
async def test_08_a_message_queued_before_a_failed_first_dial_is_sent_after_the_second() -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer) as store:
        receipt = store.send("early")
        link = await peer.accepted()
        assert await link.receive() == "early"
        await receipt
        assert len(peer.dials) == 2


@pytest.mark.parametrize("delay", [0.0, 0.5, 3.0])
@pytest.mark.heimdall_virtual_time
async def test_09_a_server_that_accepts_and_closes_for_a_minute_is_dialled_rarely(
    delay: float,
) -> None:
    peer = ScriptedPeer()
    peer.always(Accept(then=lambda link: link.close(1011)))
    async with store_of(peer, reconnect_delay=delay, max_reconnect_attempts=None):
        await asyncio.sleep(60)
        assert 3 <= len(peer.dials) < 20


def test_10_ten_thousand_clients_at_the_cap_come_back_apart() -> None:
    context = RetryContext(attempt=50, elapsed=600.0, cause=None)
    policy = Backoff(cap=30.0)
    milliseconds = Counter(round(1000 * policy(context)) for _ in range(10_000))
    assert max(milliseconds.values()) <= 100  # 1 %
    assert max(milliseconds) - min(milliseconds) > 25_000


@pytest.mark.heimdall_virtual_time
async def test_11_disconnect_right_after_a_missed_heartbeat_dials_no_more() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, heartbeat=Heartbeat(interval=5, timeout=2)) as store:
        missed = store.state.filter(lambda state: state.status is Status.WAITING)
        missed.subscribe(lambda _: store.disconnect())
        await store.wait_connected()
        peer.links[0].silence()
        await status(store, Status.DISCONNECTED)
        assert now() <= 7
        await asyncio.sleep(600)
        assert len(peer.dials) == 1


async def never() -> str:
    await asyncio.Future()
    raise AssertionError


PHASES: list[tuple[str, list[Any], dict[str, Any], Status]] = [
    ("provider", [], {"access_token": never}, Status.CONNECTING),
    ("dial", [Hang()], {"open_timeout": 60.0}, Status.CONNECTING),
    ("handshake", [Accept(delay=1.0)], {}, Status.CONNECTING),
    ("connected", [], {}, Status.CONNECTED),
    ("back-off", [Unreachable()], {}, Status.WAITING),
    ("closing", [], {}, Status.DISCONNECTING),
]


@pytest.mark.parametrize(
    ("phase", "steps", "options", "wanted"), PHASES, ids=[phase[0] for phase in PHASES]
)
@pytest.mark.heimdall_virtual_time
async def test_12_disconnect_in_every_phase_has_one_terminal_status(
    phase: str, steps: list[Any], options: dict[str, Any], wanted: Status
) -> None:
    peer = ScriptedPeer(*steps)
    async with store_of(peer, **options) as store:
        seen = record(store.state)
        if phase == "closing":
            (await peer.accepted()).mute_close()
            await store.wait_connected()
            store.disconnect()
        await status(store, wanted)
        await asyncio.sleep(0.1)
        assert store.state.value.status is wanted
        dials = len(peer.dials)
        store.disconnect()
        await asyncio.sleep(600)
        assert [s.status for s in seen if s.status in ENDED] == [Status.DISCONNECTED]
        assert seen[-1].status is Status.DISCONNECTED
        assert (len(peer.dials), peer.live) == (dials, [])


@pytest.mark.heimdall_virtual_time
async def test_13_a_heartbeat_time_out_shorter_than_the_interval_costs_no_connection() -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send({"type": "Pong"}))
    async with store_of(peer, heartbeat=Heartbeat(interval=10, timeout=1)) as store:
        await store.wait_connected()
        await asyncio.sleep(9)
        assert (store.state.value.session, peer.links[0].received) == (1, [])
        await asyncio.sleep(60)
        assert (store.state.value.session, len(peer.links[0].received)) == (1, 6)


# 14, two subscribers of one topic of which one leaves, belongs to channels.


@pytest.mark.heimdall_virtual_time
async def test_15_a_late_subscriber_sees_the_last_message() -> None:
    peer = ScriptedPeer(Accept(first_messages=[[1], [2]]))
    async with store_of(peer) as store:
        early = record(store.last_message)
        await store.wait_connected()
        await idle()
        late = record(store.last_message)
        peer.links[0].send([3])
        await idle()
        assert (early, late) == ([None, [1], [2], [3]], [[2], [3]])
        assert len(peer.dials) == 1


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.heimdall_virtual_time
async def test_16_a_refused_token_is_refreshed_once(twice: bool) -> None:
    tokens = iter(["old", "new", "never asked for"])
    peer = ScriptedPeer(*[Refuse(401)] * (2 if twice else 1))
    async with store_of(peer, access_token=lambda: next(tokens)) as store:
        await status(store, Status.FAILED if twice else Status.CONNECTED)
        await asyncio.sleep(600)
        assert [dial.token for dial in peer.dials] == ["old", "new"]
        assert peer.dials[1].at == peer.dials[0].at


@pytest.mark.heimdall_virtual_time
async def test_17_a_token_that_comes_after_its_attempt_was_abandoned_is_ignored() -> None:
    asked: list[asyncio.Future[str]] = []

    async def provider() -> str:
        asked.append(asyncio.get_running_loop().create_future())
        return await asyncio.shield(asked[-1])

    peer = ScriptedPeer()
    async with store_of(peer, access_token=provider, principal="ada") as store:
        await idle()
        store.disconnect()
        store.connect()
        await idle()
        asked[0].set_result("late")
        await idle()
        assert peer.dials == []
        asked[1].set_result("current")
        await store.wait_connected()
        assert [dial.token for dial in peer.dials] == ["current"]


@pytest.mark.heimdall_virtual_time
async def test_18_a_half_open_peer_is_found_in_time_and_no_send_is_lost_silently() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=20, ping_timeout=5, reconnect_delay=1) as store:
        link = await peer.accepted()
        await store.wait_connected()
        link.stall(after=1)  # takes one message more, and answers nothing
        began, receipts = now(), [store.send(n) for n in range(3)]
        await status(store, Status.WAITING)
        assert now() - began <= 20 + 5
        assert [receipt.state for receipt in receipts] == ["in_doubt", "queued", "queued"]
        assert await (await peer.accepted()).receive() == 1
        assert [fate(receipt) for receipt in receipts[1:]] == ["written", "written"]


def fail(_: object) -> None:
    raise RuntimeError


@pytest.mark.heimdall_virtual_time
async def test_19_an_observer_that_raises_does_not_stop_the_others() -> None:
    peer = ScriptedPeer(Accept(first_messages=[[1], [2]]))
    async with store_of(peer) as store:
        before = record(store.messages)
        store.messages.subscribe(fail)
        after, errors = record(store.messages), record(store.errors)
        await store.wait_connected()
        await idle()
        assert before == after == [[1], [2]]
        assert {type(error) for error in errors} == {ObserverError}
        assert store.connected


@pytest.mark.heimdall_virtual_time
async def test_20_giving_up_is_one_state_with_cause_and_attempts_and_connect_starts_over() -> None:
    peer = ScriptedPeer(*[Unreachable()] * 4)
    async with store_of(peer, max_reconnect_attempts=3) as store:
        seen = record(store.state)
        await status(store, Status.FAILED)
        await asyncio.sleep(600)
        (given_up,) = (state for state in seen if state.status is Status.FAILED)
        assert getattr(given_up.error, "cause", None) == "refused"
        assert (given_up.attempt, len(peer.dials)) == (3, 4)
        store.connect()
        await store.wait_connected()
        assert store.state.value.attempt == 0
