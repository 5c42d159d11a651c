"""The supervisor: dial, read, write, heal. The one place where sockets and timers are started.

Way of a frame: `on_frame` is pushed each whole message by the wire, decodes it, and hands the
message to the listener (the store). Way of a command: the store puts frames into the outbox and
calls `flush`, which writes as long as the wire takes them.

Everything here runs on the thread of the event loop. There is no task while connected: every
change is a plain function, whose last step is the announcement, because an observer may answer
it with `connect()` or `disconnect()` before it returns.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final

from .codec import Codec, InvalidUtf8
from .exceptions import ConnectionLost, InvalidMessage, SessionEnded, TokenError
from .listener import Listener
from .messages import SESSION_ENDING, Frame
from .options import CloseInfo, StoreOptions, TokenSource, ws_config
from .outbox import Outbox
from .retry import Action, Failure, Retries, classify_close, classify_failure
from .runtime import Runtime
from .state import ConnectionState, Status
from .stats import Counters
from .tokens import Upgrade, prepare
from .transports import Wire, choose

__all__ = ["Connection"]

SESSION_END_WINDOW: Final = 10.0  # seconds within which a close "follows" a session-ending message
NORMAL_CLOSURE: Final = 1000
INVALID_UTF8: Final = 1007


class Connection:
    """One endpoint's connection over all its sessions.

    Args:
        endpoint: a path or a whole URL, resolved at each attempt.
        options: the store's.
        codec: decodes the frames.
        outbox: holds what waits to be written.
        listener: is told.
        runtime: the event loop it runs on.
    """

    def __init__(
        self,
        endpoint: str,
        options: StoreOptions,
        codec: Codec[Any],
        outbox: Outbox,
        listener: Listener,
        runtime: Runtime,
    ) -> None:
        self.state = ConnectionState()
        self.counters = Counters()
        self.token: TokenSource = options.access_token
        self._endpoint = endpoint
        self._options = options
        self._decode = codec.decode
        self._outbox = outbox
        self._listener = listener
        self._runtime = runtime
        self._dial = choose(options.transport)
        self._retries = Retries(options, random.random, listener.on_error)
        self._wire: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._stable: asyncio.TimerHandle | None = None
        self._again = False
        self._closed = False
        self._ending: tuple[str, float] | None = None
        self._ended: asyncio.Event | None = None

    # Commands

    def connect(self) -> None:
        """Dial now, unless there is a connection or one is under way."""
        status = self.state.status
        if status is Status.DISCONNECTING:
            self._again = not self._closed
        elif not self._closed and status not in (Status.CONNECTING, Status.CONNECTED):
            self._retries.reset()
            self._attempt(0)

    def disconnect(self, mark: int | None = None) -> None:
        """End the connection, or what is under way to one.

        Args:
            mark: what was queued before it is dropped; None drops all that waits.
        """
        self._again = False
        self._outbox.clear("disconnect() was called", mark)
        wire, status = self._wire, self.state.status
        if status is Status.CONNECTED and wire is not None:
            self._cancel_timers()
            self._move(self.state.disconnecting())
            wire.end(NORMAL_CLOSURE)
        elif status not in (Status.DISCONNECTING, Status.DISCONNECTED, Status.FAILED):
            self._cancel_timers()
            if self._dialling is not None:
                self._dialling.cancel()
                self._dialling = None
            self._move(self.state.disconnected())

    def flush(self) -> None:
        """Write what waits in the outbox, as long as the wire takes it."""
        self._outbox.flush(self._writable, self._write)

    async def aclose(self) -> None:
        """Disconnect, and return when no task, socket or timer is left."""
        self._closed = True
        self.disconnect()
        try:
            while self._wire is not None:
                self._ended = self._ended or asyncio.Event()
                await self._ended.wait()
            if self._tasks:
                # Bounded: a provider may refuse to be cancelled.
                await asyncio.wait(self._tasks, timeout=self._options.close_timeout)
        finally:  # where it is cancelled, the event loop is about to end
            if self._wire is not None:
                self.abandon()

    def abandon(self) -> None:
        """Give up what belongs to an event loop that is closed; dial anew if it was in use."""
        wire, self._wire = self._wire, None
        self._dialling = self._retry = self._stable = None
        self._tasks.clear()
        if wire is not None:
            wire.kill()
        lost = ConnectionLost(1006, "the event loop was closed")
        match self.state.status:
            case Status.DISCONNECTING:
                self._move(self.state.disconnected(CloseInfo(NORMAL_CLOSURE, "", "client")))
            case Status.WAITING:
                self._attempt(self.state.attempt)
            case Status.CONNECTING:
                self._wait(0.0, self.state.attempt, CloseInfo(1006, lost.reason), lost)
            case Status.CONNECTED:
                self._heal(Action.RETRY, CloseInfo(1006, lost.reason), lost, opened=True)

    # Dialling

    def _attempt(self, number: int) -> None:
        self._cancel_timers()
        self.counters.attempts += 1
        # The task starts only after this function: an observer may still cancel it.
        task = self._runtime.loop.create_task(self._open(), name="heimdall-dial")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._dialling = task
        self._move(self.state.connecting(number))

    async def _open(self) -> None:
        me, wire = asyncio.current_task(), None
        try:
            url = ws_config.resolve(self._endpoint)
            upgrade = await prepare(url, self.token, self._options)
            if self._dialling is me:
                self._listener.on_principal(upgrade.principal)
                where = upgrade.url, upgrade.headers, upgrade.subprotocols
                wire = await self._dial(*where, self._options)
        except Exception as error:
            if self._dialling is me:
                self._dialling = None
                self._refused(error.with_traceback(None))  # its frames hold the token
            return
        if wire is not None and self._dialling is me:
            self._dialling = None
            self._opened(wire, upgrade)
        elif wire is not None:  # cancelled, and here all the same: what comes too late is dropped
            wire.kill()

    def _opened(self, wire: Wire, upgrade: Upgrade) -> None:
        self._wire = wire
        self._ending = None
        self.counters.reconnects += self.state.session > 0
        self._stable = self._runtime.loop.call_later(self._options.stable_after, self._be_stable)
        if upgrade.first is not None and wire.writable:
            wire.write(upgrade.first)
        self._move(self.state.connected(time.time()))
        if self._wire is wire:  # an observer may have disconnected, and connected again
            self.flush()
            wire.start(self)

    def _be_stable(self) -> None:
        self._stable = None
        self._retries.reset()

    # Receiver

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        """Decode a frame and pass the message on; a bad one costs a report, not the connection."""
        counters = self.counters
        counters.received += 1
        counters.received_bytes += len(data)
        try:
            message = self._decode(data, text)
        except InvalidMessage as error:
            counters.invalid += 1
            self._listener.on_error(error)
            if isinstance(error, InvalidUtf8) and self._wire is not None:
                self._wire.fail(INVALID_UTF8, "invalid UTF-8")
            return
        if isinstance(message, SESSION_ENDING):
            self._ending = (message.type, time.monotonic())
        self._listener.on_message(message)

    def on_latency(self, seconds: float) -> None:
        """Pass the round trip of a ping on."""
        self._listener.on_latency(seconds)

    on_writable = flush

    def on_closed(self, close: CloseInfo) -> None:
        """Take the end of the socket: finish a disconnect, or heal."""
        self._wire = None
        self._cancel_timers()
        if self.state.status is Status.DISCONNECTING:
            self._disconnected(close)
            return
        if self._ending is not None and time.monotonic() - self._ending[1] < SESSION_END_WINDOW:
            self._heal(Action.FAIL, close, SessionEnded(self._ending[0]), opened=True)
        else:
            lost = ConnectionLost(close.code, close.reason)
            self._heal(classify_close(close), close, lost, opened=True)

    def _disconnected(self, close: CloseInfo) -> None:
        again, self._again = self._again, False
        if self._ended is not None:
            self._ended.set()
        self._move(self.state.disconnected(close))
        if again:
            self.connect()

    # Healing

    def _refused(self, error: Exception) -> None:
        if isinstance(error, NotImplementedError):
            self._listener.on_unusable_loop()
            return
        action, before = classify_failure(error), self.state
        if isinstance(error, TokenError):
            self._listener.on_error(error)
            if not callable(self.token):
                action = Action.FAIL  # a static token does not get better
        if self.state is not before:
            return  # an observer of the error has disconnected
        status = getattr(error, "http_status", None)
        close = CloseInfo(1006, str(error), "network" if status is None else "server", status)
        self._heal(action, close, error, opened=False)

    def _heal(self, action: Action, close: CloseInfo, error: Exception, opened: bool) -> None:
        """Do what the table says, or an option instead."""
        failure, before = Failure(close, error, time.monotonic(), opened), self.state
        decision = self._retries.decide(action, failure, callable(self.token))
        if self.state is not before:
            return  # an option's callable has disconnected
        if decision.delay is not None:
            self._wait(decision.delay, decision.attempt, close, error)
        elif decision.action is Action.END:
            self._move(self.state.disconnected(close, None if action is Action.END else error))
        else:
            self._move(self.state.failed(close, error))

    def _wait(self, delay: float, attempt: int, close: CloseInfo, error: Exception) -> None:
        self._retry = self._runtime.loop.call_later(delay, self._attempt, attempt)
        self._move(self.state.waiting(attempt, time.time() + delay, close, error))

    # Parts

    def _writable(self) -> bool:
        wire = self._wire
        return self.state.is_connected and wire is not None and wire.writable

    def _write(self, frame: Frame) -> None:
        assert self._wire is not None
        self._wire.write(frame)
        self.counters.sent += 1
        self.counters.sent_bytes += len(frame.data)

    def _move(self, state: ConnectionState) -> None:
        self.state = state
        self._listener.on_state(state)

    def _cancel_timers(self) -> None:
        for timer in (self._retry, self._stable):
            if timer is not None:
                timer.cancel()
        self._retry = self._stable = None
