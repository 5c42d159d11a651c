"""Channels: one subscription on the socket for all observers of a name, over all reconnections."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from reactivex import Observable, abc
from reactivex.abc import DisposableBase

from .base.exceptions import InvalidMessage, ServerError, StoreError
from .base.frames import Frame
from .base.session_protocol import (
    Again,
    ChannelProtocol,
    Ended,
    Failed,
    heimdall_messages,
)
from .base.wake_up import Post, WakeUp
from .connecting.codec import Codec, encode
from .reactive.bus import Bus
from .reactive.source import Source

__all__ = ["Channel", "Channels"]

T = TypeVar("T")

ALL: Final = "\0"  # stands for several channels that are asked for in one message


class PutAhead(Protocol):
    """Puts the frames of a channel before what waits."""

    def __call__(self, name: str, *frames: Frame, again: bool = False) -> None:
        """Put one, or two that leave the channel and ask for it again."""


class Channel(Source[T]):
    """What comes on one channel, as one type: hot, subscribed on the socket while observed.

    Args:
        owner: knows all channels.
        name: the channel's.
        decode: makes the value of a payload.
    """

    def __init__(self, owner: Channels, name: str, decode: Callable[[Any], T]) -> None:
        super().__init__(owner.bus, name)
        self._decode = decode
        self._owner = owner

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> DisposableBase:
        return self._attach(observer, replay=False)

    def _changed(self) -> None:
        self._owner.on_observers(self)

    def _end(self, error: Exception | None) -> None:
        """Complete or fail its observers; whoever observes it next asks the server again."""
        with self._bus.lock:
            records, self._records, self._fan = self._records, (), None
            self._changed()
        for record in records:
            try:
                if error is None:
                    record.observer.on_completed()
                else:
                    record.observer.on_error(error)
            except BaseException as raised:
                self._bus.caught(raised, self._name)


class Channels:
    """All channels of a store.

    What the observers want and what the socket was told are compared on the store's event loop:
    however subscribing, leaving, drops and reconnections follow upon each other, the socket is
    notified of a difference and of nothing else.

    Args:
        bus: the store's.
        protocol: the server's words.
        messages: all of the store's messages, observed while a channel is; None where `dispatch`
            gets the envelopes of a protocol of one's own.
        post: calls something soon on the event loop.
        tell: puts a channel's frames before what waits, and flushes; on the event loop.
        is_connected: whether the socket is open.
        report: takes errors.
        frame_of: makes the frame of a channel's message.
        exactly: is notified of a type that asks for numbers with all their digits.
    """

    def __init__(
        self,
        bus: Bus,
        protocol: ChannelProtocol,
        messages: Observable[Any] | None,
        post: Post,
        tell: PutAhead,
        is_connected: Callable[[], bool],
        report: Callable[[StoreError], None],
        frame_of: Callable[[Any], Frame] = encode,
        exactly: Callable[[], object] = lambda: None,
    ) -> None:
        self.bus = bus
        self._protocol = protocol
        self._messages = messages
        self._tell = tell
        self._is_connected = is_connected
        self._report = report
        self._frame_of = frame_of
        self._exactly = exactly
        self._left: set[str] = set()  # names that nobody observed for a moment
        self._known: weakref.WeakValueDictionary[tuple[str, Any], Channel[Any]]
        self._known = weakref.WeakValueDictionary()
        self._observed: dict[str, dict[int, Channel[Any]]] = {}
        self._told: set[str] = set()  # what this session's socket has been asked for
        self._changes: dict[str, None] = {}  # names to compare, in the order of their change
        self._wake = WakeUp(self._compare, post)
        self._dispatching: DisposableBase | None = None
        self._closed = False

    def get(self, name: str, message_type: Any = None) -> Channel[Any]:
        """Return a channel; observers of the same name share one subscription on the socket."""
        heimdall_messages()  # here, as it takes its time: not in a turn of the event loop
        key = (name, message_type)
        try:
            found = self._known.get(key)
        except TypeError:  # a type that has no hash
            key, found = (name, object()), None
        if found is None:
            found = self._known[key] = Channel(self, name, self._decoder(message_type))
            found._completed = self._closed
        return found

    def on_observers(self, channel: Channel[Any]) -> None:
        """Handle a change of a channel's observers; the bus's lock is held."""
        here = self._observed.setdefault(channel._name, {})
        if channel._records:
            here[id(channel)] = channel
        else:
            here.pop(id(channel), None)
            if not here:
                self._observed.pop(channel._name, None)
                self._left.add(channel._name)
        self._changes[channel._name] = None
        self._wake.call()

    def on_session(self) -> None:
        """Subscribe again on a socket that has just opened, before anything else goes out."""
        self._told.clear()
        names, many = tuple(self._observed), self._protocol.subscribe_many
        if many is not None and len(names) > 1:
            if (frame := self._frame(many, names)) is not None:
                self._told.update(names)
                self._tell(ALL, frame)
            return
        for name in names:
            self._ask(name)

    def resubscribe(self, name: str) -> None:
        """Leave a channel and ask for it again; nothing where the socket was not asked for it."""
        if name in self._told and self._is_connected():
            leave = self._frame(self._protocol.unsubscribe, name)
            ask = self._frame(self._protocol.subscribe, name)
            if leave is not None and ask is not None:
                self._tell(name, leave, ask)

    def on_moved(self) -> None:
        """Compare again: what was posted to an event loop that has closed is lost."""
        self._wake.reset()
        self._wake.call()

    def complete(self) -> None:
        """End every channel with the store."""
        self._closed = True
        # Not `values()`: another thread may ask for a channel.
        known = [channel for found in self._known.valuerefs() if (channel := found()) is not None]
        self.bus.complete(known)

    def disown(self) -> None:
        """Leave every channel to the parent process."""
        self._closed = True
        for channel in tuple(self._known.values()):
            channel._disown()

    def catch_up(self) -> None:
        """Tell the socket of what changed, before what is sent next; on the event loop."""
        if self._changes:
            self._compare()

    def _compare(self) -> None:
        with self.bus.lock:
            changes, self._changes = self._changes, {}
            wanted = {name for name in changes if name in self._observed}
            left, self._left = self._left, set()
        self._dispatch_while_observed()
        if not self._is_connected():
            return  # the next session subscribes; an Unsubscribe would be one too many
        for name in changes:
            if name in wanted and name not in self._told:
                self._ask(name)
            elif name not in wanted and name in self._told:
                self._told.discard(name)
                self._say(self._protocol.unsubscribe, name)
            elif name in left and name in self._told:
                self.resubscribe(name)  # left and joined in one turn: it wants a new snapshot

    def _ask(self, name: str) -> None:
        if self._say(self._protocol.subscribe, name):
            self._told.add(name)

    def _say(self, words: Callable[[str], Any], name: str) -> bool:
        frame = self._frame(words, name)
        if frame is not None:
            self._tell(name, frame)
        return frame is not None

    def _frame(self, words: Callable[[Any], Any], name: Any) -> Frame | None:
        """Return a user's words for a channel; what they raise must not end an attempt."""
        try:
            return self._frame_of(words(name))
        except Exception as raised:
            kind = type(raised).__name__
            self._report(StoreError(f"the option channel_protocol raised {kind}; fix it"))
            return None

    def _dispatch_while_observed(self) -> None:
        if self._messages is None:
            return
        if self._observed and self._dispatching is None:
            self._dispatching = self._messages.subscribe(self.dispatch)
        elif not self._observed and self._dispatching is not None:
            self._dispatching.dispose()
            self._dispatching = None

    def dispatch(self, message: Any) -> None:
        """Handle a message, or an envelope: it may be one of a channel, or about one."""
        if type(message) is heimdall_messages().ErrorMessage:
            self._report(ServerError(message.message))
            return
        found = self._protocol.match(message)
        if found is None:
            return
        name, payload = found
        if isinstance(payload, Again):
            if name in self._told and (frame := self._frame(self._protocol.subscribe, name)):
                self._tell(name, frame, again=True)
            return
        for channel in tuple(self._observed.get(name, {}).values()):
            if isinstance(payload, (Ended, Failed)):
                self._told.discard(name)  # it counts as left: nothing is said about it
                self.bus.behind(partial(channel._end, getattr(payload, "error", None)))
                continue
            try:
                value = channel._decode(payload)
            except InvalidMessage as error:
                self._report(error)
            else:
                self.bus.emit(channel, value)

    def _decoder(self, message_type: Any) -> Callable[[Any], Any]:
        codec: Codec[Any] = Codec(Any if message_type is None else message_type)
        if self._protocol.json_text:
            return lambda text: codec.decode(str(text).encode(errors="surrogatepass"), True)
        if codec.exact:
            self._exactly()
        return codec.validate
