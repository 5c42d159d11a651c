"""What the buttons of an embedded server look like: its messages, faults and traffic."""

from __future__ import annotations

import re
from collections.abc import Callable

from heimdall_reactive.base.state import Status
from heimdall_reactive.bindings import bind
from heimdall_reactive.bindings.nicegui import scope

from .board import Board
from .embedded import BURST, ENDING, FAULTS, MESSAGES, RATES, USERS, Embedded, Fault
from .parts import Segments, Text, box, button, card

__all__ = ["Controls"]


class Controls:
    """The cards of the server's side.

    Args:
        board: whose connections a fault may end.
        embedded: what they command.
    """

    def __init__(self, board: Board, embedded: Embedded) -> None:
        self._board = board
        self._embedded = embedded
        with card("Server", "server-card", "faults") as head:
            with head:
                choices: list[tuple[str | None, str]] = [(None, "everybody")]
                choices += [(user, user) for user in USERS]
                self._user = Segments("to whom", choices, None)
            self._faults()
            self._messages()
            self._traffic()
            with box("row outcome-row"):
                self._outcome = Text("p", "", "outcome muted grow").props("role=status")
                tip = "Forgive everybody, and connect what it ended"
                self._undo = button("Undo", self._take_back, icon="undo", tip=tip)
            self._undo.set_visibility(False)

    def _messages(self) -> None:
        for title, kinds in MESSAGES.items():
            Text("h3", title)
            with box("button-grid"):
                for kind in kinds:
                    ends = "danger quiet" if kind in ENDING else ""
                    button(in_words(kind), self._fire(kind), tip=f"Send {kind}", classes=ends)

    def _faults(self) -> None:
        Text("h3", "Faults")
        with box("button-grid faults"):
            for fault in FAULTS:
                classes = "" if fault.name == "Forgive" else "danger"
                button(
                    fault.name, self._inflict(fault),
                    icon=fault.icon, tip=fault.tip, classes=classes,
                )  # fmt: skip

    def _traffic(self) -> None:
        Text("h3", "Traffic")
        with box("row spread"):
            choices = [(rate, f"{rate}/s" if rate else "off") for rate in RATES]
            rates = Segments("traffic", choices, RATES[1], self._embedded.rate.on_next)
            button(f"Burst {BURST:,}", self._burst, icon="bolt", tip=f"Send {BURST:,} at once")
        bind(self._embedded.rate, rates.show, scope())

    def _fire(self, kind: str) -> Callable[[], None]:
        return lambda: self._say(self._embedded.fire(kind, self._user.value))

    def _inflict(self, fault: Fault) -> Callable[[], None]:
        return lambda: self._say(self._embedded.inflict(fault, self._user.value), fault.ends)

    def _take_back(self) -> None:
        self._embedded.server.forgive()
        for connection in self._board.connections:
            if connection.store.state.value.status is Status.FAILED:
                connection.store.connect()
        self._say("undone")

    async def _burst(self) -> None:
        self._say(await self._embedded.burst())

    def _say(self, text: str, can_undo: bool = False) -> None:
        if not self._outcome.is_deleted:
            self._outcome.set_text(text)
            self._undo.set_visibility(can_undo)


def in_words(kind: str) -> str:
    """Return a message's type in words, such as `Account banned`."""
    return re.sub(r"(?<!^)([A-Z])", lambda upper: f" {upper[1].lower()}", kind).capitalize()
