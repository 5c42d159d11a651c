"""`Cleaner`: takes the secrets of a store's sessions out of long texts."""

from __future__ import annotations

from collections import deque
from typing import Final

from heimdall_reactive.base.masking import LEAST, WINDOW, Mask

__all__ = ["Cleaner"]

SESSIONS: Final = 8  # whose secrets are remembered: a server may still echo the token of the last


class Cleaner:
    """Masks what is secret. A text without secrets costs one look-up each few characters.

    `Mask` itself compares each piece of a text with each form of a secret: some 500 times slower.
    """

    def __init__(self) -> None:
        self._masks: deque[Mask] = deque(maxlen=SESSIONS)
        self._few: set[int] = set()  # hashes of `LEAST` characters of a secret
        self._all: dict[int, set[int]] = {}  # hashes of as many as give it away
        self._step = 1

    def add(self, mask: Mask) -> None:
        """Handle the secrets of one more session."""
        self._masks.append(mask)
        self._few, self._all = set(), {}
        for known in self._masks:
            self._few.update(piece for _, piece in known.pieces(LEAST))
            for size, piece in known.pieces(WINDOW):
                self._all.setdefault(size, set()).add(piece)
        # As many characters as give a secret away hold one whole piece that begins at a step.
        self._step = min(self._all, default=LEAST) - LEAST + 1

    def __call__(self, text: str) -> str:
        """Return the text with stars in the place of every secret."""
        if self._all and self._may_hold(text) and self._holds(text):
            for mask in self._masks:
                text = mask(text)
        return text

    def _may_hold(self, text: str) -> bool:
        few = self._few
        starts = range(0, len(text) - LEAST + 1, self._step)
        return any(hash(text[at : at + LEAST]) in few for at in starts)

    def _holds(self, text: str) -> bool:
        return any(
            hash(text[at : at + size]) in pieces
            for size, pieces in self._all.items()
            for at in range(len(text) - size + 1)
        )
