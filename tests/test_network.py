"""The pure parts of `benchmarks.network`: packets, the router's orders, and the judge."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.network.judging import Figures, table, untrue
from benchmarks.network.packets import (
    Address,
    checksum,
    reset_for,
    rewrite,
    segment_of,
)
from benchmarks.network.router import Nat, Order, Router

ROOT = Path(__file__).parent.parent
CLIENT, SERVER, OUTSIDE = "10.77.1.2", "10.77.2.2", "10.77.2.1"
# As Linux wrote it to a TUN device: the checksums are the kernel's.
OPENS = bytes.fromhex(
    "4500003cb7d0400040066b4e0a4d01020a4d02029c40223dfcb8b5ff00000000a002faf0689f0000"
    "020405b40402080a8b2fd069000000000103030a"
)
FLAGS = 33  # where they stand in that packet


def sound(packet: bytes) -> bool:
    """Return whether both checksums are right: the sum over what has one is 0."""
    pseudo = packet[12:20] + bytes([0, 6, 0, len(packet) - 20])
    return checksum(packet[:20]) == checksum(pseudo + packet[20:]) == 0


def with_flags(flags: int) -> bytes:
    return rewrite(OPENS[:FLAGS] + bytes([flags]) + OPENS[FLAGS + 1 :])


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert checksum(b"\x01") == 0xFEFF
    assert sound(OPENS)


def test_a_packet_is_read_and_gets_other_addresses() -> None:
    segment = segment_of(OPENS)
    assert segment is not None
    assert (segment.source, segment.target) == (Address(CLIENT, 40000), Address(SERVER, 8765))
    assert (segment.sequence, segment.size, segment.opens) == (0xFCB8B5FF, 1, True)
    changed = rewrite(OPENS, Address(OUTSIDE, 20000), Address(CLIENT, 1))
    assert sound(changed)
    again = segment_of(changed)
    assert again is not None
    assert (again.source, again.target) == (Address(OUTSIDE, 20000), Address(CLIENT, 1))
    assert rewrite(changed, segment.source, segment.target) == OPENS


@pytest.mark.parametrize("packet", [b"", OPENS[:30], b"\x60" + OPENS[1:], OPENS[:9] + b"\x11" * 50])
def test_what_is_no_tcp_is_not_read(packet: bytes) -> None:
    assert segment_of(packet) is None
    assert reset_for(packet) is None


def test_a_reset_has_the_place_in_the_sequence_that_its_receiver_expects() -> None:
    answer = reset_for(OPENS)
    assert answer is not None
    assert sound(answer)
    segment = segment_of(answer)
    assert segment is not None
    assert (segment.source, segment.target) == (Address(SERVER, 8765), Address(CLIENT, 40000))
    assert (segment.flags, segment.sequence, segment.acknowledged) == (20, 0, 0xFCB8B600)
    in_the_middle = reset_for(with_flags(16))  # acknowledges 0
    assert in_the_middle is not None
    other = segment_of(in_the_middle)
    assert other is not None
    assert (other.flags, other.sequence) == (4, 0)
    assert reset_for(answer) is None


def answered(nat: Nat, packet: bytes) -> bytes:
    """Take a packet through to the server, and its answer back."""
    there = nat.up(packet)
    assert there is not None
    segment = segment_of(there)
    assert segment is not None
    back = nat.down(rewrite(there, segment.target, segment.source))
    assert back is not None
    return back


def test_nat_has_a_port_for_each_connection_until_it_forgets() -> None:
    nat = Nat(OUTSIDE)
    first, other = nat.up(OPENS), nat.up(rewrite(OPENS, Address("10.77.1.3", 40000)))
    assert first is not None
    assert other is not None
    ports = [segment.source for packet in (first, other) if (segment := segment_of(packet))]
    assert ports == [Address(OUTSIDE, 20000), Address(OUTSIDE, 20001)]
    back = segment_of(answered(nat, OPENS))
    assert back is not None
    assert back.target == Address(CLIENT, 40000)
    nat.forget()
    assert nat.up(with_flags(16)) is None
    assert nat.down(rewrite(first, Address(SERVER, 8765), Address(OUTSIDE, 20000))) is None
    assert answered(nat, OPENS)


Later = tuple[float, Callable[[], object]]


def routed(order: Order, *packets: bytes, way: str = "up") -> tuple[list[bytes], list[bytes]]:
    """Return what reaches the client's side and the server's, by the time that it takes."""
    client, server, later = list[bytes](), list[bytes](), list[Later]()
    router = Router(
        Nat(OUTSIDE), client.append, server.append,
        lambda seconds, call: later.append((seconds, call)), random.Random(1),
    )  # fmt: skip
    router.up(OPENS)
    server.clear()
    router.obey(order)
    for packet in packets:
        (router.up if way == "up" else router.down)(packet)
    for _, call in sorted(later, key=lambda each: each[0]):
        call()
    return client, server


MANY = [rewrite(OPENS[:5] + bytes([number]) + OPENS[6:]) for number in range(200)]
BACK = rewrite(OPENS, Address(SERVER, 8765), Address(OUTSIDE, 20000))


def numbers(packets: list[bytes]) -> list[int]:
    return [packet[5] for packet in packets]


def test_a_router_forwards_all_in_order_until_it_is_ordered_otherwise() -> None:
    client, server = routed(Order(), *MANY)
    assert (client, numbers(server)) == ([], list(range(200)))
    client, _ = routed(Order(), BACK, way="down")
    assert [segment_of(packet) for packet in client] == [
        segment_of(rewrite(BACK, target=Address(CLIENT, 40000)))
    ]


def test_a_router_loses_doubles_and_reorders() -> None:
    assert 20 < len(routed(Order(loss=0.2), *MANY)[1]) < 190
    twice = numbers(routed(Order(twice=0.1), *MANY)[1])
    assert len(twice) > 200
    assert sorted(set(twice)) == list(range(200))
    mixed = numbers(routed(Order(delay=0.1, jitter=0.1), *MANY)[1])
    assert mixed != sorted(mixed)
    assert sorted(mixed) == list(range(200))


@pytest.mark.parametrize(("hole", "up", "down"), [("up", 0, 1), ("down", 1, 0), ("both", 0, 0)])
def test_a_hole_swallows_what_goes_its_way(hole: str, up: int, down: int) -> None:
    order = Order(hole=hole)
    assert len(routed(order, OPENS)[1]) == up
    assert len(routed(order, BACK, way="down")[0]) == down


def test_what_the_router_forgot_is_dropped_or_reset() -> None:
    assert routed(Order(forget="drop"), with_flags(16)) == ([], [])
    client, server = routed(Order(forget="reset"), with_flags(16))
    assert (client, server) == ([reset_for(with_flags(16))], [])
    assert len(routed(Order(forget="reset"), OPENS)[1]) == 1
    client, server = routed(Order(forget="reset"), BACK, way="down")
    assert (client, server) == ([], [reset_for(BACK)])


def report(**changed: object) -> dict[str, object]:
    heard = [(1.0, 1, 1, 1.0), (2.0, 2, 1, 2.0), (9.0, 6, 2, 8.9)]
    states = [(0.5, True), (5.0, False), (8.5, True)]
    sends = ["delivered", "in_doubt", "in_doubt", "delivered"]
    return {"heard": heard, "states": states, "gaps": [2], "sends": sends, **changed}


READ = [[1, 0], [1, 1], [2, 3]]


def test_the_judge_passes_what_was_told() -> None:
    figures = Figures()
    figures.add(report(), READ, 3.0, 7.0)
    found = figures.to_json()
    assert (found["noticed"], found["back"], found["rounds"]) == ([2.0], [2.0], 1)
    counts = {name: count for name, count in found["counts"].items() if count}
    assert counts == {
        "sends": 4, "delivered": 2, "in_doubt": 2, "lost, told": 1, "heard": 3, "missed": 3,
    }  # fmt: skip
    assert untrue(found) == []
    assert "| a fault | a store | 2.0 s | 2.0 s | 4 | 2 | 1 | 0 |" in table(
        {"a fault": {"a store": found}}
    )


@pytest.mark.parametrize(
    ("client", "read", "wrong"),
    [
        (report(), READ[1:], "lost, not told"),
        (report(sends=["dropped"]), [[1, 0]], "read, though never written"),
        (report(sends=["written"]), [[1, 0]], "written"),
        (report(), [*READ, [1, 2]], "late"),
        (report(gaps=[]), READ, "missed, not told"),
        (report(heard=[(1.0, 2, 1, 1.0), (2.0, 2, 1, 1.0)]), READ, "repeated or reordered"),
    ],
)
def test_the_judge_sees_what_is_untrue(
    client: dict[str, object], read: list[list[int]], wrong: str
) -> None:
    figures = Figures()
    figures.add(client, read, 3.0, 7.0)
    assert untrue(figures.to_json()) == [wrong]


def test_the_table_of_the_network_is_the_measured_one_and_true() -> None:
    file = ROOT / "benchmarks" / "network.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert table(cases) in (ROOT / "docs" / "network.md").read_text(encoding="utf-8")
    for clients in cases.values():
        stores = {name: found for name, found in clients.items() if "websockets" not in name}
        assert len(stores) == 3
        assert not [name for name, found in stores.items() if untrue(found)]
