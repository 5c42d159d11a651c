"""`replay`: a store that goes through what was recorded."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.connecting.runtime import LoopOption
from heimdall_reactive.core import StoreCore
from heimdall_reactive.store import WebSocketStore

from .file import read_first
from .player import Player

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["replay"]

T = TypeVar("T")


@overload
def replay(
    path: str | os.PathLike[str],
    speed: float | Literal["instant"] | None = 1.0,
    *,
    loop: LoopOption = "auto",
    immediate: bool = True,
) -> WebSocketStore[Any]: ...
@overload
def replay(
    path: str | os.PathLike[str],
    speed: float | Literal["instant"] | None = 1.0,
    *,
    message_type: TypeForm[T],
    loop: LoopOption = "auto",
    immediate: bool = True,
) -> WebSocketStore[T]: ...
def replay(
    path: str | os.PathLike[str],
    speed: float | Literal["instant"] | None = 1.0,
    *,
    message_type: Any = None,
    loop: LoopOption = "auto",
    immediate: bool = True,
) -> WebSocketStore[Any]:
    """Return a store that goes through what was recorded: states, messages, gaps, errors.

    All of them come in the recorded order; states, gaps and errors as they were, messages from
    the recorded frames by `message_type`. Then the store closes: its subjects complete. What is
    sent during it counts as written in a recorded session, and goes nowhere. `disconnect()`
    ends the replay early, and `connect()` begins it again.

    Args:
        path: of the file that `record` wrote.
        speed: how many times as fast as it happened; `instant` or None is as fast as possible.
        message_type: as for `use_websocket`.
        loop: as for `use_websocket`.
        immediate: begin at once; else `connect()` begins. Observers that must see everything
            subscribe before, unless the store runs on the event loop they are subscribed on.

    Raises:
        RecordingError: there is no recording that this version can read. A line that is none
            makes the store `failed` when its turn comes; the error has its number.
        ConfigurationError: the speed is not a number above 0.

    Examples:
        >>> store = replay("session.jsonl", speed=2.0)
        >>> store.messages.subscribe(print)
    """
    pace = None if speed == "instant" else speed
    if pace is not None and not (
        isinstance(pace, (int, float)) and 0 < pace < float("inf")
    ):  # NaN too
        raise ConfigurationError("speed must be a number above 0, or 'instant'")
    player = partial(Player, Path(path), pace, lambda: store.close())
    options = StoreOptions(immediate=immediate)
    where, codec = read_first(Path(path)).endpoint, Codec(message_type)
    core = StoreCore(where, options, codec, loop, player, loud=False)
    store: WebSocketStore[Any] = WebSocketStore(core, immediate)
    return store
