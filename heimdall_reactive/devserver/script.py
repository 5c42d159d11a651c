"""The script language: what the server does to its clients, and when.

A script is a list of steps, separated by `;` or line ends; `#` starts a comment that runs to the
end of the line. A step is a time in seconds from the start, a command and its arguments::

    2   drop              # abort every connection
    4.5 refuse 503 2      # answer the next two upgrades with HTTP 503
    6   ban demo; 8 restart 0.5

========  ================================  ==========================================
command   arguments (optional in brackets)  meaning
========  ================================  ==========================================
ban       [user]                            ban a user and close the connections
revoke    [user]                            revoke a user's tokens and close
forgive   [user]                            undo a ban
drop      [close code]                      close all, or abort them where no code is given
refuse    [status] [times] [retry after]    refuse the next upgrades
stall     seconds                           neither read nor write for so long
restart   [downtime]                        stop listening for so many seconds
fire      type [user]                       send one of the nine server messages
========  ================================  ==========================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from heimdall_reactive.base.exceptions import ConfigurationError

from .builders import KINDS

__all__ = [
    "ScriptStep",
    "parse_command",
    "parse_script",
    "valid_close_code",
    "valid_seconds",
    "valid_status",
    "valid_times",
]

Argument = str | int | float

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"[0-9]{1,9}")
# What an endpoint may put in a close frame (RFC 6455 section 7.4); 1005, 1006, 1015 never travel.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_STATUSES = frozenset(int(status) for status in HTTPStatus if status >= 300)
_LONGEST = 86_400.0


@dataclass(frozen=True)
class ScriptStep:
    """One step of a script.

    Attributes:
        at: seconds from the start of the script.
        command: name of the command.
        args: its arguments, converted.
    """

    at: float
    command: str
    args: tuple[Argument, ...] = ()


def valid_seconds(value: float) -> float:
    """Return `value` as seconds.

    Raises:
        ConfigurationError: if it is negative, not finite, or more than a day.
    """
    seconds = float(value)
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST:
        raise ConfigurationError(f"{value!r} is not a duration; use seconds from 0 to 86400")
    return seconds


def valid_close_code(value: int) -> int:
    """Return `value` if it may stand in a close frame.

    Raises:
        ConfigurationError: if it may not.
    """
    if value not in _CLOSE_CODES and not 3000 <= value <= 4999:
        raise ConfigurationError(
            f"{value!r} is not a close code that can be sent; use 1000 to 1003, 1007 to 1014, "
            "or 3000 to 4999"
        )
    return value


def valid_status(value: int) -> HTTPStatus:
    """Return `value` as an HTTP status that refuses.

    Raises:
        ConfigurationError: if it is unknown, or lower than 300.
    """
    if value not in _STATUSES:
        raise ConfigurationError(
            f"{value!r} is not an HTTP status that refuses; use 503, for example"
        )
    return HTTPStatus(value)


def valid_times(value: int) -> int:
    """Return `value` if it is one or more.

    Raises:
        ConfigurationError: if it is not.
    """
    if value < 1:
        raise ConfigurationError(f"{value!r} is not a number of times; use 1 or more")
    return value


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ConfigurationError(f"{text!r} is not a whole number")
    return int(text)


def _seconds(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ConfigurationError(f"{text!r} is not a number of seconds; write 2 or 4.5")
    return valid_seconds(float(text))


def _user(text: str) -> str:
    return text


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ConfigurationError(f"{text!r} is not a server message; use one of {', '.join(KINDS)}")
    return text


@dataclass(frozen=True)
class _Command:
    readers: tuple[Callable[[str], Argument], ...] = ()
    required: int = 0


_COMMANDS = {
    "ban": _Command((_user,)),
    "revoke": _Command((_user,)),
    "forgive": _Command((_user,)),
    "drop": _Command((lambda text: valid_close_code(_integer(text)),)),
    "refuse": _Command(
        (
            lambda text: int(valid_status(_integer(text))),
            lambda text: valid_times(_integer(text)),
            _integer,
        )
    ),
    "stall": _Command((_seconds,), required=1),
    "restart": _Command((_seconds,)),
    "fire": _Command((_kind, _user), required=1),
}


def parse_command(line: str) -> tuple[str, tuple[Argument, ...]]:
    """Read one command without a time, such as `refuse 503 2`.

    Returns:
        The command's name and its converted arguments.

    Raises:
        ConfigurationError: if the command or an argument is unknown, missing or too much.
    """
    name, *words = line.split() or [""]
    command = _COMMANDS.get(name)
    if command is None:
        raise ConfigurationError(f"unknown command {name!r}; use one of {', '.join(_COMMANDS)}")
    if not command.required <= len(words) <= len(command.readers):
        raise ConfigurationError(
            f"{name!r} takes {command.required} to {len(command.readers)} arguments, "
            f"not {len(words)}"
        )
    try:
        return name, tuple(read(word) for read, word in zip(command.readers, words, strict=False))
    except ConfigurationError as error:
        raise ConfigurationError(f"{name!r}: {error}") from None


def parse_script(text: str) -> list[ScriptStep]:
    """Read a script; the module's docstring has the language.

    Returns:
        The steps, in the order in which they are written.

    Raises:
        ConfigurationError: naming the line and what is wrong with it.
    """
    lines = enumerate(text.split("\n"), start=1)
    parts = (
        (part.strip(), number)
        for number, line in lines
        for part in line.partition("#")[0].split(";")
    )
    return [_step(part, number) for part, number in parts if part]


def _step(text: str, number: int) -> ScriptStep:
    at, *rest = text.split(maxsplit=1)
    try:
        return ScriptStep(_seconds(at), *parse_command("".join(rest)))
    except ConfigurationError as error:
        raise ConfigurationError(f"script line {number}, {text!r}: {error}") from None
