"""`Fate`: what became of the newest message, in a word for a label."""

from __future__ import annotations

from typing import Final

from reactivex.subject import BehaviorSubject

from heimdall_reactive.base.receipt import Receipt

__all__ = ["Fate"]

WORDS: Final = {"queued": "sending", "written": "sent", "in_doubt": "in doubt"}


class Fate(BehaviorSubject[str]):
    """Follows the newest receipt: sending, sent, delivered, in doubt, or why it was not sent.

    It is an empty text at first. It may change on any thread; a label is bound to it.
    """

    def __init__(self) -> None:
        super().__init__("")
        self._newest: Receipt | None = None

    def follow(self, receipt: Receipt) -> None:
        """Show what becomes of a send, in place of the one before.

        Args:
            receipt: what `store.send(...)` returns. The proof of its delivery is asked for now.
        """
        self._newest = receipt
        self._show(receipt)
        receipt.add_done_callback(self._show)
        receipt.delivered().add_done_callback(self._show)

    def _show(self, receipt: Receipt) -> None:
        if receipt is self._newest:
            self.on_next(WORDS.get(receipt.state, receipt.state))
