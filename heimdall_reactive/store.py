"""`WebSocketStore`: the values and commands of a connection."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from reactivex import Observable

from .base.checks import check_close, check_function, check_timeout
from .base.exceptions import ConfigurationError
from .base.glance import glance, glance_html, shortly
from .base.hidden import secret_str
from .base.options import CHECKS, TokenSource
from .base.receipt import Receipt
from .base.session_protocol import overrides
from .base.state import TONES
from .base.stats import Stats
from .connecting.lifecycle import Closable
from .connecting.tokens import Identity
from .consuming.consumer_api import ConsumerApi
from .core import StoreCore
from .reactive.sampling import every
from .reactive.subjects import Command, Trigger, not_awaitable
from .requests import Request

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["WebSocketStore"]

In = TypeVar("In")
M = TypeVar("M")

CONNECT: Final[None] = not_awaitable("connect() only begins: await wait_connected()")
DISCONNECT: Final[None] = not_awaitable("disconnect() only begins: await wait_for(...)")
CLOSE: Final[None] = not_awaitable("close() only begins here: await aclose()")


class WebSocketStore(Closable, ConsumerApi[In]):
    """A WebSocket as reactive state; made by `use_websocket`.

    Args:
        core: its connection, which other stores may share.
        immediate: whether to connect at once.

    Attributes:
        is_connected: whether the socket is open; distinct.
        last_message: the newest message, None before the first; equal ones notify too.
        state: everything about the connection, as one snapshot.
        latency: round trip of the last protocol ping in seconds, None before the first.
        messages: every message in order, hot.
        transitions: pairs of the previous and the current state, hot.
        gaps: the time in which messages may have been missed, one for each reconnection, hot.
        errors: what went wrong without ending anything, hot; never terminates before the store.
        journal: the last 256 events with their times, without payloads and secrets.
        send: sends a value; a function, an observer and a subject of what was accepted.
        connect: connects now; a function, an observer and a subject.
        disconnect: ends the connection; a function, an observer and a subject.
    """

    def __init__(self, core: StoreCore, immediate: bool = False) -> None:
        self._core = core
        self._seat = seat = core.seat(self._finish, self._complete)
        self._bus = core.bus
        super().__init__(seat.values, seat.life, seat.reporter, core.holding)
        self.journal = core.journal
        self.send: Command[Any, Receipt] = Command(self._bus, "send", self._send)
        self.connect: Trigger = Trigger(self._bus, "connect", self._connect, CONNECT)
        self.disconnect: Trigger = Trigger(self._bus, "disconnect", self._disconnect, DISCONNECT)
        if immediate:
            core.begin()

    # Values

    @property
    def stats(self) -> Stats:
        """Return the present counters; stores that share a connection have the same ones."""
        return self._core.stats(self._seat.reporter, self._buffers.stats())

    def stats_every(self, seconds: float) -> Observable[Stats]:
        """Return the counters at intervals, on the store's loop, until the store ends.

        Raises:
            ConfigurationError: `seconds` is not above 0.
        """
        return every(seconds, lambda: self.stats, self.scheduler, self.state)

    @overload
    def channel(self, name: str) -> Observable[Any]: ...
    @overload
    def channel(self, name: str, message_type: TypeForm[M]) -> Observable[M]: ...
    def channel(self, name: str, message_type: Any = None) -> Observable[Any]:
        """Return the messages of a channel, hot; it is subscribed to while it is observed.

        Args:
            name: as the server knows it, such as `user:42`.
            message_type: what its messages are, any type pydantic can validate; plain JSON without.

        Raises:
            TypeError: the name is not a str.
        """
        if not isinstance(name, str):
            raise TypeError(f"channel() takes the name of a channel, a str, not {name!r}")
        return self._core.channel(self._values, name, message_type)

    def request(
        self,
        value: Any,
        *,
        match: Callable[[Any], bool] | None = None,
        timeout: float | None = 10.0,
    ) -> Request[In]:
        """Send a value and wait for its answer: `await` it, call `.result()`, or observe it.

        It fails with `WaitTimeout` without an answer in time, with `RequestLost` if the connection
        ends after it was written, and with `SendError` if it is not sent.

        If the protocol correlates, an answer with the key of the request proves that the server has
        it, and all that was sent before it on this connection. A match proves nothing: it may be
        true for a message that the server sent by itself.

        Args:
            value: as for `send`.
            match: true for the message that answers it, which observers of `messages` see, too.
                It can be left out if the protocol correlates.
            timeout: seconds to wait for the answer, or None for no limit.

        Raises:
            EncodeError: the value has no JSON form.
            StoreClosed: the store is closed.
            ConfigurationError: there is no `match`, and the protocol does not correlate; or the
                timeout is not a number of seconds.
            TypeError: `match` is not a plain function.
        """
        self._life.refuse_closed()
        check_timeout(timeout)
        if match is not None:
            check_function(match, "match= takes a function of a message, true for the answer")
        own = self._core.options.protocol
        if match is None and (own is None or not overrides(own, "correlate")):
            raise ConfigurationError(
                "request() needs match=, a predicate that is true for the answer; without it, "
                "a protocol= that has correlate()"
            )
        request: Request[In] = Request(self._values, self._life, self._report, match, timeout)
        expect = partial(self._core.expect, request=request)
        on_key = expect if match is None else _only_proved  # a key is asked for in both cases
        try:
            request._sent(self._send(value, on_key))
        except BaseException:
            request._forgo()
            raise
        return request

    # Commands

    def set_access_token(self, token: TokenSource, *, principal: str | None = None) -> None:
        """Use another token or provider from the next attempt on; connect now after a failure.

        If it is another user's, waiting sends are dropped and `last_message` is reset.

        Args:
            token: as the option `access_token`.
            principal: as the option: its user. None reads the `sub` of a JWT, and counts every
                other token or provider as another user's.

        Raises:
            ConfigurationError: the connection is shared, and the token is another user's; or it
                is not a token.
        """
        kind = secret_str()
        secret = kind(token) if isinstance(token, str) else token
        holds, wanted = CHECKS["access_token"]
        if not holds(secret):
            raise ConfigurationError(f"access_token must be {wanted}")
        if not self._life.closed:
            self._core.set_access_token(Identity(secret, principal))

    def reconnect(self, code: int = 1000, reason: str = "", *, overlap: bool = False) -> None:
        """End this session and open the next one at once; connect if there is none.

        This does not count as a failure: waiting sends, channels and requests are kept. Messages
        on the old socket that were not read yet are lost, and `gaps` reports it.

        With `overlap` the next session is opened first, including its handshake and subscriptions,
        while `is_connected` stays true. Then sends are written to it, the old one is closed
        and read to its end, at most for `close_timeout`, and the messages of the new one follow:
        there is a gap only if the old one was cut off. If the next session cannot be opened,
        `errors` says why and nothing changes. Another user's or URL's session never overlaps.

        Args:
            code: close code that the server gets: 1000, or 3000 to 4999.
            reason: close reason, at most 123 bytes.
            overlap: open the next session before this one ends.

        Raises:
            ConfigurationError: a code that only a library may send (RFC 6455 7.4), or a reason
                that is not a str.
            StoreClosed: the store is closed.
        """
        self._life.refuse_closed()
        check_close(code, reason)
        self._core.reconnect(code, reason, overlap)

    def resubscribe(self, name: str) -> None:
        """Leave a channel and ask for it again, for a new snapshot.

        Args:
            name: of the channel; nothing happens if it is not observed.
        """
        self._core.resubscribe(name)

    def close(self) -> None:
        """Disconnect and end every subject. Idempotent, from any thread.

        Blocks until everything has ended; on a thread that runs an event loop it only begins to
        close, and `await aclose()` waits. A store that shares its connection leaves it;
        the last to leave ends it, after `share_linger` seconds, or at once if that is 0.
        """
        self._life.close()
        return CLOSE

    async def aclose(self) -> None:
        """Disconnect, end every subject, and return when no task, thread or socket is left."""
        self._handlers.forgo()
        await self._life.aclose()
        await self._core.aclose()

    def __enter__(self) -> Self:
        self._life.refuse_closed()
        return self

    async def __aenter__(self) -> Self:
        self._life.refuse_closed()
        return self

    def __repr__(self) -> str:
        words = *self._words(), *self._last(), *self.state.value._why()
        return glance(self, f"{shortly(self._core.name)} {', '.join(words)}")

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        yield "endpoint", self._core.name, None
        yield "state", self.state.value, None
        yield "stats", self.stats, None
        yield "last_message", self._bus.shown(self.last_message.value), ""

    def _repr_html_(self) -> str:
        state, (status, *rest) = self.state.value, self._words()
        title = f"{shortly(self._core.name)} {status}"
        lines = ", ".join(rest), *self._last(), *state._why()
        return glance_html(TONES[state.status], title, *lines)

    def _words(self) -> Iterator[str]:
        counters = self._core.connection.counters
        yield from self.state.value._words()
        for name in ("received", "sent", "invalid"):
            if count := getattr(counters, name):
                yield f"{count} {name}"

    def _last(self) -> Iterator[str]:
        if (message := self.last_message.value) is not None:
            yield f"last: {self._bus.shown(message)}"

    # Parts

    def _send(self, value: Any, on_key: Callable[[Hashable], None] | None = None) -> Receipt:
        self._life.refuse_closed()
        receipt = self._core.send_path.put(self._core.frame(value, on_key))
        if receipt.error is not None:
            self._seat.reporter.error(receipt.error, often=True)
            return receipt
        if receipt.state == "queued":
            self._core.send_path.flush()
        self._bus.emit(self.send, value)
        return receipt

    def _connect(self, value: Any) -> None:
        self._life.refuse_closed()
        # Before observers are notified: what one of them commands comes after it.
        self._core.connect()
        self._bus.emit(self.connect, value)

    def _disconnect(self, value: Any) -> None:
        if not self._life.closed:
            self._core.disconnect()
            self._bus.emit(self.disconnect, value)

    async def _finish(self) -> None:
        if self._handlers.used:  # what operators give when their source ends still reaches them
            self._values.complete_sources()
        await self._handlers.finish()

    def _complete(self) -> None:
        self._values.complete((self.send, self.connect, self.disconnect))
        self._end_consumers()


def _only_proved(key: Hashable) -> None:
    """Leave the answer to a match; that with this key still proves the request."""
