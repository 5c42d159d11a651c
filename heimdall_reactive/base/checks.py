"""What the values of options are checked by."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .exceptions import ConfigurationError
from .headers import TOKEN

__all__ = [
    "Check", "check_close", "check_function", "check_timeout", "instance", "is_async",
    "is_close_code", "is_count", "is_duration", "is_names", "is_number", "is_place", "is_rate",
    "is_sync", "is_text", "one_of", "optional", "suggested", "too_long",
]  # fmt: skip

Check: TypeAlias = Callable[[Any], bool]

# What other libraries call these.
ELSEWHERE: Final = {
    "extra_headers": "additional_headers", "header": "additional_headers",
    "headers": "additional_headers", "on_message": "store.messages.subscribe",
    "protocols": "subprotocols", "reconnect": "auto_reconnect",
    "retries": "max_reconnect_attempts", "ssl_context": "ssl", "sslopt": "ssl",
    "timeout": "open_timeout", "token": "access_token",
}  # fmt: skip

# Seconds above which a duration was probably meant in milliseconds. A quarter of an hour is
# more than anybody waits for a peer. Routers and proxies forget a silent connection before an hour
# has passed, and RFC 8305 section 8 allows two seconds between two addresses.
LONGEST: Final[Mapping[str, float]] = {
    "token_timeout": 900, "open_timeout": 900, "close_timeout": 900, "share_linger": 900,
    "reconnect_delay": 900, "reconnect_delay.initial": 900, "reconnect_delay.cap": 3600,
    "ping_interval": 3600, "ping_timeout": 3600, "heartbeat.interval": 3600,
    "heartbeat.timeout": 3600, "stable_after": 3600, "max_retry_after": 86400,
    "happy_eyeballs_delay": 60,
}  # fmt: skip


def is_number(value: Any) -> bool:
    """Return whether a value is a number of 0 or more; NaN is none."""
    return isinstance(value, (int, float)) and value >= 0


def is_duration(value: Any) -> bool:
    """Return whether a value is a number above 0; NaN is none."""
    return is_number(value) and value > 0


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_rate(value: Any) -> bool:
    """Return whether a value is a number of sends of 1 or more, and seconds above 0."""
    if not (isinstance(value, tuple) and len(value) == 2):
        return False
    return isinstance(value[0], int) and value[0] >= 1 and is_duration(value[1])


def is_place(value: Any) -> bool:
    """Return whether a value is a host and a port."""
    if not (isinstance(value, tuple) and len(value) == 2):
        return False
    return isinstance(value[0], str) and isinstance(value[1], int)


def is_names(value: Any) -> bool:
    """Return whether a value is a sequence of subprotocols (RFC 6455 section 4.1)."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return False
    return all(isinstance(name, str) and TOKEN.fullmatch(name) for name in value)


def is_async(value: Any) -> bool:
    """Return whether a value is a coroutine function, or an object with an async `__call__`."""
    calls = (value, getattr(value, "__call__", None))  # noqa: B004 - its own is what counts
    return any(map(inspect.iscoroutinefunction, calls))


def is_sync(value: Any) -> bool:
    """Return whether a value is a function whose result counts as it is: not async, no class."""
    return callable(value) and not isinstance(value, type) and not is_async(value)


def is_close_code(code: object) -> bool:
    """Return whether a program may close with a code (RFC 6455 section 7.4)."""
    return isinstance(code, int) and (code == 1000 or 3000 <= code <= 4999)


def is_text(value: Any) -> bool:
    """Return whether a value is a text without control characters."""
    return isinstance(value, str) and value.isprintable()


def instance(*kinds: type) -> Check:
    """Return what checks for instances."""
    return lambda value: isinstance(value, kinds)


def one_of(*values: object) -> Check:
    """Return what checks for values."""
    return lambda value: any(type(value) is type(each) and value == each for each in values)


def optional(holds: Check) -> Check:
    """Return what lets None pass, too."""
    return lambda value: value is None or holds(value)


def suggested(name: str, known: list[str]) -> str:
    """Return an unknown name, and the known one that was probably meant."""
    from difflib import get_close_matches  # for a mistake only

    snake = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    meant = [ELSEWHERE[snake]] if snake in ELSEWHERE else get_close_matches(snake, known, 1)
    return f"{name} (did you mean {meant[0]}?)" if meant else name


def too_long(options: object) -> Iterator[tuple[str, float, str]]:
    """Return the durations that were probably meant in milliseconds.

    They are allowed; `float("inf")` is meant as it is.

    Args:
        options: has them as attributes.

    Returns:
        Name, seconds and a hint for each.
    """
    for name, longest in LONGEST.items():
        value: Any = options
        for part in name.split("."):
            value = getattr(value, part, None)
        if is_number(value) and longest < value < float("inf"):
            hint = (
                f"{name}={value} means {_in_words(value)}, as durations are in seconds; "
                f"{value} ms would be {name}={value / 1000:g}"
            )
            yield name, value, hint


def _in_words(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} seconds"


def check_function(function: object, wanted: str) -> None:
    """Refuse what cannot be called, and what is async where nobody would await it.

    Args:
        function: what a caller has passed.
        wanted: who takes what, such as `select() takes a function of the state`.

    Raises:
        TypeError: it is not a plain function.
    """
    if not callable(function):
        raise TypeError(f"{wanted}, not {function!r}")
    if inspect.iscoroutinefunction(function):
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{wanted}; {name} is async, and nobody would await it")


def check_close(code: object, reason: object) -> None:
    """Refuse what no program may close a session with.

    Raises:
        ConfigurationError: a code that only a library may send (RFC 6455 section 7.4), or a
            reason that is not a str.
    """
    if not is_close_code(code):
        raise ConfigurationError(f"reconnect() sends 1000 or 3000 to 4999, not {code!r}")
    if not isinstance(reason, str):
        raise ConfigurationError(f"reconnect() sends a reason that is a str, not {reason!r}")


def check_timeout(seconds: object) -> None:
    """Refuse what is not a length of time.

    Raises:
        ConfigurationError: it is neither None nor a number of 0 or more.
    """
    if seconds is not None and not is_number(seconds):
        raise ConfigurationError(f"timeout must be 0 seconds or more, or None, not {seconds!r}")
