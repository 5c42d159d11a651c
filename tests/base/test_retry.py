"""When to reconnect: delays, tables, and failures in a row."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    HandshakeRefused,
    StoreError,
    TokenError,
)
from heimdall_reactive.base.options import CloseInfo, RetryContext, StoreOptions
from heimdall_reactive.base.retry import (
    FLAP_CAP,
    Backoff,
    Credential,
    Decision,
    Failure,
    Retries,
    next_delay,
    seconds_to_wait,
)
from heimdall_reactive.base.rules import Action
from heimdall_reactive.base.session_protocol import Refused

CONTEXT = RetryContext(1, 0.0, None)
ALMOST_1 = 1 - 2**-53
RETRY, WAIT, REFRESH, REVIEW, END, STOP = Action


def context(attempt: int) -> RetryContext:
    return RetryContext(attempt, 0.0, None)


# Backoff


def test_a_backoff_grows_to_its_cap() -> None:
    backoff = Backoff(initial=1, factor=2, cap=10)
    assert [backoff.bound(n) for n in (1, 2, 3, 4, 5, 100_000)] == [1, 2, 4, 8, 10, 10]
    assert Backoff(factor=1e300).bound(10) == 30.0  # beyond what a float holds


def test_the_cap_comes_before_the_random_number() -> None:
    backoff = Backoff(initial=1, factor=2, cap=10)
    assert next_delay(backoff, context(50), 0, lambda: 0.5) == 5
    assert next_delay(backoff, context(2), 0, lambda: 0.0) == 0


@given(
    initial=st.floats(1e-6, 1e6), factor=st.floats(1, 1e9), more=st.floats(0, 1e6),
    attempt=st.integers(1, 10**6), seed=st.integers(),
)  # fmt: skip
def test_a_delay_is_within_its_bound(
    initial: float, factor: float, more: float, attempt: int, seed: int
) -> None:
    backoff = Backoff(initial=initial, factor=factor, cap=initial + more)
    delay = next_delay(backoff, context(attempt), 0, random.Random(seed).random)
    assert delay is not None
    assert 0 <= delay <= backoff.bound(attempt) <= backoff.cap
    assert backoff.bound(attempt) <= backoff.bound(attempt + 1)


@pytest.mark.parametrize(
    "options",
    [
        {"initial": 0}, {"initial": -1}, {"factor": 0.9}, {"initial": 2, "cap": 1},
        {"cap": float("inf")}, {"initial": float("nan")}, {"cap": float("nan")},
    ],
)  # fmt: skip
def test_a_backoff_that_cannot_work_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Backoff needs"):
        Backoff(**options)


def test_a_backoff_is_a_delay_policy_as_any_other() -> None:
    options = StoreOptions(reconnect_delay=Backoff(initial=1, factor=2, cap=3))
    assert callable(options.reconnect_delay)
    delays = [options.reconnect_delay(context(5)) for _ in range(20)]
    assert all(delay is not None and 0 <= delay <= 3 for delay in delays)
    assert Row(reconnect_delay=options.reconnect_delay)() == Decision(RETRY, 0.0, 1)


# Numbers and callables


@given(st.floats(0, 1e6), st.integers(0, 1), st.floats(0, ALMOST_1))
def test_a_constant_delay_gets_at_most_a_fifth_on_top(
    delay: float, flaps: int, chance: float
) -> None:
    result = next_delay(delay, CONTEXT, flaps, lambda: chance)
    assert result is not None
    assert delay <= result <= delay * 1.2


def test_flaps_make_constant_delays_grow_within_a_bound() -> None:
    def delays(policy: float) -> list[float | None]:
        return [next_delay(policy, CONTEXT, flaps, lambda: 0.0) for flaps in (0, 1, 2, 3, 5, 10**6)]

    assert delays(3.0) == [3, 3, 6, 12, 30, FLAP_CAP]
    assert delays(0) == [0, 0, 0.2, 0.4, 1.6, FLAP_CAP]
    assert delays(100) == [100] * 6  # never shorter than what was asked for


def test_a_callable_decides_from_the_context() -> None:
    given_context = RetryContext(2, 1.5, OSError())
    seen: list[RetryContext] = []

    def policy(context: RetryContext) -> float | None:
        seen.append(context)
        return 7.0

    assert next_delay(policy, given_context, 9, lambda: 0.5) == 7.0
    assert seen == [given_context]
    assert next_delay(lambda _: None, given_context, 0, lambda: 0.5) is None


# Failures in a row

LOST = ConnectionLost(1006, "lost")
CLOSE = CloseInfo(1006, "lost")
LEADS_TO: dict[Action, Exception] = {
    RETRY: LOST,
    WAIT: HandshakeRefused(503),
    REFRESH: HandshakeRefused(401),
    REVIEW: HandshakeRefused(403),
    STOP: CertificateError("expired"),
}


def failure(now: float = 0.0, opened: bool = False, error: Exception = LOST) -> Failure:
    return Failure(CLOSE, error, now, opened)


class Row:
    """`Retries` without jitter, and what it reported."""

    def __init__(self, **options: Any) -> None:
        self.reports: list[StoreError] = []
        self.retries = Retries(StoreOptions(**options), lambda: 0.0, self.reports.append)

    def __call__(
        self,
        action: Action = RETRY,
        failed: Failure | None = None,
        credential: Credential = "provider",
    ) -> Decision:
        failed = failed or failure()
        if failed.error is LOST:
            failed = failed._replace(error=LEADS_TO[action])
        return self.retries.decide(failed, credential)


def test_failures_are_counted_up_to_the_limit() -> None:
    row = Row(max_reconnect_attempts=2, reconnect_delay=3)
    assert [row() for _ in range(3)] == [
        Decision(RETRY, 3, 1), Decision(RETRY, 3, 2), Decision(STOP),
    ]  # fmt: skip
    row.retries.reset()
    assert row() == Decision(RETRY, 3, 1)


def test_no_attempt_is_made_where_none_is_allowed_and_all_where_there_is_no_limit() -> None:
    assert Row(max_reconnect_attempts=0)() == Decision(STOP)
    row = Row(max_reconnect_attempts=None)
    assert [row().attempt for _ in range(100)] == list(range(1, 101))


def test_an_accept_then_close_server_meets_growing_delays_and_a_dial_that_fails_ends_the_row() -> (
    None
):
    row = Row(max_reconnect_attempts=None, reconnect_delay=1)
    flaps = [row(failed=failure(opened=True)).delay for _ in range(7)]
    assert flaps == [1, 2, 4, 8, 16, 30, 30]
    assert row(failed=failure(opened=False)).delay == 1
    assert row(failed=failure(opened=True)).delay == 1


@pytest.mark.parametrize("policy", [0, lambda _: 0, Backoff(initial=1e-9, cap=1e-9)])
@pytest.mark.parametrize("opened", [False, True])
def test_whatever_the_policy_says_attempts_are_a_tenth_of_a_second_apart(
    policy: Any, opened: bool
) -> None:
    row, now, began = Row(reconnect_delay=policy, max_reconnect_attempts=None), 50.0, []
    for _ in range(20):
        now += 0.001  # an attempt that fails at once
        decision = row(failed=failure(now, opened))
        assert decision.delay is not None
        if opened:
            row.retries.reset()  # stable_after=0
        now += decision.delay
        began.append(now)
    assert began[0] == 50.001  # the first one waits for nothing
    assert all(later - sooner >= 0.0999 for sooner, later in pairwise(began))
    assert now < 53


def test_a_fresh_token_makes_no_storm_either() -> None:
    row = Row(stable_after=0)
    assert row(REFRESH, failure(50.0, opened=True)).delay == 0
    row.retries.reset()
    assert row(REFRESH, failure(50.001, opened=True)).delay == pytest.approx(0.099)


def test_an_attempt_that_was_planned_and_is_overtaken_by_connect_delays_nothing() -> None:
    row = Row(reconnect_delay=0.05)
    assert Row(reconnect_delay=30)(failed=failure(1.0)).delay == 30
    row.retries._planned = 31.0
    assert row(failed=failure(2.0)).delay == 0.1
    assert Row(reconnect_delay=0.2)(failed=failure(2.0)).delay == 0.2


def test_a_callable_gets_attempt_elapsed_and_cause_and_may_stop() -> None:
    seen: list[RetryContext] = []

    def policy(context: RetryContext) -> float | None:
        seen.append(context)
        return 0.0 if context.attempt < 3 else None

    row = Row(reconnect_delay=policy, max_reconnect_attempts=None)
    error = ConnectError("no route")
    decisions = [row(failed=failure(now, error=error)) for now in (100.0, 101.5, 107.0)]
    assert decisions == [Decision(RETRY, 0.0, 1), Decision(RETRY, 0.0, 2), Decision(STOP)]
    assert seen == [
        RetryContext(1, 0.0, error), RetryContext(2, 1.5, error), RetryContext(3, 7.0, error),
    ]  # fmt: skip
    assert row.reports == []


@pytest.mark.parametrize("answer", [ZeroDivisionError(), "soon"])
def test_a_delay_policy_that_breaks_is_reported_and_fails(answer: Any) -> None:
    def policy(_: RetryContext) -> float | None:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    row = Row(reconnect_delay=policy)
    assert row() == Decision(STOP)
    kind = type(answer).__name__ if isinstance(answer, Exception) else "TypeError"
    told = f"the option reconnect_delay raised {kind}; fix that callable"
    assert [str(error) for error in row.reports] == [told]


@pytest.mark.parametrize("policy", [lambda _: float("inf"), lambda _: 1e30, 1e30])
def test_a_wait_ends_at_a_time_that_a_clock_can_show(policy: Any) -> None:
    delay = Row(reconnect_delay=policy)().delay
    assert delay is not None
    assert datetime.fromtimestamp(time.time() + delay, UTC).year > 2050


def test_a_refused_token_is_refreshed_once_and_at_once() -> None:
    row = Row()
    assert row(REFRESH) == Decision(RETRY, 0.0, 1)
    assert row(REFRESH) == Decision(STOP)
    row.retries.reset()
    assert row() == Decision(RETRY, 3.0, 1)
    assert row() == Decision(RETRY, 3.0, 2)
    late = failure(now=9.0)
    assert row(REFRESH, late) == Decision(RETRY, 0.0, 2)  # the attempt's number stays


def test_a_static_token_is_not_asked_for_again() -> None:
    assert Row()(REFRESH, credential="static") == Decision(STOP)


@pytest.mark.parametrize("action", [REFRESH, REVIEW])
def test_a_token_that_was_set_since_the_one_that_is_refused_is_tried_at_once(
    action: Action,
) -> None:
    row = Row(reconnect_delay=3)
    refused = failure(error=LEADS_TO[action])
    for _ in range(3):  # each is another one
        decision = row.retries.decide(refused._replace(now=refused.now + 1), "static", True)
        assert decision._replace(delay=0.0) == Decision(RETRY, 0.0, 1)
        assert decision.delay is not None
        assert decision.delay <= 0.1
    assert row.retries.decide(refused, "none", True) == Decision(RETRY, 3.0, 1)


@pytest.mark.parametrize("action", [REFRESH, REVIEW])
def test_where_no_credential_was_sent_none_was_refused(action: Action) -> None:
    row = Row(max_reconnect_attempts=2, reconnect_delay=3)
    decisions = [row(action, credential="none") for _ in range(3)]
    assert decisions == [Decision(RETRY, 3.0, 1), Decision(RETRY, 3.0, 2), Decision(STOP)]


def test_a_refusal_that_may_be_no_matter_of_the_token_is_retried_after_a_fresh_one() -> None:
    row = Row(max_reconnect_attempts=1, reconnect_delay=3)
    assert row(REVIEW) == Decision(RETRY, 0.0, 1)
    assert row(REVIEW) == Decision(RETRY, 3.0, 1)
    assert row(REVIEW) == Decision(STOP)
    assert Row(reconnect_delay=3)(REVIEW, credential="static") == Decision(RETRY, 3.0, 1)


def test_what_is_final_is_final() -> None:
    assert Row()(STOP) == Decision(STOP)
    bye = failure()._replace(error=ConnectionLost(1000, "bye"))
    assert Row(reconnect_rules={"close 1000": "end"})(failed=bye) == Decision(END)
    assert Row(reconnect_delay=3)(failed=bye) == Decision(RETRY, 3.0, 1)


@pytest.mark.parametrize("action", [RETRY, REFRESH])
def test_without_auto_reconnect_nothing_is_dialled(action: Action) -> None:
    row = Row(auto_reconnect=False)
    assert row(action, failure(opened=True)) == Decision(END)
    assert row(action, failure(opened=False)) == Decision(STOP)


@pytest.mark.parametrize("action", [RETRY, WAIT, REFRESH, REVIEW, STOP])
def test_should_reconnect_overrides_every_class(action: Action) -> None:
    seen: list[CloseInfo] = []

    def always(close: CloseInfo) -> bool:
        seen.append(close)
        return True

    assert Row(should_reconnect=always)(action) == Decision(RETRY, 3.0, 1)
    assert seen == [CLOSE]
    assert Row(should_reconnect=lambda _: False)(action) == Decision(STOP)
    assert Row(should_reconnect=lambda _: None)(action) == Row()(action)


def test_a_should_reconnect_that_raises_is_reported_and_leaves_the_table() -> None:
    def broken(_: CloseInfo) -> bool:
        raise KeyError("secret")

    row = Row(should_reconnect=broken)
    assert row() == Decision(RETRY, 3.0, 1)
    (error,) = row.reports
    assert str(error) == "the option should_reconnect raised KeyError; fix that callable"


@pytest.mark.parametrize("delay", [float("nan"), -1.0])
def test_a_callable_that_returns_no_delay_is_reported_and_stops(delay: float) -> None:
    # Taken as 0 it would dial without end.
    row = Row(reconnect_delay=lambda context: delay, max_reconnect_attempts=None)
    assert row() == Decision(STOP)
    assert len(row.reports) == 1


def test_a_static_token_that_is_none_does_not_get_better() -> None:
    bad = failure(error=TokenError("none"))
    assert Row()(failed=bad, credential="static") == Decision(STOP)
    assert Row()(failed=bad, credential="provider") == Decision(RETRY, 3.0, 1)


def test_a_users_rule_about_protocols_counts_unless_the_protocol_asks_for_another_action() -> None:
    row = Row(reconnect_rules={"protocol": "stop"})
    assert row(failed=failure(error=Refused("no"))) == Decision(STOP)
    assert row(failed=failure(error=Refused("no", "refresh"))) == Decision(RETRY, 0.0, 1)
    assert Row()(failed=failure(error=Refused("no"))) == Decision(RETRY, 3.0, 1)
    assert Row()(failed=failure(error=Refused("no", "stop"))) == Decision(STOP)


# Retry-After


def refused(seconds: float | None, status: int = 503) -> Failure:
    return failure(error=HandshakeRefused(status, seconds))


def test_a_server_is_not_dialled_before_it_asked_for() -> None:
    row = Row(reconnect_delay=3, max_reconnect_attempts=None)
    delays = [row(failed=refused(s)).delay for s in (None, 0.0, 1.0, 20.0, 1e12)]
    assert delays == [3, 3, 3, 20, 300]  # never sooner than our own delay, and bounded
    assert Row(max_retry_after=10)(failed=refused(20)).delay == 10
    assert Row(max_retry_after=0)(failed=refused(20)).delay == 3


def test_should_reconnect_does_not_come_before_the_time_that_the_server_asked_for() -> None:
    row = Row(should_reconnect=lambda _: True, reconnect_rules={"http 503": "retry"})
    assert row(failed=refused(20, 429)).delay == 20
    assert row(failed=refused(20, 503)).delay == 3  # nor does it wait where nothing says `wait`


def test_clients_that_were_sent_away_together_come_back_apart() -> None:
    chance = random.Random(1).random
    delays = set()
    for _ in range(100):
        retries = Retries(StoreOptions(reconnect_delay=0), chance, lambda _: None)
        delays.add(retries.decide(refused(10), "provider").delay)
    assert len(delays) == 100
    assert all(delay is not None and 10 <= delay <= 12 for delay in delays)


def test_only_a_status_that_says_wait_is_waited_for() -> None:
    rules = {"http 404": "wait", "http 503": "retry"}
    assert Row(reconnect_rules=rules)(failed=refused(20, 404)).delay == 20
    assert Row(reconnect_rules=rules)(failed=refused(20, 503)).delay == 3


def test_a_callable_sees_what_the_server_asked_for_and_can_not_be_quicker() -> None:
    seen: list[float | None] = []

    def policy(context: RetryContext) -> float:
        seen.append(context.retry_after)
        return 0.5

    assert Row(reconnect_delay=policy)(failed=refused(20)).delay == 20
    assert Row(reconnect_delay=policy)(failed=refused(None)).delay == 0.5
    assert seen == [20, None]


NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("0", 0.0),
        (" 120 ", 120.0), (str(10**12), 1e12), ("\u0663", None), ("9" * 1_000_000, None),
        ("9" * 100, 1e100), ("9" * 101, None),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0), ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0), ("Sun, 99 Nov 1994 08:50:37 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(text, NOW) == seconds


@given(st.text(max_size=200))
def test_a_retry_after_of_any_text_raises_nothing(text: str) -> None:
    seconds = seconds_to_wait(text, NOW)
    assert seconds is None or seconds >= 0
