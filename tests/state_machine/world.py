"""The world of the state machine: a store, its scripted peer, virtual time, and what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from heimdall_reactive import Receipt, Status, StoreClosed, use_websocket, ws_config
from heimdall_reactive.testing import Step, VirtualTimeLoop

from .log import Ban, Joined, Log, Sent
from .peer import FarSide
from .users import Op

SUBJECTS: Final = (
    "state", "is_connected", "last_message", "latency", "send", "connect", "disconnect",
    "messages", "transitions", "gaps", "errors",
)  # fmt: skip
STREAMS: Final = SUBJECTS[7:]
TOO_LARGE: Final = 500  # bytes
STARTS: Final = (Status.IDLE, Status.WAITING, Status.DISCONNECTED, Status.FAILED)


class World(FarSide):
    """A store over virtual time and a scripted peer; `do` performs one operation on them."""

    def __init__(self, identity: Op, steps: Sequence[Step] = (), **options: Any) -> None:
        super().__init__(steps)
        self.loop = VirtualTimeLoop()
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self.identities: list[tuple[int, str]] = []  # set at which version of the state
        self.sent: list[Sent] = []
        self.joined: list[Joined] = []
        self.seen: dict[str, list[Any]] = {name: [] for name in SUBJECTS}
        self.completed: dict[str, int] = dict.fromkeys(SUBJECTS, 0)
        self.log = Log(self)
        self.options = options
        self.raised = 0
        self.bans: list[Ban] = []
        self.resets: list[int] = []  # versions of the state at which a row began
        self.sleeps: list[tuple[float, float]] = []  # when, by the loop's clock, and how long
        self.closing = False
        self.ended = False
        ws_config.ws_url = "ws://localhost:1"
        self.run(lambda: self._make(identity))

    def _make(self, identity: Op) -> None:
        options = {**self.options, "immediate": False}  # the record is to begin with `idle`
        for name in ("should_reconnect", "reconnect_delay"):
            if isinstance(options[name], str):
                options[name] = self.option(options[name])
        token, principal, label = self.identity(identity)
        self.identities.append((-1, label))
        self.store = use_websocket(
            "/x", access_token=token, principal=principal, transport=self.dial, **options
        )
        for name in SUBJECTS:
            self._record(name)
        if self.options["immediate"]:
            self.do_connect()

    # Running

    def run(self, *calls: Callable[[], object] | int) -> None:
        """Call functions on the loop, with turns of the loop between them, until it is idle."""

        async def play() -> None:
            for call in calls:
                if callable(call):
                    call()
                else:
                    for _ in range(call):
                        await asyncio.sleep(0)
            await self.loop.idle()

        self.loop.run_until_complete(play())

    def perform(self, *steps: tuple[Op, int]) -> None:
        """Perform operations, each followed by some turns of the loop; then let it be idle."""
        calls: list[Callable[[], object] | int] = []
        for op, turns in steps:
            calls += [lambda op=op: self.do(op), turns]  # type: ignore[misc]
        self.run(*calls)

    def abandon(self) -> None:
        """Close the loop, also where the store has failed to end."""
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()

    # Commands

    def do_connect(self) -> None:
        if not self.closing:
            if self.store.state.value.status is not Status.CONNECTED:
                self._allow()
            if self.store.state.value.status in (*STARTS, Status.DISCONNECTING):
                self.resets.append(self.store.state._version)
            self.store.connect()
            return
        with suppress(StoreClosed):
            self.store.connect()
            self.faults.append("connect() of a closed store did not raise")

    def do_disconnect(self) -> None:
        if not self.closing:  # else the close that has begun disconnects, a turn later
            self._forbid()
        self.store.disconnect()

    def do_send(self, count: int = 1, large: bool = False) -> None:
        for _ in range(count):
            self._send(f"s{next(self.serials)}" + "x" * (TOO_LARGE if large else 0))

    def do_prove(self) -> None:
        """Wait for the proof of what was sent last; what becomes of the wait is asked elsewhere."""
        for sent in self.sent[-1:]:
            sent.receipt.delivered()

    def do_set_token(self, identity: Op) -> None:
        token, principal, label = self.identity(identity)
        if not self.closing:
            if self.store.state.value.status is Status.FAILED:
                self._allow()
                self.resets.append(self.store.state._version)
            self.identities.append((self.store.state._version, label))
        self.store.set_access_token(token, principal=principal)

    def do_move(self, port: int) -> None:
        ws_config.ws_url = f"ws://localhost:{port}"

    def do_close(self) -> None:
        self.closing = True
        self.store.close()

    # Observers

    def do_join(self, name: str, react: Callable[[], None] | None = None) -> None:
        bus, subject = self.store._core.bus, getattr(self.store, name)
        start = subject._version if name != "messages" and not self.completed["state"] else None
        if name == "messages" and not bus._draining and not bus._queue:
            start = len(self.seen[name])
        joined = Joined(name, start)

        def note(value: Any) -> None:
            joined.seen.append(value)
            if react is not None:
                react()

        self._join(joined, note)

    def do_join_raising(self, name: str, times: int) -> None:
        left = [times]

        def burst(_: object) -> None:
            if left[0] > 0:
                left[0] -= 1
                self.raised += 1
                joined.raised = True
                raise ValueError("an observer's own")

        joined = Joined(name, None, deaf=True)
        self._join(joined, burst)

    def do_join_reacting(self, name: str, after: int, op: Op) -> None:
        left = [after]

        def react() -> None:
            left[0] -= 1
            if left[0] == -1:
                self.do(op)

        self.do_join(name, react)
        self.do_join(name)  # who comes behind it must see the same order

    def do_leave(self, index: int) -> None:
        staying = [joined for joined in self.joined if not joined.left and joined.disposable]
        if staying:
            joined = staying[index % len(staying)]
            joined.left = True
            joined.disposable.dispose()

    # Time

    def do_suspend(self, seconds: float) -> None:
        self.loop.suspend(seconds)
        self.sleeps.append((self.loop.time(), seconds))

    # Parts

    def _allow(self) -> None:
        self.forbidden = False
        for ban in self.bans:
            if ban.end is None:
                ban.end = self.store.state._version

    def _forbid(self) -> None:
        self.forbidden = True
        self.bans.append(Ban(self.store.state._version, len(self.sent)))

    def _send(self, text: str) -> None:
        if self.closing:
            with suppress(StoreClosed):
                self.store.send(text)
                self.faults.append("send() of a closed store did not raise")
            return
        limit, waiting = self.options["outbox_limit"], self.store.stats.queued
        full = waiting >= limit or len(text) > self.options["outbox_bytes"]
        # Known limit: what is sent between a new token and its first dial may follow a moved URL.
        fresh = self.identities[-1][0] >= self.dialled_at
        urls = (
            {self.last_dial[1], ws_config.resolve("/x")} if self.last_dial and not fresh else None
        )
        # In the list at once: an observer of `send` may send before this call returns.
        sent = Sent(text, Receipt(), self._labels(), urls, self.loop.time())
        self.sent.append(sent)
        sent.receipt = self.store.send(text)
        policy = self.options["outbox_overflow"]
        rejected = full and (
            policy in ("reject", "block") or (policy == "drop_oldest" and len(text) > TOO_LARGE)
        )
        self.fault((sent.receipt.state == "rejected") == rejected, f"{text}: {sent.receipt}")

    def _labels(self) -> set[str]:
        """Return as whom a send of now may arrive: the user of now, or of what is under way."""
        labels = {self.identities[-1][1]}
        labels |= {record.label for record in self.links if record.link.live}
        if self.dialling and self.last_dial:
            labels.add(self.last_dial[0])
        if self.store.state.value.status is Status.CONNECTING:
            since = self.store.state._version
            before = [label for version, label in self.identities if version < since]
            labels |= {before[-1]} | {name for version, name in self.identities if version >= since}
        return labels

    def _record(self, name: str) -> None:
        def note(value: Any) -> None:
            self.seen[name].append(value)
            self.log.take(name, value)

        def complete() -> None:
            self.completed[name] += 1

        getattr(self.store, name).subscribe(note, on_completed=complete)

    def _join(self, joined: Joined, on_next: Callable[[Any], object]) -> None:
        def complete() -> None:
            joined.completed += 1

        self.joined.append(joined)
        source = getattr(self.store, joined.name)
        joined.disposable = source.subscribe(on_next, on_completed=complete)


def finish(world: World) -> float:
    """Close the store for good; return the virtual seconds that it took."""
    began = world.loop.time()
    world.closing = True
    world.loop.run_until_complete(world.store.aclose())
    took = world.loop.time() - began
    world.ended = True
    world.run()
    return took
