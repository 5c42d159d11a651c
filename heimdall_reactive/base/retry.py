"""When to reconnect: `Backoff`, and what follows a failure. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from .exceptions import ConfigurationError, StoreError
from .options import CloseInfo, DelayPolicy, RetryContext, StoreOptions
from .rules import Action, Rules

__all__ = [
    "Backoff",
    "Credential",
    "Decision",
    "Failure",
    "Retries",
    "next_delay",
    "seconds_to_wait",
]

Credential: TypeAlias = Literal["none", "static", "provider"]

MAX_HEADER: Final = 100  # characters; a date has 29
JITTER: Final = 0.2  # share of a constant delay that may be added, so that clients disperse
FLAP_CAP: Final = 30.0  # seconds; bounds the growing delays of an accept-then-close server
FLAP_FLOOR: Final = 0.1  # seconds; they grow from this where the delay is shorter
LONGEST: Final = 1e9  # seconds, 30 years; the end of a longer wait is on no clock
SPACING: Final = 0.1  # seconds between two attempts that a store makes by itself


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


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """Read a `Retry-After` header (RFC 9110 section 10.2.3): seconds or a date.

    Args:
        retry_after: its text, which the server chose.
        now: seconds since the epoch, by the server's clock where that is known.

    Returns:
        Seconds of 0 or more; None without a header that makes sense.
    """
    text = (retry_after or "").strip()
    if len(text) > MAX_HEADER:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


class Failure(NamedTuple):
    """One failure to reconnect.

    Attributes:
        close: how the connection or the attempt ended.
        error: the same as an error; its `cause` is looked up in the rules.
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
        action: `RETRY`, `END` or `STOP`.
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
        self._rules = Rules(options.reconnect_rules)
        self._chance = chance
        self._report = report
        self._planned = -math.inf  # when the attempt of the last decision begins; never reset
        self.reset()

    def reset(self) -> None:
        """Forget the row: the connection has been stable, or the user asked for a new start."""
        self._failures = 0
        self._flaps = 0
        self._since = 0.0
        self._refreshed = False

    def decide(self, failure: Failure, credential: Credential, renewed: bool = False) -> Decision:
        """Turn the rules' action into what happens.

        Args:
            failure: what happened.
            credential: what is sent. A provider is asked again, and a static one would only
                be refused again; where none is sent, none was refused.
            renewed: it has taken the place of what was refused, and was never sent.
        """
        if renewed and credential != "none":
            self._refreshed, credential = False, "provider"
        decision = self._decide(failure, credential)
        if decision.delay is None:
            return decision
        return decision._replace(delay=self._spaced(decision.delay, failure.now))

    def _spaced(self, delay: float, now: float) -> float:
        """Return a delay that makes no storm of attempts, whatever the policy says."""
        # `connect()` may have come before the attempt that was planned: nothing is owed to that.
        least = min(SPACING, self._planned + SPACING - now)
        if delay < least:
            delay = least * (1 + JITTER * self._chance())
        self._planned = now + delay
        return delay

    def _decide(self, failure: Failure, credential: Credential) -> Decision:
        action = self._look_up(failure, credential == "provider")
        if action in (Action.REFRESH, Action.REVIEW) and credential == "none":
            action = Action.RETRY
        if action is Action.END or action is Action.STOP:
            return Decision(action)
        if not self._options.auto_reconnect:
            return Decision(Action.END if failure.opened else Action.STOP)
        if action in (Action.REFRESH, Action.REVIEW):
            if credential == "provider" and not self._refreshed:
                self._refreshed = True
                return Decision(Action.RETRY, 0.0, max(1, self._failures))
            if action is Action.REFRESH:
                return Decision(Action.STOP)
            action = Action.RETRY
        return self._again(failure, action)

    def _look_up(self, failure: Failure, can_refresh: bool) -> Action:
        wanted = self._ask(failure.close)
        cause = getattr(failure.error, "cause", "")
        action = self._rules.action(cause)
        wish = getattr(failure.error, "action", "retry")  # what a `Refused` asks for
        if cause == "protocol" and wish != "retry":
            action = Action(wish)
        if wanted is None:
            # A static token that is none does not get better.
            return Action.STOP if cause == "token" and not can_refresh else action
        if not wanted:
            return Action.STOP
        return Action.WAIT if action is Action.WAIT else Action.RETRY

    def _ask(self, close: CloseInfo) -> bool | None:
        predicate = self._options.should_reconnect
        try:
            return None if predicate is None else predicate(close)
        except Exception as raised:
            self._report(_broken("should_reconnect", raised))
            return None

    def _again(self, failure: Failure, action: Action) -> Decision:
        self._since = self._since if self._failures else failure.now
        self._failures += 1
        self._flaps = self._flaps + 1 if failure.opened else 0
        limit = self._options.max_reconnect_attempts
        delay = None
        if limit is None or self._failures <= limit:
            delay = self._delay(failure, action is Action.WAIT)
        if delay is None:
            return Decision(Action.STOP)
        return Decision(Action.RETRY, delay, self._failures)

    def _delay(self, failure: Failure, obliging: bool) -> float | None:
        error, elapsed = failure.error, failure.now - self._since
        asked: float | None = getattr(error, "retry_after", None) if obliging else None
        context = RetryContext(self._failures, elapsed, error, asked)
        policy = self._options.reconnect_delay
        try:
            delay = next_delay(policy, context, self._flaps, self._chance)
            if delay is not None and not delay >= 0:  # NaN too: it would dial without end
                raise ValueError(delay)
            if delay is None:
                return None
            return min(max(float(delay), self._asked_for(asked or 0.0)), LONGEST)
        except Exception as raised:
            self._report(_broken("reconnect_delay", raised))
            return None

    def _asked_for(self, seconds: float) -> float:
        # Longer, never shorter than asked for: clients that are sent away together come back
        # spread over time.
        return min(seconds, self._options.max_retry_after) * (1 + JITTER * self._chance())


def _broken(option: str, raised: Exception) -> StoreError:
    return StoreError(f"the option {option} raised {type(raised).__name__}; fix that callable")
