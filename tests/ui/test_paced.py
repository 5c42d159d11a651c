"""Paints at most once a frame: the newest value, the list of what came, or what has changed."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConfigurationError, ObserverError, QueueHop, use_websocket
from heimdall_reactive.bindings import (
    Changes,
    LatestBy,
    UiScope,
    bind,
    bind_batch,
    external_store,
    latest_by,
    window,
)
from heimdall_reactive.bindings.frames import timer
from heimdall_reactive.bindings.pages import PageClock, Pages
from heimdall_reactive.testing import ScriptedPeer
from tests.support import record

from .support import wait_until


class Screen:
    """A user interface with a clock of its own: what was posted runs, what is late waits."""

    def __init__(self) -> None:
        self.hop = QueueHop()
        self.now = 0.0
        self.waits: list[tuple[float, Callable[[], None]]] = []

    @property
    def scope(self) -> UiScope:
        return UiScope(self.hop, clock=self)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Any:
        self.waits.append((delay, callback))

    def turn(self) -> None:
        self.hop.run_pending()

    def wait(self) -> float:
        """Let the time pass that somebody waits for; return it."""
        ((seconds, call),) = self.waits
        self.waits = []
        self.now += seconds
        call()
        return seconds


# The newest


def test_a_value_after_a_pause_is_shown_in_the_next_turn_and_more_wait_for_a_frame() -> None:
    screen, shown, subject = Screen(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, screen.scope, every=0.05)
    subject.on_next(1)
    screen.turn()
    assert shown == [0, 1]
    for n in (2, 3):
        subject.on_next(n)
    screen.turn()
    assert shown == [0, 1]
    assert screen.wait() == 0.05
    screen.turn()
    assert shown == [0, 1, 3]


def test_without_a_timer_of_the_scope_the_rest_comes_by_a_thread() -> None:
    hop, shown, subject = QueueHop(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, UiScope(hop, every=0.2))
    for n in range(1, 5):
        subject.on_next(n)
        hop.run_pending()

    def newest() -> bool:
        hop.run_pending()
        return shown[-1] == 4

    wait_until(newest, lambda: time.sleep(0.001), 5)
    assert shown == [0, 1, 4]


def test_a_burst_is_painted_once_a_frame() -> None:
    hop, times, subject = QueueHop(), list[float](), Subject[int]()
    bind(subject, lambda _: times.append(time.monotonic()), UiScope(hop), every=0.02)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        subject.on_next(1)
        hop.run_pending()
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) > 3
    assert min(gaps) >= 0.02


def test_a_scope_says_how_long_a_frame_is_and_a_binding_may_differ() -> None:
    hop, slow, fast, subject = QueueHop(), list[int](), list[int](), BehaviorSubject(0)
    scope = UiScope(hop, every=60.0)
    binding = bind(subject, slow.append, scope)
    bind(subject, fast.append, scope, every=0)
    for n in (1, 2):
        subject.on_next(n)
        hop.run_pending()
    assert (slow, fast) == ([0, 1], [0, 1, 2])
    binding.dispose()  # nothing is left that waits for a minute


def test_the_end_of_a_source_waits_for_no_frame() -> None:
    hop, shown, done, subject = QueueHop(), list[int](), list[bool](), BehaviorSubject(0)
    scope = UiScope(hop, every=60.0)
    bind(subject, shown.append, scope, on_done=lambda: done.append(True))
    for n in (1, 2):
        subject.on_next(n)
        hop.run_pending()
    assert shown == [0, 1]
    subject.on_completed()
    hop.run_pending()
    assert (shown, done) == ([0, 1, 2], [True])


@pytest.mark.parametrize(("every", "scope"), [(-1.0, UiScope(lambda call: call())), (0.1, None)])
def test_a_pace_that_cannot_work_is_refused(every: float, scope: UiScope | None) -> None:
    with pytest.raises(ConfigurationError, match=f"every={every} must be 0 or more"):
        bind(Subject[int](), print, scope, every=every)


def test_the_thread_of_the_timer_ends_when_nothing_waits() -> None:
    def fail() -> None:
        raise ValueError

    done = threading.Event()
    timer.call_later(0.02, fail)  # what raises hurts nobody else
    timer.call_later(0.03, done.set)
    timer.call_later(60.0, fail).cancel()
    assert done.wait(5)
    wait_until(lambda: not timer_runs(), lambda: time.sleep(0.01), 5)


def timer_runs() -> bool:
    return any(each.name == "heimdall-frames" for each in threading.enumerate())


def test_what_was_posted_before_the_end_waits_for_no_frame() -> None:
    subject, hop, seen = BehaviorSubject(0), QueueHop(), list[int]()
    binding = bind(subject, seen.append, UiScope(hop, every=60.0))
    subject.on_next(1)
    hop.run_pending()  # the first after a pause, at once
    subject.on_next(2)
    binding.dispose()
    hop.run_pending()
    assert seen == [0, 1]
    assert not timer_runs()


# A page that says what it has shown


class Tab(Screen):
    """A page of a browser, and how often it was asked whether it has shown what it was sent."""

    def __init__(self, among: Pages | None = None) -> None:
        super().__init__()
        self.asked = 0
        self.clock = PageClock(self, self.hop, self.ask, among or Pages())

    @property
    def scope(self) -> UiScope:
        return UiScope(lambda call: self.hop(lambda: self.clock.turn(call)), clock=self.clock)

    def ask(self) -> None:
        self.asked += 1

    def turn(self) -> None:
        """Paint, and then ask."""
        super().turn()
        super().turn()


def test_a_page_that_answers_is_painted_when_it_has_shown_the_last_paint() -> None:
    tab, shown, subject = Tab(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, tab.scope, every=0.05)
    tab.clock.seen()
    for n in range(1, 100):
        tab.now += 1.0  # more than a frame each
        subject.on_next(n)
        tab.turn()
    assert (shown, tab.asked) == ([0, 1], 1)
    tab.clock.seen()
    tab.turn()
    assert (shown, tab.asked) == ([0, 1, 99], 2)


def test_a_page_that_answers_soon_is_painted_once_a_frame() -> None:
    tab, shown, subject = Tab(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, tab.scope, every=0.05)
    tab.clock.seen()
    for n in (1, 2):
        subject.on_next(n)
        tab.turn()
    tab.now += 0.02
    tab.clock.seen()
    tab.turn()
    assert shown == [0, 1]
    assert tab.wait() == pytest.approx(0.03)
    tab.turn()
    tab.turn()
    assert shown == [0, 1, 2]


@pytest.mark.parametrize(("count", "frame"), [(1, 0.05), (2, 0.08), (4, 0.16), (50, 0.2)])
def test_of_many_pages_each_is_painted_less_often(count: int, frame: float) -> None:
    among, subject = Pages(), Subject[int]()
    tabs = [Tab(among) for _ in range(count)]
    for tab in tabs:
        bind(subject, lambda _: None, tab.scope)
        tab.clock.seen()
    waits = list[float]()
    for n in range(3):  # in the first, not all of them were painted before
        subject.on_next(n)
        waits.clear()
        for tab in tabs:
            tab.turn()
            if not tab.waits:
                tab.clock.seen()
            waits.append(tab.wait())
            tab.turn()
    assert waits == pytest.approx([frame] * count)


def test_a_page_that_is_painted_no_more_leaves_the_others_its_share() -> None:
    among, page, others = Pages(), Screen(), [Screen() for _ in range(8)]
    for other in others:
        among.frame(other, 0.0)
    assert among.frame(page, 0.5) == 0.2
    assert among.frame(page, 1.5) == 0.05


def paints_until_asked(tab: Tab, subject: Subject[int], shown: list[int]) -> int:
    """Emit, and let frames pass, until a page is asked again; return how often it was painted."""
    before, asked = len(shown), tab.asked
    while tab.asked == asked:
        subject.on_next(len(shown))
        tab.turn()
        if tab.waits:
            assert tab.wait() == pytest.approx(0.05)
            tab.turn()
    return len(shown) - before


def test_a_page_that_answers_soon_is_asked_after_more_and_more_paints_up_to_a_bound() -> None:
    tab, shown, subject = Tab(), list[int](), Subject[int]()
    bind(subject, shown.append, tab.scope)
    tab.clock.seen()
    paints = list[int]()
    for _ in range(6):
        paints.append(paints_until_asked(tab, subject, shown))
        tab.clock.seen()
        tab.wait()
        tab.turn()
    assert paints == [1, 2, 4, 8, 8, 8]


def test_a_page_that_becomes_slow_is_asked_after_each_paint_again() -> None:
    tab, shown, subject = Tab(), list[int](), Subject[int]()
    bind(subject, shown.append, tab.scope)
    tab.clock.seen()
    paints_until_asked(tab, subject, shown)
    tab.clock.seen()  # soon
    tab.wait()
    tab.turn()
    for paints in (2, 1, 1):
        assert paints_until_asked(tab, subject, shown) == paints
        subject.on_next(-1)
        tab.turn()
        assert shown[-1] != -1  # nothing, until it answers
        tab.now += 1.0
        tab.clock.seen()


def test_a_page_that_never_answers_is_painted_once_a_frame() -> None:
    tab, shown, subject = Tab(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, tab.scope, every=0.05)
    for n in range(1, 5):
        tab.now += 0.06
        subject.on_next(n)
        tab.turn()
    assert (shown, tab.asked) == ([0, 1, 2, 3, 4], 4)


def test_all_bindings_of_a_page_paint_together() -> None:
    tab, subject = Tab(), BehaviorSubject(0)
    shown: list[list[int]] = [[] for _ in range(3)]
    for some in shown:
        bind(subject, some.append, tab.scope, every=0)
    tab.clock.seen()
    for n in range(1, 6):
        subject.on_next(n)
        tab.turn()
    assert shown == [[0, 1]] * 3
    tab.now += 1.0
    tab.clock.seen()
    tab.turn()
    assert (shown, tab.asked) == ([[0, 1, 5]] * 3, 2)


def test_what_waits_for_a_hidden_page_is_bounded_and_goes_with_its_binding() -> None:
    tab, subject = Tab(), Subject[int]()
    lines, rows = list[list[int]](), list[int]()
    log = bind_batch(subject, lines.append, tab.scope, buffer=10)
    last = bind(subject, rows.append, tab.scope)
    tab.clock.seen()
    for n in range(1000):
        subject.on_next(n)
        tab.turn()
    assert (lines, rows) == ([[0]], [0])
    assert len(tab.clock._waits) == 2
    last.dispose()
    assert len(tab.clock._waits) == 1
    tab.now += 1.0
    tab.clock.seen()
    tab.turn()
    assert (lines[1:], log.stats.dropped) == ([[*range(990, 1000)]], 989)
    assert rows == [0]


def test_what_is_bound_in_a_hidden_page_has_its_first_value_at_once() -> None:
    tab, shown, subject = Tab(), list[int](), BehaviorSubject(0)
    tab.clock.seen()
    tab.hop(lambda: tab.clock.turn(lambda: None))
    tab.turn()
    bind(subject, shown.append, tab.scope)
    subject.on_next(1)
    tab.turn()
    assert shown == [0]


# The list


def test_a_batch_is_the_list_of_what_came_in_order() -> None:
    screen, shown, subject = Screen(), list[list[int]](), Subject[int]()
    bind_batch(subject, shown.append, screen.scope)
    for n in range(3):
        subject.on_next(n)
    screen.turn()
    assert shown == [[0, 1, 2]]
    for n in range(3):
        subject.on_next(n)
    screen.turn()
    screen.wait()
    screen.turn()
    assert shown == [[0, 1, 2], [0, 1, 2]]


def test_a_batch_is_bounded_and_counts_what_had_no_room() -> None:
    screen, shown, subject = Screen(), list[list[int]](), Subject[int]()
    binding = bind_batch(subject, shown.append, screen.scope, buffer=2)
    for n in range(5):
        subject.on_next(n)
    screen.turn()
    assert shown == [[3, 4]]
    assert binding.stats.dropped == 3


# The newest of each key


Row = tuple[str, int]


def table(subject: Subject[Row], **options: Any) -> LatestBy[str, Row]:
    return latest_by(subject, lambda row: row[0], **options)


def test_a_table_gets_what_has_changed_since_its_last_paint() -> None:
    screen, shown, subject = Screen(), list[Changes[str, Row]](), Subject[Row]()
    rows = table(subject)
    bind(rows, shown.append, screen.scope, every=0)
    subject.on_next(("a", 1))
    subject.on_next(("b", 1))
    subject.on_next(("a", 2))
    screen.turn()
    subject.on_next(("b", 2))
    screen.turn()
    assert shown == [
        Changes({}, {}, []),
        Changes({"a": ("a", 2), "b": ("b", 1)}, {}, []),
        Changes({}, {"b": ("b", 2)}, []),
    ]
    assert list(shown[1].added) == list(rows.value) == ["a", "b"]


def test_a_hook_has_the_rows_as_its_snapshot() -> None:
    subject, told = Subject[Row](), list[str]()
    rows = table(subject)
    subscribe, get = external_store(rows, lambda _: rows.value)
    leave = subscribe(lambda: told.append("changed"))
    assert get() == {}
    subject.on_next(("a", 1))
    assert get() == {"a": ("a", 1)}
    assert get() is get()
    leave()
    assert told == ["changed"]


def test_a_tab_that_is_opened_later_begins_with_every_row() -> None:
    subject, shown = Subject[Row](), list[Changes[str, Row]]()
    rows = table(subject)
    for n in range(3):
        subject.on_next((f"{n}", n))
    bind(rows, shown.append, Screen().scope)
    assert list(shown[0].added) == ["0", "1", "2"]


def test_a_row_goes_when_a_value_says_so_and_when_there_is_no_room() -> None:
    screen, shown, subject = Screen(), list[Changes[str, Row]](), Subject[Row]()
    rows = table(subject, limit=2, removes=lambda row: row[1] < 0)
    bind(rows, shown.append, screen.scope, every=0)
    for row in [("a", 1), ("b", 1)]:
        subject.on_next(row)
    screen.turn()
    for row in [("a", -1), ("c", 1), ("d", 1), ("x", -1)]:
        subject.on_next(row)
    screen.turn()
    assert shown[-1] == Changes({"c": ("c", 1), "d": ("d", 1)}, {}, shown[-1].removed)
    assert set(shown[-1].removed) == {"a", "b"}
    assert rows.dropped == 1


def test_a_row_that_goes_and_comes_back_between_two_paints_has_changed() -> None:
    screen, shown, subject = Screen(), list[Changes[str, Row]](), Subject[Row]()
    bind(table(subject, removes=lambda row: row[1] < 0), shown.append, screen.scope, every=0)
    subject.on_next(("a", 1))
    screen.turn()
    subject.on_next(("a", -1))
    subject.on_next(("a", 2))
    screen.turn()
    assert shown[-1] == Changes({}, {"a": ("a", 2)}, [])


def test_observers_are_told_each_change_and_first_what_is_kept() -> None:
    subject = Subject[Row]()
    rows = table(subject)
    subject.on_next(("a", 1))
    seen = record(rows)
    subject.on_next(("a", 2))
    rows.dispose()
    subject.on_next(("a", 3))
    assert seen == [Changes({"a": ("a", 1)}, {}, []), Changes({}, {"a": ("a", 2)}, [])]


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.tuples(st.sampled_from("abcde"), st.integers(-1, 3))), max_size=60
    )
)
def test_a_table_that_applies_every_change_shows_the_rows(steps: list[Row | None]) -> None:
    screen, shown, subject = Screen(), dict[str, Row](), Subject[Row]()

    def show(changes: Changes[str, Row]) -> None:
        assert not changes.added.keys() & shown.keys()
        assert changes.changed.keys() <= shown.keys()
        for key in changes.removed:
            del shown[key]
        shown.update({**changes.added, **changes.changed})

    rows = table(subject, limit=3, removes=lambda row: row[1] < 0)
    bind(rows, show, screen.scope, every=0)
    for step in steps:
        if step is None:
            screen.turn()
        else:
            subject.on_next(step)
    screen.turn()
    assert shown == rows.value
    assert len(shown) <= 3


@pytest.mark.parametrize("limit", [0, True, 1.5])
def test_a_limit_of_rows_is_a_number_of_them(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit must be a whole number of 1 or more"):
        latest_by(Subject[int](), abs, limit=limit)


# The last stretch


Point = tuple[float, float]


def stretch(subject: Subject[Point], seconds: float, max_points: int) -> Any:
    return window(subject, seconds, max_points, value=lambda p: p[1], at=lambda p: p[0])


def test_a_plot_gets_all_points_while_there_are_few() -> None:
    shown, subject = list[Any](), Subject[Point]()
    bind(stretch(subject, 10.0, 100), shown.append)
    for n in range(3):
        subject.on_next((n, n * 2.0))
    assert shown[-1] == ([0, 1, 2], [0.0, 2.0, 4.0])


def test_what_is_older_than_the_window_goes() -> None:
    subject = Subject[Point]()
    plot = stretch(subject, 10.0, 103)  # parts of 0.2 s
    for n in range(100):
        subject.on_next((n, 0.0))
    assert plot.value.x[0] in (89, 90)
    assert plot.value.x[-1] == 99


def test_values_that_are_none_or_no_number_are_left_out() -> None:
    subject: Subject[Any] = Subject()
    plot = window(subject, 10.0)
    for value in (1.0, None, math.nan, 2.0):
        subject.on_next(value)
    assert plot.value.y == [1.0, 2.0]
    assert plot.value.x == sorted(plot.value.x)
    assert abs(plot.value.x[0] - time.time()) < 60


@pytest.mark.heimdall_virtual_time
async def test_a_window_of_messages_that_are_no_numbers_says_once_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = ScriptedPeer()
    async with use_websocket("ws://localhost/", transport=peer) as store:
        errors = record(store.errors)
        plot = window(store.messages, 60)
        link = await peer.accepted()
        for n in range(5):
            link.send({"price": n})
        link.send(5)
        await asyncio.sleep(1)
        assert (plot.value.y, plot.refused) == ([5], 5)
    (line,) = caplog.messages
    assert line == (
        "window of messages: an observer raised ConfigurationError: a dict cannot be plotted: give "
        "window() a value= that returns a number of it, such as value=lambda message: "
        "message['price'], or None for what is to be left out (1 so far)"
    )
    (error,) = errors
    assert isinstance(error, ObserverError)
    assert isinstance(error.error, ConfigurationError)


def test_a_value_that_returns_no_number_says_so(caplog: pytest.LogCaptureFixture) -> None:
    subject = Subject[dict[str, Any]]()
    plot = window(subject, 60, value=lambda tick: tick["price"])
    for price in ("12.5", 12.5):
        subject.on_next({"price": price})
    assert plot.value.y == [12.5]
    (line,) = caplog.messages
    assert line == (
        "a window raised ConfigurationError: a str cannot be plotted: value= of window() has to "
        "return a number, or None for what is to be left out (1 so far)"
    )


@pytest.mark.parametrize("make", [lambda s: window(s, 60, value=len), lambda s: latest_by(s, len)])
def test_what_a_function_of_the_user_raises_hurts_nobody_else(
    make: Callable[[Observable[Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    subject = Subject[Any]()
    kept, seen = make(subject.pipe(ops.filter(bool))), record(subject)
    for value in (1, "a", "bc"):
        subject.on_next(value)
    assert seen == [1, "a", "bc"]
    assert len(kept.value) == 2
    (line,) = caplog.messages
    assert re.fullmatch(rf"a {kept._what} raised TypeError at \S+ in \S+ \(1 so far\)", line)


def test_a_line_is_broken_where_nothing_came_for_too_long() -> None:
    subject = Subject[Point]()
    plot = window(subject, 60.0, 603, value=lambda p: p[1], at=lambda p: p[0], gap=2.0)
    for x in (0.0, 1.0, 3.0, 7.0, 8.0):
        subject.on_next((x, x))
    assert plot.value.x == [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]
    assert [None if math.isnan(y) else y for y in plot.value.y] == [0.0, 1.0, 3.0, None, 7.0, 8.0]
    subject.on_next((67.0, 1.0))
    assert [None if math.isnan(y) else y for y in plot.value.y] == [7.0, 8.0, None, 1.0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(-1e6, 1e6)), min_size=1, max_size=300),
    st.integers(8, 40),
    st.floats(2, 8),
)
def test_each_gap_that_is_seen_breaks_the_line_and_nothing_else_does(
    steps: list[Point], most: int, gap: float
) -> None:
    subject, at, points = Subject[Point](), 0.0, list[Point]()
    kwargs: dict[str, Any] = {"value": lambda p: p[1], "at": lambda p: p[0]}
    plain = window(subject, 20.0, most, **kwargs)
    broken = window(subject, 20.0, most, gap=gap, **kwargs)
    for step, y in steps:
        at += step
        points.append((at, y))
        subject.on_next(points[-1])
    series = broken.value
    assert series.x == sorted(series.x)
    kept = [(x, y) for x, y in zip(*series, strict=True) if not math.isnan(y)]
    assert kept == list(zip(*plain.value, strict=True))
    assert not math.isnan(series.y[0])
    assert not math.isnan(series.y[-1])
    gaps = [(a, b) for (a, _), (b, _) in pairwise(points) if b - a > gap]
    for x, y in zip(*series, strict=True):
        assert not math.isnan(y) or any(a < x < b for a, b in gaps)
    width = 20.0 / ((most - 3) // 2)
    for a, b in gaps:
        if b - a > width and a >= series.x[0] - width / 2 and any(x <= a for x, _ in kept):
            assert any(a < x < b for x, y in zip(*series, strict=True) if math.isnan(y))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-1e6, 1e6)), min_size=1, max_size=300),
    st.integers(8, 40),
)
def test_a_plot_has_few_points_and_every_extreme(steps: list[Point], most: int) -> None:
    subject, at, points = Subject[Point](), 0.0, list[Point]()
    plot = stretch(subject, 20.0, most)
    for step, y in steps:
        at += step
        points.append((at, y))
        subject.on_next(points[-1])
    series = plot.value
    shown = list(zip(series.x, series.y, strict=True))
    within = [y for x, y in points if x >= at - 20.0]
    assert len(shown) <= most
    assert series.x == sorted(series.x)
    assert set(shown) <= set(points)
    assert shown[-1] == points[-1]
    assert min(series.y) <= min(within)
    assert max(series.y) >= max(within)


@pytest.mark.parametrize(("seconds", "points"), [(0, 100), (10, 7)])
def test_a_window_that_cannot_work_is_refused(seconds: float, points: int) -> None:
    with pytest.raises(ConfigurationError, match="more than 0 seconds and 8 points"):
        window(Subject[float](), seconds, points)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: latest_by("ticks", len), "str is not an observable"),  # type: ignore[arg-type]
        (lambda: latest_by(Subject[str](), "symbol"), "key must be a function"),  # type: ignore[arg-type]
        (lambda: window(Subject[float](), 60, value="price"), "value must be a function"),  # type: ignore[arg-type]
    ],
)
def test_what_nothing_can_be_gathered_from_is_refused(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call()


@pytest.mark.parametrize("gap", [0, -1, math.nan])
def test_a_gap_takes_time(gap: float) -> None:
    with pytest.raises(ConfigurationError, match="gap= must be more than 0 seconds"):
        window(Subject[float](), 60, gap=gap)
