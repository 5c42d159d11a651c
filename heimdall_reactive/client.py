"""`create_websocket`: the same connection with callbacks instead of subjects."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase
from reactivex.disposable import CompositeDisposable, Disposable

from .base.checks import is_async
from .base.glance import glance
from .base.options import CloseInfo, OptionsDict
from .base.receipt import Receipt
from .base.state import ConnectionState, Status
from .connecting.lifecycle import Closable
from .connecting.runtime import LoopOption
from .consuming.consumers import AsyncHandler
from .hook import use_websocket
from .store import CLOSE, WebSocketStore

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

__all__ = ["WebSocketClient", "create_websocket"]

T = TypeVar("T")
E = TypeVar("E")
Handler = Callable[[E], object] | Callable[[E], Awaitable[object]] | Callable[[], object]


class WebSocketClient(Closable, Generic[T]):
    """Callbacks over a store.

    Handlers may be functions or coroutine functions, and may take no argument. A coroutine
    function is awaited one call at a time, in order, on the store's event loop; while it is busy
    up to 1,024 calls wait, and `dropped` counts the older ones that were dropped. At the end it may
    go on for 2 s, see `WebSocketStore.on_each`.

    Args:
        store: what the callbacks are called for.

    Attributes:
        socket: the store.
    """

    def __init__(self, store: WebSocketStore[T]) -> None:
        self.socket = store
        self._queues: list[AsyncHandler[Any]] = []
        self._gone = 0  # dropped by those that were detached

    @property
    def dropped(self) -> int:
        """Calls that async handlers were too slow for; `socket.stats` has them one by one."""
        return self._gone + sum(queue.stats.dropped for queue in tuple(self._queues))

    @property
    def is_open(self) -> bool:
        """Whether the socket is open."""
        return self.socket.connected

    def send(self, value: Any) -> Receipt:
        """Send a value as `store.send` does."""
        return self.socket.send(value)

    def on_open(self, handler: Handler[ConnectionState]) -> DisposableBase:
        """Call for each connection that opens, and at once if one is open."""
        opened = self.socket.state.pipe(ops.filter(_is_open))
        return self._attach("on_open", opened, handler)

    def on_message(self, handler: Handler[T]) -> DisposableBase:
        """Call with each message, in order."""
        return self._attach("on_message", self.socket.messages, handler)

    def on_error(self, handler: Handler[Exception]) -> DisposableBase:
        """Call with each error: of a connection, an attempt, a message, a send or an observer."""
        ended = self.socket.transitions.pipe(ops.filter(_failed), ops.map(_error_of))
        told: Observable[Exception] = self.socket.errors.pipe(ops.merge(ended))
        return self._attach("on_error", told, handler)

    def on_close(self, handler: Handler[CloseInfo]) -> DisposableBase:
        """Call with each end of a connection, and of an attempt to one."""
        ended = self.socket.transitions.pipe(ops.filter(_ended), ops.map(_close_of))
        return self._attach("on_close", ended, handler)

    def close(self) -> None:
        """Close the store, see `WebSocketStore.close`."""
        self.socket.close()
        return CLOSE

    async def aclose(self) -> None:
        """Close the store, and return when everything has ended."""
        await self.socket.aclose()

    def __repr__(self) -> str:
        return glance(self, f"of {self.socket!r}")

    def _attach(self, name: str, source: Observable[E], handler: Handler[E]) -> DisposableBase:
        if not callable(handler):
            raise TypeError(f"{name} takes a function, sync or async, not {handler!r}")
        call: Callable[[E], Any] = _with_argument(name, handler)
        if not is_async(handler):
            return source.subscribe(call)
        queue = self.socket.on_each(source, call, name=name)
        self._queues.append(queue)
        return CompositeDisposable(queue, Disposable(lambda: self._forget(queue)))

    def _forget(self, queue: AsyncHandler[Any]) -> None:
        self._queues.remove(queue)
        self._gone += queue.stats.dropped


def _with_argument(name: str, handler: Callable[..., Any]) -> Callable[[Any], Any]:
    """Let a handler without parameters ignore its argument, as JavaScript's may.

    Raises:
        TypeError: it takes more than one, as those of `websocket-client`.
    """
    try:
        signature = inspect.signature(handler)
    except ValueError:  # a builtin without a signature takes what it gets
        return handler
    if _takes(signature, None):
        return handler
    if not _takes(signature):
        raise TypeError(f"{name} takes a function of one argument, or of none, not {handler!r}")
    return lambda _: handler()


def _takes(signature: inspect.Signature, *given: None) -> bool:
    try:
        signature.bind(*given)
    except TypeError:
        return False
    return True


_UP = (Status.CONNECTING, Status.CONNECTED, Status.DISCONNECTING)
_DOWN = (Status.WAITING, Status.DISCONNECTED, Status.FAILED)


def _ended(pair: tuple[ConnectionState, ConnectionState]) -> bool:
    return pair[0].status in _UP and pair[1].status in _DOWN


def _failed(pair: tuple[ConnectionState, ConnectionState]) -> bool:
    return _ended(pair) and pair[1].error is not None


def _is_open(state: ConnectionState) -> bool:
    return state.is_connected


def _error_of(pair: tuple[ConnectionState, ConnectionState]) -> Exception:
    error = pair[1].error
    assert error is not None
    return error


def _close_of(pair: tuple[ConnectionState, ConnectionState]) -> CloseInfo:
    return pair[1].close or CloseInfo(1006, "disconnected before it opened", "client")


@overload
def create_websocket(
    endpoint: str,
    *,
    on_open: Handler[ConnectionState] | None = None,
    on_message: Handler[Any] | None = None,
    on_error: Handler[Exception] | None = None,
    on_close: Handler[CloseInfo] | None = None,
    loop: LoopOption = "auto",
    **options: Unpack[OptionsDict],
) -> WebSocketClient[Any]: ...
@overload
def create_websocket(
    endpoint: str,
    *,
    message_type: TypeForm[T],
    on_open: Handler[ConnectionState] | None = None,
    on_message: Handler[T] | None = None,
    on_error: Handler[Exception] | None = None,
    on_close: Handler[CloseInfo] | None = None,
    loop: LoopOption = "auto",
    **options: Unpack[OptionsDict],
) -> WebSocketClient[T]: ...
def create_websocket(
    endpoint: str,
    *,
    message_type: Any = None,
    on_open: Handler[ConnectionState] | None = None,
    on_message: Handler[Any] | None = None,
    on_error: Handler[Exception] | None = None,
    on_close: Handler[CloseInfo] | None = None,
    loop: LoopOption = "auto",
    **options: Unpack[OptionsDict],
) -> WebSocketClient[Any]:
    """Return a client with callbacks, which starts to connect at once.

    Args:
        endpoint: as in `use_websocket`.
        message_type: as in `use_websocket`.
        on_open: handlers given here miss nothing: they are in place before the first attempt.
        on_message: as `on_open`.
        on_error: as `on_open`.
        on_close: as `on_open`.
        loop: as in `use_websocket`.
        **options: as in `use_websocket`.

    Raises:
        ConfigurationError: an option's value cannot work.
        TypeError: what is given as a handler is not a function of one argument, or of none.
    """
    later: OptionsDict = {**options, "immediate": False}
    store = use_websocket(endpoint, message_type=message_type, loop=loop, **later)
    client: WebSocketClient[Any] = WebSocketClient(store)
    given = {"open": on_open, "message": on_message, "error": on_error, "close": on_close}
    try:
        for name, handler in given.items():
            if handler is not None:
                getattr(client, f"on_{name}")(handler)
    except TypeError:
        store.close()
        raise
    if options.get("immediate", True):
        store.connect()
    return client
