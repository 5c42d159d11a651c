"""`Cleaner`: takes the secrets of a store's sessions out of long texts."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

from heimdall_reactive.masking import Mask

__all__ = ["Cleaner"]

SESSIONS: Final = 8  # whose secrets are remembered: a server may still echo the token of the last


class Cleaner:
    """Masks what is secret; a text without secrets costs one look-up a character.

    `Mask` itself compares each piece of a text with each form of a secret: some 100 times slower.
    """

    def __init__(self) -> None:
        self._masks: deque[Mask] = deque(maxlen=SESSIONS)
        self._pieces: dict[int, set[int]] = {}

    def add(self, mask: Mask) -> None:
        """Take the secrets of one more session."""
        self._masks.append(mask)
        pieces: defaultdict[int, set[int]] = defaultdict(set)
        for known in self._masks:
            for size, piece in known.pieces():
                pieces[size].add(piece)
        self._pieces = dict(pieces)

    def __call__(self, text: str) -> str:
        """Return the text with stars in the place of every secret."""
        if any(self._found(text, size, pieces) for size, pieces in self._pieces.items()):
            for mask in self._masks:
                text = mask(text)
        return text

    @staticmethod
    def _found(text: str, size: int, pieces: set[int]) -> bool:
        return any(hash(text[at : at + size]) in pieces for at in range(len(text) - size + 1))
