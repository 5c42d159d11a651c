"""`Proofs`: what is known of the sends that one session has written.

Sends are numbered as they are written, and a pong proves all up to a number. So a receipt that
nobody looks at costs a number: its state is asked for, not told. Only where somebody waits for the
proof, or where the protocol acknowledges each send by itself, a receipt is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from heimdall_reactive.base.exceptions import SendError
from heimdall_reactive.base.receipt import Receipt, ReceiptState
from heimdall_reactive.base.stats import SendCounters

from .outbox import QueuedSend

__all__ = ["LOST", "Proofs"]

LOST: Final = "the connection ended before the peer had answered"
DOUBT: Final = f"{LOST}, so delivery is unknown"
NO_PROOF: Final = (
    "written, and nothing will prove its delivery: a page sees no pongs; use a protocol that "
    "acknowledges, or a request() with one that correlates"
)
MOST: Final = 10_000  # sends that may wait for answers of their own
UNANSWERED: Final = f"{MOST} later sends were not acknowledged either; it may have arrived"


class Keeper(Protocol):
    """Where sends wait that are sent again: the outbox, which they count against."""

    def keep(self, entry: QueuedSend) -> None:
        """Count a send that was written, and may be sent again."""

    def release(self, entry: QueuedSend) -> None:
        """Count it no longer."""


class Proofs:
    """The sends of one session. It belongs to the thread of its event loop.

    Args:
        counters: of the sends that are proved.
        ask: asks the peer for a proof of all that was written.
        call: calls something on the event loop, from any thread.
        keeper: where each send is kept until it is proved, to be sent again; None keeps none.
        provable: whether a pong can come.

    Attributes:
        sent: number of the newest send.
        delivered: how many are proved.
        in_flight: numbers and receipts of what the operating system has not taken yet.
        doubt: why those that are not proved are in doubt, once the session has ended.
    """

    __slots__ = (
        "_ask", "_call", "_counters", "_expected", "_keeper", "_kept", "_marked", "_numbers",
        "_provable", "_proved", "_unanswered", "_waiting", "delivered", "doubt", "in_flight",
        "sent",
    )  # fmt: skip

    def __init__(
        self,
        counters: SendCounters,
        ask: Callable[[], None],
        call: Callable[[Callable[[], None]], None],
        keeper: Keeper | None = None,
        provable: bool = True,
    ) -> None:
        self.sent = 0
        self.delivered = 0
        self.doubt = ""
        self._counters = counters
        self._ask = ask
        self._call = call
        self._keeper = keeper
        self._provable = provable
        self._proved = 0  # number up to which the peer has all that needs no answer of its own
        self._marked = 0  # number up to which the next pong proves it
        self.in_flight: list[tuple[int, Receipt]] = []
        self._kept: dict[int, QueuedSend] = {}
        self._unanswered: dict[int, Receipt | None] = {}  # those with an answer of their own
        self._numbers: dict[Hashable, list[int]] = {}  # by the keys of their answers
        self._expected = 0  # how many there are
        self._waiting: list[tuple[int, Receipt]] = []  # a heap

    @property
    def unproved(self) -> int:
        """How many sends wait for their proof."""
        return self.sent - self.delivered

    # What a receipt asks

    def state_of(self, number: int) -> ReceiptState:
        """Return what is known of a send that was written; from any thread."""
        if number <= self._proved and number not in self._unanswered:
            return "delivered"
        return "in_doubt" if self.doubt else "written"

    def disown(self, reason: str) -> None:
        """Doubt what is not proved, as nobody tells a child process; the parent goes on."""
        self.doubt = reason
        for _, flying in self.in_flight:
            flying._disown(SendError(reason))
        for receipt in (*self._unanswered.values(), *(each for _, each in self._waiting)):
            if receipt is not None:
                receipt._disown(None)

    def expect(self, receipt: Receipt, number: int) -> None:
        """Have a receipt notified of its proof, or of the end; from any thread."""
        if self.doubt:
            receipt._on_proof()
            return
        self._call(lambda: self._expect(receipt, number))

    def _expect(self, receipt: Receipt, number: int) -> None:
        if self.state_of(number) != "written":
            receipt._on_proof()
        elif number not in self._unanswered and not self._provable:
            receipt._on_no_proof(SendError(NO_PROOF, "written"))
        elif number not in self._unanswered:
            heapq.heappush(self._waiting, (number, receipt))
            self._ask()

    # What happens

    def write(
        self, entry: QueuedSend, landed: bool, key: Hashable | None = None, only: bool = True
    ) -> None:
        """Count a send that was written.

        Args:
            entry: the send.
            landed: whether the operating system has taken it.
            key: of the answer that proves it.
            only: whether nothing but that answer does; else a pong does, too.
        """
        self.sent = number = self.sent + 1
        receipt = entry.receipt
        if receipt.attempts:
            self._counters.resent += 1
        receipt.attempts += 1
        if self._keeper is not None:
            self._kept[number] = entry
            self._keeper.keep(entry)
        if key is not None:
            self._numbers.setdefault(key, []).append(number)
            self._expected += 1
            if self._expected > MOST:
                self._pop_number(next(iter(self._numbers)))
        if key is not None and only:
            self._unanswered[number] = receipt
            if len(self._unanswered) > MOST:
                self._give_up_oldest()
        if landed and not self.in_flight:
            receipt._on_written(self, number)
            return
        self.in_flight.append((number, receipt))
        if landed:
            self.land(number)

    def _give_up_oldest(self) -> None:
        receipt = self._unanswered.pop(next(iter(self._unanswered)))
        if receipt is not None:
            receipt._on_doubt(SendError(UNANSWERED, "in_doubt"))

    def land(self, last: int | None = None) -> None:
        """Settle what is in flight as written: the operating system has taken it.

        Args:
            last: number of the last that was taken; None stands for all.
        """
        while self.in_flight and (last is None or self.in_flight[0][0] <= last):
            number, receipt = self.in_flight.pop(0)
            receipt._on_written(self, number)

    def turn_down(self) -> Receipt | None:
        """Return the receipt of what was in flight; nothing of that has left, and never will."""
        if not self.in_flight:
            return None
        self.sent -= 1
        number, receipt = self.in_flight.pop()
        self._release(number)
        return receipt

    def on_ping(self) -> None:
        """Note what was written so far."""
        self._marked = self.sent

    def on_pong(self) -> None:
        """Settle what was written before the ping; ask again for what came later."""
        self._prove(self._marked)
        if self._waiting or (self._kept and self.unproved):
            self._ask()

    def on_answer(self, key: Hashable) -> None:
        """Settle the send with this key, and what was written before it and needs no answer.

        Of several with one key it is the first: an answer proves that one of them was read, and
        the peer reads in order.
        """
        if key not in self._numbers:
            return
        number = self._pop_number(key)
        receipt = self._unanswered.pop(number, None)
        if receipt is not None and number <= self._proved:
            self._count(1)
            self._release(number)
        self._prove(number)
        if receipt is not None:
            receipt._on_proof()

    def end(self) -> tuple[int, list[QueuedSend]]:
        """Settle the rest at the end of the session: nobody can tell.

        Returns:
            How many sends are in doubt, and those to be sent again, in their order; nothing the
            second time.
        """
        if self.doubt:
            return 0, []
        again = list(self._kept.values())
        self.doubt = DOUBT
        flying, self.in_flight = self.in_flight, []
        late = [*self._unanswered.values(), *(receipt for _, receipt in self._waiting)]
        self._unanswered = dict.fromkeys(self._unanswered)  # their numbers stay unproved
        self._waiting = []
        for entry in again:
            self._release_entry(entry)
            entry.receipt._on_requeued()
        if self._keeper is not None:
            return 0, again
        for _, receipt in flying:
            receipt.settle("in_doubt", SendError(DOUBT, "in_doubt"))
        for unproved in late:
            if unproved is not None:
                unproved._on_proof()
        return self.unproved, again

    # Parts

    def _pop_number(self, key: Hashable) -> int:
        numbers = self._numbers[key]
        self._expected -= 1
        number = numbers.pop(0)
        if not numbers:
            del self._numbers[key]
        return number

    def _prove(self, number: int) -> None:
        self.land(number)  # what the peer has, the operating system had taken
        before, self._proved = self._proved, max(number, self._proved)
        numbers = range(before + 1, self._proved + 1)
        self._count(len(numbers) - sum(each in numbers for each in self._unanswered))
        if self._kept:
            for each in numbers:
                if each not in self._unanswered:
                    self._release(each)
        while self._waiting and self._waiting[0][0] <= self._proved:
            heapq.heappop(self._waiting)[1]._on_proof()

    def _count(self, delivered: int) -> None:
        self.delivered += delivered
        self._counters.delivered += delivered

    def _release(self, number: int) -> None:
        if (entry := self._kept.pop(number, None)) is not None:
            self._release_entry(entry)

    def _release_entry(self, entry: QueuedSend) -> None:
        if self._keeper is not None:
            self._keeper.release(entry)
