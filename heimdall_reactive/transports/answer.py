"""The answer to the upgrade, line by line: what of it the parser of `websockets` should see."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["AnswerReader"]

STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
BODY: Final = re.compile(rb"(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
NO_BODY: Final = b"Content-Length: 0\r\n"


class AnswerReader:
    """Lines of an HTTP response, without interim responses and without a body.

    An interim response (100, 103) precedes the one that counts (RFC 9110 section 15.2). The body
    of a refusal tells us nothing, and may be endless: a response that announces none is complete
    with its headers, so that status and `Retry-After` are known at once.
    """

    def __init__(self) -> None:
        self._status: int | None = None

    def read(self, line: bytes) -> bytes:
        """Return what to parse in place of a line.

        Args:
            line: with its end.
        """
        if self._status is None:
            found = STATUS.match(line)
            self._status = int(found[1]) if found else 0  # no HTTP: the parser says so
            return b"" if self._is_interim else line
        blank = not line.strip()
        if self._is_interim:
            if blank:
                self._status = None
            return b""
        if self._status < 200:
            return line
        if blank:
            return NO_BODY + line
        return b"" if BODY.match(line) else line

    @property
    def _is_interim(self) -> bool:
        return self._status is not None and 100 <= self._status < 200 and self._status != 101
