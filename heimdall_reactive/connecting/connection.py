"""The supervisor: performs what the table in `machine.py` says.

Everything here runs on the thread of the event loop. What happens is fed to the table as an event;
what the table answers is performed in its order. There is no task while connected. An observer may
answer an announcement with `connect()` or `disconnect()` before it returns: the table has taken
its step by then, and what has to follow the announcement is fed as an event of its own.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any, Final

from heimdall_reactive.base.endpoints import ws_config
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    HandshakeRefused,
    SessionEnded,
)
from heimdall_reactive.base.hidden import Hidden
from heimdall_reactive.base.masking import bare
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.base.retry import Credential, Failure, Retries
from heimdall_reactive.base.session_protocol import overrides
from heimdall_reactive.base.starting import Tasks
from heimdall_reactive.base.state import ConnectionState, Gap
from heimdall_reactive.base.stats import Counters
from heimdall_reactive.protocols.heimdall import protocol_of
from heimdall_reactive.transports import Wire, choose

from . import effects, events
from .codec import Codec
from .envelopes import EnvelopeSession
from .expiry import Expiry
from .handshake import ask_endpoint, shake_hands
from .listener import Listener
from .machine import Machine, Phase, step
from .outbox import CLOSED, Outbox
from .pace import Pace
from .providers import ProviderCalls
from .runtime import Runtime
from .session import Session
from .sessions import Sessions
from .timers import NORMAL_CLOSURE, Timers
from .token_refresh import TokenRefresh
from .tokens import Identity, Upgrade, credential_of, prepare

__all__ = ["Connection"]

DIALLING: Final = (Phase.CONNECTING, Phase.RENEWING)
SHAKING: Final = (Phase.HANDSHAKE, Phase.SWITCHING)
CANCELLED: Final = "cancelled, as at the end of asyncio.run(): write `async with`"
PROBE_TIMEOUT: Final = 5.0  # seconds that a peer has to answer after the machine has slept


class Connection:
    """One endpoint's connection over all its sessions.

    Args:
        endpoint: a path or a full URL, resolved at each attempt.
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
        self.counters = Counters()
        self.identity = self.dialled = Identity(options.access_token, options.principal)
        self._endpoint = Hidden(endpoint)  # its user, password and query may be secret
        self._options = options
        self._decode, self._validate = codec.decode, codec.validate
        self._protocol = protocol_of(options)
        self._outbox = outbox
        self._listener = listener
        self._runtime = runtime
        self._dial = choose(options.transport)
        self._asker = ProviderCalls()
        self._retries: Retries | None = None  # before the first failure
        self.sessions = Sessions()
        self._principal: object = None  # of the current session
        self._machine = Machine()
        self._dialling: asyncio.Task[None] | None = None
        self._stable_at = 0.0  # when the current session is, on the loop's clock
        self._tasks = Tasks()
        self._timers = Timers(runtime, self)
        self._token_refresh = TokenRefresh(
            self, self._protocol, options, self._asker, runtime, listener
        )
        self._expiry = Expiry(outbox, runtime, listener)

    @property
    def state(self) -> ConnectionState:
        """The newest snapshot."""
        return self._machine.state

    def connect(self) -> None:
        """Connect now, unless there is a connection or one is under way."""
        self._feed(events.Connect())

    def disconnect(self, mark: int) -> None:
        """End the connection, or what is under way to one.

        Args:
            mark: what was queued before it is dropped.
        """
        self.flush()  # what was sent in this turn of the event loop was sent before
        # Before the step: a receipt's callback may connect, and this command still wins.
        self._outbox.clear("disconnect() was called", mark)
        self._feed(events.Disconnect())

    def flush(self) -> None:
        """Write what waits in the outbox, as long as the wire takes it."""
        session = self.sessions.current
        if session is not None and self.state.is_connected:
            session.flush()
        self._expect_expiry()

    def _expect_expiry(self) -> None:
        if self._options.send_ttl is not None:
            self._expiry.expect()

    async def aclose(self) -> None:
        """Disconnect, and return when no task, socket or timer is left."""
        self.flush()
        self._outbox.clear(CLOSED)
        self._feed(events.Close())
        self._expiry.stop()
        try:
            await self.sessions.wait_closed()
            await self._tasks.wait(self._options.close_timeout)
            await self._asker.aclose(self._options.close_timeout)
            self.sessions.kill_parted()
        finally:  # where it is cancelled, the event loop is about to end
            if self.sessions.current is not None:
                self.abandon()

    def abandon(self) -> None:
        """Give up what belongs to an event loop that is closed; reconnect if it was in use."""
        self._feed(events.LoopLost(self._wall(), self._runtime.time()))

    def reconnect(
        self, code: int = NORMAL_CLOSURE, reason: str = "", overlap: bool = False
    ) -> None:
        """End this session and open the next one at once; while not connected, `connect`.

        Args:
            code: closes this session.
            reason: goes with it.
            overlap: whether the next one is opened first, unless one is under way already.
        """
        self.flush()
        if overlap and self._protocol.overlaps:
            self._feed(events.Renew(code, reason))
        else:
            self._feed(events.Reconnect(code, reason, self._wall()))

    def on_retry_due(self) -> None:
        """Start the next attempt, where one is waited for."""
        self._feed(events.RetryDue())

    def on_wake(self, slept: float, *, back: bool = False) -> None:
        """Handle a sleep of some seconds, a clock that was set (0), or a page that is back."""
        self._token_refresh.on_wake()
        wall = self._wall()
        if slept or back:
            self._feed(events.Woke(slept, wall))

    # The table and its effects

    def _feed(self, event: events.Event) -> None:
        self._machine, todo = step(self._machine, event)
        for effect in todo:
            self._carry_out(effect)

    def _carry_out(self, effect: effects.Effect) -> None:  # noqa: C901 - a line for each effect
        session = self.sessions.current
        match effect:
            case effects.StartAttempt(number):
                self._start_attempt(number)
            case effects.CancelAttempt():
                self._cancel_attempt()
            case effects.DropLink((wire, _)):
                wire.kill()
            case effects.OpenSession((wire, upgrade)):
                self._open_session(wire, upgrade)
            case effects.StartSession(heartbeat) if session is not None:
                if heartbeat:
                    self._token_refresh.start(session)
                session.start(self._options.heartbeat if heartbeat else None)
            case effects.EndSession(code, reason) if session is not None:
                session.end(code, reason)
            case effects.PartSession(code, reason):
                self.sessions.part(code, reason)
                self._expect_expiry()
            case effects.HandOver(code, reason):
                self._hand_over(code, reason)
            case effects.DropOld():
                self.sessions.kill_old()
            case effects.Probe(slept) if session is not None:
                session.on_wake(slept)
                session.probe(min(self._options.ping_timeout, PROBE_TIMEOUT))
            case effects.StartTimer(delay):
                self._timers.retry(delay)
            case effects.StartStable():
                self._stable_at = self._runtime.time() + self._options.stable_after
                self._timers.watch()
            case effects.CancelTimers():
                self._timers.cancel()
                self._token_refresh.stop()
            case effects.ResetRetries():
                if self._retries is not None:
                    self._retries.reset()
            case effects.ForgetLoop():
                self._forget_loop()
            case effects.MoveLoop():
                if error := self._listener.on_unusable_loop():
                    self._refused(self._machine.number, error)
            case effects.Tell(state):
                self._listener.on_state(state)
            case effects.TellGap(gap):
                self._tell_gap(gap)
            case effects.Report(error):
                self._listener.on_error(error)
            case effects.Judge(number, failure):
                self._judge(number, failure)
            case effects.Then(event):
                self._feed(event)

    def _tell_gap(self, gap: Gap) -> None:
        session = self.sessions.current  # None: an observer has disconnected
        (self._listener.on_gap if session is None else session.hold_gap)(gap)

    def _start_attempt(self, number: int) -> None:
        self.counters.attempts += 1
        loop = self._runtime.loop
        self._dialling = self._tasks.start(self._attempt(number), "heimdall-dial", loop)

    def _cancel_attempt(self) -> None:
        task, self._dialling = self._dialling, None
        if task is not None:
            task.cancel()
        self.sessions.kill_opening()

    async def _attempt(self, number: int) -> None:
        try:
            upgrade = await self._prepare()
            if not self._goes_on(number, upgrade):
                return
            wire = await self._dial(*upgrade[:3], self._options)
            self._feed(events.Dialed(number, (wire, upgrade)))
            opened = self.sessions.opening
            if self._is_in(number, *SHAKING) and opened is not None:
                await shake_hands(self._protocol, opened, self._options.open_timeout)
        except asyncio.CancelledError:
            # Late, and so without effect, unless somebody else has cancelled it.
            self._refused(number, ConnectError(CANCELLED, "reset"))
            raise
        except Exception as error:
            self._refused(number, bare(error))
        else:
            self._ended_attempt(number)
            if self._is_in(number, Phase.HANDSHAKE):
                self._subscribe()
            if self._is_in(number, Phase.HANDSHAKE):
                self.sessions.switch()
                self.counters.reconnects += self.state.session > 0
            if self._is_in(number, *SHAKING):
                self._feed(events.Ready(number, self._wall(), self.sessions.answer))

    def _goes_on(self, number: int, upgrade: Upgrade) -> bool:
        """Tell for whom an attempt is; return whether it is still wanted."""
        if self._is_in(number, Phase.RENEWING) and upgrade.principal != self._principal:
            # What waits is for another user or URL, and no session of that one may be beside it.
            code, reason = self._machine.planned or (NORMAL_CLOSURE, "")
            self.reconnect(code, reason)
        if self._is_in(number, *DIALLING):
            self._principal, self.dialled = upgrade.principal, upgrade.identity
            self._listener.on_principal(upgrade.principal, upgrade.identity is self.identity)
        return self._is_in(number, *DIALLING)  # else an observer of that has disconnected

    def _is_in(self, number: int, *phases: Phase) -> bool:
        return self._machine.number == number and self._machine.phase in phases

    def _subscribe(self) -> None:
        self._outbox.clear_ahead()  # what the session before did not write
        self._listener.on_session()

    def _hand_over(self, code: int, reason: str) -> None:
        """Have the next session write; the one before is closed, and read to its end."""
        sessions = self.sessions
        old = sessions.switch()
        if sessions.current is not None:
            sessions.current.wait_for_old()
        self.counters.reconnects += 1
        self._subscribe()
        if old is sessions.old:  # else an observer has disconnected
            sessions.close_old(lambda: self._outbox.has_ahead, code, reason)

    def _ended_attempt(self, number: int) -> None:
        if self._machine.number == number:
            self._dialling = None

    def _refused(self, number: int, error: Exception) -> None:
        self._ended_attempt(number)
        if isinstance(error, NotImplementedError):
            if not self._runtime.background:
                self._feed(events.Unusable(number))
                return
            error = ConfigurationError("the transport raised NotImplementedError; use another one")
        if isinstance(error, HandshakeRefused) and self._credential() == "none":
            error = error.without_credential()
        self._feed(events.AttemptFailed(number, error, self._runtime.time()))

    async def _prepare(self) -> Upgrade:
        """Return what the next attempt dials with."""
        url = ws_config.resolve(self._endpoint.get_secret_value())
        options, protocol, attempt = self._options, self._protocol, self.state.attempt
        own = overrides(protocol, "endpoint")
        ask = partial(ask_endpoint, protocol, attempt, url, options.token_timeout)
        return await prepare(url, self.identity, options, self._asker, ask if own else None)

    def _open_session(self, wire: Wire, upgrade: Upgrade) -> None:
        loop, options, protocol = self._runtime.loop, self._options, self._protocol
        pace = None if options.send_rate is None else Pace(options.send_rate, loop)
        parts = (
            wire, loop, self._decode, self._outbox, self.counters, self._listener, upgrade.mask,
            self._on_closed, protocol._session_ending(), pace, self._reconnect_for,
            options.resend,
        )  # fmt: skip
        own = options.protocol is not None
        session = EnvelopeSession(protocol, self._validate, *parts) if own else Session(*parts)
        session.token, session.identity = upgrade.token, upgrade.identity
        if own or overrides(protocol, "handshake"):
            session.converse(self.state.session + 1, self.state.attempt)
        self.sessions.opening = session

    def _reconnect_for(self, session: Session, code: int, reason: str, overlap: bool) -> None:
        if session is self.sessions.current:  # the one before may be read to its end
            self.reconnect(code, reason, overlap)

    def _on_closed(self, session: Session, close: CloseInfo) -> None:
        """Handle the end of a session's socket."""
        sessions, number, now = self.sessions, self._machine.number, self._runtime.time()
        opening, old, current = (
            session is each for each in (sessions.opening, sessions.old, sessions.current)
        )
        sessions.forget(session)
        self._expect_expiry()  # of what is to be sent again
        session.on_wake(self._timers.slept)
        kind, wall = session.ending, self._wall()
        lost_at = wall - session.silent_for
        lost = ConnectionLost(close.code, close.reason, close.who == "client")
        error = session.refusal or (lost if kind is None else SessionEnded(kind))
        if current:
            self._feed(events.Closed(close, error, lost_at, now))
        elif opening:
            self._feed(events.ClosedEarly(number, close, error, now))
        elif old:
            clean = session.wire.close_received
            self._feed(events.HandedOver(number, clean, lost_at, wall, self.sessions.answer))

    def _forget_loop(self) -> None:
        self._dialling = None
        self._timers.forget()
        self._token_refresh.forget()
        self._expiry.stop()
        self._tasks.forget()
        self._asker.forget()
        self.sessions.kill()

    def _judge(self, number: int, failure: Failure) -> None:
        if self._retries is None:
            self._retries = Retries(self._options, random.random, self._listener.on_error)
        elif failure.opened and failure.now >= self._stable_at:
            self._retries.reset()
        decision = self._retries.decide(failure, self._credential(), self.dialled != self.identity)
        self._feed(events.Judged(number, decision, self._wall()))

    def _credential(self) -> Credential:
        return credential_of(self.identity, self._options, self._endpoint)

    def _wall(self) -> float:
        if step := self._runtime.stepped():
            self._feed(events.Stepped(step))
        return self._runtime.wall()
