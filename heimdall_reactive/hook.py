"""`use_websocket`: a store for an endpoint, typed by its messages."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from .base.endpoints import check_endpoint
from .base.exceptions import ConfigurationError
from .base.options import OptionsDict, options_of
from .connecting.codec import Codec, encode
from .connecting.runtime import LoopOption
from .core import StoreCore
from .sharing import join
from .store import WebSocketStore

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

__all__ = ["use_websocket"]

T = TypeVar("T")


@overload
def use_websocket(
    endpoint: str,
    *,
    loop: LoopOption = "auto",
    key: str | None = None,
    **options: Unpack[OptionsDict],
) -> WebSocketStore[Any]: ...
@overload
def use_websocket(
    endpoint: str,
    *,
    message_type: TypeForm[T],
    loop: LoopOption = "auto",
    key: str | None = None,
    **options: Unpack[OptionsDict],
) -> WebSocketStore[T]: ...
def use_websocket(
    endpoint: str,
    *,
    message_type: Any = None,
    loop: LoopOption = "auto",
    key: str | None = None,
    **options: Unpack[OptionsDict],
) -> WebSocketStore[Any]:
    """Return a store for a WebSocket, which starts to connect at once.

    Args:
        endpoint: a path under `ws_config.ws_url`, or a full `ws://` or `wss://` URL.
        message_type: type of the messages: any that pydantic can validate, including unions.
            Without it: Heimdall's messages, and plain JSON for unknown types, typed
            `Any`; `message_type=ServerMessage` is the typed form.
            `str | bytes` leaves text and binary messages unchanged. Binary messages are
            `bytes`; a type without `bytes` in it reports them as invalid.
        loop: `auto` uses the running event loop, or else the library's background thread;
            `thread` or an event loop selects that one.
        key: name of this store in the process: an earlier store with the same key is closed. For
            code that runs again, such as a cell of a notebook or a script that is reloaded.
        **options: see `StoreOptions`; durations are seconds.

    Raises:
        ConfigurationError: the value of an option cannot work, or the endpoint has another scheme,
            or is a host without one. Any other endpoint that cannot work makes the store `failed`,
            with an error that says what to do.

    Examples:
        >>> store = use_websocket("/v1/ws/updates", access_token=token)
        >>> store.is_connected.subscribe(print)
    """
    if not isinstance(endpoint, str):
        raise ConfigurationError("the endpoint must be a str: a path, or a ws:// or wss:// URL")
    check_endpoint(endpoint)
    checked = options_of(options)
    if checked.heartbeat is not None:
        encode(checked.heartbeat.message)  # refused here, not at the first connection
    before = None if key is None else _keyed.get(key)
    leaving = None if before is None or before._life.ended else before._core
    core = (
        join(endpoint, checked, message_type, loop, leaving)
        if checked.share
        else StoreCore(endpoint, checked, Codec(message_type), loop)
    )
    store = WebSocketStore[Any](core)
    if key is not None:
        with _lock:
            before, _keyed[key] = _keyed.get(key), store
    if before is not None:
        before._life.close_soon()
    if checked.immediate:
        core.begin()
    return store


# The newest store of each key.
_keyed: Final[weakref.WeakValueDictionary[str, WebSocketStore[Any]]] = weakref.WeakValueDictionary()
# Reentrant: the garbage collector may run a finaliser that makes a store while it is held.
_lock: Final = threading.RLock()
