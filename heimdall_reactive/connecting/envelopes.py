"""`EnvelopeSession`: an open socket on which a protocol of the user's own is spoken.

Way of a frame: `decode` makes envelopes of it, `receive` makes the message of each, the codec
validates it, and the listener gets it. Way of a command: `prepare` and `encode` run when the send
goes out. A session without a protocol of its own has none of this on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from heimdall_reactive.base.exceptions import InvalidMessage, SendError, StoreError
from heimdall_reactive.base.frames import Frame, LaterFrame, ValueFrame
from heimdall_reactive.base.options import CloseInfo, Heartbeat
from heimdall_reactive.base.session_protocol import ProtocolSession, Refused, SessionProtocol
from heimdall_reactive.base.state import Gap

from .codec import InvalidUtf8, encode
from .outbox import QueuedSend, Unsendable
from .session import INVALID_UTF8, Session

__all__ = ["EnvelopeSession"]


class EnvelopeSession(Session):
    """A session with a protocol of the user's own.

    Args:
        protocol: the user's.
        validate: makes the typed message of what `receive` returned.
        parts: those of `Session`.
    """

    def __init__(
        self, protocol: SessionProtocol, validate: Callable[[Any], Any], *parts: Any
    ) -> None:
        super().__init__(*parts)
        self._protocol = protocol
        self._validate = validate
        self._correlates = type(protocol).correlate is not SessionProtocol.correlate
        self._encodes = type(protocol).encode is not SessionProtocol.encode
        self._begun = False
        self._key: Hashable | None = None  # of what was written last
        self._waits = False  # for the end of the session before

    # Owner of a conversation

    def begin(self) -> None:
        """Have the wire push frames; in the handshake they wait for `recv`."""
        if not self._begun:
            self._begun = True
            self.wire.start(self)

    def frames(self, value: Any) -> list[Frame]:
        """Encode a value, as the protocol does it."""
        if not self._encodes:
            return [encode(value)]
        encoded = self._protocol.encode(value)
        parts = (encoded,) if isinstance(encoded, (str, bytes, bytearray)) else encoded
        return [encode(part) for part in parts]

    def hold_gap(self, gap: Gap) -> None:
        """Keep a gap until the first message: the protocol may still say that it recovered."""
        if not self._recovered:
            self._gap = gap

    # Session

    def start(self, heartbeat: Heartbeat | None) -> None:
        """Write what waits, deliver what the handshake left, and take frames from now on."""
        self._start_pulse(heartbeat)
        for envelope in self._talk.end_handshake():
            self._deliver(envelope)
        self.begin()
        if self._waits:
            self.wire.hold(False)

    def wait_for_old(self) -> None:
        """Have frames wait in the socket until `start`, where `recv` has begun to read it."""
        self._waits = self._begun
        if self._waits:
            self.wire.hold(True)

    @property
    def _talk(self) -> Any:
        return self.conversation

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        """Handle a frame: its envelopes wait for the handshake, or are delivered."""
        self._counters.received += 1
        self._counters.received_bytes += len(data)
        pulse = self._pulse
        if pulse is not None and pulse.awaits_reply and self._is_reply(pulse, data, text):
            return
        try:
            raw = data.decode() if text else bytes(data)
        except UnicodeDecodeError:
            self._invalid(InvalidUtf8("not UTF-8", len(data)))
            self.wire.fail(INVALID_UTF8, "invalid UTF-8")
            return
        decoded = self._ask("decode", len(data), self._all_of, raw)
        for envelope in decoded or ():
            if not self._talk.take(envelope):
                self._deliver(envelope)

    def _all_of(self, raw: str | bytes, session: ProtocolSession) -> tuple[Any, ...]:
        return tuple(self._protocol.decode(raw, session))

    def _deliver(self, envelope: Any) -> None:
        if self.refusal is not None:
            return
        key = self._key_of(envelope)
        if key is not None:
            self._proofs.on_answer(key)
        message = self._ask("receive", 0, self._protocol.receive, envelope)
        if message is not None:
            try:
                message = self._validate(message)
            except InvalidMessage as error:
                message = None
                self._invalid(self._masked(error))
        if message is not None:
            self._tell_gap()
            self._listener.on_incoming(message)
        self._listener.on_envelope(envelope, key, envelope if message is None else message)

    def _key_of(self, value: Any) -> Hashable | None:
        if not self._correlates:
            return None
        try:
            return self._protocol.correlate(value)
        except Exception as raised:
            name = type(raised).__name__
            self.report(StoreError(f"the protocol's correlate raised {name}; fix that method"))
            return None

    def _ask(self, name: str, size: int, method: Callable[[Any, Any], Any], value: Any) -> Any:
        """Call a method of the protocol; what it raises is reported, and costs one frame."""
        try:
            return method(value, self._talk)
        except Refused as error:
            self.break_off(error)
        except Exception as raised:
            kind = type(raised).__name__
            self._invalid(InvalidMessage(f"the protocol's {name} raised {kind}", size))
        return None

    def _invalid(self, error: InvalidMessage) -> None:
        self._counters.invalid += 1
        self._listener.on_error(error)

    def write(self, frame: Frame) -> None:
        """Prepare, encode and send one value; its frames go out together or not at all."""
        if not isinstance(frame, ValueFrame):
            self._key = None
            super().write(frame)
            return
        try:
            value = self._protocol.prepare(frame.value, self._talk)
            frames = self.frames(value)
        except Exception as raised:
            reason = f"the protocol's prepare or encode raised {type(raised).__name__}"
            self.report(SendError(f"not sent: {reason}", "rejected"))
            raise Unsendable(reason) from None
        asks = frame.on_key is not None or self._protocol.acknowledges
        self._key = self._key_of(value) if asks else None
        if frame.on_key is not None and self._key is not None:
            frame.on_key(self._key)
        if self._pace is not None:
            self._pace.count()
        for number, each in enumerate(frames):
            self.wire.write(LaterFrame(*each) if number else each)
            self._counters.sent_bytes += len(each.data)
        self._counters.sent += 1

    def wrote(self, entry: QueuedSend) -> None:
        """Count a send; an answer with its key proves it, and alone so where the protocol says."""
        acknowledges = self._protocol.acknowledges
        self._proofs.write(entry, self.wire.writable, self._key, acknowledges)

    def on_closed(self, close: CloseInfo) -> None:
        """Handle the end of the socket; a gap that was still held is told before it."""
        self._tell_gap()
        super().on_closed(close)

    def _tell_gap(self) -> None:
        gap, self._gap = self._gap, None
        self._recovered = True  # from now on it is too late to say so
        if gap is not None:
            self._listener.on_gap(gap)
