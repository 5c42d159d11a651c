"""Plausible server messages, one for each of the nine types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.messages import RolePermissionsChanged, ServerMessage

from .tokens import DEMO_USER

__all__ = ["KINDS", "build"]

_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "accountDeleted": {"reason": "deleted by the user"},
    "accountBanned": {"reason": "breach of the rules", "isPermanent": True},
    "sessionRevoked": {"reason": "revoked by an administrator"},
    "forceLogout": {"reason": "log in again"},
    "rolesUpdated": {"roles": ["member", "moderator"]},
    "permissionsUpdated": {"permissions": ["posts:read", "posts:write"]},
    "rolePermissionsChanged": {"roleId": "role-1", "roleName": "moderator"},
    "emailLinkVerified": {"email": "user@example.org", "platformAccountId": "account-1"},
    "emailChangeVerified": {"oldEmail": "old@example.org", "newEmail": "new@example.org"},
}

KINDS = tuple(_DEFAULTS)
"""The nine types."""

_ADAPTER: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)
_MODELS = {
    model.model_fields["type"].default: model for model in get_args(get_args(ServerMessage)[0])
}


def build(kind: str, user_id: str | None = None, **fields: object) -> ServerMessage:
    """Build a message of type `kind` with the current time.

    Args:
        kind: one of the nine types, such as `accountBanned`.
        user_id: the user it is for, `demo` where none is named.
        **fields: fields that differ from the plausible ones, by Python or wire name.

    Raises:
        ConfigurationError: if the type is unknown, or a field has a wrong value.
    """
    if kind not in _DEFAULTS:
        raise ConfigurationError(f"{kind!r} is not a server message; use one of {', '.join(KINDS)}")
    aliases = {name: info.alias or name for name, info in _MODELS[kind].model_fields.items()}
    body: dict[str, object] = {"timestamp": datetime.now(UTC), **_DEFAULTS[kind]}
    if _MODELS[kind] is not RolePermissionsChanged:
        body["userId"] = DEMO_USER if user_id is None else user_id
    body |= {aliases.get(name, name): value for name, value in fields.items()}
    try:
        return _ADAPTER.validate_python(body | {"type": kind})
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, item["loc"][1:])) for item in error.errors())
        raise ConfigurationError(f"{kind}: wrong or missing field: {wrong}") from None
