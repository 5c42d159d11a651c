"""What a server answered to the upgrade: as it is for a protocol, without secrets for the state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from heimdall_reactive.base.exceptions import one_line
from heimdall_reactive.base.masking import STARS, Mask
from heimdall_reactive.base.state import UpgradeAnswer
from heimdall_reactive.transports import Wire

__all__ = ["answer_of", "headers_of", "subprotocol_of"]

LONGEST: Final = 1000  # characters of a header in the state
COOKIE: Final = re.compile(r"(^|, )([^=;,\s]+=)[^;,]*")  # RFC 6265 4.1.1; a date has a comma
SECRET: Final = re.compile(r"auth|token|secret|password|session|api-?key|nonce")


def subprotocol_of(wire: Wire) -> str | None:
    """Return what the server chose; a wire of another transport may not know."""
    chosen = getattr(wire, "subprotocol", None)
    return None if chosen is None else str(chosen)


def headers_of(wire: Wire) -> Mapping[str, str]:
    """Return the headers of the answer, by lower-case name; several of a name are one with ", "."""
    raw = getattr(getattr(wire, "response", None), "headers", None)
    headers: dict[str, str] = {}
    for name, value in () if raw is None else raw.raw_items():
        before = headers.get(name.lower())
        headers[name.lower()] = value if before is None else f"{before}, {value}"
    return MappingProxyType(headers)


def answer_of(wire: Wire, mask: Mask) -> UpgradeAnswer:
    """Return the answer without what may be secret in it.

    Args:
        wire: an open one.
        mask: takes the secrets of the upgrade out: a server may answer with a token.
    """
    chosen = subprotocol_of(wire)
    headers = {
        name: _masked(name, mask(one_line(value, LONGEST)))
        for name, value in headers_of(wire).items()
    }
    return UpgradeAnswer(None if chosen is None else mask(chosen), MappingProxyType(headers))


def _masked(name: str, value: str) -> str:
    if name == "set-cookie":
        return COOKIE.sub(rf"\1\2{STARS}", value)
    return STARS if SECRET.search(name) else value
