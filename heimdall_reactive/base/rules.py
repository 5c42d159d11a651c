"""The table that decides what a refusal, a failure or a close leads to. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from .exceptions import ConfigurationError

__all__ = ["DEFAULT_RULES", "Action", "Rules"]


class Action(StrEnum):
    """What a failure or a close leads to."""

    RETRY = "retry"  #: reconnect after `reconnect_delay`
    WAIT = "wait"  #: as `retry`, and not before the server's `Retry-After`
    REFRESH = "refresh"  #: ask the token provider again, at once; then `stop`
    REVIEW = "review"  #: as `refresh`, then `retry`: it may be no matter of the token
    END = "end"  #: the server ended it cleanly: `disconnected`
    STOP = "stop"  #: retrying would not help: `failed`


DEFAULT_RULES: Final[Mapping[str, Action]] = {
    # Close codes (RFC 6455 section 7.4; registry of IANA). 1000 too: common servers close with it
    # when they restart.
    "close 1008": Action.REFRESH,
    "close 4401": Action.REFRESH,
    "close 4403": Action.REFRESH,
    "close 0-4999": Action.RETRY,
    # HTTP status of a refused upgrade (RFC 9110 section 15; 425: RFC 8470; 429: RFC 6585).
    "http 401": Action.REFRESH,
    "http 403": Action.REVIEW,
    "http 408": Action.WAIT,
    "http 425": Action.WAIT,
    "http 429": Action.WAIT,
    "http 500-599": Action.WAIT,
    "http 100-499": Action.STOP,
    # What happened to the attempt before there was an answer.
    "refused": Action.RETRY,
    "reset": Action.RETRY,
    "unreachable": Action.RETRY,
    "unresolved": Action.RETRY,
    "timeout": Action.RETRY,
    "proxy": Action.RETRY,
    "token": Action.RETRY,
    "headers": Action.RETRY,
    "protocol": Action.RETRY,
    # What does not get better by itself.
    "tls": Action.STOP,
    "certificate": Action.STOP,
    "handshake": Action.STOP,
    "redirect": Action.STOP,
    "insecure": Action.STOP,
    "endpoint": Action.STOP,
    "options": Action.STOP,
    "session": Action.STOP,
}
"""Cause to action; `docs/reliability.md` shows the same table with the reasons.

`refresh` and `review` are for connections with a credential; without one they are `retry`. Common
servers answer 403 to an unknown path and to a handler that raised, too.

The codes 1002, 1003, 1007, 1009 and 1010 point to a defect on one side, which a new connection may
meet again. They are retried, but not blindly: a connection that is lost before it is stable makes
the delays grow, and counts towards `max_reconnect_attempts`.
"""

CAUSE: Final = re.compile(r"(close|http) (\d{1,4})(?:-(\d{1,4}))?")


class _Rule(NamedTuple):
    kind: str
    low: int
    high: int
    action: Action


class Rules:
    """The default table, with a user's rules before it.

    Args:
        own: cause to action, as in `DEFAULT_RULES`: a word, or `close` or `http` with a number
            or a range such as `4000-4099`. The narrowest range counts, in any order; a rule of
            the user's own counts before every default.

    Raises:
        ConfigurationError: a cause or an action that does not exist.
    """

    def __init__(self, own: Mapping[str, Action | str] | None = None) -> None:
        self._rules = (*_sorted(own), *_defaults()) if own else _defaults()

    def action(self, cause: str) -> Action:
        """Return what a cause leads to.

        Args:
            cause: one number where there is one, as in `close 1006`. What nobody knows stops.
        """
        kind, _, number = cause.partition(" ")
        value = int(number) if number.isdigit() else 0
        for rule in self._rules:
            if rule.kind == kind and rule.low <= value <= rule.high:
                return rule.action
        return Action.STOP


@cache
def _defaults() -> tuple[_Rule, ...]:
    # Once a process: they are most of what a store of its own would hold.
    return tuple(_sorted(DEFAULT_RULES))


def _sorted(table: Mapping[str, Action | str]) -> list[_Rule]:
    rules = [_parse(cause, action) for cause, action in table.items()]
    return sorted(rules, key=lambda rule: rule.high - rule.low)


def _parse(cause: str, action: Action | str) -> _Rule:
    if action not in Action.__members__.values():
        raise ConfigurationError(
            f"reconnect_rules[{cause!r}] must be {', '.join(Action)}, not {action!r}"
        )
    found = CAUSE.fullmatch(cause) if isinstance(cause, str) else None
    if found is not None:
        low, high = int(found[2]), int(found[3] or found[2])
        if low <= high:
            return _Rule(found[1], low, high, Action(action))
    elif cause in DEFAULT_RULES:
        return _Rule(cause, 0, 0, Action(action))
    words = ", ".join(word for word in DEFAULT_RULES if " " not in word)
    raise ConfigurationError(
        f"reconnect_rules: {cause!r} is not a cause; say 'close 4000-4099', 'http 503', or {words}"
    )
