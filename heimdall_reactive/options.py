"""Every tunable once, with default, unit and source; and the words its callables are given."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypedDict
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from .exceptions import ConfigurationError, InvalidEndpoint

__all__ = [
    "CloseInfo",
    "OptionsDict",
    "RetryContext",
    "StoreOptions",
    "TokenProvider",
    "TokenSource",
    "is_loopback",
    "redact",
    "resolve_endpoint",
    "ws_config",
]

MAX_URL = 8192  # characters; longer request lines are refused by common servers (RFC 9110 4.1)


class WsConfig:
    """Where paths lead: the base URL of every endpoint that is not a whole URL."""

    def __init__(self) -> None:
        self._ws_url: str | None = None

    @property
    def ws_url(self) -> str:
        """Base URL: the value set here, else `HEIMDALL_WS_URL`, else `ws://localhost:3000`."""
        return self._ws_url or os.environ.get("HEIMDALL_WS_URL") or "ws://localhost:3000"

    @ws_url.setter
    def ws_url(self, value: str | None) -> None:
        self._ws_url = value

    def resolve(self, endpoint: str) -> str:
        """Make the whole URL of an endpoint, see `resolve_endpoint`."""
        return resolve_endpoint(endpoint, self.ws_url)


ws_config = WsConfig()


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """How a connection ended, or an attempt failed.

    Attributes:
        code: close code (RFC 6455 section 7.4); 1006 where no close frame came.
        reason: the peer's reason or our own, one line without control characters.
        who: `client` (us), `server`, or `network` where the socket just ended.
        http_status: status of a refused upgrade, else None.
    """

    code: int
    reason: str = ""
    who: Literal["client", "server", "network"] = "network"
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class RetryContext:
    """What a `reconnect_delay` callable decides by.

    Attributes:
        attempt: number of the attempt to come, 1 for the first after a failure.
        elapsed: seconds since the first failure in this row.
        cause: the error that ended the connection or the attempt.
    """

    attempt: int
    elapsed: float
    cause: Exception | None


Token: TypeAlias = str | SecretStr
TokenProvider: TypeAlias = Callable[[], Token | Awaitable[Token | None] | None]
TokenSource: TypeAlias = Token | TokenProvider | None
Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
HeadersProvider: TypeAlias = Callable[[], Headers | Awaitable[Headers]]
DelayPolicy: TypeAlias = Callable[[RetryContext], float | None]
ReconnectPredicate: TypeAlias = Callable[[CloseInfo], bool | None]
Transport: TypeAlias = Literal["websockets"] | Callable[..., Coroutine[Any, Any, Any]]
TokenPlacement: TypeAlias = Literal["header", "subprotocol", "first_message", "unsafe_query"]


class OptionsDict(TypedDict, total=False):
    """The keyword options of `use_websocket`; meanings and defaults stand in `StoreOptions`."""

    access_token: TokenSource
    token_placement: TokenPlacement
    token_timeout: float
    allow_insecure_token: bool
    auto_reconnect: bool
    reconnect_delay: float | DelayPolicy
    max_reconnect_attempts: int | None
    stable_after: float
    should_reconnect: ReconnectPredicate | None
    immediate: bool
    outbox_limit: int
    outbox_bytes: int
    additional_headers: Headers | HeadersProvider | None
    subprotocols: Sequence[str] | None
    ssl: ssl_module.SSLContext | None
    proxy: str | Literal[True] | None
    compression: Literal["deflate"] | None
    open_timeout: float
    ping_interval: float | None
    ping_timeout: float
    close_timeout: float
    max_size: int
    origin: str | None
    transport: Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The options of a store; all durations in seconds.

    Attributes:
        access_token: token, or provider asked at each attempt; None sends none.
        token_placement: `header` (`Authorization: Bearer`, RFC 6750 2.1), `subprotocol`
            (`bearer.<token>`), `first_message` (`{"type":"Auth","token":...}`), or
            `unsafe_query` (`?access_token=`, which servers and proxies log).
        token_timeout: seconds that the provider may take.
        allow_insecure_token: send the token over `ws://` to hosts that are not loopback.
        auto_reconnect: dial again after a loss.
        reconnect_delay: seconds (with up to 20 % jitter on top), a `Backoff`, or a callable
            that gets a `RetryContext` and returns seconds, or None to stop.
        max_reconnect_attempts: failures in a row before giving up; None is for ever.
        stable_after: seconds of being connected after which the failures are forgotten.
        should_reconnect: overrides the table of `retry.classify`; None from it leaves the table.
        immediate: dial when the store is made.
        outbox_limit: sends that may wait.
        outbox_bytes: bytes of sends that may wait.
        additional_headers: headers of the upgrade, or a provider asked at each attempt.
        subprotocols: offered subprotocols, the preferred first.
        ssl: TLS context of `wss://`; None verifies against the system's roots.
        proxy: True takes the environment's, never for loopback hosts; None goes directly.
        compression: `deflate` offers permessage-deflate (RFC 7692); None does not.
        open_timeout: seconds for DNS, TCP, TLS and the opening handshake together.
        ping_interval: seconds between protocol pings; None sends none.
        ping_timeout: seconds without a sign of life after a ping until the peer is dead.
        close_timeout: seconds that the closing handshake may take.
        max_size: bytes of a received message; a longer one closes with 1009.
        origin: `Origin` header, sent only where given.
        transport: what dials: `websockets`, or a callable of the protocol `transports.Dial`.
    """

    access_token: TokenSource = None
    token_placement: TokenPlacement = "header"
    token_timeout: float = 10.0
    allow_insecure_token: bool = False
    auto_reconnect: bool = True
    reconnect_delay: float | DelayPolicy = 3.0
    max_reconnect_attempts: int | None = 5
    stable_after: float = 5.0
    should_reconnect: ReconnectPredicate | None = None
    immediate: bool = True
    outbox_limit: int = 1024
    outbox_bytes: int = 16 * 2**20
    additional_headers: Headers | HeadersProvider | None = None
    subprotocols: Sequence[str] | None = None
    ssl: ssl_module.SSLContext | None = None
    proxy: str | Literal[True] | None = True
    compression: Literal["deflate"] | None = "deflate"
    open_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    max_size: int = 2**20
    origin: str | None = None
    transport: Transport = "websockets"

    def __post_init__(self) -> None:
        if isinstance(self.access_token, str):  # masked wherever it may be printed
            object.__setattr__(self, "access_token", SecretStr(self.access_token))
        for name in ("token_timeout", "open_timeout", "ping_timeout", "close_timeout"):
            _require(self, name, _number(getattr(self, name), above=0), "more than 0 seconds")
        for name in ("outbox_limit", "outbox_bytes", "max_size"):
            _require(self, name, _number(getattr(self, name), above=0), "at least 1")
        interval = self.ping_interval
        _require(self, "ping_interval", interval is None or _number(interval, above=0),
                 "more than 0 seconds, or None for no pings")  # fmt: skip
        _require(self, "stable_after", _number(self.stable_after), "0 seconds or more")
        attempts = self.max_reconnect_attempts
        _require(self, "max_reconnect_attempts", attempts is None or _number(attempts),
                 "0 or more, or None for ever")  # fmt: skip
        delay: Any = self.reconnect_delay
        numeric = _number(delay) and delay < float("inf")
        _require(self, "reconnect_delay", callable(delay) or numeric,
                 "seconds of 0 or more, a Backoff, or a callable")  # fmt: skip
        _require(self, "subprotocols", not isinstance(self.subprotocols, str),
                 "a sequence of names, such as ['chat']")  # fmt: skip
        _require(self, "transport", callable(self.transport) or self.transport == "websockets",
                 "'websockets' or a callable that dials")  # fmt: skip
        _require(
            self,
            "token_placement",
            self.token_placement in ("header", "subprotocol", "first_message", "unsafe_query"),
            "header, subprotocol, first_message or unsafe_query",
        )

    def __repr__(self) -> str:
        # Without what may be secret (a proxy's URL has a password): a repr ends up in logs.
        secret = ("access_token", "additional_headers", "proxy")
        shown = (f.name for f in fields(self) if f.name not in secret)
        return f"StoreOptions({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _number(value: Any, above: float | None = None) -> bool:
    """Tell whether an option is a number of 0 or more, or above a bound; NaN is none."""
    if not isinstance(value, (int, float)):
        return False
    return value >= 0 if above is None else value > above


