"""Heimdall's server and control messages as frozen models.

Wire JSON is camelCase, Python is snake_case; unknown fields are kept in `model_extra`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "SESSION_ENDING",
    "AccountBanned",
    "AccountDeleted",
    "AccountLinkMessage",
    "ChannelMessage",
    "ClientMessage",
    "ControlMessage",
    "EmailChangeVerified",
    "EmailLinkVerified",
    "ErrorMessage",
    "ForceLogout",
    "PermissionMessage",
    "PermissionsUpdated",
    "Ping",
    "Pong",
    "RolePermissionsChanged",
    "RolesUpdated",
    "ServerMessage",
    "SessionRevoked",
    "Subscribe",
    "Unsubscribe",
    "UserStatusMessage",
]


def _aware(value: datetime) -> datetime:
    """Read a timestamp without an offset as UTC, so that any two can be compared."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


Timestamp: TypeAlias = Annotated[datetime, AfterValidator(_aware)]
"""ISO 8601 on the wire, an aware `datetime` in Python."""


class WireModel(BaseModel):
    """Base of every wire message: frozen, camelCase aliases, extra fields kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class _FromServer(WireModel):
    timestamp: Timestamp


class _UserMessage(_FromServer):
    user_id: str


class AccountDeleted(_UserMessage):
    """The user's account is gone; the session ends."""

    type: Literal["accountDeleted"] = "accountDeleted"
    reason: str | None = None


class AccountBanned(_UserMessage):
    """The user is banned, for good or until `expires_at`; the session ends."""

    type: Literal["accountBanned"] = "accountBanned"
    reason: str | None = None
    expires_at: Timestamp | None = None
    is_permanent: bool


class SessionRevoked(_UserMessage):
    """One session of the user, or all where `session_id` is None, is revoked."""

    type: Literal["sessionRevoked"] = "sessionRevoked"
    session_id: str | None = None
    reason: str | None = None


class ForceLogout(_UserMessage):
    """The user has to log in again; the session ends."""

    type: Literal["forceLogout"] = "forceLogout"
    reason: str | None = None


class RolesUpdated(_UserMessage):
    """The user's roles, whole."""

    type: Literal["rolesUpdated"] = "rolesUpdated"
    roles: list[str]


class PermissionsUpdated(_UserMessage):
    """The user's permissions, whole."""

    type: Literal["permissionsUpdated"] = "permissionsUpdated"
    permissions: list[str]


class RolePermissionsChanged(_FromServer):
    """The permissions of a role changed, for everybody who has it."""

    type: Literal["rolePermissionsChanged"] = "rolePermissionsChanged"
    role_id: str
    role_name: str


class EmailLinkVerified(_UserMessage):
    """A platform account was linked by a verified e-mail address."""

    type: Literal["emailLinkVerified"] = "emailLinkVerified"
    email: str
    platform_account_id: str


class EmailChangeVerified(_UserMessage):
    """The user's e-mail address changed."""

    type: Literal["emailChangeVerified"] = "emailChangeVerified"
    old_email: str
    new_email: str


class Subscribe(WireModel):
    """Ask the server for a channel."""

    type: Literal["Subscribe"] = "Subscribe"
    channel: str


class Unsubscribe(WireModel):
    """Leave a channel."""

    type: Literal["Unsubscribe"] = "Unsubscribe"
    channel: str


class Ping(WireModel):
    """Ask the application behind the server for a `Pong`."""

    type: Literal["Ping"] = "Ping"


class Pong(WireModel):
    """The application's answer to a `Ping`."""

    type: Literal["Pong"] = "Pong"


class ChannelMessage(WireModel):
    """What was published on a channel; `data` is JSON text, as it came."""

    type: Literal["Message"] = "Message"
    channel: str
    data: str


class ErrorMessage(WireModel):
    """The server's complaint about a control message."""

    type: Literal["Error"] = "Error"
    message: str


UserStatusMessage: TypeAlias = AccountDeleted | AccountBanned | SessionRevoked | ForceLogout
PermissionMessage: TypeAlias = RolesUpdated | PermissionsUpdated | RolePermissionsChanged
AccountLinkMessage: TypeAlias = EmailLinkVerified | EmailChangeVerified

ServerMessage: TypeAlias = Annotated[
    UserStatusMessage | PermissionMessage | AccountLinkMessage, Field(discriminator="type")
]
"""The nine server messages, discriminated on `type`."""

ControlMessage: TypeAlias = Annotated[
    Pong | ChannelMessage | ErrorMessage, Field(discriminator="type")
]
"""The control messages that come from the server."""

ClientMessage: TypeAlias = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
"""The control messages that go to the server."""

SESSION_ENDING = frozenset((AccountDeleted, AccountBanned, SessionRevoked, ForceLogout))
"""Messages after which a close by the server ends automatic reconnection."""
