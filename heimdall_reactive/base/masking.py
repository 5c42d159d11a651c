"""What may be shown: texts of the wire without secrets, errors without their frames."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import PurePath
from typing import Final, TypeVar
from urllib.parse import quote

from .exceptions import HeimdallError, one_line
from .hidden import Hidden

__all__ = ["LEAST", "STARS", "WINDOW", "Mask", "bare", "told"]

E = TypeVar("E", bound=BaseException)

WINDOW: Final = 8  # characters in a row that give a secret away; a shorter one counts as a whole
LEAST: Final = 4  # characters; what is shorter would mask words
STARS: Final = "***"


class Mask:
    """Replaces secrets, and pieces of them, in a text: a close reason may hold half a token.

    Args:
        secrets: as they were sent; their base64 and percent-encoded forms count too.
    """

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        long = {secret for secret in secrets if len(secret) >= LEAST}
        self._forms = tuple(Hidden(form) for secret in long for form in _forms(secret))

    def __call__(self, text: str) -> str:
        """Return the text with stars in the place of every secret."""
        hidden = [False] * len(text)
        for form in self._forms:
            secret = form.get_secret_value()
            size = min(WINDOW, len(secret))
            for start in range(len(text) - size + 1):
                if text[start : start + size] in secret:
                    hidden[start : start + size] = [True] * size
        runs = groupby(zip(hidden, text, strict=True), key=lambda pair: pair[0])
        return "".join(STARS if mask else "".join(c for _, c in run) for mask, run in runs)

    def plus(self, secret: str) -> Mask:
        """Return a mask for one secret more."""
        more = Mask((secret,))
        more._forms = (*self._forms, *more._forms)
        return more

    def pieces(self, size: int) -> Iterator[tuple[int, int]]:
        """Return the hash of every piece of a size, and what size gives that secret away."""
        for form in self._forms:
            secret = form.get_secret_value()
            least = min(WINDOW, len(secret))
            for start in range(len(secret) - min(size, least) + 1):
                yield least, hash(secret[start : start + min(size, least)])

    def __repr__(self) -> str:
        return "<Mask>"


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield re.sub(r"[-._~]", lambda sign: f"%{ord(sign[0]):02X}", quote(secret, safe=""))
    for before in range(3):  # base64 looks different by what stands before
        data = bytes(before) + secret.encode()
        yield base64.b64encode(data).decode().rstrip("=")
        yield base64.urlsafe_b64encode(data).decode().rstrip("=")


def bare(error: E) -> E:
    """Return an error without what it came through: frames and causes hold the token."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def told(error: BaseException) -> str:
    """Name an error of user code and its place in one line; its text may quote a message.

    That of an error of this library does not, and says what to do.
    """
    name, trace = type(error).__name__, error.__traceback__
    if isinstance(error, HeimdallError):
        return one_line(f"{name}: {error}", 300)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return one_line(name, 200)
    code = trace.tb_frame.f_code
    place = f"{PurePath(code.co_filename).name}:{trace.tb_lineno} in {code.co_qualname}"
    return one_line(f"{name} at {place}", 200)
