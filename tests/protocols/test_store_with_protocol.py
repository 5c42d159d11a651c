"""A whole store with a protocol of its own, a strict peer and virtual time: what always holds.

`HEIMDALL_MACHINE_EXAMPLES=5000` runs so many other examples, by a new seed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heimdall_reactive import (
    ChannelProtocol,
    ProtocolSession,
    Receipt,
    SessionProtocol,
    Status,
    use_websocket,
)
from heimdall_reactive.recording import record
from heimdall_reactive.testing import (
    Accept,
    Hang,
    Link,
    Refuse,
    ScriptedPeer,
    Unreachable,
    VirtualTimeLoop,
)

EXAMPLES: Final = int(os.environ.get("HEIMDALL_MACHINE_EXAMPLES", "0"))
SECRET: Final = "c4nary"  # in all that the protocol sends itself
PENDING: Final = ("queued", "written")
CHANNELS: Final = ("gps", "news")
BIG: Final = "x" * 70_000  # more than a stalled wire takes

pytestmark = pytest.mark.timeout(0 if EXAMPLES else 600)


class Service(SessionProtocol):
    """A login in three steps, ids, heartbeats of its own, and sends of several frames."""

    def __init__(self) -> None:
        self.ready: list[ProtocolSession] = []  # those whose handshake has returned
        self.encoded: list[str] = []  # names of the sends, in the order of the wire
        self.faults: list[str] = []
        self.late = 0.0  # seconds that a handshake takes behind its last envelope
        self.raises = False
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"subscribe": name},
            unsubscribe=lambda name: {"unsubscribe": name},
            match=lambda message: (message["channel"], message) if "channel" in message else None,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        await session.recv(lambda message: "hello" in message)
        session.send({"login": await session.token()})
        answer = await session.recv(lambda message: "ok" in message)
        if not answer["ok"]:
            session.refuse("no", answer.get("action", "retry"))
        if self.raises:
            raise KeyError(SECRET)
        await session.recv(lambda message: "go" in message)
        session.every(3.0, lambda: session.send({"beat": f"{SECRET} {session.number}"}))
        await asyncio.sleep(self.late)
        self.ready.append(session)

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        if "reconnect" in envelope:
            session.reconnect(code=4000, overlap=envelope["reconnect"])
        return envelope if "n" in envelope else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        if not any(session is each for each in self.ready):
            self.faults.append(f"{value} was written before the handshake returned")
        return {"id": session.next_id(), **value}

    def encode(self, value: Any) -> str | Sequence[str]:
        parts = value.get("parts", 0)
        if "name" in value:
            self.encoded.append(value["name"])
        if not parts:
            return json.dumps(value)
        more = [f"{value['name']} {part} {value.get('text', '')}" for part in range(parts)]
        return [json.dumps({**value, "text": ""}), *more]


class Peer:
    """Reads each link strictly, and notes what is out of order on it."""

    def __init__(self) -> None:
        self.scripted = ScriptedPeer(on_message=self.hear)
        self.scripted.always(Accept(then=self.greet))
        self.modes: list[str] = []
        self.faults: list[str] = []
        self.stages: dict[Link, str] = {}  # `hello`, `login`, `go`, as far as it was said
        self.ids: dict[Link, int] = {}
        self.due: dict[Link, list[str]] = {}  # parts that a unit still needs
        self.heard: list[str] = []  # names of the sends, as their first frame came
        self.whole: set[str] = set()  # those of which every frame came
        self.said: dict[Link, list[int]] = {}
        self.numbers = count()

    def greet(self, link: Link) -> None:
        mode = self.modes.pop(0) if self.modes else "good"
        self.stages[link], self.due[link], self.said[link] = mode, [], []
        self.ids[link] = 0
        if mode == "chatty":
            self.say(link)
        loop = asyncio.get_running_loop()
        match mode:
            case "mute":
                return
            case "slow" | "slow refusal":
                loop.call_later(2.0, self.step, link, "hello")
            case _:
                self.step(link, "hello")

    def step(self, link: Link, word: str) -> None:
        if link.live:
            self.stages[link] += f" {word}"
            link.send({"ok": True} if word == "ok" else {word: 1})

    def say(self, link: Link) -> None:
        if link.live:
            number = next(self.numbers)
            self.said[link].append(number)
            link.send({"n": number, "channel": CHANNELS[number % 2]})

    def hear(self, link: Link, message: Any) -> None:
        stage = self.stages[link]
        if self.due[link]:
            self.take_part(self.due[link], message)
            return
        match message:
            case {"login": token}:
                self.must("hello" in stage and "login" not in stage, f"a login after {stage}")
                self.must(token == SECRET, "another token")
                self.stages[link] += " login"
                self.answer(link, stage)
            case {"beat": _}:
                self.must("go" in stage, f"a beat after {stage}")
            case {"id": number}:
                self.must("go" in stage, f"{message} after {stage}")
                last = self.ids[link]
                self.must(number == last + 1, f"{message} after the id {last}")
                self.ids[link] = number
                self.take(link, message)
            case _:
                self.faults.append(f"{str(message)[:40]!r} came alone")

    def must(self, holds: bool, words: str) -> None:
        if not holds:
            self.faults.append(words)

    def take_part(self, due: list[str], message: Any) -> None:
        fits = isinstance(message, str) and message.startswith(due[0])
        self.must(fits, f"{str(message)[:40]!r} within a unit, whose {due[0]!r} is due")
        if len(due) == 1:
            self.whole.add(due[0].split()[0])
        due.pop(0)

    def take(self, link: Link, message: Any) -> None:
        if "name" not in message:
            return
        name = message["name"]
        self.heard.append(name)
        self.due[link] = [f"{name} {part}" for part in range(message["parts"])]
        if not message["parts"]:
            self.whole.add(name)

    def answer(self, link: Link, stage: str) -> None:
        loop = asyncio.get_running_loop()
        match stage.split()[0]:
            case "refusal" | "slow refusal":
                link.send({"ok": False})
            case "refresh":
                link.send({"ok": False, "action": "refresh"})
            case "stop":
                link.send({"ok": False, "action": "stop"})
            case "close":
                link.close(4403, "forbidden")
            case "drop":
                link.drop()
            case "silent":
                pass
            case "slow":
                loop.call_later(1.0, self.step, link, "ok")
                loop.call_later(2.0, self.step, link, "go")
            case _:
                self.step(link, "ok")
                self.step(link, "go")

    @property
    def link(self) -> Link | None:
        return self.scripted.links[-1] if self.scripted.links else None


class World:
    """A store with everything that it shows, and what may be done to it."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self.loop = VirtualTimeLoop()
        self.peer, self.service = Peer(), Service()
        self.path = Path(folder) / "recording.jsonl"
        self.sent: dict[str, Receipt] = {}
        self.names = (f"s{number}" for number in count())
        self.observing: dict[str, Any] = {}
        self.seen: list[int] = []
        self.values: list[Any] = []
        self.shown: list[str] = []
        self.loop.run_until_complete(self.begin(options))

    async def begin(self, options: dict[str, Any]) -> None:
        self.store = use_websocket(
            "ws://localhost/x",
            protocol=self.service,
            transport=self.peer.scripted,
            access_token=SECRET,
            message_type=Any,
            open_timeout=8.0,
            ping_interval=20.0,
            ping_timeout=5.0,
            close_timeout=2.0,
            max_reconnect_attempts=None,
            **options,
        )
        self.recording = record(self.store, self.path)
        self.store.messages.subscribe(lambda message: self.seen.append(message["n"]))
        self.store.send.subscribe(self.values.append)
        for source in (self.store.state, self.store.errors, self.store.gaps):
            source.subscribe(lambda value: self.shown.append(f"{value!r} {value}"))
        await self.loop.idle()

    def do(self, word: str, *what: Any) -> None:
        getattr(self, f"do_{word}")(*what)

    def do_send(self, parts: int, big: bool = False) -> None:
        name = next(self.names)
        value = {"name": name, "parts": parts, **({"text": BIG} if big else {})}
        self.sent[name] = self.store.send(value)

    def do_observe(self, name: str) -> None:
        if name not in self.observing:
            self.observing[name] = self.store.channel(name).subscribe()

    def do_leave(self, name: str) -> None:
        if name in self.observing:
            self.observing.pop(name).dispose()

    def do_command(self, name: str, *what: Any) -> None:
        getattr(self.store, name)(*what)

    def do_reconnect(self, overlap: bool) -> None:
        self.store.reconnect(4000, "planned", overlap=overlap)

    def do_link(self, call: str, *what: Any) -> None:
        if self.peer.link is not None:
            getattr(self.peer.link, call)(*what)

    def do_breathe(self) -> None:
        """Let the newest link take nothing for a moment."""
        self.do_link("stall")
        self.do_link("resume")

    def do_lose(self, modes: list[str]) -> None:
        """Drop the newest link; the next logins are of these kinds."""
        self.peer.modes = list(modes)
        self.do_link("drop")

    def do_say(self, times: int) -> None:
        link = self.peer.link
        for _ in range(times if link in self.peer.stages else 0):
            assert link is not None
            self.peer.say(link)

    def do_ask(self, overlap: bool) -> None:
        link = self.peer.link
        if link is not None and "go" in self.peer.stages.get(link, ""):
            link.send({"reconnect": overlap})

    def do_modes(self, modes: list[str], late: float, raises: bool) -> None:
        self.peer.modes, self.service.late, self.service.raises = list(modes), late, raises

    def do_script(self, steps: list[Any]) -> None:
        self.peer.scripted._steps.clear()
        self.peer.scripted._steps.extend(steps)

    def play(self, steps: list[tuple[Any, int]], seconds: float) -> None:
        async def act() -> None:
            for op, turns in steps:
                self.do(*op)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await self.loop.idle()

        self.loop.run_until_complete(act())
        self.loop.advance(seconds)
        self.check()

    def check(self) -> None:
        """Compare what came with what may come."""
        assert self.peer.faults == []
        assert self.service.faults == []
        heard, encoded = self.peer.heard, self.service.encoded
        assert len(heard) == len(set(heard)), "a send came twice"
        order = [int(name[1:]) for name in encoded]
        assert order == sorted(set(order)), "sends were written twice or out of order"
        assert set(heard) <= set(encoded)
        for name, receipt in self.sent.items():
            untold = receipt.state in ("rejected", "dropped", "expired", "queued")
            assert untold or name in encoded, (name, receipt)
            if receipt.state in ("rejected", "dropped", "expired"):
                assert name not in encoded, (name, receipt)
        said = [number for link in self.peer.scripted.links for number in self.peer.said[link]]
        assert len(self.seen) == len(set(self.seen)), "a message was told twice"
        places = [said.index(number) for number in self.seen]
        assert places == sorted(places), "messages overtook each other"

    def settle(self) -> None:
        """Let the peer be good again; all that is still queued goes out, and then the end comes."""
        self.do_modes([], 0.0, False)
        self.do_script([])
        self.do_link("resume")
        self.play([(("link", "drop"), 3), (("command", "connect"), 0)], 60.0)
        assert self.store.connected
        pending = [name for name, receipt in self.sent.items() if receipt.state in PENDING]
        assert pending == []
        self.shown.append(repr((self.store, self.store.journal, self.store.stats, self.sent)))

    def end(self) -> int:
        """Close the store, look for secrets, and return how many sends the recording has."""
        self.loop.run_until_complete(self.store.aclose())
        self.loop.run_until_complete(self.recording.aclose())
        self.check()
        assert self.store.state.value.status in (Status.DISCONNECTED, Status.FAILED)
        assert not asyncio.all_tasks(self.loop)
        assert self.loop.timers == []
        assert self.peer.scripted.live == []
        text = self.path.read_text("utf-8")
        for shown in (*self.shown, *map(repr, self.values), text):
            assert SECRET not in shown
        assert {value["name"] for value in self.values if value is not None} <= self.sent.keys()
        return sum(f'\\"name\\":\\"{name}\\"' in text for name in self.peer.whole)

    def abandon(self) -> None:
        self.recording.close()
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()


