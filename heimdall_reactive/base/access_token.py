"""`AccessToken`: a token with its expiry."""

from __future__ import annotations

import math
from datetime import datetime

from pydantic import SecretStr

from .exceptions import ConfigurationError

__all__ = ["AccessToken"]


class AccessToken(SecretStr):
    """A token with its expiry, which an `access_token` provider may return.

    Before it expires the provider is called again, and the next token is used: by
    `SessionProtocol.refresh` on the open socket, else by a planned reconnection with overlap.

    Args:
        value: the token.
        expires_at: seconds since the epoch, or an aware datetime; a JWT has the former as `exp`
            (RFC 7519 section 4.1.4).

    Attributes:
        expires_at: in seconds since the epoch.

    Raises:
        ConfigurationError: `expires_at` is not a time.
    """

    def __init__(self, value: str | SecretStr, expires_at: float | datetime) -> None:
        super().__init__(value.get_secret_value() if isinstance(value, SecretStr) else value)
        if isinstance(expires_at, datetime):
            if expires_at.tzinfo is None:
                raise ConfigurationError(
                    "AccessToken needs an aware datetime, such as datetime.now(UTC)"
                )
            expires_at = expires_at.timestamp()
        if not isinstance(expires_at, (int, float)) or not math.isfinite(expires_at):
            raise ConfigurationError("AccessToken needs expires_at in seconds since the epoch")
        self.expires_at = float(expires_at)
