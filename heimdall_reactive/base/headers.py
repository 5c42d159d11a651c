"""Headers that a user adds to the upgrade, and those that only this library may write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from .exceptions import ConfigurationError

__all__ = ["TOKEN", "Headers", "header_pairs"]

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
WRITTEN: Final = frozenset({"connection", "content-length", "transfer-encoding", "upgrade"})
OPTIONS: Final = {  # and what to pass instead of a header
    "sec-websocket-extensions": "compression=",
    "sec-websocket-protocol": "subprotocols=",
}


def header_pairs(headers: Headers | None, origin: str | None = None) -> list[tuple[str, str]]:
    """Return additional headers as pairs, in their order.

    A `Host` replaces that of the URL. What else the upgrade has must not be there twice: servers
    disagree about which one counts, or answer 400.

    Args:
        headers: a mapping, or pairs.
        origin: the option of that name.

    Raises:
        ConfigurationError: they cannot be sent; it names the header, and shows no value.
    """
    try:
        pairs: list[tuple[Any, Any]] = [
            (name, value)
            for name, value in (headers.items() if isinstance(headers, Mapping) else headers or ())
        ]
    except (TypeError, ValueError):
        raise ConfigurationError(
            "additional_headers must be a mapping or pairs of texts without control characters"
        ) from None
    for name, value in pairs:
        _refuse(name, value, origin)
    if sum(name.lower() == "host" for name, _ in pairs) > 1:
        raise ConfigurationError("additional_headers has more than one 'Host'; give one")
    return pairs


def _refuse(name: Any, value: Any, origin: str | None) -> None:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ConfigurationError(f"additional_headers: {name!r} cannot be the name of a header")
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ConfigurationError(
            f"additional_headers: the value of {name!r} must be a str, not of type {kind}"
        )
    if not value.isprintable() or not _is_latin(value):
        raise ConfigurationError(
            f"additional_headers: the value of {name!r} has control characters, or others that a "
            "header cannot have"
        )
    lower = name.lower()
    if lower == "origin" and origin is not None:
        raise ConfigurationError("additional_headers has 'Origin' beside origin=; give it once")
    if lower in WRITTEN or lower.startswith("sec-websocket-"):
        instead = f"; use {OPTIONS[lower]}" if lower in OPTIONS else ""
        raise ConfigurationError(
            f"additional_headers must not have {name!r}, which the upgrade has already{instead}"
        )


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
