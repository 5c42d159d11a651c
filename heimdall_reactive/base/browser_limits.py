"""What the WebSocket of a page cannot do, refused when a store is made."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any, Final

from .exceptions import ConfigurationError
from .session_protocol import SessionProtocol

__all__ = ["IN_BROWSER", "NO_HEADER", "check_for_browser"]

IN_BROWSER: Final = sys.platform == "emscripten"
NO_HEADER: Final = (
    "a browser sends no Authorization header; say token_placement='first_message' or "
    "'subprotocol', or leave the token to the page's cookies"
)
OWN: Final = "the browser does that by itself; leave it out"
# What to do instead of each option that a page has no place for.
REFUSED: Final[Mapping[str, str]] = {
    "additional_headers": "send what they say in the URL or in a first message",
    "ssl": OWN,
    "server_hostname": OWN,
    "proxy": OWN,
    "proxy_ssl": OWN,
    "family": OWN,
    "happy_eyeballs_delay": OWN,
    "local_addr": OWN,
    "unix": "use a ws:// or wss:// URL",
    "sock": "use a ws:// or wss:// URL",
    "compression": OWN,
    "origin": "the browser sends that of the page",
    "ping_interval": "use heartbeat=, as a page sees no pings of the protocol",
}


def check_for_browser(options: Any, defaults: Mapping[str, Any]) -> None:
    """Refuse what a page cannot do.

    Args:
        options: a `StoreOptions` with `transport="browser"`.
        defaults: value of each option that nobody gave.

    Raises:
        ConfigurationError: naming the option, and what to do instead.
    """
    for name, instead in REFUSED.items():
        value = getattr(options, name)
        if value != defaults[name] and (name, value) != ("ping_interval", None):
            raise ConfigurationError(f"{name}= does not work in a browser: {instead}")
    own: SessionProtocol | None = options.protocol
    login = own is not None and type(own).handshake is not SessionProtocol.handshake
    if options.access_token is not None and options.token_placement == "header" and not login:
        raise ConfigurationError(NO_HEADER)
    if options.token_placement == "unsafe_query":
        warnings.warn("the page's console prints the URL, with the token in it", stacklevel=4)
    if options.resend and not (own is not None and own.acknowledges):
        raise ConfigurationError(
            "resend=True does not work in a browser, where nothing proves what has arrived; use a "
            "protocol that acknowledges"
        )
