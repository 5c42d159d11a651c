"""A WebSocket as reactive state: BehaviorSubjects over an async connection that reconnects."""

from importlib import import_module
from typing import TYPE_CHECKING

from .base.endpoints import ws_config
from .base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    EncodeError,
    HandlerCancelled,
    HandshakeRefused,
    HeimdallError,
    InsecureToken,
    InvalidEndpoint,
    InvalidHandshake,
    InvalidMessage,
    ObserverError,
    ReadOnlyError,
    RecordingError,
    RedirectRefused,
    RequestLost,
    SendError,
    ServerError,
    SessionEnded,
    SourceError,
    StoreClosed,
    StoreError,
    StreamOverflow,
    TlsError,
    TokenError,
    WaitTimeout,
)
from .base.frames import Frame
from .base.options import CloseInfo, Heartbeat, RetryContext, StoreOptions
from .base.receipt import Delivery, Receipt
from .base.retry import Backoff
from .base.rules import DEFAULT_RULES, Action
from .base.session_protocol import (
    Again,
    ChannelProtocol,
    Ended,
    Failed,
    ProtocolSession,
    Refused,
    SessionProtocol,
)
from .base.state import ConnectionState, Gap, Status
from .base.stats import ConsumerStats, Stats
from .consuming.consumers import AsyncHandler
from .consuming.hops import Hop, QueueHop, loop_hop
from .consuming.iterators import MessageIterator
from .consuming.scheduler import LoopScheduler
from .consuming.streams import MessageStream
from .consuming.views import StoreView
from .hook import use_websocket
from .reactive.journal import Journal, JournalEntry
from .reactive.subjects import Command, State, Trigger
from .reactive.waiting import Waiter
from .requests import Request
from .store import WebSocketStore

if TYPE_CHECKING:
    from .base.access_token import AccessToken
    from .base.messages import (
        AccountBanned,
        AccountDeleted,
        AccountLinkMessage,
        ChannelMessage,
        ClientMessage,
        ControlMessage,
        EmailChangeVerified,
        EmailLinkVerified,
        ErrorMessage,
        ForceLogout,
        PermissionMessage,
        PermissionsUpdated,
        Ping,
        Pong,
        RolePermissionsChanged,
        RolesUpdated,
        ServerMessage,
        SessionRevoked,
        Subscribe,
        Unsubscribe,
        UserStatusMessage,
    )
    from .client import WebSocketClient, create_websocket

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_RULES",
    "AccessToken",
    "AccountBanned",
    "AccountDeleted",
    "AccountLinkMessage",
    "Action",
    "Again",
    "AsyncHandler",
    "Backoff",
    "CertificateError",
    "ChannelMessage",
    "ChannelProtocol",
    "ClientMessage",
    "CloseInfo",
    "Command",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "ConnectionState",
    "ConsumerStats",
    "ControlMessage",
    "Delivery",
    "EmailChangeVerified",
    "EmailLinkVerified",
    "EncodeError",
    "Ended",
    "ErrorMessage",
    "Failed",
    "ForceLogout",
    "Frame",
    "Gap",
    "HandlerCancelled",
    "HandshakeRefused",
    "Heartbeat",
    "HeimdallError",
    "Hop",
    "InsecureToken",
    "InvalidEndpoint",
    "InvalidHandshake",
    "InvalidMessage",
    "Journal",
    "JournalEntry",
    "LoopScheduler",
    "MessageIterator",
    "MessageStream",
    "ObserverError",
    "PermissionMessage",
    "PermissionsUpdated",
    "Ping",
    "Pong",
    "ProtocolSession",
    "QueueHop",
    "ReadOnlyError",
    "Receipt",
    "RecordingError",
    "RedirectRefused",
    "Refused",
    "Request",
    "RequestLost",
    "RetryContext",
    "RolePermissionsChanged",
    "RolesUpdated",
    "SendError",
    "ServerError",
    "ServerMessage",
    "SessionEnded",
    "SessionProtocol",
    "SessionRevoked",
    "SourceError",
    "State",
    "Stats",
    "Status",
    "StoreClosed",
    "StoreError",
    "StoreOptions",
    "StoreView",
    "StreamOverflow",
    "Subscribe",
    "TlsError",
    "TokenError",
    "Trigger",
    "Unsubscribe",
    "UserStatusMessage",
    "WaitTimeout",
    "Waiter",
    "WebSocketClient",
    "WebSocketStore",
    "create_websocket",
    "loop_hop",
    "use_websocket",
    "ws_config",
]

# Where names are, but for those of the messages.
_LATER = {
    "AccessToken": ".base.access_token",
    "WebSocketClient": ".client",
    "create_websocket": ".client",
}

if not TYPE_CHECKING:  # checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import what most programs need later, or never: models take longest of all to build."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_LATER.get(name, ".base.messages"), __name__), name)
        return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
