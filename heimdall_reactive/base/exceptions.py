"""The error tree: every error carries data, says what to do, and contains no secret.

::

    HeimdallError
    ├── ConfigurationError (ValueError)     an option or endpoint that cannot work
    │   ├── InvalidEndpoint
    │   ├── InsecureToken                   a token would travel unencrypted
    │   └── RedirectRefused                 the server redirects to another origin
    ├── ReadOnlyError (TypeError)           writing to a subject that only the store writes
    ├── StoreClosed (RuntimeError)          the store is closed for good
    ├── WaitTimeout (TimeoutError)          `wait_for` or `result` ran out of time
    └── StoreError                          what `store.errors` and `state.error` carry
        ├── ObserverError                   an observer raised
        ├── SourceError                     a source piped into a command failed
        ├── InvalidMessage                  a frame that does not decode
        ├── TokenError                      the token provider failed
        ├── SendError                       a message that was not sent
        │   └── EncodeError (TypeError)     a value with no JSON form
        ├── RecordingError                  a recording that cannot be written or read
        ├── StreamOverflow                  a consumer with `overflow="error"` was too slow
        ├── HandlerCancelled                the store closed before an async handler was done
        ├── ConnectError                    an attempt that failed
        │   ├── ConnectTimeout (TimeoutError)
        │   ├── TlsError                    no TLS version or cipher in common
        │   │   └── CertificateError
        │   ├── InvalidHandshake            an answer that does not open a WebSocket
        │   └── HandshakeRefused            the server answered with an HTTP status
        ├── ServerError                     the server complains about a control message
        ├── RequestLost                     a request whose answer can no longer come
        ├── ConnectionLost                  an established connection ended
        └── SessionEnded                    the server ended the user's session
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

__all__ = [
    "MAX_TEXT", "CertificateError", "ConfigurationError", "ConnectError", "ConnectTimeout",
    "ConnectionLost", "EncodeError", "HandlerCancelled", "HandshakeRefused", "HeimdallError",
    "InsecureToken", "InvalidEndpoint", "InvalidHandshake", "InvalidMessage", "ObserverError",
    "ReadOnlyError", "RecordingError", "RedirectRefused", "RequestLost", "SendError",
    "ServerError", "SessionEnded", "SourceError", "StoreClosed", "StoreError", "StreamOverflow",
    "TlsError", "TokenError", "WaitTimeout", "one_line",
]  # fmt: skip

E = TypeVar("E", bound=BaseException)
MAX_TEXT: Final = 1000  # characters of an error


class HeimdallError(Exception):
    """Base of every error of this library; its text is one line."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(one_line(a, MAX_TEXT) if isinstance(a, str) else a for a in args))

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take other arguments than the text that Python would pickle and copy.
        return _rebuild, (type(self), self.args, self.__dict__)


class StoreError(HeimdallError):
    """What a store reports on `errors`, or keeps as `state.error`."""


def _rebuild(kind: type[E], args: tuple[Any, ...], fields: dict[str, Any]) -> E:
    error = kind.__new__(kind, *args)
    error.args = args  # an `OSError` takes none from `__new__`
    error.__dict__.update(fields)
    return error


def one_line(text: str, limit: int) -> str:
    """Bound a text that the wire chose, and replace what could forge a log line.

    Args:
        text: any text.
        limit: characters that are kept.
    """
    kept = text[:limit]
    if kept.isprintable():  # at once: most are, and a burst of bad messages has many of them
        return kept
    return "".join(c if c.isprintable() else "?" for c in kept)


class ConfigurationError(HeimdallError, ValueError):
    """An option or endpoint that cannot work; retrying would not help."""

    cause = "options"  #: the row of `rules.DEFAULT_RULES`, here and below


class InvalidEndpoint(ConfigurationError):
    """An endpoint that is neither a path nor a `ws://` or `wss://` URL."""

    cause = "endpoint"


class InsecureToken(ConfigurationError):
    """A token would be sent unencrypted to a host that is not loopback (RFC 6750 section 5.3)."""

    cause = "insecure"


class RedirectRefused(ConfigurationError):
    """The server redirects to another origin, which must not get the token (RFC 6750 5.3)."""

    cause = "redirect"


class ReadOnlyError(HeimdallError, TypeError):
    """A write to a subject that only its store may write."""


class StoreClosed(HeimdallError, RuntimeError):
    """The store was closed; make a new one with `use_websocket()`."""


class WaitTimeout(HeimdallError, TimeoutError):
    """What was waited for did not happen in time."""


class ObserverError(StoreError):
    """An observer raised; the other observers and the connection are unaffected.

    A function gets the next value all the same. A pipeline of operators has ended.

    Attributes:
        error: what the observer raised.
        subject: name of the subject or stream it observed.
        ended: whether it was a pipeline, which gets nothing more.
    """

    def __init__(self, error: BaseException, subject: str, ended: bool = False) -> None:
        own = isinstance(error, HeimdallError)  # whose text says what to do, and holds no secret
        name = type(error).__name__
        who = f"{'a pipeline' if ended else 'an observer'} of {subject!r} raised {name}"
        if own:
            text = f"{who}: {error}"
        elif ended:
            text = f"{who} and has ended; catch the error in the function that raised it"
        else:
            text = f"{who}; handle it inside the observer"
        super().__init__(text)
        self.error = error
        self.subject = subject
        self.ended = ended


