"""A state machine over the real connection code, a scripted peer and virtual time.

Without variables it runs the same examples every time. `HEIMDALL_MACHINE_EXAMPLES=5000` runs so
many others, by a new seed, which it prints; `HEIMDALL_MACHINE_SEED` repeats one.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heimdall_reactive import Backoff, ws_config
from heimdall_reactive.base.options import Heartbeat
from heimdall_reactive.testing import Accept, BadCertificate, Hang, Link, Refuse, Unreachable

from .checks import check, check_end
from .peer import BEAT
from .world import SUBJECTS, TOO_LARGE, World, finish

EXAMPLES = int(os.environ.get("HEIMDALL_MACHINE_EXAMPLES", "0"))
SEED = int(os.environ.get("HEIMDALL_MACHINE_SEED", secrets.randbits(32)))

# A failure is shrunk for minutes, which is more than a test may take.
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 600)

just = st.just
pick = st.sampled_from

OPTIONS = st.fixed_dictionaries({
    "immediate": pick([True, True, False]),
    "auto_reconnect": pick([True, True, True, True, False]),
    "reconnect_delay": pick([
        0.5, 0.5, 0.5, 3.0, 3.0, 3.0, Backoff(), Backoff(), "yes", "yes", "connect", "raise",
        "nan", "disconnect", "none",
    ]),
    "max_reconnect_attempts": pick([5, 2, 0, None, None]),
    "stable_after": pick([5.0, 0.0]),
    "should_reconnect": pick([
        None, None, None, None, None, "yes", "connect", "no", "raise", "disconnect",
    ]),
    "reconnect_rules": pick([None, None, {"close 1000": "retry"}, {"close 4401": "stop"}]),
    "outbox_limit": pick([1, 3, 50]),
    "outbox_bytes": just(TOO_LARGE),
    "outbox_overflow": pick(["reject", "drop_oldest", "drop_newest", "block"]),
    "send_ttl": pick([None, None, 2.0]),
    "heartbeat": pick([
        None,
        None,
        Heartbeat(message=BEAT, interval=5, timeout=2),
        Heartbeat(message=BEAT, interval=2, timeout=5),
    ]),
    "ping_interval": pick([None, 4.0, 20.0]),
    "ping_timeout": just(3.0),
    "close_timeout": pick([1.0, 10.0]),
    "open_timeout": just(8.0),
    "token_timeout": just(4.0),
})  # fmt: skip

IDENTITIES = st.tuples(
    pick(["none", "static", "jwt", "named", "named provider", "sync provider", "provider"]),
    pick(["ada", "bob"]),
)
STEPS = pick([
    Accept(), Accept(), Accept(delay=0.5), Accept(delay=3.0), Accept(delay=9.0),
    Accept(then=Link.drop), Accept(then=lambda link: link.close(1001)),
    Accept(then=Link.silence), Accept(then=Link.stall), Accept(then=Link.mute_close),
    Accept(then=lambda link: link.cut_after_frames(1)),
    Unreachable(), Unreachable(delay=2.0), Hang(), BadCertificate(),
    Refuse(401), Refuse(403), Refuse(404), Refuse(429), Refuse(429, 7.0), Refuse(503),
    Refuse(503, 0.0), Refuse(503, 1e6), Refuse(500, delay=1.0),
])  # fmt: skip
CODES = pick([1000, 1001, 1005, 1008, 1009, 1011, 1012, 4000, 4401, 4403])
MODES = pick(["", "slow", "hang", "raise", "none", "rubbish", "disconnect", "connect"])

COMMANDS = st.one_of(
    just(("connect",)),
    just(("connect",)),
    just(("disconnect",)),
    st.tuples(just("send"), pick([1, 2])),
    st.tuples(just("send"), pick([1, 1, 2, 5])),
    just(("send", 1, True)),
    just(("prove",)),
    st.tuples(just("set_token"), IDENTITIES),
    st.tuples(just("move"), pick([1, 2])),
)
SAY = st.tuples(just("say"), pick(["note", "note", "note", "bytes", "bad", "utf8", "ban", "pong"]))
TOGGLES = pick([("connect",), ("disconnect",), ("disconnect",), ("send", 1)])
PEER = st.one_of(
    st.tuples(just("link"), pick(["drop", "silence", "stall", "resume", "resume", "mute_close"])),
    st.tuples(just("link"), just("close"), CODES, pick(["", "bye"])),
    st.tuples(just("link"), just("stall"), pick([1, 2])),
    st.tuples(just("link"), just("cut_after_frames"), pick([0, 1, 2])),
    SAY,
    st.tuples(just("latency"), pick([0.0, 0.3])),
    st.tuples(just("deaf"), st.booleans()),
    st.tuples(just("script"), st.lists(STEPS, min_size=1, max_size=4)),
    st.tuples(just("modes"), st.lists(MODES, min_size=1, max_size=3)),
)
SUBJECT = pick(SUBJECTS)
OBSERVERS = st.one_of(
    st.tuples(just("join"), SUBJECT),
    st.tuples(just("join_raising"), SUBJECT, pick([1, 3])),
    st.tuples(just("leave"), st.integers(0, 9)),
)
CLOSE = just(("close",))
REACTIONS = pick([COMMANDS] * 6 + [PEER] * 4 + [OBSERVERS] * 3 + [CLOSE]).flatmap(lambda ops: ops)
REACTING = st.tuples(just("join_reacting"), SUBJECT, pick([0, 0, 1, 1, 2, 5]), REACTIONS)
OPS = st.one_of(COMMANDS, PEER, OBSERVERS, REACTING)
SECONDS = pick([0.01, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 90.0])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep thousands of expected warnings out of the report."""
    logger = logging.getLogger("heimdall_reactive")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


