"""When to dial again: `Backoff`, and what a refusal or a close means. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from .exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    StoreError,
    TokenError,
)
from .options import CloseInfo, DelayPolicy, RetryContext, StoreOptions

__all__ = [
    "Action",
    "Backoff",
    "Decision",
    "Failure",
    "Retries",
    "classify_close",
    "classify_failure",
    "next_delay",
]

JITTER: Final = 0.2  # share of a constant delay that may be added, so that clients disperse
FLAP_CAP: Final = 30.0  # seconds; bounds the growing delays of an accept-then-close server
FLAP_FLOOR: Final = 0.1  # seconds; they grow from this where the delay is shorter


class Action(Enum):
    """What a failure or a close leads to."""

    RETRY = "retry"  #: dial again after a delay
    REFRESH = "refresh"  #: ask the token provider once more, at once; then fail
    END = "end"  #: the server ended it cleanly: disconnected
    FAIL = "fail"  #: retrying would not help: failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Growing delays with full jitter: `uniform(0, min(cap, initial * factor ** (attempt - 1)))`.

    The cap comes first and the random number after it, so that clients at the cap still disperse.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        initial: bound of the first delay in seconds.
        factor: growth per attempt.
        cap: bound of every delay in seconds.
    """

    initial: float = 0.5
    factor: float = 2.0
    cap: float = 30.0

    def __post_init__(self) -> None:
        bounded = self.initial <= self.cap < float("inf")
        if not (self.initial > 0 and self.factor >= 1 and bounded):
            raise ConfigurationError(
                "Backoff needs initial > 0, factor >= 1 and a finite cap >= initial"
            )

    def bound(self, attempt: int) -> float:
        """Return the longest delay before an attempt (1 is the first), in seconds."""
        try:
            return min(self.cap, self.initial * self.factor ** (attempt - 1))
        except OverflowError:
            return self.cap

    def __call__(self, context: RetryContext) -> float:
        """Return the seconds until the next attempt, as any `reconnect_delay` callable."""
        return random.random() * self.bound(context.attempt)


def next_delay(
    policy: float | DelayPolicy | Backoff,
    context: RetryContext,
    flaps: int,
    chance: Callable[[], float],
) -> float | None:
    """Return the seconds until the next attempt, or None to stop.

    Args:
        policy: the option `reconnect_delay`.
        context: what the policy decides by.
        flaps: connections in a row that opened and closed before they were stable. They make
            constant delays grow, so that an accept-then-close server meets no storm.
        chance: returns a float in [0, 1).
    """
    if isinstance(policy, Backoff):
        return chance() * policy.bound(context.attempt)
    if callable(policy):
        return policy(context)
    delay = policy
    if flaps > 1:
        grown = max(policy, FLAP_FLOOR) * 2.0 ** min(flaps - 1, 30)
        delay = max(policy, min(FLAP_CAP, grown))
    return delay * (1 + JITTER * chance())


def classify_failure(error: Exception) -> Action:
    """Tell what an attempt that failed leads to.

    401 and 403 are refusals of the token; 408, 425, 429 and 5xx pass with time (RFC 9110
    section 15); other statuses, certificates and options do not get better by themselves.
    """
    match error:
        case HandshakeRefused(http_status=401 | 403):
            return Action.REFRESH
        case HandshakeRefused(http_status=status):
            return Action.RETRY if status in (408, 425, 429) or status >= 500 else Action.FAIL
        case CertificateError() | ConfigurationError():
            return Action.FAIL
        case ConnectTimeout() | TokenError() | ConnectError():
            return Action.RETRY
        case _:
            return Action.FAIL


def classify_close(close: CloseInfo) -> Action:
    """Tell what the end of an established connection leads to (codes: RFC 6455 section 7.4).

    1000 from the server is final; 1008, 4401 and 4403 refuse the token. Everything else is
    retried, and stops after `max_reconnect_attempts` because a connection that does not last
    never resets the count: so also for 1002, 1003, 1007, 1009 and 1010, which one side's
    defect would otherwise repeat for ever.
    """
    if close.code == 1000 and close.who == "server":
        return Action.END
    if close.code in (1008, 4401, 4403) and close.who == "server":
        return Action.REFRESH
    return Action.RETRY


class Failure(NamedTuple):
    """One failure to heal.

    Attributes:
        close: how the connection or the attempt ended.
        error: the same as an error.
        now: monotonic time in seconds.
        opened: whether a connection had been open.
    """

    close: CloseInfo
    error: Exception
    now: float
    opened: bool


class Decision(NamedTuple):
    """What comes after a failure.

    Attributes:
        action: `RETRY`, `END` or `FAIL`.
        delay: seconds until the next attempt, None without one.
        attempt: number of that attempt.
    """

    action: Action
    delay: float | None = None
    attempt: int = 0


class Retries:
    """Failures in a row, and what each leads to. Pure but for its counts.

    Args:
        options: the store's.
        chance: returns a float in [0, 1).
        report: takes the error of an option's callable that raised.
    """

    def __init__(
        self,
        options: StoreOptions,
        chance: Callable[[], float],
        report: Callable[[StoreError], None],
    ) -> None:
        self._options = options
        self._chance = chance
        self._report = report
        self.reset()

    def reset(self) -> None:
        """Forget the row: the connection has been stable, or the user asked for a new start."""
        self._failures = 0
        self._flaps = 0
        self._since = 0.0
        self._refreshed = False

    def decide(self, action: Action, failure: Failure, can_refresh: bool) -> Decision:
        """Turn the table's action into what happens.

        Args:
            action: what `classify_close` or `classify_failure` says.
            failure: what befell.
            can_refresh: whether the token comes from a provider; a static one would only be
                refused again.
        """
        wanted = self._ask(failure.close)
        if wanted is not None:
            action = Action.RETRY if wanted else Action.FAIL
        if action is not Action.RETRY and action is not Action.REFRESH:
            return Decision(action)
        if not self._options.auto_reconnect:
            return Decision(Action.END if failure.opened else Action.FAIL)
        if action is Action.REFRESH:
            return self._refresh(can_refresh)
        return self._again(failure)

    def _ask(self, close: CloseInfo) -> bool | None:
        predicate = self._options.should_reconnect
        try:
            return None if predicate is None else predicate(close)
        except Exception as raised:
            self._report(_broken("should_reconnect", raised))
            return None

    def _refresh(self, can_refresh: bool) -> Decision:
        if not can_refresh or self._refreshed:
            return Decision(Action.FAIL)
        self._refreshed = True
        return Decision(Action.RETRY, 0.0, max(1, self._failures))

    def _again(self, failure: Failure) -> Decision:
        self._since = self._since if self._failures else failure.now
        self._failures += 1
        self._flaps = self._flaps + 1 if failure.opened else 0
        limit = self._options.max_reconnect_attempts
        delay = None
        if limit is None or self._failures <= limit:
            delay = self._delay(failure)
        if delay is None:
            return Decision(Action.FAIL)
        return Decision(Action.RETRY, delay, self._failures)

    def _delay(self, failure: Failure) -> float | None:
        context = RetryContext(self._failures, failure.now - self._since, failure.error)
        policy = self._options.reconnect_delay
        try:
            delay = next_delay(policy, context, self._flaps, self._chance)
            if delay is not None and not delay >= 0:  # NaN too: it would dial without end
                raise ValueError(delay)
            return None if delay is None else float(delay)
        except Exception as raised:
            self._report(_broken("reconnect_delay", raised))
            return None


def _broken(option: str, raised: Exception) -> StoreError:
    return StoreError(f"the option {option} raised {type(raised).__name__}; mend that callable")
