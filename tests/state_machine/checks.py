"""What holds after every step of the state machine, and after the end of the store."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any, Final

from websockets.protocol import State

from heimdall_reactive import InvalidMessage, Status, StoreError
from heimdall_reactive.base.state import MOVES
from heimdall_reactive.testing.scripted_link import Link

from .log import number
from .world import STREAMS, SUBJECTS, World

BANNED_ENDS: Final[tuple[list[Status], ...]] = (
    [],
    [Status.DISCONNECTED],
    [Status.DISCONNECTING],
    [Status.DISCONNECTING, Status.DISCONNECTED],
)
LIVE: Final = (Status.CONNECTED, Status.DISCONNECTING)
REFUSED: Final = ("rejected", "dropped", "expired")


def check(world: World) -> None:
    """Check everything; the loop is idle."""
    assert not world.faults, world.faults
    for look in (
        states, links, timers, tasks, rows, refreshes, bans, gaps, messages, sends, receipts,
        outbox, stats, observers,
    ):  # fmt: skip
        look(world)


def states(world: World) -> None:
    """One chain of allowed moves, seen alike by every subject."""
    store, seen = world.store, world.seen
    chain = seen["state"]
    assert chain[-1] is store.state.value
    assert len(chain) == store.state._version + 1
    assert seen["transitions"] == list(pairwise(chain))
    for before, after in pairwise(chain):
        assert after.status in MOVES[before.status], (before, after)
        assert after.session == before.session + after.is_connected
        assert (after.retry_at is not None) == (after.status is Status.WAITING)
        assert (after.connected_at is not None) == (after.status in LIVE)
        if after.status in (Status.FAILED, Status.WAITING):
            assert after.error is not None
            assert after.close is not None
    flags = [state.is_connected for state in chain]
    distinct = [flags[0], *(b for a, b in pairwise(flags) if a is not b)]
    assert seen["is_connected"] == distinct
    assert store.is_connected.value is store.connected is store.state.value.is_connected


def links(world: World) -> None:
    """At most one live link, and the state reports it."""
    status, live = world.store.state.value.status, world.peer.live
    assert len(live) == (status in LIVE), (status, live)
    assert not live or live[0] is world.peer.links[-1]
    assert world.dialling <= (status is Status.CONNECTING)


def timer_names(world: World) -> Counter[str]:
    """Count the timers of the library and its wires by the name of what they call."""
    found: Counter[str] = Counter()
    for timer in world.loop.timers:
        call: Any = timer._callback  # type: ignore[attr-defined]
        if call.__module__.startswith("heimdall_reactive") and call.__module__ != Link.__module__:
            found[call.__qualname__] += 1
    return found


def timers(world: World) -> None:
    """Every timer that is needed, once, and no other."""
    state, found = world.store.state.value, timer_names(world)
    waiting, connected = state.status is Status.WAITING, state.is_connected
    assert found["Connection.on_retry_due"] == waiting, found
    assert found["Connection._stable"] <= connected, found
    assert found["SuspendWatch._look"] == (waiting or connected), found
    assert found["Pulse._ping"] == (connected and world.options["heartbeat"] is not None), found
    assert found["Pulse._look"] <= connected, found
    assert found["Expiry._expire"] <= 1, found
    assert found["abort"] <= (state.status in LIVE), found
    pings = sum(count for name, count in found.items() if name.startswith("Pinger."))
    assert pings <= (state.status in LIVE), found
    slept_at = world.sleeps[-1][0] if world.sleeps else float("-inf")
    if waiting and world.loop.time() > slept_at + 1.0:
        (timer,) = (t for t in world.loop.timers if "_retry_due" in repr(t))
        left = timer.when() - world.loop.time()
        assert state.retry_at is not None
        assert abs(state.retry_at - world.loop.wall() - left) < 0.01, (state, left)


def tasks(world: World) -> None:
    """A dial while connecting, and no other task that stays."""
    names = Counter(task.get_name() for task in asyncio.all_tasks(world.loop))
    assert names.pop("heimdall-dial", 0) == (world.store.state.value.status is Status.CONNECTING)
    assert names.pop("heimdall-ask", 0) <= 1
    assert names.pop("heimdall-close", 0) <= world.closing
    assert not [name for name in names if name.startswith("heimdall")], names


def rows(world: World) -> None:
    """No more attempts in a row than allowed, but for one with a new token."""
    most, stable = world.options["max_reconnect_attempts"], world.options["stable_after"]
    chain = world.seen["state"]
    row, connected_at = 0, 0.0
    for version, state in enumerate(chain):
        if version - 1 in world.resets:
            row = 0
        if state.status is Status.CONNECTING:
            row += 1
            assert most is None or row <= most + 2, (row, chain)
            assert most is None or state.attempt <= max(1, most), state
        elif state.status is Status.CONNECTED:
            connected_at = world.log.since[version]
        elif chain[version - 1].is_connected and world.log.since[version] >= connected_at + stable:
            row = 0
            if state.status is Status.WAITING and world.log.since[version] > connected_at + stable:
                assert state.attempt == 1, (state, chain)


def refreshes(world: World) -> None:
    """A refused token is asked for again once in a row."""
    chain = world.seen["state"]
    if world.options["should_reconnect"] is None:
        for version in range(2, len(chain)):
            pair = chain[version - 2], chain[version]
            refused = [s.status is Status.WAITING and s.http_status in (401, 403) for s in pair]
            # Where no credential was sent, it is a failure like any other.
            if all(refused) and not any("no credential was sent" in str(s.error) for s in pair):
                assert {version - 2, version - 1} & set(world.resets), pair


def bans(world: World) -> None:
    """After disconnect() there is one end, and no dial."""
    chain = [state.status for state in world.seen["state"]]
    for ban in world.bans:
        after = chain[ban.start + 1 : None if ban.end is None else ban.end + 1]
        assert after in BANNED_ENDS, (ban, after)


def gaps(world: World) -> None:
    """Each session after the first has told its gap."""
    state = world.store.state.value
    told = [gap.session for gap in world.seen["gaps"]]
    assert told == sorted(set(told))
    if state.is_connected and state.session > 1:
        assert state.session in told


def messages(world: World) -> None:
    """What each link sent came in order and once, up to its end; nothing came later."""
    heard = [number(message) for message in world.seen["messages"]]
    known = [n for n in heard if n is not None]
    assert len(known) == len(set(known))
    for index, record in enumerate(world.links):
        sent = set(record.sent)
        got = [n for n in known if n in sent]
        assert got == record.sent[: len(got)], (got, record.sent)
        wire, last = record.link.wire, index == len(world.links) - 1
        is_open = wire.protocol.state is State.OPEN
        if last and world.store.connected and is_open and not record.link._silent:
            assert got == record.sent, (got, record.sent)
    values = [value for value in world.seen["last_message"] if value is not None]
    assert [id(v) for v in values] == [id(v) for v in world.seen["messages"]]
    assert world.seen["last_message"][-1] is world.store.last_message.value
    if world.options["heartbeat"] is not None and not world.said_pong:
        assert None not in heard, "a reply of the heartbeat was shown"


def handed(world: World) -> list[str]:
    """Return what was written to the links, the heartbeats left out."""
    return [text for record in world.links for text in record.handed if text[0] == "s"]


def sends(world: World) -> None:
    """In order, once, and as nobody else."""
    written = handed(world)
    order = {sent.text: index for index, sent in enumerate(world.sent)}
    numbers = [order[text] for text in written]
    assert numbers == sorted(set(numbers)), written
    for record in world.links:
        for text in record.handed:
            if text[0] == "s":
                sent = world.sent[order[text]]
                assert record.label in sent.labels, (text, record.label, sent.labels)
                assert sent.urls is None or record.url in sent.urls, (record.url, sent)


def receipts(world: World) -> None:
    """A receipt says what became of the send, and no more than the peer has."""
    written, taken, parsed = set(handed(world)), taken_texts(world), parsed_texts(world)
    live = world.store.state.value.status in LIVE
    for sent in world.sent:
        match sent.receipt.state:
            case "written":
                assert live, sent
                assert sent.text in taken, sent
                assert sent.text in world.links[-1].handed, sent
            case "delivered":
                assert sent.text in parsed, sent
            case "in_doubt":
                assert sent.text in written, sent
                assert sent.receipt.error is not None
                assert sent.receipt.error.state == "in_doubt"
            case "rejected" | "dropped" | "expired":
                assert sent.text not in written, sent
                assert sent.receipt.error is not None
                assert sent.receipt.error.state == sent.receipt.state


def parsed_texts(world: World) -> set[str]:
    """Return what the links read; what a silence has swallowed is not in it."""
    frames = (frame for record in world.links for frame in record.link.frames)
    return {frame.data.decode(errors="replace") for frame in frames}


def taken_texts(world: World) -> set[str]:
    """Return what the links took off the wire, into a silence too."""
    taken: set[str] = set()
    for record in world.links:
        taken |= {frame.data.decode() for frame in record.link.frames} | set(record.held)
    return taken


def outbox(world: World) -> None:
    """What is queued waits for a reason, is counted, and will not wait forever."""
    store, written = world.store, set(handed(world))
    queued = [sent for sent in world.sent if sent.receipt.state == "queued"]
    flying = [sent for sent in queued if sent.text in written]
    waiting = [sent for sent in queued if sent.text not in written]
    assert len(waiting) == store.stats.queued, (waiting, store.stats)
    assert len(flying) <= 1
    if flying:
        assert store.state.value.status in LIVE
        assert not world.links[-1].link.wire.writable
    if store.connected and world.links[-1].link.wire.writable:
        assert not queued
    ttl = world.options["send_ttl"]
    if ttl is not None and waiting:
        assert waiting[0].at + ttl >= world.loop.time()
        assert timer_names(world)["Expiry._expire"] == 1
    for ban in world.bans:
        assert not any(sent in waiting for sent in world.sent[: ban.sent]), ban


def stats(world: World) -> None:
    """The counters are those of the model."""
    counts, seen = world.store.stats, world.seen
    states = Counter(sent.receipt.state for sent in world.sent)
    for name in (*REFUSED, "in_doubt", "delivered"):
        assert getattr(counts, name) == states[name], (name, counts, states)
    statuses = Counter(state.status for state in seen["state"])
    assert counts.attempts == statuses[Status.CONNECTING]
    assert counts.reconnects == max(0, statuses[Status.CONNECTED] - 1)
    assert world.store.state.value.session == statuses[Status.CONNECTED]
    assert counts.sent == sum(len(record.handed) for record in world.links)
    assert counts.invalid == sum(isinstance(e, InvalidMessage) for e in seen["errors"])
    shown = len(seen["messages"]) + counts.invalid
    assert shown <= counts.received <= shown + world.pongs
    assert counts.observer_errors == world.raised
    assert all(isinstance(error, StoreError) for error in seen["errors"])
    assert counts.queue_high_water <= world.options["outbox_limit"]


def observers(world: World) -> None:
    """Who came later saw the same, from there on."""
    for joined in world.joined:
        main = world.seen[joined.name]
        if joined.deaf:
            continue
        if joined.left:
            joined.deaf = True  # looked at for the last time
            start = joined.start
        else:
            start = len(main) - len(joined.seen)
            assert joined.start in (None, start), (joined, main)
        if start is not None:
            expected = main[start : start + len(joined.seen)]
            assert [id(v) for v in joined.seen] == [id(v) for v in expected], (joined, main)


def check_end(world: World) -> None:
    """After aclose(): everything has completed once, and nothing is left."""
    check(world)
    store = world.store
    assert world.ended
    assert store.state.value.status in (Status.DISCONNECTED, Status.FAILED)
    assert set(world.completed.values()) == {1}
    assert all(j.completed == 1 for j in world.joined if not j.left and not j.raised)
    assert all(j.completed <= 1 for j in world.joined)
    assert not timer_names(world)
    assert not asyncio.all_tasks(world.loop)
    assert world.peer.live == []
    assert all(sent.receipt.state != "queued" for sent in world.sent)
    assert len(store._core.outbox) == 0
    for name in SUBJECTS:
        values: list[Any] = []
        ends: list[int] = []
        subject = getattr(store, name)
        subject.subscribe(values.append, on_completed=lambda ends=ends: ends.append(1))
        assert ends == [1]
        assert values == ([] if name in STREAMS else [subject.value])
