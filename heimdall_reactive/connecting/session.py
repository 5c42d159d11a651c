"""`Session`: one successful connection, from its opening to the end of its socket.

Way of a frame: the wire pushes each whole message into `on_frame`, which decodes it and hands the
message to the listener (the store). Way of a command: `write_at_once` where nothing waits, else
`flush` empties the outbox into the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from heimdall_reactive.base.exceptions import InvalidMessage, SendError, StoreError, one_line
from heimdall_reactive.base.forking import INHERITED
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.hidden import SecretText
from heimdall_reactive.base.masking import Mask, bare
from heimdall_reactive.base.options import CloseInfo, Heartbeat
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.session_protocol import Refused
from heimdall_reactive.base.state import Gap
from heimdall_reactive.base.stats import Counters
from heimdall_reactive.transports import Wire
from heimdall_reactive.transports.ending import MAX_REASON
from heimdall_reactive.transports.taken import leave

from .answers import answer_of
from .codec import InvalidUtf8, encode
from .conversation import Conversation
from .heartbeat import Pulse
from .listener import Listener
from .outbox import Outbox, QueuedSend
from .pace import Pace
from .proofs import LOST, Proofs
from .runtime import running_loop
from .tokens import Identity

__all__ = ["Session"]

END_WINDOW: Final = 10.0  # seconds within which a close "follows" a session-ending message
INVALID_UTF8: Final = 1007
NORMAL_CLOSURE: Final = 1000


class Session:
    """One successful connection. It belongs to the thread of its event loop.

    Args:
        wire: the open socket.
        loop: its event loop.
        decode: makes the message of a frame.
        outbox: what waits to be written.
        counters: are written.
        listener: is notified of messages and errors.
        mask: takes the secrets of the upgrade out of what the peer says of itself.
        ended: is notified of the end, once.
        session_ending: types of messages behind which a close is final.
        pace: says when the next send may go; None never waits.
        reconnect: opens another session, with a close code and a reason for this one, and
            whether that comes first.
        resend: have what is in doubt at the end sent again by the next session.
    """

    def __init__(
        self,
        wire: Wire,
        loop: asyncio.AbstractEventLoop,
        decode: Callable[[bytes | bytearray, bool], Any],
        outbox: Outbox,
        counters: Counters,
        listener: Listener,
        mask: Mask,
        ended: Callable[[Session, CloseInfo], None],
        session_ending: frozenset[type] = frozenset(),
        pace: Pace | None = None,
        reconnect: Callable[[Session, int, str, bool], None] = lambda *_: None,
        resend: bool = False,
    ) -> None:
        self.wire = wire
        self._loop = loop
        self._decode = decode
        self._outbox = outbox
        self._counters = counters
        self._listener = listener
        self.mask = mask
        self.answer = answer_of(wire, mask)  # now: a wire may forget it when it has started
        self.token: SecretText | None = None  # that it was opened with, or goes on with
        self.identity: Identity | None = None  # who opened it
        self._ended = ended
        self._session_ending = session_ending
        self._pace = pace
        self._reconnect = reconnect
        self.refusal: StoreError | None = None  # why the protocol ended this session
        self.conversation: Conversation | None = None
        self._proofs = Proofs(
            outbox.counters, self._ask_proof, self._call, outbox if resend else None,
            getattr(wire, "proves", True),
        )  # fmt: skip
        self._resends = resend
        self._batches = type(self) is Session and getattr(wire, "batches", False)
        self._disowned = False
        self._gap: Gap | None = None  # held until the first message
        self._recovered = False
        self._pulse: Pulse | None = None
        self._ending: tuple[str, float] | None = None
        self._slept = (0.0, 0.0)  # seconds of sleep, and what was heard last before it

    def start(self, heartbeat: Heartbeat | None) -> None:
        """Write what waits, and take frames from now on."""
        self._start_pulse(heartbeat)
        self.wire.start(self)

    def _start_pulse(self, heartbeat: Heartbeat | None) -> None:
        self.flush()
        if heartbeat is not None:
            self._pulse = Pulse(heartbeat, self._loop, self._beat, self._received, self.wire.lose)

    def flush(self) -> None:
        """Write what waits in the outbox, as long as the wire and the pace take it."""
        if self._proofs.in_flight and self.wire.writable:
            self._proofs.land()
        talk = self.conversation
        if talk is None or (talk.flush() and talk.is_ready):
            self._outbox.flush(self)
        if self._resends and self._proofs.unproved:
            self.wire.prove()

    def end(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake, behind a ping whose pong proves what was sent."""
        self._stop()
        if self._proofs.unproved:
            self.wire.prove(last=True)
        self.wire.end(code, reason)

    def part(self, code: int, reason: str) -> None:
        """Close with a code and take nothing more; another session follows without waiting."""
        self._stop()
        doubted = self._end_proofs()
        self.wire.fail(code, reason)
        self._report_doubt(doubted)

    def wait_for_old(self) -> None:
        """Have frames wait in the socket until `start`; here they do."""

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call something on the event loop."""
        self._loop.call_later(seconds, call)

    def kill(self) -> None:
        """Drop the socket; nothing is told any more."""
        self._stop()
        self.wire.kill()
        doubted = self._end_proofs()  # reported later: the table is in the middle of a step
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._report_doubt, doubted)

    def disown(self) -> None:
        """Leave the socket to the parent process; in this one nobody is notified of its end."""
        self._disowned = True
        self._proofs.disown(INHERITED)
        leave(self.wire)

    @property
    def ending(self) -> str | None:
        """The type of a message that ended the user's session just now, else None."""
        recent = self._ending is not None and self._loop.time() - self._ending[1] < END_WINDOW
        return self._ending[0] if self._ending is not None and recent else None

    @property
    def silent_for(self) -> float:
        """Seconds since the last byte came, those of the machine's sleep included."""
        slept, heard_at = self._slept
        silent = self._loop.time() - self.wire.heard_at
        return silent + slept if heard_at == self.wire.heard_at else silent

    def on_wake(self, slept: float) -> None:
        """Count a sleep of the machine in: the event loop's clock stood still."""
        before, heard_at = self._slept
        same = heard_at == self.wire.heard_at
        self._slept = slept + before if same else slept, self.wire.heard_at

    def probe(self, timeout: float) -> None:
        """Give the peer up unless a ping of the wire, or the heartbeat, is answered in time."""
        self.wire.probe(timeout)
        if self._pulse is not None and not getattr(self.wire, "proves", True):
            self._pulse.probe(timeout)

    # Receiver

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        """Decode a frame and pass the message on; report a bad one, and keep the connection."""
        counters = self._counters
        counters.received += 1
        counters.received_bytes += len(data)
        pulse = self._pulse
        if pulse is not None and pulse.awaits_reply and self._is_reply(pulse, data, text):
            return
        try:
            message = self._decode(data, text)
        except InvalidMessage as error:
            counters.invalid += 1
            self._listener.on_error(self._masked(error))
            if isinstance(error, InvalidUtf8):
                self.wire.fail(INVALID_UTF8, "invalid UTF-8")
            return
        # Not `isinstance`, which takes 1 us: models are abstract classes.
        if type(message) in self._session_ending:
            self._ending = (message.type, self._loop.time())
        self._listener.on_incoming(message)

    def on_ping(self) -> None:
        """Note what was written so far."""
        self._proofs.on_ping()

    def on_pong(self) -> None:
        """Settle what was written before the ping: the peer has it."""
        self._proofs.on_pong()

    def on_latency(self, seconds: float) -> None:
        """Pass the round trip of a ping on."""
        self._listener.on_latency(seconds)

    def on_writable(self) -> None:
        """Settle what was in flight: the operating system has taken it. Then write on."""
        self._proofs.land()  # during the closing handshake too, when nothing more is written
        self.flush()

    def on_closed(self, close: CloseInfo) -> None:
        """Handle the end of the socket."""
        if self._disowned:  # a loop that goes on in a child reads what was left in its place
            return
        self._stop()
        doubted = self._end_proofs()
        self._ended(self, replace(close, reason=self.mask(one_line(close.reason, MAX_REASON))))
        self._report_doubt(doubted)

    # Writer

    @property
    def writable(self) -> bool:
        """Whether the wire takes a frame."""
        return self.wire.writable

    @property
    def may_write(self) -> bool:
        """Whether the next send may go: the wire takes it, and the pace allows it."""
        return self.wire.writable and (self._pace is None or self._pace.allows(self.flush))

    def write(self, frame: Frame) -> None:
        """Send one frame, and count it."""
        if self._pace is not None:
            self._pace.count()
        self.wire.write(frame)
        self._counters.sent += 1
        self._counters.sent_bytes += len(frame.data)

    def write_at_once(self, frame: Frame) -> Receipt | None:
        """Send one frame ahead of the outbox, if nothing waits there and the wire takes it."""
        outbox, proofs = self._outbox, self._proofs
        if proofs.in_flight or self._resends or self.conversation is not None:
            return None
        if not (self.batches and outbox.passes(frame) and self.wire.writable):
            return None
        receipt = Receipt()
        _, taken = self.write_all((frame,))
        proofs.write(QueuedSend(frame, receipt, 0, None), landed=taken == 1)
        return receipt

    @property
    def batches(self) -> bool:
        """Whether sends may go out together: nothing counts or records each of them."""
        return self._batches and self._pace is None and "write" not in vars(self)

    def write_all(self, frames: Sequence[Frame]) -> tuple[int, int]:
        """Send frames in one system call, and count those that have begun to go out."""
        begun, taken = self.wire.write_all(frames)  # type: ignore[attr-defined]  # a `BatchWire`
        self._counters.sent += begun
        for frame in frames[:begun]:
            self._counters.sent_bytes += len(frame.data)
        return begun, taken

    def wrote_all(self, entries: Sequence[QueuedSend], taken: int) -> None:
        """Count sends; what the wire could not hand on at once is in flight until it has."""
        last = self._proofs.sent + taken
        for entry in entries:
            self._proofs.write(entry, landed=False)
        self._proofs.land(last)

    def wrote(self, entry: QueuedSend) -> None:
        """Count a send; what the wire could not hand on at once is in flight until it has."""
        self._proofs.write(entry, self.wire.writable)

    def turn_down(self, reason: str) -> None:
        """Settle what was in flight as rejected: nothing of it has left, and never will."""
        if (receipt := self._proofs.turn_down()) is not None:
            self._outbox.refuse(receipt, "rejected", reason)

    # Owner of a conversation

    def converse(self, number: int, attempt: int) -> Conversation:
        """Return what a protocol speaks on this socket."""
        self.conversation = Conversation(self, self._loop, number, attempt, self.token)
        return self.conversation

    def use_token(self, token: SecretText | None) -> None:
        """Go on with another token; what the peer says of itself is masked of it, too."""
        self.token = token
        if token is not None:
            self.mask = self.mask.plus(token.get_secret_value())
        if self.conversation is not None:
            self.conversation.use_token(token)

    def frames(self, value: Any) -> list[Frame]:
        """Encode a value of the protocol."""
        return [encode(value)]

    def report(self, error: StoreError) -> None:
        """Report what ended nothing."""
        self._listener.on_error(error)

    def begin(self) -> None:
        """Take no frame yet: `start` does."""

    def break_off(self, error: Refused) -> None:
        """End the session by the protocol's own decision."""
        self.refusal = self.refusal or error
        self.wire.fail(NORMAL_CLOSURE, error.reason)

    def recovered(self) -> None:
        """Drop the gap of this session, unless it was told."""
        self._recovered, self._gap = True, None

    def reconnect(self, code: int, reason: str, overlap: bool) -> None:
        """Open another session in place of this one."""
        self._reconnect(self, code, reason, overlap)

    def hold_gap(self, gap: Gap) -> None:
        """Tell a gap: at once, as this session cannot recover."""
        self._listener.on_gap(gap)

    # Parts

    def _ask_proof(self) -> None:
        self.wire.prove()

    def _call(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and its end has told everybody
            if running_loop() is self._loop:
                call()
            else:
                self._loop.call_soon_threadsafe(call)

    def _end_proofs(self) -> int:
        """Settle what is not proved at the end; return how many sends are in doubt."""
        doubted, again = self._proofs.end()
        self._outbox.counters.in_doubt += doubted
        if again:
            self._outbox.put_back(again)
        return doubted

    def _report_doubt(self, count: int) -> None:
        if count:
            text = f"{count_of(count, 'message')} may not have arrived: {LOST}"
            self._listener.on_error(SendError(text, "in_doubt"))

    def _beat(self, frame: Frame) -> bool:
        taken = self.wire.writable
        if taken:
            self.write(frame)
        return taken

    def _received(self) -> int:
        return self._counters.received

    def _is_reply(self, pulse: Pulse, data: bytes | bytearray, text: bool) -> bool:
        try:
            return pulse.takes(data, text)
        except Exception as raised:
            name = type(raised).__name__
            self._listener.on_error(StoreError(f"Heartbeat.reply raised {name}; fix it"))
            return False

    def _masked(self, error: InvalidMessage) -> InvalidMessage:
        if error.kind is None:
            return bare(error)  # its frames hold the payload
        return InvalidMessage(error.reason, error.size, self.mask(error.kind))

    def _stop(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()  # kept: the reply that is under way is nobody's message
        if self._pace is not None:
            self._pace.stop()
        if self.conversation is not None:
            self.conversation.stop()
