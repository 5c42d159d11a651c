"""How partitions are spread over copies: who takes what, decided by each copy for itself. Pure.

Every partition has `replicas` slots, and a copy holds one slot of a partition at most. Copies
see the same leases, act on their own, and the log lets only one of two win a slot. So none of them
has to be the coordinator: it is enough that every step brings the loads closer together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from zlib import crc32

__all__ = ["Assignment", "Slot", "partition_of", "plan"]


class Slot(NamedTuple):
    """One of the places to hold a partition.

    Attributes:
        partition: which sockets.
        number: 0 to `replicas` - 1.
    """

    partition: str
    number: int


Holders: TypeAlias = Mapping[Slot, str]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a copy does next.

    Attributes:
        take: free slots.
        steal: slots of copies that hold more than their share; they let go when the thief is there.
    """

    take: tuple[Slot, ...] = ()
    steal: tuple[Slot, ...] = ()


def plan(
    me: str, copies: Collection[str], holders: Holders, partitions: Collection[str], replicas: int
) -> Assignment:
    """Return what a copy should take.

    Args:
        me: its name.
        copies: the names of those that live; `me` is counted among them.
        holders: who holds which slot; a slot that nobody holds is absent.
        partitions: all of them.
        replicas: slots of each partition.
    """
    alive = {*copies, me}
    loads = Counter(dict.fromkeys(alive, 0))
    loads.update(name for name in holders.values() if name in alive)
    mine = {slot.partition for slot, name in holders.items() if name == me}
    share = _share(len(partitions), replicas, len(alive))
    take: list[Slot] = []
    for partition in _preferred(me, partitions):
        if len(mine) >= share:
            break
        free = _free(partition, holders, replicas)
        if partition not in mine and free is not None:
            take.append(free)
            mine.add(partition)
    if take:
        return Assignment(tuple(take))
    stuck = {part for part in mine if _free(part, holders, replicas) is not None}
    if not stuck or len(mine) >= share:
        return Assignment((), _steal(holders, loads, mine, loads[me] + 2))
    # What is free is held here already: another gets room for it.
    return Assignment((), _steal(holders, loads, mine, loads[me] + 1, stuck))


def partition_of(channel: str, partitions: int | None) -> str:
    """Return the partition of a feed's channel; the same on every machine and in every run.

    Args:
        channel: the feed's.
        partitions: how many there are; None gives every feed its own.
    """
    if partitions is None:
        return f"c{channel.encode().hex()}" if len(channel) <= 64 else f"h{crc32(channel.encode())}"
    return f"p{crc32(channel.encode()) % partitions}"


def _share(partitions: int, replicas: int, copies: int) -> int:
    """Return the most that a copy should hold."""
    slots = partitions * min(replicas, copies)
    return -(-slots // copies)


def _preferred(me: str, partitions: Collection[str]) -> list[str]:
    """Order the partitions, for each copy otherwise: so copies that start at once meet less."""
    return sorted(partitions, key=lambda name: crc32(f"{me} {name}".encode()))


def _free(partition: str, holders: Holders, replicas: int) -> Slot | None:
    slots = (Slot(partition, number) for number in range(replicas))
    return next((slot for slot in slots if slot not in holders), None)


def _steal(
    holders: Holders, loads: Counter[str], mine: set[str], least: int, stuck: Collection[str] = ()
) -> tuple[Slot, ...]:
    """Return a slot of the busiest copy that holds so many at least; one in each step.

    Args:
        holders: who holds which slot.
        loads: how many each live copy holds.
        mine: the partitions that the thief holds.
        least: how many the other must hold.
        stuck: partitions of which the other must not hold one, so that it can take it instead.
    """
    full = Counter(name for slot, name in holders.items() if slot.partition in stuck)
    candidates = [
        (-loads[name], slot)
        for slot, name in holders.items()
        if loads[name] >= least
        and slot.partition not in mine
        and (not stuck or full[name] < len(stuck))
    ]
    return (min(candidates)[1],) if candidates else ()
