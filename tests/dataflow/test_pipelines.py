"""The pipelines: their Rx graphs against plain loops, and against Spark over the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.pipelines import alerts, feeds, joins, sessions, windows

from .nats_server import NatsServer

ROOT = Path(__file__).parent.parent.parent


def test_windows_are_what_a_loop_over_the_day_finds() -> None:
    found: dict[tuple[int, str], list[feeds.Tick]] = defaultdict(list)
    for tick in feeds.ticks():
        found[int(tick.seconds // 10), tick.symbol].append(tick)
    wanted = [windows.bar(of, 10.0) for of in found.values()]
    assert sorted(feeds.replay(windows.in_rx, feeds.ticks())) == sorted(wanted)


def test_joins_are_what_a_loop_over_both_days_finds() -> None:
    ordered = {order.order: order.at for order in feeds.orders()}
    paid = [(p, (p.at - ordered[p.order]).total_seconds()) for p in feeds.payments()]
    wanted = [joins.Paid(p.order, p.amount, round(s, 3)) for p, s in paid if s <= 30.0]
    assert 10 < len(wanted) < len(paid)
    assert feeds.replay(joins.in_rx, feeds.orders(), feeds.payments()) == wanted


def test_sessions_are_what_a_loop_over_each_users_day_finds() -> None:
    users: dict[str, list[list[feeds.UserStatus]]] = defaultdict(list)
    for message in feeds.statuses():
        of = users[message.user_id]
        if of and (message.at - of[-1][-1].at) < timedelta(seconds=30):
            of[-1].append(message)
        else:
            of.append([message])
    wanted = [sessions.visit(of) for visits in users.values() for of in visits]
    assert sorted(feeds.replay(sessions.in_rx, feeds.statuses())) == sorted(wanted)


def test_alerts_are_what_a_loop_over_the_day_finds() -> None:
    changes: list[tuple[datetime, bool]] = []
    for reading in feeds.readings():
        hot = reading.celsius > 70.0
        if not changes or changes[-1][1] is not hot:
            changes.append((reading.at, hot))
    patience, ends = timedelta(seconds=5), [at for at, _ in changes[1:]] + [datetime.max]
    held = [
        at
        for (at, hot), end in zip(changes, ends, strict=True)
        if hot and end.replace(tzinfo=UTC) - at >= patience
    ]
    assert len(changes) > 5
    assert feeds.replay(alerts.in_rx, feeds.readings()) == [
        alerts.Alert(at, at + patience) for at in held
    ]


@pytest.mark.leaky
@pytest.mark.timeout(220)
def test_spark_finds_the_same_over_the_log(log_server: NatsServer, java: dict[str, str]) -> None:
    from .pipelines_job import as_text

    command = [sys.executable, "-m", "tests.dataflow.pipelines_job", log_server.url]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **java}, capture_output=True, text=True, timeout=210
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.rpartition("RESULTS ")[2])
    wanted: dict[str, Sequence[tuple[object, ...]]] = {
        "windows": feeds.replay(windows.in_rx, feeds.ticks()),
        "joins": feeds.replay(joins.in_rx, feeds.orders(), feeds.payments()),
        "sessions": feeds.replay(sessions.in_rx, feeds.statuses()),
        "alerts": feeds.replay(alerts.in_rx, feeds.readings()),
    }
    for name, rows in wanted.items():
        assert rows, name
        assert found[name] == sorted(map(as_text, rows)), name