class SourceError(StoreError):
    """A source that was piped into a command failed; the command stays usable.

    Attributes:
        error: why the source failed.
        subject: name of the command.
    """

    def __init__(self, error: Exception, subject: str) -> None:
        super().__init__(
            f"a source piped into {subject!r} failed with {type(error).__name__}; "
            "catch the error in the pipeline before it reaches the command"
        )
        self.error = error
        self.subject = subject


class InvalidMessage(StoreError):
    """A received frame that does not decode; the payload itself is never kept.

    Attributes:
        reason: what is wrong with it, bounded in length.
        size: length of the frame in bytes.
        kind: the value of its `type` field if it was readable, else None.
    """

    def __init__(self, reason: str, size: int, kind: str | None = None) -> None:
        named = f"{kind!r} message" if kind else "message"
        advice = "; message_type=str takes any text" if reason == "not JSON" else ""
        super().__init__(f"invalid {named} of {size} bytes: {reason}{advice}")
        self.reason = reason
        self.size = size
        self.kind = kind


class RecordingError(StoreError):
    """A recording that cannot be written or read; see `record` and `replay`.

    Attributes:
        line: number of the bad line, 1 for the first; None if it is not about a line.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line} of the recording: {reason}")
        self.line = line


class TokenError(StoreError):
    """The token provider raised, hung, or returned something that is not a token."""

    cause = "token"


class SendError(StoreError):
    """A message that was not sent, or whose delivery is unknown.

    Attributes:
        state: the receipt's final state: `rejected`, `dropped`, `expired` or `in_doubt`.
    """

    def __init__(self, message: str, state: str = "rejected") -> None:
        super().__init__(message)
        self.state = state


class StreamOverflow(StoreError):
    """A consumer with `overflow="error"` was too slow, and has ended.

    Attributes:
        dropped: values that had no room until now.
    """

    def __init__(self, consumer: str, dropped: int) -> None:
        super().__init__(
            f"{consumer!r} was too slow: {dropped} had no room, and it gets nothing more; "
            "raise its maxsize, or let it drop by another overflow policy"
        )
        self.dropped = dropped


class HandlerCancelled(StoreError):
    """The store closed while an async handler still had work to do.

    Attributes:
        cancelled: calls that were cancelled.
        dropped: values that still waited.
    """

    def __init__(self, consumer: str, grace: float, cancelled: int, dropped: int) -> None:
        super().__init__(
            f"{consumer!r} was not done {grace:g} s after the store closed: calls cancelled: "
            f"{cancelled}, values dropped: {dropped}; give it more time by grace="
        )
        self.cancelled, self.dropped = cancelled, dropped


class EncodeError(SendError, TypeError):
    """A value that has no JSON form."""


class ServerError(StoreError):
    """The server complains about a control message, such as a channel that it refuses.

    Attributes:
        complaint: its words, one line.
    """

    def __init__(self, complaint: str) -> None:
        self.complaint = one_line(complaint, MAX_TEXT)
        super().__init__(f"the server complains: {self.complaint}")


class RequestLost(StoreError):
    """A request whose answer can no longer come: its connection was lost, or given up.

    Attributes:
        reason: what became of the connection.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the answer can no longer come: {reason}; ask again when connected")
        self.reason = reason


# What ends an attempt or a connection: errors with a `cause`, a row of the rules


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
    """The peer offers no TLS version or cipher that we accept; retrying would not help."""

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

    Args:
        http_status: that status.
        retry_after: as the attribute.
        credential: whether one was sent, for the words.

    Attributes:
        http_status: that status.
        retry_after: seconds that its `Retry-After` header asks for, or None (RFC 9110 10.2.3).
    """

    def __init__(
        self, http_status: int, retry_after: float | None = None, credential: bool = True
    ) -> None:
        none = "; no credential was sent: pass access_token= if it needs one"
        advice = {
            200: "; the URL is that of a page, check the endpoint's path",
            400: "; check the path, the headers and the subprotocols",
            401: "; check the access token" if credential else none,
            403: "; check the access token's permissions" if credential else none,
            404: "; check the endpoint's path",
            405: "; check the endpoint's path",
            426: "; it asks for another protocol, check the endpoint's path",
        }.get(http_status, "")
        sentence = f"the server refused the WebSocket with HTTP {http_status}{advice}"
        super().__init__(sentence, f"http {http_status}")
        self.http_status = http_status
        self.retry_after = retry_after

    def without_credential(self) -> HandshakeRefused:
        """Return the same in the words for an attempt that sent no credential."""
        where = str(self).removeprefix(str(HandshakeRefused(self.http_status)))
        told = HandshakeRefused(self.http_status, self.retry_after, credential=False)
        told.args = (f"{told}{where}",)
        return told


class ConnectionLost(StoreError):
    """An established connection ended, and not by `disconnect()`.

    Args:
        code: as the attribute.
        reason: as the attribute.
        ours: whether this side closed, for the words.

    Attributes:
        code: the close code, 1006 if the socket ended without a close frame (RFC 6455 7.4.1).
        reason: the peer's reason, cleaned of control characters.
    """

    def __init__(self, code: int, reason: str, ours: bool = False) -> None:
        sentence = f"the connection ended with code {code}" + (f" ({reason})" if reason else "")
        if code == 1009:
            sentence += "; raise max_size" if ours else "; the message is too long for the server"
        super().__init__(sentence)
        self.code = code
        self.reason = reason
        self.cause = f"close {code}"


class SessionEnded(StoreError):
    """The server ended the user's session and then the connection; it is not opened again.

    Attributes:
        kind: type of the message that ended it, such as `accountBanned`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"the server ended the session ({kind}); connect() connects again")
        self.kind = kind
        self.cause = "session"
