"""What options of the command line are read as; what does not fit is wrong usage."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.devserver import ScriptStep, parse_script

__all__ = [
    "count",
    "header",
    "login",
    "pause",
    "port",
    "reconnects",
    "script",
    "seconds",
    "speed",
    "wait",
]


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    return _number(text, "not a number of seconds above 0")


def speed(text: str) -> float:
    """Read a factor above 0."""
    return _number(text, "not a speed; use a number above 0, such as 2")


def pause(text: str) -> float:
    """Read a number of seconds, 0 included."""
    return 0.0 if text == "0" else _number(text, "not a number of seconds of 0 or more")


def wait(text: str) -> float | None:
    """Read a number of seconds, 0 included; `forever` is None."""
    return None if text == "forever" else pause(text)


def _number(text: str, complaint: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (math.isfinite(number) and 0 < number <= 1e6):
        raise argparse.ArgumentTypeError(f"{text!r} is {complaint}")
    return number


def count(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isdecimal() and text.isascii() and int(text[:9]) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text[:9])


def reconnects(text: str) -> int | str:
    """Read a number of attempts, 0 included; `forever` stays as it is."""
    if text not in ("0", "forever"):
        return count(text)
    return 0 if text == "0" else text


def port(text: str) -> int:
    """Read a port, 0 included."""
    if not (text.isdecimal() and text.isascii() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; use 0 to 65535")
    return int(text)


def header(text: str) -> tuple[str, str]:
    """Read the name and the value of a header; an error shows neither, for one may be secret."""
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise argparse.ArgumentTypeError("a header is written 'NAME: VALUE', such as 'X-Key: 42'")
    return name.strip(), value.strip()


def login(text: str) -> str:
    """Read a user and a password; an error shows neither."""
    if ":" not in text:
        raise argparse.ArgumentTypeError("a login is written USER:PASSWORD")
    return text


def script(text: str) -> list[ScriptStep]:
    """Read the steps of a development server, or `@` and the name of their file."""
    try:
        return parse_script(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise argparse.ArgumentTypeError(f"cannot read {text[1:]!r}: {why}") from None
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
