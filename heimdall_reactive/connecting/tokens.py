"""Ask for the access token and headers of an attempt, and place the token in the upgrade."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl as ssl_module
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic_core import from_json

from heimdall_reactive.base.endpoints import is_loopback, redact, ws_config
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    ConnectError,
    InsecureToken,
    TokenError,
)
from heimdall_reactive.base.headers import TOKEN, Headers, header_pairs
from heimdall_reactive.base.hidden import Hidden, SecretText, secret_str
from heimdall_reactive.base.masking import WINDOW, Mask
from heimdall_reactive.base.options import HeadersProvider, StoreOptions, TokenSource
from heimdall_reactive.base.retry import Credential
from heimdall_reactive.base.session_protocol import SessionProtocol

from .providers import ProviderCalls

__all__ = [
    "Identity",
    "Upgrade",
    "ask_headers",
    "ask_token",
    "claimed",
    "credential_of",
    "digest",
    "place",
    "prepare",
    "principal_of",
]

PIECE: Final = re.compile(r"[\s,;=&]+")  # between the pieces of a header's value
MAX_TOKEN: Final = 8192  # characters; common servers refuse longer header lines
# Headers that carry credentials (RFC 9110 11.6.2 and 11.7.2, RFC 6265; the last by custom).
CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class Identity(NamedTuple):
    """Who connects: the token or its provider, and whose that is where the user has said so."""

    token: TokenSource
    principal: str | None = None

    def __repr__(self) -> str:
        return "<Identity>"


class Upgrade(NamedTuple):
    """What one attempt sends: URL, headers and subprotocols.

    `principal` tells whose it is, `mask` takes its secrets out of what the server answers,
    `identity` is what it was made of, and `token` is what the protocol may send itself.
    """

    url: str
    headers: list[tuple[str, str]]
    subprotocols: list[str] | None
    principal: object = None
    mask: Mask = Mask()
    identity: Identity = Identity(None)
    token: SecretText | None = None

    def __repr__(self) -> str:
        return "<Upgrade>"  # every field may hold the token


async def prepare(
    url: str,
    identity: Identity,
    options: StoreOptions,
    asker: ProviderCalls,
    endpoint: Callable[[], Awaitable[str]] | None = None,
) -> Upgrade:
    """Ask for the token and the headers of one attempt, and place the token.

    Args:
        url: the store's, which tells whose the attempt is.
        identity: who connects.
        options: the store's.
        asker: calls the providers.
        endpoint: returns the URL of this attempt, where it has another one.

    Raises:
        TokenError: the token provider failed.
        InsecureToken: the token would travel unencrypted.
    """
    secret = await ask_token(identity.token, options.token_timeout, asker)
    headers = await ask_headers(
        options.additional_headers, options.token_timeout, asker, options.origin
    )
    whose = digest(url), identity.principal or principal_of(secret) or _source_of(identity.token)
    url = url if endpoint is None else await endpoint()
    upgrade = place(url, secret, headers, options)
    mask = Mask(_secrets(url, secret, headers))
    return upgrade._replace(principal=whose, mask=mask, identity=identity, token=secret)


def credential_of(
    identity: Identity, options: StoreOptions, endpoint: SecretText | Hidden
) -> Credential:
    """Return what an attempt sends to tell who it is: a token, a login, or a header for it."""
    headers = options.additional_headers
    if callable(identity.token) or (identity.token is None and callable(headers)):
        return "provider"
    try:
        named = {name.lower() for name, _ in header_pairs(None if callable(headers) else headers)}
    except ConfigurationError:  # the attempt has failed of them
        named = set()
    sent = identity.token is not None or named & CREDENTIALS or _has_login(endpoint)
    return "static" if sent else "none"


def _has_login(endpoint: SecretText | Hidden) -> bool:
    try:
        parts = urlsplit(ws_config.resolve(endpoint.get_secret_value()))
    except ConfigurationError:  # the attempt has failed of it
        return False
    return bool(parts.username or parts.password)


def claimed(identity: Identity) -> object:
    """Return whose an identity is, as far as that is known before a provider was asked."""
    token = None if callable(identity.token) else identity.token
    secret = secret_str()(token) if isinstance(token, str) else token
    return identity.principal or principal_of(secret) or _source_of(identity.token)


def _source_of(source: TokenSource) -> object:
    """Treat a token that does not tell as its own user's, and a provider as one user's.

    Two opaque tokens may be one user's: then what waited is dropped, and its receipts say so.
    The other mistake, to send one user's message as another, could not be undone.
    """
    if source is None or callable(source):
        return source
    text = source if isinstance(source, str) else source.get_secret_value()
    return digest(text)


def digest(text: str) -> str:
    """Return what tells a text from others and does not show it."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _secrets(url: str, token: SecretText | None, headers: list[tuple[str, str]]) -> list[str]:
    """Return what of an upgrade may be secret: token, user, password, query and header values."""
    parts = urlsplit(url)
    login = [unquote(text) for text in (parts.username, parts.password) if text]
    values = [value for _, value in [*parse_qsl(parts.query), *headers]]
    pieces = [piece for value in values for piece in (value, *PIECE.split(value))]
    known = [token.get_secret_value()] if token is not None else []
    return [*known, *login, ":".join(login), *(p for p in pieces if len(p) >= WINDOW)]


def principal_of(token: SecretText | None) -> str | None:
    """Read whose token it is: the `sub` of a JWT (RFC 7519 4.1.2); None for any other token.

    The signature is not checked: the answer only tells two users of one store apart.
    """
    parts = token.get_secret_value().split(".") if token is not None else []
    if len(parts) != 3:
        return None
    try:
        claims = from_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else None