def _require(options: StoreOptions, name: str, holds: bool, wanted: str) -> None:
    """Refuse an option's value in one sentence."""
    if not holds:
        raise ConfigurationError(f"{name} must be {wanted}, not {getattr(options, name)!r}")


def resolve_endpoint(endpoint: str, base: str) -> str:
    """Make the whole URL of an endpoint.

    Args:
        endpoint: a path under `base`, or a whole `ws://` or `wss://` URL.
        base: a `ws://` or `wss://` URL.

    Raises:
        InvalidEndpoint: where no WebSocket URL comes out of it (RFC 6455 section 3).
    """
    whole = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", endpoint)
    url = endpoint if whole else f"{base.rstrip('/')}/{endpoint.lstrip('/')}"
    advice = "give a path such as '/v1/ws', or a whole ws:// or wss:// URL"
    if len(url) > MAX_URL or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise InvalidEndpoint(
            f"the endpoint has spaces, control characters or is too long; {advice}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidEndpoint(f"the endpoint is no URL; {advice}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise InvalidEndpoint(f"{redact(url)!r} is no WebSocket URL; {advice}")
    if "#" in url:
        raise InvalidEndpoint(f"{redact(url)!r} has a fragment, which WebSocket URLs may not have")
    return parts.scheme + url[len(parts.scheme) :]  # in lower case, as all else here expects it


def redact(url: str) -> str:
    """Return the URL without user, password, query and fragment, which may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        netloc = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            netloc = f"{netloc}:{parts.port}"
    except ValueError:
        return "<invalid URL>"
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))[:200]


def is_loopback(host: str) -> bool:
    """Tell whether a host can only be this machine.

    Only `localhost`, 127.0.0.0/8 and ::1 as they are usually written: a name that merely
    begins like one, or a number in disguise, is none.
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
