"""Keys and JWTs of a `nats-server` that knows no passwords, made for one test."""

from __future__ import annotations

import json
import os
from base64 import b32encode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import nkeys

__all__ = ["OPERATOR", "new_key", "operator_config", "public"]

OPERATOR: Final = 14 << 3  # the prefix byte that `nkeys` has no name for
UNLIMITED: Final = {"subs": -1, "data": -1, "payload": -1}


def new_key(kind: int) -> bytes:
    """Return the seed of a new key."""
    return bytes(nkeys.encode_seed(os.urandom(32), kind))


def public(seed: bytes) -> str:
    key: Any = nkeys.from_seed(bytearray(seed)).public_key  # bytes, whatever its annotation says
    return str(key.decode())


def operator_config(credentials: Path) -> str:
    """Write a user's credentials; return the configuration of a server that lets that user in."""
    operator, user = new_key(OPERATOR), new_key(nkeys.PREFIX_BYTE_USER)
    account, system = (new_key(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))
    limits = {
        **UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1,
    }  # fmt: skip
    store = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    claims = [(account, {**limits, **store}), (system, limits)]  # JetStream is not for the system's
    accounts = "\n".join(
        f"{public(key)}: {_jwt(operator, public(key), {'type': 'account', 'limits': bounds})}"
        for key, bounds in claims
    )
    users = _jwt(account, public(user), {"type": "user", "pub": {}, "sub": {}, **UNLIMITED})
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{users}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.decode()}\n------END USER NKEY SEED------\n"
    )
    operators = _jwt(operator, public(operator), {"type": "operator"})
    return (
        f"operator: {operators}\nsystem_account: {public(system)}\nresolver: MEMORY\n"
        f"resolver_preload: {{\n{accounts}\n}}"
    )


def _jwt(issuer: bytes, subject: str, claims: dict[str, Any]) -> str:
    body = {
        "iat": 1_700_000_000, "iss": public(issuer), "name": "test", "sub": subject,
        "nats": {**claims, "version": 2},
    }  # fmt: skip
    body["jti"] = b32encode(sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
    header = {"typ": "JWT", "alg": "ed25519-nkey"}
    text = ".".join(_encode(json.dumps(part).encode()) for part in (header, body))
    return f"{text}.{_encode(nkeys.from_seed(bytearray(issuer)).sign(text.encode()))}"


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
