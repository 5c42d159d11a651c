"""Every option once, with default, unit and source; and what its callables are given."""

from __future__ import annotations

import os
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from .browser_limits import IN_BROWSER, check_for_browser
from .checks import (
    instance,
    is_duration,
    is_names,
    is_number,
    is_place,
    is_rate,
    is_sync,
    is_text,
    one_of,
    optional,
    suggested,
)
from .endpoints import is_proxy
from .exceptions import ConfigurationError
from .glance import shortly
from .headers import Headers, header_pairs
from .hidden import SecretText, secret_str
from .rules import Action, Rules
from .session_protocol import HEIMDALL_CHANNELS, ChannelProtocol, SessionProtocol

__all__ = [
    "CloseInfo",
    "Heartbeat",
    "OptionsDict",
    "RetryContext",
    "StoreOptions",
    "TokenProvider",
    "TokenSource",
    "options_of",
]


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """How a connection ended, or an attempt failed.

    Attributes:
        code: close code (RFC 6455 section 7.4); 1006 without a close frame.
        reason: the peer's reason or our own, one line without control characters.
        who: `client` (us), `server`, or `network` if the socket just ended.
        http_status: status of a refused upgrade, else None.
    """

    code: int
    reason: str = ""
    who: Literal["client", "server", "network"] = "network"
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class RetryContext:
    """What a `reconnect_delay` callable gets.

    Attributes:
        attempt: number of the attempt to come, 1 for the first after a failure.
        elapsed: seconds since the first failure in this row.
        cause: the error that ended the connection or the attempt.
        retry_after: seconds that the server asked for, or None; honoured in any case.
    """

    attempt: int
    elapsed: float
    cause: Exception | None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A ping at application level: it detects a peer that only answers protocol pings.

    Attributes:
        message: what to send, as for `send`; default: Heimdall's `Ping`.
        interval: seconds between two of them.
        timeout: seconds after one within which any message must arrive, else the connection is
            given up and opened again.
        reply: the answer, which observers do not see: a JSON object matches if it has at least
            these fields, text or bytes if they are equal; or a predicate of the plain JSON (or
            text, or bytes); None hides nothing. Default: Heimdall's `Pong`.
    """

    message: Any = field(default_factory=lambda: {"type": "Ping"})
    interval: float = 30.0
    timeout: float = 10.0
    reply: Any = field(default_factory=lambda: {"type": "Pong"})

    def __post_init__(self) -> None:
        if not (is_duration(self.interval) and is_duration(self.timeout)):
            raise ConfigurationError("a Heartbeat needs interval and timeout above 0 seconds")
        if callable(self.reply) and not is_sync(self.reply):
            raise ConfigurationError("the reply of a Heartbeat may be a sync callable, not async")


Token: TypeAlias = str | SecretText
TokenProvider: TypeAlias = Callable[[], Token | Awaitable[Token | None] | None]
TokenSource: TypeAlias = Token | TokenProvider | None
HeadersProvider: TypeAlias = Callable[[], Headers | Awaitable[Headers]]
Sockets: TypeAlias = socket.socket | Callable[[], socket.socket | Awaitable[socket.socket]]
DelayPolicy: TypeAlias = Callable[[RetryContext], float | None]
ReconnectPredicate: TypeAlias = Callable[[CloseInfo], bool | None]
Transport: TypeAlias = Literal["websockets", "browser"] | Callable[..., Coroutine[Any, Any, Any]]
OutboxOverflow: TypeAlias = Literal["reject", "drop_oldest", "drop_newest", "block"]
TokenPlacement: TypeAlias = Literal["header", "subprotocol", "first_message", "unsafe_query"]


class OptionsDict(TypedDict, total=False):
    """The keyword options of `use_websocket`; see `StoreOptions` for meanings and defaults."""

    access_token: TokenSource
    token_placement: TokenPlacement
    token_timeout: float
    token_refresh_before: float
    principal: str | None
    allow_insecure_token: bool
    auto_reconnect: bool
    reconnect_delay: float | DelayPolicy
    max_reconnect_attempts: int | None
    stable_after: float
    should_reconnect: ReconnectPredicate | None
    reconnect_rules: Mapping[str, Action | str] | None
    max_retry_after: float
    heartbeat: Heartbeat | None
    immediate: bool
    outbox_limit: int
    outbox_bytes: int
    outbox_overflow: OutboxOverflow
    send_ttl: float | None
    resend: bool
    additional_headers: Headers | HeadersProvider | None
    subprotocols: Sequence[str] | None
    ssl: ssl_module.SSLContext | None
    server_hostname: str | None
    proxy: str | Literal[True] | None
    proxy_ssl: ssl_module.SSLContext | None
    family: int
    happy_eyeballs_delay: float | None
    local_addr: tuple[str, int] | None
    unix: str | os.PathLike[str] | None
    sock: Sockets | None
    compression: Literal["deflate"] | None
    open_timeout: float
    ping_interval: float | None
    ping_timeout: float
    close_timeout: float
    max_size: int
    origin: str | None
    channel_protocol: ChannelProtocol
    protocol: SessionProtocol | None
    send_rate: tuple[int, float] | None
    share: bool
    share_linger: float
    transport: Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The options of a store; all durations in seconds.

    Attributes:
        access_token: token, or provider called at each attempt; None sends none.
        token_placement: `header` (`Authorization: Bearer`, RFC 6750 2.1), `subprotocol`
            (`bearer.<token>`), `first_message` (`{"type":"Auth","token":...}`), or
            `unsafe_query` (`?access_token=`, which servers and proxies log).
        token_timeout: seconds that the provider may take.
        token_refresh_before: seconds before a token expires at which the next one is asked for,
            if the provider returns an `AccessToken`; at the latest after half of its life.
        principal: user of the token; None reads the `sub` of a JWT, and counts every other token
            or provider as another user's.
        allow_insecure_token: send credentials (token, password, cookie) over `ws://`, or if
            `ssl` verifies no certificate, to hosts that are not loopback.
        auto_reconnect: reconnect after a loss.
        reconnect_delay: seconds (with up to 20 % jitter on top), a `Backoff`, or a callable
            that gets a `RetryContext` and returns seconds, or None to stop.
        max_reconnect_attempts: failures in a row before giving up; None is forever.
        stable_after: seconds of being connected after which earlier failures are forgotten.
        should_reconnect: overrides the rules, unless it returns None.
        reconnect_rules: rules before those of `rules.DEFAULT_RULES`: `{"close 4409": "stop"}`.
        max_retry_after: seconds, the longest `Retry-After` of a server that is honoured.
        heartbeat: a ping at application level, in addition to the protocol's; None sends none.
        immediate: connect when the store is made.
        outbox_limit: sends that may wait.
        outbox_bytes: bytes of sends that may wait.
        outbox_overflow: what happens to a send that exceeds a limit: it is refused with a
            report (`reject`), dropped (`drop_newest`), replaces the oldest (`drop_oldest`), or
            makes its thread wait for room (`block`; on an event loop it is refused).
        send_ttl: seconds that a send may wait; None is forever.
        resend: send again what is in doubt after a loss, first and in order, to the same user and
            URL; for messages that may arrive twice. Until they are proved they count as
            waiting.
        additional_headers: headers of the upgrade, or a provider called at each attempt. `Host`
            replaces that of the URL; headers that the upgrade sets itself are refused.
        subprotocols: subprotocols to offer, the preferred one first.
        ssl: TLS context of `wss://`; None verifies against the system's roots.
        server_hostname: name that the server's certificate must have; None is the URL's host.
        proxy: URL of an HTTP or SOCKS proxy; True uses that of the environment, never for
            loopback hosts; None connects directly.
        proxy_ssl: TLS context of an `https://` proxy; None verifies against the system's roots.
        family: `socket.AF_INET` or `socket.AF_INET6` for addresses of that kind only.
        happy_eyeballs_delay: seconds after which the next address of a host is tried in parallel
            with those that have not answered (RFC 8305); None tries one after the other.
        local_addr: `(host, port)` to connect from; port 0 means any.
        unix: path of a Unix socket to connect to; the URL still gives host and path.
        sock: a connected socket, which lasts for one attempt, or a callable that returns one for
            each attempt, sync or async.
        compression: `deflate` offers permessage-deflate (RFC 7692); None does not.
        open_timeout: seconds for DNS, TCP, TLS and the opening handshake together.
        ping_interval: seconds between protocol pings; None sends none.
        ping_timeout: seconds after a ping in which nothing arrives and nothing is acknowledged,
            until the peer is given up as dead.
        close_timeout: seconds that the closing handshake may take.
        max_size: bytes of a received message; a longer one closes with 1009.
        origin: `Origin` header, sent only if given.
        channel_protocol: messages that subscribe to channels; default: Heimdall's.
        protocol: what the service says before, between and around the messages; a separate object
            for each store. None is Heimdall's.
        send_rate: `(n, seconds)`: at most n sends, including subscriptions, in that many
            seconds; None sends as fast as the socket accepts.
        share: share one connection with the other stores of this endpoint and principal.
        share_linger: seconds that a shared connection outlives its last store.
        transport: what connects: `websockets`, `browser` (the default there), or a callable of the
            protocol `transports.Dial`.
    """

    access_token: TokenSource = None
    token_placement: TokenPlacement = "header"
    token_timeout: float = 10.0
    token_refresh_before: float = 60.0
    principal: str | None = None
    allow_insecure_token: bool = False
    auto_reconnect: bool = True
    reconnect_delay: float | DelayPolicy = 3.0
    max_reconnect_attempts: int | None = 5
    stable_after: float = 5.0
    should_reconnect: ReconnectPredicate | None = None
    reconnect_rules: Mapping[str, Action | str] | None = None
    max_retry_after: float = 300.0
    heartbeat: Heartbeat | None = None
    immediate: bool = True
    outbox_limit: int = 1024
    outbox_bytes: int = 16 * 2**20
    outbox_overflow: OutboxOverflow = "reject"
    send_ttl: float | None = None
    resend: bool = False
    additional_headers: Headers | HeadersProvider | None = None
    subprotocols: Sequence[str] | None = None
    ssl: ssl_module.SSLContext | None = None
    server_hostname: str | None = None
    proxy: str | Literal[True] | None = True
    proxy_ssl: ssl_module.SSLContext | None = None
    family: int = 0
    happy_eyeballs_delay: float | None = 0.25
    local_addr: tuple[str, int] | None = None
    unix: str | os.PathLike[str] | None = None
    sock: Sockets | None = None
    compression: Literal["deflate"] | None = "deflate"
    open_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    max_size: int = 2**20
    origin: str | None = None
    channel_protocol: ChannelProtocol = HEIMDALL_CHANNELS
    protocol: SessionProtocol | None = None
    send_rate: tuple[int, float] | None = None
    share: bool = False
    share_linger: float = 1.0
    transport: Transport = "browser" if IN_BROWSER else "websockets"

    def __post_init__(self) -> None:
        # Imported here, also for a provider: not in a turn of the event loop.
        secret = secret_str() if self.access_token is not None else None
        if secret is not None and isinstance(self.access_token, str):
            object.__setattr__(self, "access_token", secret(self.access_token))  # no repr shows it
        for name, (holds, wanted) in CHECKS.items():
            value = getattr(self, name)
            if not holds(value):
                shown = "" if name in SECRET else f", not {value!r}"
                raise ConfigurationError(f"{name} must be {wanted}{shown}")
        Rules(self.reconnect_rules)  # refuses what is not a rule
        if not callable(self.additional_headers):
            header_pairs(self.additional_headers, self.origin)
        if self.unix is not None and self.sock is not None:
            raise ConfigurationError("unix and sock exclude each other; give one of them")
        if self.transport == "browser":
            check_for_browser(self, {each.name: each.default for each in fields(self)})

    def __reduce__(self) -> Any:
        """Refuse to be pickled.

        Raises:
            TypeError: always; a pickle would hold the token unencrypted.
        """
        raise TypeError("StoreOptions hold secrets and are not pickled; pass what they are made of")

    def __repr__(self) -> str:
        # Without what may be secret (a proxy's URL has a password): a repr ends up in logs.
        mine = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name not in SECRET)
        plain = {f.name: f.default for f in fields(self)}
        shown = (f"{name}={value!r}" for name, value in mine if value is not plain[name])
        return shortly(f"StoreOptions({', '.join(shown)})", 1000)


