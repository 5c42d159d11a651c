"""What a store does about loss, silence, sleep and doubt, in virtual time."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import pytest
from reactivex import operators as ops

from heimdall_reactive import (
    Backoff,
    ConfigurationError,
    EncodeError,
    Gap,
    Heartbeat,
    SendError,
    Status,
    StoreError,
    TokenError,
    use_websocket,
)
from heimdall_reactive.testing import (
    Hang,
    Refuse,
    ScriptedPeer,
    Unreachable,
    run,
)

from .support import fate, record
from .virtual import URL, loop, store_of

# Heartbeat

BEAT = Heartbeat(interval=10, timeout=4)
NO_PINGS: dict[str, Any] = {"ping_interval": None, "reconnect_delay": 1.0}


@pytest.mark.heimdall_virtual_time
async def test_a_heartbeat_goes_out_each_interval_and_its_answer_is_hidden() -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send({"type": "Pong", "n": 1}))
    async with store_of(peer, heartbeat=BEAT, **NO_PINGS) as store:
        seen, errors = record(store.messages), record(store.errors)
        await store.wait_connected()
        await asyncio.sleep(35)
        assert peer.links[0].received == [{"type": "Ping"}] * 3
        assert (seen, errors, store.stats.received) == ([], [], 3)
        peer.links[0].send({"type": "Pong", "n": 2})  # nobody asked: an ordinary message
        await loop().idle()
        assert len(seen) == 1


@pytest.mark.heimdall_virtual_time
async def test_a_peer_that_answers_protocol_pings_only_is_found_dead() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, heartbeat=BEAT, ping_interval=1, ping_timeout=1) as store:
        await store.wait_connected()
        state = await store.wait_for(lambda s: s.status is Status.WAITING)
        assert loop().time() == pytest.approx(14)
        assert peer.links[0].pings > 10
        assert state.close is not None
        assert (state.close.code, state.close.reason) == (1006, "heartbeat timeout")
        await store.wait_for(lambda s: s.session == 2)
        assert len(peer.live) == 1


@pytest.mark.heimdall_virtual_time
async def test_any_message_counts_as_life_and_the_timeout_may_be_longer_than_the_interval() -> None:
    peer = ScriptedPeer()
    heartbeat = Heartbeat(message="ping", interval=2, timeout=7, reply="pong")
    async with store_of(peer, heartbeat=heartbeat, **NO_PINGS) as store:
        seen = record(store.messages)
        await store.wait_connected()
        for _ in range(10):
            await asyncio.sleep(5)
            peer.links[0].send({"type": "tick"})
        await loop().idle()
        assert store.state.value.session == 1
        assert len(seen) == 10
        peer.links[0].silence()
        began = loop().time()
        await store.wait_for(lambda s: s.status is Status.WAITING)
        assert loop().time() - began <= 2 + 7


@pytest.mark.heimdall_virtual_time
async def test_a_heartbeat_is_lost_also_where_the_socket_takes_nothing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, heartbeat=BEAT, **NO_PINGS) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        receipt = store.send("stuck")
        await store.wait_for(lambda s: s.status is Status.WAITING)
        assert loop().time() == pytest.approx(14)
        assert receipt.state == "in_doubt"


@pytest.mark.parametrize(
    ("reply", "answer", "hidden"),
    [
        ({"type": "Pong"}, {"type": "Pong", "at": 1}, True),
        ({"type": "Pong"}, {"type": "Other"}, False),
        ({"type": "Pong"}, ["Pong"], False),
        ("pong", "pong", True),
        ("pong", '"pong"', True),
        (b"\x01", b"\x01", True),
        (b"\x01", b"\x02", False),
        (None, {"type": "Pong"}, False),
        (lambda plain: plain["id"] == 7, {"id": 7}, True),
        (lambda plain: plain["id"] == 7, {"id": 8}, False),
    ],
)
@pytest.mark.heimdall_virtual_time
async def test_what_counts_as_the_reply(reply: Any, answer: Any, hidden: bool) -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send(answer))
    heartbeat = Heartbeat(message="ping", interval=1, timeout=1, reply=reply)
    async with store_of(peer, heartbeat=heartbeat, message_type=Any, **NO_PINGS) as store:
        seen, errors = record(store.messages), record(store.errors)
        await store.wait_connected()
        await asyncio.sleep(1.5)
        assert len(seen) + len(errors) == (0 if hidden else 1)


@pytest.mark.heimdall_virtual_time
async def test_a_reply_predicate_that_raises_is_reported_and_hides_nothing() -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send([]))
    heartbeat = Heartbeat(interval=1, timeout=1, reply=lambda plain: plain["id"] == 7)
    async with store_of(peer, heartbeat=heartbeat, **NO_PINGS) as store:
        seen, errors = record(store.messages), record(store.errors)
        await store.wait_connected()
        await asyncio.sleep(1.5)
        assert (seen, [str(e) for e in errors]) == (
            [[]], ["Heartbeat.reply raised TypeError; fix it"],
        )  # fmt: skip


def test_a_heartbeat_that_can_not_work_is_refused() -> None:
    for wrong in ({"interval": 0}, {"timeout": -1}, {"interval": float("nan")}):
        with pytest.raises(ConfigurationError, match="interval and timeout"):
            Heartbeat(**wrong)
    with pytest.raises(ConfigurationError, match="a Heartbeat, or None"):
        use_websocket(URL, heartbeat=30)  # type: ignore[call-overload]
    with pytest.raises(EncodeError):
        use_websocket(URL, heartbeat=Heartbeat(message=object()))


# Sleep


@pytest.mark.heimdall_virtual_time
async def test_a_connection_is_probed_at_once_after_the_machine_has_slept() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=600, ping_timeout=600) as store:
        await store.wait_connected()
        await asyncio.sleep(10)
        pings = peer.links[0].pings
        loop().suspend(3600)
        await asyncio.sleep(2)
        assert peer.links[0].pings == pings + 1
        assert store.connected
        peer.links[0].silence()  # slept too long: the peer has forgotten us
        loop().suspend(3600)
        began = loop().time()
        await store.wait_for(lambda s: s.status is Status.WAITING)
        assert loop().time() - began <= 7


@pytest.mark.heimdall_virtual_time(timeout=10000)
async def test_a_probe_works_without_protocol_pings_and_a_corrected_clock_is_no_sleep() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        await store.wait_connected()
        for jump in (1.0, -3600.0, 2.5):
            loop().suspend(jump)
            await asyncio.sleep(5)
        assert peer.links[0].pings == 0
        loop().suspend(60)
        await asyncio.sleep(2)
        assert peer.links[0].pings == 1
        assert store.latency.value is not None
        await asyncio.sleep(3600)
        assert peer.links[0].pings == 1


@pytest.mark.heimdall_virtual_time
async def test_a_wire_that_was_shut_in_the_turn_of_the_wake_up_is_not_probed() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, heartbeat=BEAT, **NO_PINGS) as store:
        await store.wait_connected()
        await asyncio.sleep(9.5)
        peer.links[0].cut_after_frames(0)  # by the heartbeat, due when the sleep is noticed
        loop().suspend(3600)
        await store.wait_for(lambda state: state.session == 2)
    assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_a_wire_that_ends_in_the_turn_of_a_wake_up_keeps_no_timer() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, auto_reconnect=False) as store:
        await store.wait_connected()
        peer.links[0].cut_after_frames(0)
        loop().suspend(3600)
        looks = loop().timers[0].when()
        loop().call_at(looks - 1e-10, store.send, "cut")  # in that turn, and before the probe
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
        assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_an_attempt_that_was_due_in_sleep_starts_at_once() -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, reconnect_delay=600) as store:
        await store.wait_for(lambda s: s.status is Status.WAITING)
        loop().suspend(3600)
        await store.wait_connected()
        assert loop().time() < 5


# A clock that is set


@pytest.mark.parametrize("step", [-3600.0, 3600.0, 90 * 86400.0, -90 * 86400.0])
@pytest.mark.parametrize("status", [Status.WAITING, Status.CONNECTING])
@pytest.mark.heimdall_virtual_time
async def test_an_outage_is_as_long_as_it_was_whatever_the_clock_says(
    step: float, status: Status
) -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None, reconnect_delay=lambda _: 40.0) as store:
        gaps = record(store.gaps)
        await store.wait_connected()
        await asyncio.sleep(10)
        peer.script(Hang())
        peer.links[0].drop()
        await store.wait_for(lambda s: s.status is status)
        await asyncio.sleep(5)
        loop().step_clock(step)
        await store.wait_for(lambda s: s.session == 2)
        (gap,) = gaps
        assert gap.until == pytest.approx(loop().wall())
        assert gap.until - gap.since == pytest.approx(loop().time(), abs=0.01)


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
@pytest.mark.heimdall_virtual_time
async def test_the_next_attempt_is_when_it_was_and_the_state_says_when(step: float) -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, reconnect_delay=lambda _: 40.0) as store:
        await store.wait_for(lambda s: s.status is Status.WAITING)
        states = record(store.state)
        await asyncio.sleep(5)
        loop().step_clock(step)
        await asyncio.sleep(2)
        assert [state.status for state in states] == [Status.WAITING] * 2
        assert states[-1].retry_at == pytest.approx(loop().wall() + 33)
        assert (states[-1].attempt, states[-1].error) == (1, states[0].error)
        loop().suspend(20)  # a sleep after a step is counted as the sleep that it was
        await store.wait_connected()
        assert loop().time() == pytest.approx(20)


@pytest.mark.heimdall_virtual_time
async def test_a_clock_that_is_set_is_no_sleep_of_the_machine() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        await store.wait_connected()
        loop().step_clock(3600)
        await asyncio.sleep(5)
        assert peer.links[0].pings == 0
        assert store.latency.value is None


@pytest.mark.heimdall_virtual_time
async def test_nobody_watches_where_nobody_is_connected() -> None:
    peer = ScriptedPeer()
    store = store_of(peer)
    await store.wait_connected()
    store.disconnect()
    await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
    assert loop().timers == []
    await store.aclose()


# Gaps


@pytest.mark.heimdall_virtual_time
async def test_a_reconnection_tells_from_when_until_when_messages_may_be_missing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None, reconnect_delay=5) as store:
        seen: list[Any] = []
        store.messages.subscribe(seen.append)
        store.gaps.subscribe(seen.append)
        first = await peer.accepted()
        began = loop().wall() - loop().time()
        await store.wait_connected()
        await asyncio.sleep(100)
        first.send(["last"])
        await asyncio.sleep(50)  # silent, and perhaps lost already
        peer.links[0].drop()
        peer.script(Unreachable())
        second = await peer.accepted()
        second.send(["first"])
        await store.wait_for(lambda s: s.session == 2)
        await loop().idle()
        last, gap, first_again = seen
        assert (last, first_again) == (["last"], ["first"])
        assert isinstance(gap, Gap)
        assert gap.session == 2
        assert gap.since - began == pytest.approx(100)
        assert 160 <= gap.until - began <= 163


@pytest.mark.heimdall_virtual_time
async def test_a_first_connection_leaves_no_gap_and_each_later_one_its_own() -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, reconnect_delay=1) as store:
        gaps = record(store.gaps)
        for session in (1, 2, 3):
            await store.wait_for(lambda s, n=session: s.session == n)  # type: ignore[misc]
            peer.links[-1].drop()
        await store.wait_for(lambda s: s.session == 4)
        assert [gap.session for gap in gaps] == [2, 3, 4]
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
        store.connect()
        await store.wait_for(lambda s: s.session == 5)
        assert [gap.session for gap in gaps] == [2, 3, 4, 5]


# Sends


@pytest.mark.heimdall_virtual_time
async def test_a_send_that_waits_too_long_expires_while_it_waits() -> None:
    peer = ScriptedPeer(Hang())
    async with store_of(peer, send_ttl=5, open_timeout=60, reconnect_delay=1) as store:
        errors = record(store.errors)
        receipts = [store.send(1), store.send(2)]
        await asyncio.sleep(3)
        receipts.append(store.send(3))
        await asyncio.sleep(2.5)
        assert [receipt.state for receipt in receipts] == ["expired", "expired", "queued"]
        assert [(e.state, str(e)) for e in errors] == [
            ("expired", "not sent: 2 sends waited longer than send_ttl")
        ]
        with pytest.raises(SendError, match="send_ttl=5"):
            await receipts[0]
        await store.wait_connected()
        late = store.send(4)
        await loop().idle()
        assert peer.links[0].received == [4]
        assert (fate(late), store.stats.expired) == ("written", 3)


@pytest.mark.heimdall_virtual_time
async def test_a_send_is_in_doubt_where_the_connection_ends_while_it_is_written() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, reconnect_delay=1) as store:
        errors = record(store.errors)
        await store.wait_connected()
        peer.links[0].stall(after=1)
        receipts = [store.send(n) for n in range(4)]
        await loop().idle()
        assert [r.state for r in receipts] == ["queued"] * 4  # the first in the buffer
        peer.links[0].drop()
        await store.wait_for(lambda s: s.session == 2)
        await loop().idle()
        assert [fate(r) for r in receipts] == ["in_doubt", "written", "written", "written"]
        assert peer.links[1].received == [1, 2, 3]  # what is in doubt is never sent twice
        assert [e.state for e in errors] == ["in_doubt"]
        assert store.stats.in_doubt == 1


@pytest.mark.heimdall_virtual_time
async def test_a_clean_disconnect_leaves_no_doubt() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        receipt = store.send(1)
        await loop().idle()
        store.disconnect()
        await loop().idle()
        peer.links[0].resume()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
        assert peer.links[0].received == [1]
        assert fate(receipt) == "written"


def test_blocking_sends_wait_for_room_on_a_thread_and_are_refused_on_a_loop() -> None:
    # Real time: the thread is to be blocked.
    async def main() -> None:
        peer = ScriptedPeer(Hang())
        store = store_of(peer, outbox_overflow="block", outbox_limit=1)
        async with store:
            assert store.send(0).state == "queued"
            assert store.send(1).state == "rejected"
            done: list[str] = []
            thread = threading.Thread(target=lambda: done.append(store.send(2).state))
            thread.start()
            await asyncio.sleep(0.05)
            assert done == []
            store.disconnect()  # makes room
            await asyncio.to_thread(thread.join, 5)
            assert done == ["queued"]

    asyncio.run(main())


# Order on the wire


@pytest.mark.heimdall_virtual_time
async def test_authentication_comes_first_then_the_queue_then_what_observers_send() -> None:
    peer = ScriptedPeer(Refuse(503))
    async with store_of(
        peer, access_token="t", token_placement="first_message", reconnect_delay=1
    ) as store:

        def observed() -> None:
            store.send("observed")

        store.send("queued 1")
        store.send("queued 2")
        store.is_connected.pipe(ops.filter(bool)).subscribe(lambda _: observed())
        await store.wait_connected()
        store.send("later")
        await loop().idle()
        auth, *rest = peer.links[0].received
        assert auth == {"type": "Auth", "token": "t"}
        assert rest == ["queued 1", "queued 2", "observed", "later"]


# Whose


@pytest.mark.heimdall_virtual_time
async def test_a_named_principal_keeps_what_waits_and_another_loses_it() -> None:
    peer = ScriptedPeer(Refuse(401), Refuse(401))
    async with store_of(peer, access_token="opaque-1", principal="ada") as store:
        errors = record(store.errors)
        kept = store.send("ada's")
        await store.wait_for(lambda s: s.status is Status.FAILED)
        store.set_access_token("opaque-2", principal="ada")
        await store.wait_for(lambda s: s.status is Status.FAILED and len(peer.dials) == 2)
        assert kept.state == "queued"
        store.set_access_token("opaque-3", principal="bob")
        fresh = store.send("bob's")
        await store.wait_connected()
        await loop().idle()
        assert (fate(kept), fate(fresh)) == ("dropped", "written")
        assert peer.links[0].received == ["bob's"]
        assert [str(e) for e in errors] == [
            "1 send was dropped: it was queued for another user or URL"
        ]


# Asking


@pytest.mark.heimdall_virtual_time
async def test_a_server_is_asked_again_when_it_said() -> None:
    peer = ScriptedPeer(Refuse(503, retry_after=40))
    async with store_of(peer, reconnect_delay=1) as store:
        state = await store.wait_for(lambda s: s.status is Status.WAITING)
        assert state.retry_at is not None
        assert 40 <= state.retry_at - loop().wall() <= 48
        await store.wait_connected()
        assert 40 <= loop().time() <= 48


def test_a_provider_that_blocks_for_ever_costs_one_thread() -> None:
    over, calls = threading.Event(), []

    def hangs() -> str:
        calls.append(threading.current_thread())
        over.wait(10)
        return "late"

    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(
            peer, access_token=hangs, token_timeout=5, reconnect_delay=1, max_reconnect_attempts=2
        ) as store:
            errors = record(store.errors)
            await store.wait_for(lambda s: s.status is Status.FAILED)
            assert isinstance(store.state.value.error, TokenError)
            assert [str(e) for e in errors] == ["the token provider gave no answer within 5 s"] * 3
            assert (len(calls), peer.dials) == (1, [])
            over.set()
            await asyncio.to_thread(calls[0].join, 5)
            store.set_access_token(lambda: "good")
            await store.wait_connected()
            assert [dial.token for dial in peer.dials] == ["good"]

    run(main, grace=0.05)


@pytest.mark.heimdall_virtual_time
async def test_a_provider_that_refuses_to_be_cancelled_holds_nothing() -> None:
    release = asyncio.Event()

    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    peer = ScriptedPeer()
    store = store_of(
        peer, access_token=stubborn, token_timeout=5, reconnect_delay=1,
        max_reconnect_attempts=1, close_timeout=2,
    )  # fmt: skip
    await store.wait_for(lambda s: s.status is Status.FAILED)
    began = loop().time()
    await store.aclose()
    assert loop().time() - began <= 2
    release.set()


# Loops that never end


@pytest.mark.parametrize("code", [1009, 1002, 1007, 1011, 4000])
@pytest.mark.heimdall_virtual_time
async def test_a_server_that_accepts_and_closes_is_given_up_after_growing_delays(code: int) -> None:
    peer = ScriptedPeer()
    async with store_of(peer, reconnect_delay=0.1) as store:

        def close(connected: bool) -> None:
            if connected:
                peer.links[-1].close(code, "poison")

        store.is_connected.subscribe(close)
        await store.wait_for(lambda s: s.status is Status.FAILED)
        at = [dial.at for dial in peer.dials]
        assert len(at) == 6
        delays = [later - earlier for earlier, later in pairwise(at)]
        assert all(later >= 1.5 * earlier for earlier, later in pairwise(delays))


@pytest.mark.heimdall_virtual_time
async def test_one_error_ends_it_with_cause_and_count_and_connect_starts_afresh() -> None:
    peer = ScriptedPeer()
    peer.always(Unreachable())
    policy = Backoff(initial=1, cap=60)
    async with store_of(peer, reconnect_delay=policy, max_reconnect_attempts=3) as store:
        errors: list[StoreError] = record(store.errors)
        state = await store.wait_for(lambda s: s.status is Status.FAILED)
        assert (state.attempt, len(peer.dials), errors) == (3, 4, [])
        assert getattr(state.error, "cause", None) == "refused"
        peer.always(Refuse(503))
        store.connect()
        assert store.state.value.attempt == 0
        await store.wait_for(lambda s: s.status is Status.FAILED)
        assert len(peer.dials) == 8


@pytest.mark.heimdall_virtual_time
async def test_an_attempt_that_somebody_cancels_is_one_that_failed() -> None:
    peer = ScriptedPeer(Hang())
    async with store_of(peer, reconnect_delay=1) as store:
        await loop().idle()
        (task,) = (t for t in asyncio.all_tasks() if t.get_name() == "heimdall-dial")
        task.cancel()
        state = await store.wait_for(lambda s: s.status is Status.WAITING)
        assert "cancelled" in str(state.error)
        await store.wait_connected()