pick, just = st.sampled_from, st.just
MODES = pick([
    "good", "good", "chatty", "chatty", "slow", "mute", "silent", "refusal", "slow refusal",
    "refresh", "stop", "close", "drop",
])  # fmt: skip
DIALS = pick([Unreachable(), Hang(), Refuse(503), Refuse(429, 3.0), Refuse(401)])
OPS = st.one_of(
    st.tuples(just("send"), pick([0, 0, 1, 3])),
    st.tuples(just("send"), pick([2, 3]), just(True)),
    st.tuples(pick(["observe", "observe", "leave"]), pick(CHANNELS)),
    st.tuples(just("command"), pick(["connect", "connect", "disconnect"])),
    st.tuples(just("command"), just("resubscribe"), pick(CHANNELS)),
    st.tuples(pick(["reconnect", "reconnect", "ask"]), st.booleans()),
    st.tuples(just("link"), pick(["drop", "drop", "stall", "resume", "resume", "silence"])),
    st.tuples(just("link"), just("close"), pick([1000, 1001, 4000, 4403])),
    st.tuples(just("link"), pick(["stall", "cut_after_frames"]), pick([0, 1, 2, 3, 5])),
    just(("breathe",)),
    st.tuples(just("lose"), st.lists(MODES, min_size=1, max_size=3)),
    st.tuples(just("say"), pick([1, 3])),
    st.tuples(
        just("modes"), st.lists(MODES, min_size=1, max_size=4), pick([0.0, 0.0, 2.0]),
        pick([False, False, False, True]),
    ),
    st.tuples(just("script"), st.lists(DIALS, min_size=1, max_size=2)),
)  # fmt: skip
STEPS = st.lists(st.tuples(OPS, pick([0, 0, 1, 2, 5])), min_size=1, max_size=6)
SECONDS = pick([0.0, 0.1, 1.0, 1.0, 2.5, 5.0, 30.0])
OPTIONS = st.fixed_dictionaries({
    "send_rate": pick([None, None, (2, 1.0)]),
    "reconnect_delay": pick([0.5, 3.0]),
    "stable_after": pick([0.0, 5.0]),
    "outbox_limit": pick([2, 50]),
    "outbox_overflow": pick(["reject", "drop_oldest"]),
})  # fmt: skip


class Watch(logging.Handler):
    """Counts what is logged, at every level, and keeps what shows a secret."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = self.recorded = 0
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        line = f"{record.getMessage()} {vars(record)!r}"
        if SECRET in line:
            self.leaks.append(line)


@pytest.fixture(autouse=True)
def watch() -> Iterator[Watch]:
    """Watch the log, and keep thousands of expected lines out of the report."""
    watch, root = Watch(), logging.getLogger()
    before, handlers = root.level, root.handlers
    root.setLevel(logging.DEBUG)
    root.handlers = [watch]
    yield watch
    root.setLevel(before)
    root.handlers = handlers
    assert min(watch.count, watch.recorded) > 100  # else there would be no secrets to be found
    assert watch.leaks == []


@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=False,
)
@given(options=OPTIONS, rounds=st.lists(st.tuples(STEPS, SECONDS), min_size=1, max_size=12))
def test_whatever_comes_the_login_is_first_and_a_unit_is_whole(
    watch: Watch, options: dict[str, Any], rounds: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder, options)
        try:
            for steps, seconds in rounds:
                world.play(steps, seconds)
            world.settle()
            watch.recorded += world.end()
        finally:
            world.abandon()
