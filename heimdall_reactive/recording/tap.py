"""`SessionTap`: sees the frames of one session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heimdall_reactive.base.messages import Frame
from heimdall_reactive.connecting.session import Session

__all__ = ["SessionTap"]


class SessionTap:
    """Stands in a session's way of frames until it is removed.

    It replaces two attributes of that one session: where nobody records, a frame does not even
    meet the question whether somebody does.

    Args:
        session: the open socket.
        received: is told of each frame that is decoded next.
        sent: is told of each frame that has been written.
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
        self._before = session._decode, session.write
        self._mine = self._decode, self._write
        vars(session).update(_decode=self._mine[0], write=self._mine[1])

    def remove(self) -> None:
        """Tell nobody any more, and leave the way as it was, unless a later tap stands there."""
        self._received = self._sent = _nobody
        if self.session._decode is self._mine[0]:
            vars(self.session).update(_decode=self._before[0], write=self._before[1])

    def _decode(self, data: bytes | bytearray, text: bool) -> Any:
        self._received(Frame(bytes(data), text))
        return self._before[0](data, text)

    def _write(self, frame: Frame) -> None:
        self._before[1](frame)
        self._sent(frame)


def _nobody(frame: Frame) -> None:
    pass
