"""What ends an attempt or a connection: errors with a `cause`, a row of the rules."""

from __future__ import annotations

from .roots import StoreError

__all__ = [
    "CertificateError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "HandshakeRefused",
    "InvalidHandshake",
    "SessionEnded",
    "TlsError",
]


class ConnectError(StoreError):
    """An attempt to connect that failed.

    Attributes:
        cause: the row of `rules.DEFAULT_RULES`: `refused`, `reset`, `unreachable`, `unresolved`,
            `timeout`, `tls`, `certificate`, `handshake`, `proxy`, `headers`, or `http 503`.
    """

    def __init__(self, message: str, cause: str = "unreachable") -> None:
        super().__init__(message)
        self.cause = cause


class ConnectTimeout(ConnectError, TimeoutError):
    """The opening handshake took longer than `open_timeout`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "timeout")


class TlsError(ConnectError):
    """The other side speaks no TLS that we accept; retrying would not help."""

    def __init__(self, message: str, cause: str = "tls") -> None:
        super().__init__(message, cause)


class CertificateError(TlsError):
    """The server's TLS certificate was not accepted; retrying would not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "certificate")


class InvalidHandshake(ConnectError):
    """The server answered the upgrade with 101, but not as a WebSocket server does."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "handshake")


class HandshakeRefused(ConnectError):
    """The server answered the upgrade with an HTTP status other than 101.

    Attributes:
        http_status: that status.
        retry_after: seconds that its `Retry-After` header asks for, or None (RFC 9110 10.2.3).
    """

    def __init__(self, http_status: int, retry_after: float | None = None) -> None:
        advice = {
            401: "; check the access token",
            403: "; check the access token's permissions",
            404: "; check the endpoint's path",
        }.get(http_status, "")
        sentence = f"the server refused the WebSocket with HTTP {http_status}{advice}"
        super().__init__(sentence, f"http {http_status}")
        self.http_status = http_status
        self.retry_after = retry_after


class ConnectionLost(StoreError):
    """An established connection ended otherwise than by `disconnect()`.

    Attributes:
        code: the close code, 1006 where the socket ended without a close frame (RFC 6455 7.4.1).
        reason: the peer's reason, cleaned of control characters.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(
            f"the connection ended with code {code}" + (f" ({reason})" if reason else "")
        )
        self.code = code
        self.reason = reason
        self.cause = f"close {code}"


class SessionEnded(StoreError):
    """The server ended the user's session and then the connection; it is not dialled again.

    Attributes:
        kind: type of the message that said so, such as `accountBanned`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"the server ended the session ({kind}); connect() dials again")
        self.kind = kind
        self.cause = "session"
