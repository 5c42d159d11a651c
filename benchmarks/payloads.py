"""The messages of the measurements: Heimdall's own, of three sizes, and how they are made."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["REQUEST", "SIZES", "payload"]

SIZES: Final = {"0.1 KB": 100, "1 KB": 1000, "16 KB": 16000}

REQUEST: Final[dict[str, Any]] = {
    "type": "Subscribe",
    "channel": "prices",
    "data": {"symbol": "ABC", "depth": 5, "fields": ["bid", "ask"], "id": 1017},
}


def payload(size: int) -> str:
    """Make a `permissionsUpdated` message of about as many bytes."""
    message: dict[str, Any] = {
        "type": "permissionsUpdated",
        "timestamp": "2026-11-23T12:00:00Z",
        "userId": "u1017",
        "permissions": [],
    }
    number = 0
    while len(text := json.dumps(message, separators=(",", ":"))) < size - 10:
        number += 1
        message["permissions"].append(f"orders:{number}:write"[: size - len(text)])
    return text