async def ask_token(source: TokenSource, timeout: float, asker: ProviderCalls) -> SecretText | None:
    """Return the token for one attempt.

    Args:
        source: a token, or a provider; a sync one runs on a thread of its own, so that one that
            blocks stops nothing and can be timed out.
        timeout: seconds the provider may take.
        asker: asks it.

    Raises:
        TokenError: it raised, took too long, or returned something that is not a token.
    """
    if source is None:
        return None
    token, failure = await asker.within(source, timeout) if callable(source) else (source, None)
    if failure is not None:
        raise TokenError(f"the token provider {failure}")
    if token is None:
        raise TokenError("the token provider returned None; return a token, or pass none at all")
    text = token.get_secret_value() if isinstance(token, secret_str()) else token
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TOKEN:
        raise TokenError(
            f"an access token must be a str of 1 to {MAX_TOKEN} characters; None sends none"
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise TokenError(
            "the access token has spaces, control or non-ASCII characters; strip() it, and leave "
            "out 'Bearer'"
        )
    from heimdall_reactive.base.access_token import AccessToken  # as `secret_str`

    if isinstance(token, AccessToken):
        return AccessToken(text, token.expires_at)
    return secret_str()(text)


async def ask_headers(
    source: Headers | HeadersProvider | None,
    timeout: float,
    asker: ProviderCalls,
    origin: str | None = None,
) -> list[tuple[str, str]]:
    """Return the additional headers for one attempt, in order.

    Args:
        source: headers, or a provider as in `ask_token`.
        timeout: seconds the provider may take.
        asker: asks it.
        origin: the option of that name.

    Raises:
        ConfigurationError: they cannot be sent.
        ConnectError: the provider raised or took too long.
    """
    if not callable(source):
        return header_pairs(source, origin)
    headers, failure = await asker.within(source, timeout)
    if failure is not None:
        raise ConnectError(f"the provider of additional_headers {failure}", "headers")
    return header_pairs(headers, origin)


def place(
    url: str, token: SecretText | None, headers: list[tuple[str, str]], options: StoreOptions
) -> Upgrade:
    """Put the token where `options.token_placement` says.

    Raises:
        InsecureToken: it, or another credential, would travel unencrypted to a host that is not
            loopback.
        ConfigurationError: the upgrade would have two headers `Authorization`.
        TokenError: it cannot stand where it is to go.
    """
    offered = _offered(options)
    parts = urlsplit(url)
    _refuse_clear(parts, token, headers, options)
    _refuse_twice(parts, token, headers, options)
    if token is None:
        return Upgrade(url, headers, offered)
    secret = token.get_secret_value()
    match options.token_placement:
        case "header" if _in_header(options):
            return Upgrade(url, [("Authorization", f"Bearer {secret}"), *headers], offered)
        case "subprotocol":
            if not TOKEN.fullmatch(secret):
                raise TokenError(
                    "the access token has characters that no subprotocol may have (RFC 6455 4.1); "
                    "use token_placement='header'"
                )
            return Upgrade(url, headers, [*(offered or ()), f"bearer.{secret}"])
        case "unsafe_query":
            mark = "&" if parts.query else "" if url.endswith("?") else "?"
            return Upgrade(f"{url}{mark}access_token={quote(secret)}", headers, offered)
        case _:  # the protocol sends it in its handshake
            return Upgrade(url, headers, offered)


def _offered(options: StoreOptions) -> list[str] | None:
    """Return the subprotocols to offer: the user's, or those of the protocol."""
    protocol = options.protocol
    offered = options.subprotocols or (protocol.subprotocols if protocol is not None else None)
    return list(offered) if offered else None


def _in_header(options: StoreOptions) -> bool:
    """Return whether the token goes in a header: not where a protocol has a handshake for it."""
    own = options.protocol
    login = own is not None and type(own).handshake is not SessionProtocol.handshake
    return options.token_placement == "header" and not login


def _refuse_clear(
    parts: SplitResult,
    token: SecretText | None,
    headers: list[tuple[str, str]],
    options: StoreOptions,
) -> None:
    """Refuse to send credentials where others may read them (RFC 6750 5.3)."""
    named = any(name.lower() in CREDENTIALS for name, _ in headers)
    if options.unix is not None:  # it leaves this machine no more than loopback does
        return
    if options.allow_insecure_token or not (token or parts.username or parts.password or named):
        return
    # Behind a proxy elsewhere, `localhost` is not this machine.
    hosts = [parts.hostname or ""]
    if isinstance(options.proxy, str):
        hosts.append(urlsplit(options.proxy).hostname or "")
    if all(is_loopback(host) for host in hosts):
        return
    what = "access token" if token else "password" if not named else "credentials in the headers"
    advice = "or allow_insecure_token=True where the network is trusted"
    if parts.scheme == "ws":
        raise InsecureToken(
            f"the {what} would be sent unencrypted; use a wss:// endpoint, {advice} "
            f"({redact(parts.geturl())})"
        )
    if options.ssl is not None and options.ssl.verify_mode is ssl_module.CERT_NONE:
        raise InsecureToken(
            f"the {what} would go to whoever answers, as ssl= verifies no certificate; "
            f"use a context that does, {advice} ({redact(parts.geturl())})"
        )


def _refuse_twice(
    parts: SplitResult,
    token: SecretText | None,
    headers: list[tuple[str, str]],
    options: StoreOptions,
) -> None:
    """Refuse a second `Authorization`: servers disagree about which of them counts."""
    count = sum(name.lower() == "authorization" for name, _ in headers)
    count += token is not None and _in_header(options)
    count += bool(parts.username or parts.password)
    if count > 1:
        raise ConfigurationError(
            "the upgrade would have more than one Authorization header; give the credentials once: "
            "by access_token=, in the URL, or in additional_headers="
        )