_AGE: Final = (is_number, "0 seconds or more")
_COUNT: Final = (is_duration, "at least 1")
_FLAG: Final = (instance(bool), "True or False")
_TIME: Final = (is_duration, "more than 0 seconds")
_CONTEXT: Final = (optional(instance(ssl_module.SSLContext)), "an ssl.SSLContext, or None")
_TEXT: Final = (optional(is_text), "a text without control characters, or None")
PROXIES: Final = "a URL such as 'http://proxy.example:3128' or 'socks5h://...', True or None"
FAMILIES: Final = (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6)


def _is_secret(value: object) -> bool:
    return isinstance(value, secret_str())


SECRET: Final = ("access_token", "additional_headers", "proxy", "principal")
CHECKS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "access_token": (lambda value: value is None or callable(value) or _is_secret(value),
                     "a str, a SecretStr, a provider or None"),
    "token_placement": (one_of(*get_args(TokenPlacement)), ", ".join(get_args(TokenPlacement))),
    "token_timeout": _TIME,
    "token_refresh_before": _AGE,
    "principal": (optional(instance(str)), "a str, or None"),
    "allow_insecure_token": _FLAG,
    "auto_reconnect": _FLAG,
    "reconnect_delay": (
        lambda value: is_sync(value) or (is_number(value) and value < float("inf")),
        "seconds of 0 or more, a Backoff, or a sync callable",
    ),
    "max_reconnect_attempts": (optional(is_number), "0 or more, or None forever"),
    "stable_after": _AGE,
    "should_reconnect": (optional(is_sync), "a sync callable, or None"),
    "reconnect_rules": (optional(instance(Mapping)), "a mapping of causes to actions, or None"),
    "max_retry_after": _AGE,
    "heartbeat": (optional(instance(Heartbeat)), "a Heartbeat, or None"),
    "immediate": _FLAG,
    "outbox_limit": _COUNT,
    "outbox_bytes": _COUNT,
    "outbox_overflow": (one_of(*get_args(OutboxOverflow)), ", ".join(get_args(OutboxOverflow))),
    "send_ttl": (optional(is_duration), "more than 0 seconds, or None forever"),
    "resend": _FLAG,
    "subprotocols": (optional(is_names), "a sequence of names, such as ['chat']"),
    "ssl": _CONTEXT,
    "server_hostname": _TEXT,
    "proxy": (lambda value: value is None or value is True or is_proxy(value), PROXIES),
    "proxy_ssl": _CONTEXT,
    "family": (lambda value: isinstance(value, int) and value in FAMILIES,
               "socket.AF_INET, socket.AF_INET6, or 0 for both"),
    "happy_eyeballs_delay": (optional(is_number), "0 seconds or more, or None for no race"),
    "local_addr": (optional(is_place), "(host, port), such as ('192.0.2.1', 0), or None"),
    "unix": (optional(instance(str, os.PathLike)), "the path of a Unix socket, or None"),
    "sock": (
        lambda value: value is None or isinstance(value, socket.socket) or callable(value),
        "a connected socket, a callable that returns one, or None",
    ),
    "compression": (one_of("deflate", None), "'deflate', or None"),
    "open_timeout": _TIME,
    "ping_interval": (optional(is_duration), "more than 0 seconds, or None for no pings"),
    "ping_timeout": _TIME,
    "close_timeout": _TIME,
    "max_size": _COUNT,
    "origin": _TEXT,
    "channel_protocol": (instance(ChannelProtocol), "a ChannelProtocol"),
    "protocol": (optional(instance(SessionProtocol)), "an instance of a SessionProtocol, or None"),
    "send_rate": (optional(is_rate), "(sends, seconds), such as (5, 1.0), or None"),
    "share": _FLAG,
    "share_linger": _AGE,
    "transport": (lambda value: callable(value) or value in ("websockets", "browser"),
                  "'websockets', 'browser' or a callable that dials"),
}  # fmt: skip


def options_of(given: OptionsDict) -> StoreOptions:
    """Check the options of a store.

    Raises:
        ConfigurationError: the value of an option cannot work, or its name is unknown.
    """
    known = OptionsDict.__annotations__
    unknown = [suggested(name, list(known)) for name in sorted(given.keys() - known.keys())]
    if unknown:
        raise ConfigurationError(f"unknown options: {', '.join(unknown)}; see StoreOptions")
    if given.get("transport", "browser" if IN_BROWSER else "") == "browser":
        own = given.get("protocol") is not None
        given = {"heartbeat": None if own else Heartbeat(), **given}  # a page sees no pings
    return StoreOptions(**given)
