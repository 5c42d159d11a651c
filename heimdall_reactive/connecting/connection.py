"""The supervisor: dial, heal, end. The one place where attempts and their timers are started.

Everything here runs on the thread of the event loop. There is no task while connected: every
change is a plain function, whose last step is the announcement, because an observer may answer
it with `connect()` or `disconnect()` before it returns.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from pydantic import SecretStr

from heimdall_reactive.base.endpoints import ws_config
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    SessionEnded,
    TokenError,
)
from heimdall_reactive.base.masking import bare
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.base.retry import Failure, Retries
from heimdall_reactive.base.rules import Action
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.base.state import ConnectionState, Gap, Status
from heimdall_reactive.base.stats import Counters
from heimdall_reactive.transports import Wire, choose

from .asking import Asker
from .codec import Codec
from .expiry import Expiry
from .listener import Listener
from .outbox import Outbox
from .runtime import Runtime
from .session import Session
from .timers import Timers
from .tokens import Identity, Upgrade, prepare

__all__ = ["Connection"]

NORMAL_CLOSURE: Final = 1000
PROBE_TIMEOUT: Final = 5.0  # seconds that a peer has to answer after the machine has slept


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
        self.identity = Identity(options.access_token, options.principal)
        self._endpoint = SecretStr(endpoint)  # its user, password and query may be secret
        self._options = options
        self._decode = codec.decode
        self._outbox = outbox
        self._listener = listener
        self._runtime = runtime
        self._dial = choose(options.transport)
        self._asker = Asker()
        self._retries = Retries(options, random.random, listener.on_error)
        self.session: Session | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers = Timers(runtime, self._on_wake)
        self._expiry = Expiry(outbox, runtime, listener.on_error)
        self._lost_at: float | None = None
        self._again = False
        self._closed = False
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
        session, status = self.session, self.state.status
        if status is Status.CONNECTED and session is not None:
            self._timers.cancel()
            self._move(self.state.disconnecting())
            session.end(NORMAL_CLOSURE)
        elif status not in (Status.DISCONNECTING, Status.DISCONNECTED, Status.FAILED):
            self._timers.cancel()
            if self._dialling is not None:
                self._dialling.cancel()
                self._dialling = None
            self._move(self.state.disconnected())

    def flush(self) -> None:
        """Write what waits in the outbox, as long as the wire takes it."""
        if self.session is not None and self.state.is_connected:
            self.session.flush()
        if self._options.send_ttl is not None:
            self._expiry.expect()

    async def aclose(self) -> None:
        """Disconnect, and return when no task, socket or timer is left."""
        self._closed = True
        self.disconnect()
        self._expiry.stop()
        try:
            while self.session is not None:
                self._ended = self._ended or asyncio.Event()
                await self._ended.wait()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._options.close_timeout)
            await self._asker.aclose(self._options.close_timeout)
        finally:  # where it is cancelled, the event loop is about to end
            if self.session is not None:
                self.abandon()

    def abandon(self) -> None:
        """Give up what belongs to an event loop that is closed; dial anew if it was in use."""
        session, self.session = self.session, None
        self._dialling = None
        self._timers.forget()
        self._expiry.stop()
        self._tasks.clear()
        self._asker.forget()
        if session is not None:
            session.kill()
        lost = ConnectionLost(1006, "the event loop was closed")
        match self.state.status:
            case Status.DISCONNECTING:
                self._move(self.state.disconnected(CloseInfo(NORMAL_CLOSURE, "", "client")))
            case Status.WAITING:
                self._attempt(self.state.attempt)
            case Status.CONNECTING:
                self._wait(0.0, self.state.attempt, CloseInfo(1006, lost.reason), lost)
            case Status.CONNECTED:
                self._lost_at = self._runtime.wall()
                self._heal(CloseInfo(1006, lost.reason), lost, opened=True)

    # Dialling

    def _attempt(self, number: int) -> None:
        self._timers.cancel()
        self.counters.attempts += 1
        # The task begins only after this function: an observer may still cancel it.
        task = start_task(self._open(), "heimdall-dial", self._runtime.loop)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._dialling = task
        self._move(self.state.connecting(number))

    async def _open(self) -> None:
        me, wire = asyncio.current_task(), None
        try:
            upgrade = await self._prepare()
            if self._dialling is me:
                self._listener.on_principal(upgrade.principal, upgrade.identity is self.identity)
            if self._dialling is me:  # no observer of that has disconnected
                wire = await self._dial(*upgrade[:3], self._options)
        except asyncio.CancelledError:
            if self._dialling is me:  # not we have cancelled it
                self._refused(ConnectError("somebody cancelled the attempt", "reset"))
            raise
        except Exception as error:
            if self._dialling is me:
                self._refused(bare(error))
            return
        if wire is not None and self._dialling is me:
            self._dialling = None
            self._opened(wire, upgrade)
        elif wire is not None:  # cancelled, and here all the same: what comes too late is dropped
            wire.kill()

    async def _prepare(self) -> Upgrade:
        """Return what the next attempt dials with."""
        url = ws_config.resolve(self._endpoint.get_secret_value())
        return await prepare(url, self.identity, self._options, self._asker)

    def _opened(self, wire: Wire, upgrade: Upgrade) -> None:
        loop = self._runtime.loop
        parts = wire, loop, self._decode, self._outbox, self.counters, self._listener, upgrade.mask
        session = self.session = Session(*parts, self._on_closed)
        self.counters.reconnects += self.state.session > 0
        self._timers.stable(self._options.stable_after, self._retries.reset)
        if upgrade.first is not None and wire.writable:
            wire.write(upgrade.first)
        self._listener.on_session()
        self._move(self.state.connected(self._runtime.wall()))
        self._mark_gap()
        if self.session is session:  # an observer may have disconnected, and connected again
            session.start(self._options.heartbeat if self.state.is_connected else None)

    def _mark_gap(self) -> None:
        since, until = self._lost_at, self.state.connected_at
        if since is not None and until is not None:  # also where an observer has disconnected
            self._lost_at = None
            self._listener.on_gap(Gap(since, until, self.state.session))

    def _on_closed(self, close: CloseInfo) -> None:
        """Take the end of the session's socket: finish a disconnect, or heal."""
        session, self.session = self.session, None
        assert session is not None
        session.on_wake(self._timers.slept)
        self._lost_at = self._runtime.wall() - session.silent_for
        self._timers.cancel()
        if self.state.status is Status.DISCONNECTING:
            self._disconnected(close)
        elif (kind := session.ending) is not None:
            self._heal(close, SessionEnded(kind), opened=True)
        else:
            self._heal(close, ConnectionLost(close.code, close.reason), opened=True)

    def _disconnected(self, close: CloseInfo) -> None:
        if self._ended is not None:
            self._ended.set()
        self._move(self.state.disconnected(close))
        again, self._again = self._again, False  # an observer may have disconnected
        if again:
            self.connect()

    def _refused(self, error: Exception) -> None:
        self._dialling = None
        if isinstance(error, NotImplementedError):
            if not self._runtime.background:
                self._listener.on_unusable_loop()
                return
            error = ConfigurationError("the transport raised NotImplementedError; use another one")
        before = self.state
        if isinstance(error, TokenError):
            self._listener.on_error(error)
        if self.state is not before:
            return  # an observer of the error has disconnected
        status = getattr(error, "http_status", None)
        close = CloseInfo(1006, str(error), "network" if status is None else "server", status)
        self._heal(close, error, opened=False)

    def _heal(self, close: CloseInfo, error: Exception, opened: bool) -> None:
        """Do what the rules say, or an option instead."""
        failure, before = Failure(close, error, self._runtime.time(), opened), self.state
        decision = self._retries.decide(failure, callable(self.identity.token))
        if self.state is not before:
            return  # an option's callable has disconnected
        if decision.delay is not None:
            self._wait(decision.delay, decision.attempt, close, error)
        elif decision.action is Action.END:
            clean = close.code == NORMAL_CLOSURE
            self._move(self.state.disconnected(close, None if clean else error))
        else:
            self._move(self.state.failed(close, error))

    def _wait(self, delay: float, attempt: int, close: CloseInfo, error: Exception) -> None:
        self._timers.retry(delay, self._attempt, attempt)
        self._move(self.state.waiting(attempt, self._runtime.wall() + delay, close, error))

    def _on_wake(self, slept: float) -> None:
        """The machine has slept: ask whether the peer is still there, or dial when it is time."""
        if self.session is not None and self.state.is_connected:
            self.session.on_wake(slept)
            self.session.wire.probe(min(self._options.ping_timeout, PROBE_TIMEOUT))
        elif self._timers.waits and (retry_at := self.state.retry_at) is not None:
            left = max(0.0, retry_at - self._runtime.wall())
            self._timers.retry(left, self._attempt, self.state.attempt)

    def _move(self, state: ConnectionState) -> None:
        self.state = state
        self._listener.on_state(state)
