"""Leases: partitions spread over copies, in a simulation and over a real log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import Log, LogError, connect_log
from heimdall_reactive.dataflow.assignment import Slot, partition_of, plan
from heimdall_reactive.dataflow.leases import Leases

from .kills import until
from .nats_server import NatsServer


class Nowhere:
    stream = "s"


PARTITIONS = [f"p{n}" for n in range(6)]


def step(me: str, copies: set[str], holders: dict[Slot, str], parts: list[str], n: int) -> bool:
    """Let one copy act, alone; return whether it did anything."""
    found = plan(me, copies, holders, parts, n)
    for slot in found.take:
        assert slot not in holders
    for slot in found.steal:
        assert slot in holders
    for slot in (*found.take, *found.steal):
        holders[slot] = me
    return bool(found.take or found.steal)


def settle(copies: set[str], holders: dict[Slot, str], parts: list[str], replicas: int) -> None:
    for _ in range(200):
        acted = [step(me, copies, holders, parts, replicas) for me in sorted(copies)]
        if not any(acted):
            return
    raise AssertionError("it never comes to rest")


@settings(deadline=None)
@given(
    st.integers(0, 25), st.integers(1, 6), st.integers(1, 4), st.lists(st.integers(1, 6)),
)  # fmt: skip
def test_every_partition_is_held_and_no_copy_holds_much_more(
    partitions: int, copies: int, replicas: int, changes: list[int]
) -> None:
    parts = [f"p{n}" for n in range(partitions)]
    holders: dict[Slot, str] = {}
    for count in (copies, *changes):
        alive = {f"copy{n}" for n in range(count)}
        holders = {slot: name for slot, name in holders.items() if name in alive}  # expired
        settle(alive, holders, parts, replicas)
        for part in parts:
            names = [name for slot, name in holders.items() if slot.partition == part]
            assert len(names) == len(set(names)) == min(replicas, count)
        loads = Counter(holders.values())
        assert max(loads.values(), default=0) - min((loads[n] for n in alive), default=0) <= 1


@settings(deadline=None)
@given(st.text(min_size=1, max_size=100), st.integers(1, 50))
def test_a_partition_is_the_same_everywhere_and_may_stand_in_a_key(name: str, count: int) -> None:
    assert partition_of(name, count) == partition_of(name, count)
    for partition in (partition_of(name, count), partition_of(name, None)):
        assert partition.isascii()
        assert partition.isalnum()


def test_feeds_without_groups_have_partitions_of_their_own() -> None:
    names = [f"channel.{n}" for n in range(1000)]
    assert len({partition_of(name, None) for name in names}) == 1000
    assert {partition_of(name, 4) for name in names} == {"p0", "p1", "p2", "p3"}


@asynccontextmanager
async def lease(log: Log, name: str, replicas: int = 1, ttl: float = 1.0) -> AsyncIterator[Leases]:
    made = Leases(log, name, PARTITIONS, replicas=replicas, ttl=ttl)
    made.start()
    try:
        yield made
    finally:
        await made.aclose()


async def test_one_copy_holds_all_and_a_second_gets_its_half(
    log_server: NatsServer, stream: str
) -> None:
    async with await connect_log(log_server.url, stream) as log, lease(log, "a") as a:
        await until(lambda: a.held == set(PARTITIONS))
        async with lease(log, "b") as b:
            await until(lambda: len(b.held) == 3)
            await until(lambda: len(a.held) == 3)
            assert a.held | b.held == set(PARTITIONS)
            assert b.copies == {"a", "b"}
        await until(lambda: a.held == set(PARTITIONS))  # let go, not expired


async def test_what_a_dead_copy_held_goes_to_others_when_it_expires(
    log_server: NatsServer, stream: str
) -> None:
    async with await connect_log(log_server.url, stream) as log, lease(log, "a") as a:
        await until(lambda: len(a.held) == 6)
        dead = Leases(log, "b", PARTITIONS, ttl=1.0)
        dead.start()
        await until(lambda: len(dead.held) == 3 and len(a.held) == 3)
        assert dead._task is not None
        dead._task.cancel()  # as by a crash: it says nothing to the log
        await until(lambda: a.held == set(PARTITIONS), timeout=5.0)
        assert a.copies == {"a"}


async def test_replicas_hold_each_partition_in_different_copies(
    log_server: NatsServer, stream: str
) -> None:
    async with (
        await connect_log(log_server.url, stream) as log,
        lease(log, "a", 2) as a, lease(log, "b", 2) as b, lease(log, "c", 2) as c,
    ):  # fmt: skip
        await until(lambda: [len(one.held) for one in (a, b, c)] == [4, 4, 4])
        counts = Counter(part for one in (a, b, c) for part in one.held)
        assert set(counts.values()) == {2}


async def test_a_copy_that_comes_back_under_its_name_goes_on(
    log_server: NatsServer, stream: str
) -> None:
    async with await connect_log(log_server.url, stream) as log:
        first = Leases(log, "a", PARTITIONS, ttl=30.0)
        first.start()
        await until(lambda: len(first.held) == 6)
        assert first._task is not None
        first._task.cancel()
        async with lease(log, "a", ttl=30.0) as again:
            await until(lambda: len(again.held) == 6)


async def test_nobody_loses_anything_while_the_log_is_away(
    mortal_server: NatsServer, stream: str
) -> None:
    changes: list[frozenset[str]] = []
    async with await connect_log(mortal_server.url, stream) as log:
        leases = Leases(log, "a", PARTITIONS, ttl=1.0, on_change=changes.append)
        leases.start()
        await until(lambda: len(leases.held) == 6)
        mortal_server.kill()
        await asyncio.sleep(1.5)  # longer than a lease
        assert leases.held == set(PARTITIONS)
        mortal_server.start()
        await until(lambda: log.client.is_connected)
        await until(lambda: leases.copies == {"a"})
        assert leases.held == set(PARTITIONS)
        await leases.aclose()


async def test_copies_with_other_times_are_refused(
    log_server: NatsServer, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        await connect_log(log_server.url, stream) as log,
        lease(log, "a", ttl=1.0) as a,
    ):
        await until(lambda: len(a.held) == 6)
        other = Leases(log, "b", PARTITIONS, ttl=2.0)
        with pytest.raises(LogError, match=r"leases of 1\.0 s, not 2\.0"):
            await other._bucket()


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 65])
def test_names_that_can_not_stand_in_a_key_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not a name of a copy"):
        Leases(Nowhere(), name, PARTITIONS)  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{"replicas": 0}, {"ttl": 0.5}])
def test_numbers_that_can_not_work_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="leases need"):
        Leases(Nowhere(), "a", PARTITIONS, **fields)  # type: ignore[arg-type]
