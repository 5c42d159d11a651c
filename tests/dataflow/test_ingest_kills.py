"""Copies of the ingest, and the log, killed by SIGKILL while a live-only feed goes on.

One pass proves little: `python -m benchmarks.ingest_kills` does the same at length and many times.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from heimdall_reactive.dataflow.gaps import holes
from tests.support import run

from .kills import Times, one_alone, two_copies
from .nats_server import NatsServer

pytestmark = [pytest.mark.leaky, pytest.mark.timeout(120)]

SHORT = Times(up=0.3, down=0.3)
GENTLE = 100  # messages a second and channel: other tests need the cores as well


def test_two_copies_lose_and_repeat_nothing_whatever_is_killed(
    mortal_server: NatsServer, stream: str, tmp_path: Path
) -> None:
    found = run(
        lambda: two_copies(mortal_server, stream, tmp_path, SHORT, rate=GENTLE), timeout=100
    )
    assert len(found.found) == 8
    # A copy that is ended before it could look says what it alone missed: those have no count.
    facts = [gap for gap in found.gaps if gap.count is not None]
    assert (found.missing, found.repeats, facts) == (0, 0, [])


def test_what_one_copy_alone_missed_is_counted_and_written_down(
    mortal_server: NatsServer, stream: str, tmp_path: Path
) -> None:
    found = run(lambda: one_alone(mortal_server, stream, tmp_path, SHORT, rate=GENTLE), timeout=100)
    assert found.repeats == found.disorder == 0
    assert found.missing > 0
    assert len(found.gaps) == len(found.found) == 8
    for gap in found.gaps:
        numbers = found.found[gap.channel].numbers
        (hole,) = holes(min(numbers), max(numbers), numbers)
        assert (int(gap.after) + 1, int(gap.before) - 1) == hole
        assert gap.count == hole[1] - hole[0] + 1
        assert gap.reason == "restart"
        assert gap.since < gap.until
