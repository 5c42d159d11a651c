"""What a service says besides its messages: `SessionProtocol` and `ChannelProtocol`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any, Literal, NoReturn, TypeAlias

from pydantic_core import from_json

from .exact import exact_json
from .exceptions import ConnectError, ConnectTimeout, HeimdallError, StoreError

__all__ = [
    "HEIMDALL_CHANNELS",
    "NO_CHANNELS",
    "Again",
    "ChannelProtocol",
    "Ended",
    "Failed",
    "ProtocolSession",
    "Refusal",
    "Refused",
    "SessionProtocol",
    "blamed",
    "heimdall_messages",
    "overrides",
]

Refusal: TypeAlias = Literal["retry", "refresh", "stop"]


class Refused(StoreError):
    """The service, or its protocol, refuses this session.

    Attributes:
        reason: why, one line without secrets.
        action: what follows: `retry` like any failure, `refresh` the token once, or `stop`.
    """

    cause = "protocol"  #: the row of `DEFAULT_RULES`; another action than `retry` comes before it

    def __init__(self, reason: str, action: Refusal = "retry") -> None:
        super().__init__(reason)
        self.reason = reason
        self.action: Refusal = action


# What `ChannelProtocol.match` may return as a payload


@dataclass(frozen=True, slots=True)
class Ended:
    """The server ended the channel: its observers complete, and it is not asked for again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The server refused or ended the channel: its observers get the error.

    Attributes:
        error: what they get.
    """

    error: Exception


@dataclass(frozen=True, slots=True)
class Again:
    """The server forgot the channel: it is asked for again, with a new snapshot."""


@cache
def heimdall_messages() -> ModuleType:
    """Import the models of Heimdall's messages, which take longest of all to build."""
    from . import messages

    return messages


def _heimdall(message: Any) -> tuple[str, Any] | None:
    """Return channel and payload of a `Message`, as a model or as plain JSON."""
    if type(message) is heimdall_messages().ChannelMessage:
        return message.channel, message.data
    if type(message) is dict and message.get("type") == "Message":
        return message.get("channel", ""), message.get("data", "")
    return None


def _subscribe(name: str) -> Any:
    return heimdall_messages().Subscribe(channel=name)


