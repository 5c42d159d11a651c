"""Way: what each step of a frame's way costs, without a socket: `python -m benchmarks.way`."""

from __future__ import annotations

import asyncio
import threading
import timeit
from collections.abc import Callable
from typing import Any, Final

from heimdall_reactive.base.stats import Counters
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.journal import Journal
from heimdall_reactive.reactive.publisher import Publisher
from heimdall_reactive.reactive.values import Reporter, Values
from heimdall_reactive.transports.splitting import Outlets, Splitter

from .frames import frame
from .payloads import SIZES, payload

__all__ = ["main"]

READ: Final = 256 * 1024  # bytes, as much as asyncio reads at once
ROUNDS: Final = 7


def steps(message_type: Any) -> list[tuple[str, Callable[[bytes, bool], None]]]:
    """Return what a splitter may push into, each with one step more."""
    decode = Codec(message_type).decode
    counters = Counters()
    reporter = Reporter("way")
    bus = Bus(reporter.raised)
    nobody: Any = None  # is only asked by a connection
    publisher = Publisher(Values(bus), reporter, Journal("way", lambda: 0.0), nobody)
    bus.bind(threading.get_ident(), lambda call: call())

    def decoded(data: bytes, text: bool) -> None:
        decode(data, text)

    def emitted(data: bytes, text: bool) -> None:
        counters.received += 1
        counters.received_bytes += len(data)
        publisher.on_incoming(decode(data, text))

    return [("split", lambda data, text: None), ("decode", decoded), ("tell", emitted)]


def measure(size: int, message_type: Any) -> dict[str, float]:
    """Return µs a message, after each step."""
    one = frame(payload(size).encode())
    many = max(1, READ // len(one))
    data = one * many
    found = {}
    for name, push in steps(message_type):
        splitter = Splitter(Outlets(lambda _: None, lambda: True), 1 << 20)
        times = timeit.repeat(lambda: splitter.feed(data, push), number=10, repeat=ROUNDS)  # noqa: B023
        found[name] = min(times) / 10 / many * 1e6
    return found


async def main() -> None:
    """Print the steps by size, typed and plain."""
    print("µs a message, each line with all steps before it; no socket, no observer")
    for title, message_type in (("typed", None), ("plain JSON", Any)):
        for column, size in SIZES.items():
            found = measure(size, message_type)
            print(f"{title:10} {column:7}", "  ".join(f"{n} {t:.2f}" for n, t in found.items()))


if __name__ == "__main__":
    asyncio.run(main())
