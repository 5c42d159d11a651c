"""`SessionTap`: sees the frames of one session."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from heimdall_reactive.base.exceptions import EncodeError, InvalidMessage
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.connecting.envelopes import EnvelopeSession
from heimdall_reactive.connecting.session import Session

__all__ = ["SessionTap"]


class SessionTap:
    """Stands in a session's way of frames until it is removed.

    It replaces two attributes of that one session: where nobody records, a frame does not even
    meet the question whether somebody does. Of a session with a protocol of its own it takes the
    messages that the protocol makes, which a replay needs no protocol for.

    Args:
        session: the open socket.
        received: is notified of each frame that is decoded next.
        sent: is notified of each frame that has been written.
    """

    def __init__(
        self,
        session: Session,
        received: Callable[[Frame], None],
        sent: Callable[[Frame], None],
    ) -> None:
        self.session = session
        self._received = received
        self._sent = sent
        own = isinstance(session, EnvelopeSession)
        self._name = "_validate" if own else "_decode"
        self._before = getattr(session, self._name), session.write
        self._mine = self._validate if own else self._decode, self._write
        self._put(*self._mine)

    def remove(self) -> None:
        """Tell nobody any more, and leave the way as it was, unless a later tap stands there."""
        self._received = self._sent = _nobody
        if getattr(self.session, self._name) is self._mine[0]:
            self._put(*self._before)

    def _put(self, received: Callable[..., Any], sent: Callable[[Frame], None]) -> None:
        vars(self.session).update({self._name: received, "write": sent})

    def _validate(self, message: Any) -> Any:
        validated = self._before[0](message)
        with suppress(EncodeError):  # what has no JSON form cannot be replayed
            self._received(self._frame_of(message, validated))
        return validated

    def _frame_of(self, message: Any, validated: Any) -> Frame:
        """Return the frame that the store's codec makes the same message of."""
        own, frame = self.session, None
        if isinstance(message, str):
            frame = Frame(json.dumps(message).encode(), True)
        elif isinstance(own, EnvelopeSession) and own._protocol._exact:
            frame = encode(validated)  # its decimals are texts: JSON numbers lose their digits
        if frame is not None:
            with suppress(InvalidMessage):
                if self.session._decode(*frame) == validated:
                    return frame
        return encode(message)  # a str of a store that takes texts as they come, and all else

    def _decode(self, data: bytes | bytearray, text: bool) -> Any:
        self._received(Frame(bytes(data), text))
        return self._before[0](data, text)

    def _write(self, frame: Frame) -> None:
        self._before[1](frame)
        self._sent(frame)


def _nobody(frame: Frame) -> None:
    pass