def _unsubscribe(name: str) -> Any:
    return heimdall_messages().Unsubscribe(channel=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelProtocol:
    """Messages that subscribe to channels, and how messages name them; default: Heimdall's.

    Attributes:
        subscribe: makes the message that asks for a channel.
        unsubscribe: makes the message that leaves it.
        match: returns channel and payload of a message, None for any other. As a payload,
            `Ended()`, `Failed(error)` and `Again()` report the fate of the channel itself.
        json_text: whether the payload is JSON text; else it is plain JSON already.
        subscribe_many: makes one message that asks for several channels; None asks one by one.
    """

    subscribe: Callable[[str], Any] = field(default=_subscribe)
    unsubscribe: Callable[[str], Any] = field(default=_unsubscribe)
    match: Callable[[Any], tuple[str, Any] | None] = field(default=_heimdall)
    json_text: bool = True
    subscribe_many: Callable[[Sequence[str]], Any] | None = None


HEIMDALL_CHANNELS = ChannelProtocol()


def _no_channels(name: str) -> Any:
    raise LookupError(name)


NO_CHANNELS = ChannelProtocol(
    subscribe=_no_channels, unsubscribe=_no_channels, match=lambda message: None
)


class ProtocolSession(ABC):
    """One open socket, as a `SessionProtocol` sees it. It belongs to the store's event loop.

    Attributes:
        number: of the session; in `handshake()` the coming one.
        attempt: number of the reconnection that opened it, 0 for a first connection.
        subprotocol: what the server chose, None if it chose none.
        response_headers: of the upgrade, by lower-case name; those of one name are joined by ", ".
            `ConnectionState` has them without secrets.
        has_token: whether the store has an access token, which `token()` returns.
    """

    number: int
    attempt: int
    subprotocol: str | None
    response_headers: Mapping[str, str]
    has_token: bool

    @abstractmethod
    def send(self, value: Any) -> None:
        """Send a value ahead of everything that waits.

        It passes through `encode` only: it is not paced, and appears in no `send.value`, receipt,
        recording or log.

        Raises:
            Refused: too much waits for a socket that accepts nothing.
        """

    @abstractmethod
    async def recv(self, match: Callable[[Any], bool] | None = None) -> Any:
        """Return the next envelope that matches; in `handshake()` only.

        The others are delivered after the handshake, in order.

        Raises:
            Refused: a thousand envelopes came, and none of them matched. They are kept.
        """

    @abstractmethod
    async def token(self) -> str:
        """Return the access token of this attempt, which is then not sent in the header.

        Raises:
            Refused: the store has no token; it stops.
        """

    @abstractmethod
    def next_id(self) -> int:
        """Return 1, 2, 3 ... for this session."""

    @abstractmethod
    def every(
        self, seconds: float, call: Callable[[], object], *, first: float | None = None
    ) -> None:
        """Call a function at intervals while this session lasts.

        Args:
            seconds: between two calls.
            call: a plain function; its exceptions are reported.
            first: seconds before the first call; None means `seconds`.
        """

    @abstractmethod
    def expect(self, seconds: float) -> None:
        """Give the connection up unless an envelope arrives within that many seconds, each time."""

    def refuse(self, reason: str, action: Refusal = "retry") -> NoReturn:
        """End this session by raising `Refused`.

        Raises:
            Refused: always.
        """
        raise Refused(reason, action)

    @abstractmethod
    def reconnect(self, reason: str = "", *, code: int = 1000, overlap: bool = False) -> None:
        """Open another session in place of this one; see `WebSocketStore.reconnect`.

        Raises:
            ConfigurationError: a code or a reason that it cannot close this one with.
        """

    @abstractmethod
    def recovered(self) -> None:
        """Declare that nothing was missed, so that this session has no gap.

        Valid until the first message of the session is delivered; the gap waits for that.
        """


class SessionProtocol:
    """What a service says before, between and around its messages.

    One object belongs to one store and lasts as long as it does: its attributes are what a new
    session resumes from. Every method has a neutral default; override what the service needs.
    Methods that are not overridden cost nothing.

    Attributes:
        subprotocols: offered in the upgrade, the preferred one first.
        channels: how `store.channel(name)` is asked for, left and matched.
        acknowledges: whether the server answers each send that has a key: such a send is
            `delivered` when an envelope with its key arrives. Otherwise a pong proves it.
        overlaps: whether two sessions of one object may be open at once, each with the data it
            keeps by `session.number`; False makes `reconnect(overlap=True)` a plain one. It
            may be given in the class line: `class Chat(SessionProtocol, overlaps=False)`.
    """

    subprotocols: Sequence[str] = ()
    channels: ChannelProtocol | None = None
    acknowledges: bool = False
    overlaps: bool = True
    _exact = False  # whether a type of the store asks for numbers with all their digits

    def __init_subclass__(cls, *, overlaps: bool | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if overlaps is not None:
            cls.overlaps = overlaps

    def _session_ending(self) -> frozenset[type]:
        """Return the types of messages behind which a close is final."""
        return frozenset()

    async def endpoint(self, attempt: int) -> str | None:
        """Return the URL of an attempt; None is the store's. Bounded by `token_timeout`."""
        return None

    async def handshake(self, session: ProtocolSession) -> None:
        """Exchange what must come before anything else. Bounded by `open_timeout`.

        Until it returns, the store is `connecting`: nothing in the outbox is sent and no channel
        is asked for. If it raises, the attempt has failed.
        """

    def decode(self, data: str | bytes, session: ProtocolSession) -> Iterable[Any]:
        """Return the envelopes of a frame: by default its JSON, or the bytes of a binary one."""
        if not isinstance(data, str):
            return (data,)
        return (exact_json(data) if self._exact else from_json(data, allow_inf_nan=False),)

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Return the message of an envelope; None hides it from all observers."""
        return envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Return a send as it is to be written: with ids and positions of this session."""
        return value

    def encode(self, value: Any) -> str | bytes | Sequence[str | bytes]:
        """Return the frames of a value; several are one unit, which never crosses sessions."""
        raise NotImplementedError  # the core's own encoding is used where this is not overridden

    def correlate(self, value: Any) -> Hashable | None:
        """Return the key that a request and its answer have in common; None for any other.

        A message with the key of a request proves that the server has the request, and all that
        was sent before it on this connection. So return no key for what the server sends by itself.
        """
        return None

    async def refresh(self, token: str, session: ProtocolSession) -> bool:
        """Send the next token over the open socket, before the present one expires.

        Called if the provider returns an `AccessToken`, `token_refresh_before` seconds before
        that one expires, and bounded by `token_timeout`.

        Returns:
            Whether the session continues with it; False opens another session instead, with
            overlap, and so does a protocol that does not override this.
        """
        return False


def overrides(protocol: SessionProtocol, method: str) -> bool:
    """Return whether a protocol has a method of its own."""
    return getattr(type(protocol), method) is not getattr(SessionProtocol, method)


@contextmanager
def blamed(method: str) -> Iterator[None]:
    """Name the method of a protocol in what it raises; the text of a foreign error may be secret.

    Raises:
        ConnectTimeout: it took too long.
        ConnectError: it raised an error of the network.
        Refused: it raised something that is not an error of this library.
    """
    try:
        yield
    except HeimdallError:
        raise
    except TimeoutError:
        text = f"the protocol's {method}() took too long; see open_timeout and token_timeout"
    except OSError as raised:  # it has asked somebody by HTTP: a network is not to be fixed there
        kind = type(raised).__name__
        error = ConnectError(f"the protocol's {method}() raised {kind}", "unreachable")
        raise error from None
    except Exception as raised:
        kind = type(raised).__name__
        raise Refused(f"the protocol's {method}() raised {kind}; fix that method") from None
    else:
        return
    raise ConnectTimeout(text)
