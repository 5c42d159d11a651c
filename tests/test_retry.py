"""When to dial again: delays, tables, and failures in a row."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HandshakeRefused,
    InsecureToken,
    InvalidEndpoint,
    StoreError,
    TokenError,
)
from heimdall_reactive.options import CloseInfo, RetryContext, StoreOptions
from heimdall_reactive.retry import (
    FLAP_CAP,
    Action,
    Backoff,
    Decision,
    Failure,
    Retries,
    classify_close,
    classify_failure,
    next_delay,
)

CONTEXT = RetryContext(1, 0.0, None)
ALMOST_1 = 1 - 2**-53
RETRY, REFRESH, END, FAIL = Action.RETRY, Action.REFRESH, Action.END, Action.FAIL


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


# Tables


@pytest.mark.parametrize(
    ("statuses", "action"),
    [
        ((401, 403), REFRESH),
        ((408, 425, 429, 500, 502, 503, 504, 599), RETRY),
        ((200, 302, 400, 404, 405, 407, 410, 418, 421, 426, 451), FAIL),
    ],
)
def test_the_status_of_a_refused_upgrade_decides(statuses: tuple[int, ...], action: Action) -> None:
    assert {classify_failure(HandshakeRefused(status)) for status in statuses} == {action}


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (CertificateError("certificate"), FAIL),
        (InvalidEndpoint("url"), FAIL),
        (InsecureToken("token"), FAIL),
        (ConfigurationError("option"), FAIL),
        (ConnectTimeout("slow"), RETRY),
        (ConnectError("refused"), RETRY),
        (TokenError("provider"), RETRY),
        (RuntimeError("a defect"), FAIL),
    ],
)
def test_the_error_of_an_attempt_decides(error: Exception, action: Action) -> None:
    assert classify_failure(error) is action


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ((1000,), END),
        ((1001, 1005, 1006, 1011, 1012, 1013, 1014), RETRY),
        ((1008, 4401, 4403), REFRESH),
        ((3000, 4000, 4999), RETRY),
    ],
)
def test_the_close_code_of_the_server_decides(codes: tuple[int, ...], action: Action) -> None:
    assert {classify_close(CloseInfo(code, "", "server")) for code in codes} == {action}


@pytest.mark.parametrize("code", [1000, 1006, 1008])
def test_a_socket_that_just_ended_is_retried(code: int) -> None:
    assert classify_close(CloseInfo(code, "", "network")) is RETRY


# Failures in a row

LOST = ConnectionLost(1006, "lost")
CLOSE = CloseInfo(1006, "lost")


def failure(now: float = 0.0, opened: bool = False, error: Exception = LOST) -> Failure:
    return Failure(CLOSE, error, now, opened)


class Row:
    """`Retries` without jitter, and what it reported."""

    def __init__(self, **options: Any) -> None:
        self.reports: list[StoreError] = []
        self.retries = Retries(StoreOptions(**options), lambda: 0.0, self.reports.append)

    def __call__(
        self, action: Action = RETRY, failed: Failure | None = None, can_refresh: bool = True
    ) -> Decision:
        return self.retries.decide(action, failed or failure(), can_refresh)


def test_failures_are_counted_up_to_the_limit() -> None:
    row = Row(max_reconnect_attempts=2, reconnect_delay=3)
    assert [row() for _ in range(3)] == [
        Decision(RETRY, 3, 1), Decision(RETRY, 3, 2), Decision(FAIL),
    ]  # fmt: skip
    row.retries.reset()
    assert row() == Decision(RETRY, 3, 1)


def test_no_attempt_is_made_where_none_is_allowed_and_all_where_there_is_no_limit() -> None:
    assert Row(max_reconnect_attempts=0)() == Decision(FAIL)
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


def test_a_callable_gets_attempt_elapsed_and_cause_and_may_stop() -> None:
    seen: list[RetryContext] = []

    def policy(context: RetryContext) -> float | None:
        seen.append(context)
        return 0.0 if context.attempt < 3 else None

    row = Row(reconnect_delay=policy, max_reconnect_attempts=None)
    error = OSError()
    decisions = [row(failed=failure(now, error=error)) for now in (100.0, 101.5, 107.0)]
    assert decisions == [Decision(RETRY, 0.0, 1), Decision(RETRY, 0.0, 2), Decision(FAIL)]
    assert seen == [
        RetryContext(1, 0.0, error), RetryContext(2, 1.5, error), RetryContext(3, 7.0, error),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [ZeroDivisionError(), "soon"])
def test_a_delay_policy_that_breaks_is_reported_and_fails(answer: Any) -> None:
    def policy(_: RetryContext) -> float | None:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    row = Row(reconnect_delay=policy)
    assert row() == Decision(FAIL)
    assert ["reconnect_delay raised" in str(error) for error in row.reports] == [True]


def test_a_refused_token_is_refreshed_once_and_at_once() -> None:
    row = Row()
    assert row(REFRESH) == Decision(RETRY, 0.0, 1)
    assert row(REFRESH) == Decision(FAIL)
    row.retries.reset()
    assert row() == Decision(RETRY, 3.0, 1)
    assert row() == Decision(RETRY, 3.0, 2)
    assert row(REFRESH) == Decision(RETRY, 0.0, 2)  # the attempt's number stays


def test_a_static_token_is_not_asked_for_again() -> None:
    assert Row()(REFRESH, can_refresh=False) == Decision(FAIL)


@pytest.mark.parametrize("action", [END, FAIL])
def test_what_is_final_is_final(action: Action) -> None:
    assert Row()(action) == Decision(action)


@pytest.mark.parametrize("action", [RETRY, REFRESH])
def test_without_auto_reconnect_nothing_is_dialled(action: Action) -> None:
    row = Row(auto_reconnect=False)
    assert row(action, failure(opened=True)) == Decision(END)
    assert row(action, failure(opened=False)) == Decision(FAIL)


@pytest.mark.parametrize("action", Action)
def test_should_reconnect_overrides_every_class(action: Action) -> None:
    seen: list[CloseInfo] = []

    def always(close: CloseInfo) -> bool:
        seen.append(close)
        return True

    assert Row(should_reconnect=always)(action) == Decision(RETRY, 3.0, 1)
    assert seen == [CLOSE]
    assert Row(should_reconnect=lambda _: False)(action) == Decision(FAIL)
    assert Row(should_reconnect=lambda _: None)(action) == Row()(action)


def test_a_should_reconnect_that_raises_is_reported_and_leaves_the_table() -> None:
    def broken(_: CloseInfo) -> bool:
        raise KeyError("secret")

    row = Row(should_reconnect=broken)
    assert row() == Decision(RETRY, 3.0, 1)
    (error,) = row.reports
    assert str(error) == "the option should_reconnect raised KeyError; mend that callable"


@pytest.mark.parametrize("delay", [float("nan"), -1.0])
def test_a_callable_that_returns_no_delay_is_reported_and_stops(delay: float) -> None:
    # Taken as 0 it would dial without end.
    row = Row(reconnect_delay=lambda context: delay, max_reconnect_attempts=None)
    assert row() == Decision(FAIL)
    assert len(row.reports) == 1
