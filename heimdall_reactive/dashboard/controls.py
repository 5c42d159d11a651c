"""What the buttons of an embedded server look like: its messages, faults and traffic."""

from __future__ import annotations

import re
from collections.abc import Callable

from heimdall_reactive.bindings import bind
from heimdall_reactive.bindings.nicegui import scope

from .embedded import BURST, FAULTS, MESSAGES, RATES, USERS, Embedded, Fault
from .parts import Segments, Text, box, button, card

__all__ = ["Controls"]


class Controls:
    """The cards of the server's side.

    Args:
        embedded: what they command.
    """

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        with card("Server", "server-card") as head:
            with head:
                choices: list[tuple[str | None, str]] = [(None, "everybody")]
                choices += [(user, user) for user in USERS]
                self._user = Segments("to whom", choices, None)
            self._faults()
            self._messages()
            self._traffic()
            self._outcome = Text("p", "", "outcome muted").props("role=status")

    def _messages(self) -> None:
        for title, kinds in MESSAGES.items():
            Text("h3", title)
            with box("button-grid"):
                for kind in kinds:
                    button(in_words(kind), self._fire(kind), tip=f"Send {kind}", classes="quiet")

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
        return lambda: self._say(self._embedded.inflict(fault, self._user.value))

    async def _burst(self) -> None:
        self._say(await self._embedded.burst())

    def _say(self, text: str) -> None:
        if not self._outcome.is_deleted:
            self._outcome.set_text(text)


def in_words(kind: str) -> str:
    """Return a message's type in words, such as `Account banned`."""
    return re.sub(r"(?<!^)([A-Z])", lambda upper: f" {upper[1].lower()}", kind).capitalize()
