"""A WebSocket as reactive state: BehaviorSubjects over an async connection that reconnects."""

from .base.endpoints import ws_config
from .base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    EncodeError,
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
from .base.options import CloseInfo, Heartbeat, RetryContext, StoreOptions
from .base.protocols import ChannelProtocol
from .base.receipt import Receipt
from .base.retry import Backoff
from .base.rules import DEFAULT_RULES, Action
from .base.state import ConnectionState, Gap, Status
from .base.stats import ConsumerStats, Stats
from .client import WebSocketClient, create_websocket
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

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_RULES",
    "AccountBanned",
    "AccountDeleted",
    "AccountLinkMessage",
    "Action",
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
    "EmailChangeVerified",
    "EmailLinkVerified",
    "EncodeError",
    "ErrorMessage",
    "ForceLogout",
    "Gap",
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
    "QueueHop",
    "ReadOnlyError",
    "Receipt",
    "RecordingError",
    "RedirectRefused",
    "Request",
    "RequestLost",
    "RetryContext",
    "RolePermissionsChanged",
    "RolesUpdated",
    "SendError",
    "ServerError",
    "ServerMessage",
    "SessionEnded",
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
