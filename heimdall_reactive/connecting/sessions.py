"""`Sessions`: the open sockets of one connection, and which of them writes.

There is one, as a rule. A planned reconnection with overlap has two: the next one is opened beside
the one that is `current`, and becomes it, while the one before is read to its end as `old`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from heimdall_reactive.base.masking import Mask
from heimdall_reactive.base.state import NO_ANSWER, UpgradeAnswer

from .session import Session

__all__ = ["Sessions"]

REMEMBERED: Final = 4  # sessions whose secrets may still be in what is shown
LOOK_AGAIN: Final = 0.01  # seconds; a wire that was not started does not say that it is writable


class Sessions:
    """The open sockets of one connection. It belongs to the thread of its event loop.

    Attributes:
        current: the one that writes, and that observers know of.
        opening: that of the attempt under way, in its handshake.
        old: it is read to its end; what comes on `current` waits for that.
    """

    __slots__ = ("_ended", "_masks", "_parted", "current", "old", "opening")

    def __init__(self) -> None:
        self.current: Session | None = None
        self.opening: Session | None = None
        self.old: Session | None = None
        self._parted: tuple[Session, ...] = ()  # their closing handshakes are still under way
        self._ended: asyncio.Event | None = None
        self._masks: tuple[Mask, ...] = ()  # of the last ones that were read to their end

    @property
    def read(self) -> Session | None:
        """The one whose frames are delivered."""
        return self.old or self.current

    @property
    def answer(self) -> UpgradeAnswer:
        """What the server has answered to the upgrade of the one that writes."""
        return NO_ANSWER if self.current is None else self.current.answer

    def masked(self, text: str) -> str:
        """Return a text without the secrets of these sessions, and of the last before them."""
        now = (each.mask for each in (self.old, self.current, self.opening) if each is not None)
        for mask in (*self._masks, *now):
            text = mask(text)
        return text

    def _remember(self, session: Session) -> None:
        masks = (each for each in self._masks if each is not session.mask)
        self._masks = (*masks, session.mask)[-REMEMBERED:]

    def switch(self) -> Session | None:
        """Make the one that was opened the current one; return the one before."""
        self.old, self.current, self.opening = self.current, self.opening, None
        return self.old

    def close_old(self, ahead: Callable[[], bool], code: int, reason: str) -> None:
        """Begin the closing handshake of the one before, as soon as the new one has subscribed.

        Args:
            ahead: whether something still waits that goes out before all sends.
            code: the close code.
            reason: the close reason.
        """
        old, new = self.old, self.current
        if old is None or new is None:
            return
        new.flush()
        if self.old is not old:  # a receipt's callback has ended it
            return
        if ahead():
            old.call_later(LOOK_AGAIN, lambda: self._close_later(old, ahead, code, reason))
        else:
            old.end(code, reason)

    def _close_later(self, old: Session, ahead: Callable[[], bool], code: int, reason: str) -> None:
        if self.old is old:
            self.close_old(ahead, code, reason)

    def forget(self, session: Session) -> None:
        """Forget one whose socket has ended."""
        self._remember(session)
        if session is self.current:
            self.current = None
            if self._ended is not None:
                self._ended.set()
        elif session is self.opening:
            self.opening = None
        elif session is self.old:
            self.old = None
        self._parted = tuple(each for each in self._parted if each is not session)

    def part(self, code: int, reason: str) -> None:
        """Close the current one with a code, and wait for nothing of it."""
        session, self.current = self.current, None
        if session is not None:
            self._remember(session)
            self._parted = (*self._parted, session)
            session.part(code, reason)

    def kill_opening(self) -> None:
        """Drop the one that is in its handshake."""
        session, self.opening = self.opening, None
        if session is not None:
            session.kill()

    def kill_old(self) -> None:
        """Drop the one that is read to its end."""
        session, self.old = self.old, None
        if session is not None:
            session.kill()

    def kill(self) -> None:
        """Drop all that observers may know of."""
        self.kill_opening()
        self.kill_old()
        session, self.current = self.current, None
        if session is not None:
            self._remember(session)
            session.kill()

    def disown(self) -> None:
        """Leave all of them to the parent process."""
        for session in (self.opening, self.old, self.current, *self._parted):
            if session is not None:
                session.disown()

    async def wait_closed(self) -> None:
        """Return when there is no current one."""
        while self.current is not None:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()

    def kill_parted(self) -> None:
        """Drop those whose closing handshake nobody waits for."""
        for session in self._parted:
            session.kill()
        self._parted = ()
