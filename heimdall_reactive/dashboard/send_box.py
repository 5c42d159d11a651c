"""The send box: open while its connection is, and it says what became of the receipt."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from nicegui import ui
from reactivex.disposable import SerialDisposable

from heimdall_reactive import HeimdallError, SendError, WaitTimeout
from heimdall_reactive.bindings import bind
from heimdall_reactive.bindings.nicegui import scope

from .board import Board, BoardConnection
from .parts import Segments, Text, box, button, card, set_disabled

__all__ = ["SendBox"]

PATIENCE: Final = 30.0  # seconds until the box says that no proof came
EXAMPLES: Final = (
    ("Ping", '{"type":"Ping"}'),
    ("Subscribe", '{"type":"Subscribe","channel":"stats"}'),
    ("Note", '{"note":"hello"}'),
)


class SendBox:
    """Sends text as it is on the chosen connection.

    Args:
        board: whose connections there are.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._connection = board.connections[0]
        self._binding = SerialDisposable()
        self._number = 0  # of the newest send: what became of older ones is not said any more
        with card("Send", "send-card", "send") as head:
            with head:
                self._choice()
            with box("field"):
                self._input = ui.input(placeholder="a message, as text").props("borderless dense")
                self._input.props('aria-label="message" autocomplete=off').classes("mono")
                self._button = button("Send", self._send, icon="send", classes="primary")
            with box("row"):
                for name, text in EXAMPLES:
                    button(name, partial(self._input.set_value, text), classes="chip")
            self._outcome = Text("p", "", "outcome muted").props("role=status")
        self._input.on("keydown.enter", self._send)
        self._choose(self._connection)

    def _choice(self) -> None:
        connections = self._board.connections
        if len(connections) > 1:
            choices = [(connection, connection.name) for connection in connections]
            Segments("connection", choices, connections[0], self._choose)

    def _choose(self, connection: BoardConnection) -> None:
        self._connection = connection
        self._binding.disposable = bind(
            connection.store.is_connected, self._allow, scope(self._input)
        )

    def _allow(self, online: bool) -> None:
        self._input.set_enabled(online)
        set_disabled(self._button, not online)
        if not online and not self._outcome.text.startswith(("?", "✗")):  # the end of a send stays
            self._say(f"{self._connection.name} is offline; the box opens when it is back", "")
        elif self._outcome.text.endswith("when it is back"):
            self._say("", "")

    async def _send(self) -> None:
        connection, text = self._connection, self._input.value
        if not text or not connection.store.connected:
            return
        self._number = number = self._number + 1
        began = time.monotonic()

        def say(text: str, tone: str = "") -> None:
            if number == self._number:
                self._say(text, tone)

        def passed() -> str:
            took = (time.monotonic() - began) * 1000
            return f"on {connection.name} after {took:.1f} ms"

        say("sending")
        try:
            receipt = connection.store.send(text)
            self._board.note_sent(connection, text)
            self._input.set_value("")
            await receipt
            say(f"sent {passed()}")
            await receipt.delivered(PATIENCE)
        except WaitTimeout:
            say(f"sent on {connection.name}; no proof of delivery within {PATIENCE:.0f} s")
        except HeimdallError as error:
            text = self._board.masked(str(error))
            doubtful = isinstance(error, SendError) and error.state == "in_doubt"
            say(*((f"? in doubt: {text}", "busy") if doubtful else (f"✗ {text}", "bad")))
        else:
            say(f"✓ delivered {passed()}", "good")

    def _say(self, text: str, tone: str) -> None:
        if not self._outcome.is_deleted:  # the tab may be closed while the receipt is open
            self._outcome.set_text(text)
            self._outcome.classes(replace=f"outcome {tone or 'muted'}")