class Machine(RuleBasedStateMachine):
    """Everything that may happen to a store, in every order."""

    world: World | None = None
    broken = False

    @initialize(options=OPTIONS, identity=IDENTITIES, steps=st.lists(STEPS, max_size=2))
    def begin(self, options: dict[str, Any], identity: Any, steps: Any) -> None:
        self.world = World(identity, steps, **options)

    def play(self, *steps: tuple[Any, int]) -> None:
        assert self.world is not None
        self.broken = True
        self.world.perform(*steps)
        self.broken = False

    @rule(op=COMMANDS)
    def command(self, op: Any) -> None:
        self.play((op, 0))

    @rule(steps=st.lists(st.tuples(TOGGLES, st.integers(0, 5)), min_size=2, max_size=6))
    def toggle(self, steps: Any) -> None:
        self.play(*steps)

    @rule(op=PEER)
    def peer(self, op: Any) -> None:
        self.play((op, 0))

    @rule(op=st.one_of(OBSERVERS, REACTING))
    def observer(self, op: Any) -> None:
        self.play((op, 0))

    @rule(steps=st.lists(st.tuples(OPS, st.integers(0, 4)), min_size=2, max_size=6))
    def together(self, steps: Any) -> None:
        self.play(*steps)

    @rule(count=st.integers(1, 4))
    def traffic(self, count: int) -> None:
        self.play((("say", "note"), 0), (("send", count), 1), (("say", "bytes"), 0))

    @rule(seconds=SECONDS)
    def time(self, seconds: float) -> None:
        assert self.world is not None
        self.broken = True
        self.world.loop.advance(seconds)
        self.broken = False

    @rule(steps=st.lists(STEPS, min_size=1, max_size=3), times=pick([1, 1, 4]), seconds=SECONDS)
    def lose(self, steps: Any, times: int, seconds: float) -> None:
        self.play((("script", steps * times), 0), (("link", "drop"), 0))
        self.time(seconds)

    @rule(call=pick(["silence", "stall"]), seconds=SECONDS, count=st.integers(0, 3))
    def hold(self, call: str, seconds: float, count: int) -> None:
        self.play((("link", call), 0), (("send", count), 0), (("say", "note"), 0))
        self.time(seconds)
        self.play((("link", "resume"), 0))

    @rule(losses=st.lists(SECONDS, min_size=1, max_size=4))
    def heal(self, losses: Any) -> None:
        for seconds in losses:
            self.play((("script", []), 0), (("link", "drop"), 0))
            self.time(seconds)

    @rule(name=pick(["errors", "state", "gaps"]), op=TOGGLES, modes=st.lists(MODES, min_size=2))
    def answer(self, name: str, op: Any, modes: Any) -> None:
        """Let an observer answer the next loss, whose attempts meet a bad provider."""
        self.play((("modes", modes), 0), (("join_reacting", name, 1, op), 0), (("link", "drop"), 0))

    @rule(seconds=pick([10.0, 3600.0]), then=SECONDS)
    def sleep(self, seconds: float, then: float) -> None:
        self.play((("suspend", seconds), 0))
        self.time(then)

    @precondition(lambda self: self.world and not self.world.store.connected)
    @rule()
    def revive(self) -> None:
        self.play((("script", []), 0), (("connect",), 0))

    @precondition(lambda self: self.world and len(self.world.seen["state"]) > 25)
    @rule(steps=st.lists(st.tuples(OPS, st.integers(0, 4)), max_size=3))
    def close(self, steps: Any) -> None:
        self.play((("close",), 0), *steps)

    @invariant()
    def holds(self) -> None:
        if self.world is not None and not self.broken:
            self.broken = True
            check(self.world)
            self.broken = False

    def teardown(self) -> None:
        world = self.world
        if world is None:
            return
        try:
            if not self.broken:
                took = finish(world)
                assert took <= world.options["close_timeout"] + 0.01
                check_end(world)
        finally:
            ws_config.ws_url = None
            world.abandon()


Machine.TestCase.settings = settings(
    max_examples=EXAMPLES or 300,
    stateful_step_count=50,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=False,
)
TestMachine = Machine.TestCase

if EXAMPLES:
    seed(SEED)(Machine)


@pytest.fixture(autouse=True)
def seed_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Tell the seed of a long run, also where it passes."""
    if EXAMPLES:
        with capsys.disabled():
            told = f"HEIMDALL_MACHINE_EXAMPLES={EXAMPLES} HEIMDALL_MACHINE_SEED={SEED}"
            print(f"\n{told}", file=sys.stderr)  # the one stream that pytest-xdist lets through
