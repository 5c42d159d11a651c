"""`Sender`: messages through a store, each until it is known to have arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from heimdall_reactive import Receipt, Status, WebSocketStore, use_websocket
from heimdall_reactive.base.receipt import ReceiptState

from .exceptions import PeerUnavailable
from .writing import Message, WriteOptions

__all__ = ["Sender"]

LOOK: Final = 0.5  # seconds between two looks at the state of the store
RECONNECT: Final = 0.5  # seconds until the store reconnects


@dataclass
class _Sent:
    """A message under way, the state of its receipt, and the session that it was settled in."""

    message: Message
    state: ReceiptState = "queued"
    session: int = 0


class Sender:
    """Send messages over one connection, a bounded number of them at a time.

    A message is done when the peer has acknowledged its id, or, without `ackField`, when it is
    proved to be delivered. What was under way when a connection ended is sent again over the next.

    Args:
        options: where to, and what an acknowledgement is.
    """

    def __init__(self, options: WriteOptions) -> None:
        self._options = options
        self._changed = threading.Condition()
        self._open: dict[str, _Sent] = {}
        self._progress = time.monotonic()
        self._store: WebSocketStore[Any] = use_websocket(
            options.endpoint,
            message_type=Any,
            loop="thread",
            access_token=options.secret.read(),
            allow_insecure_token=options.insecure,
            reconnect_delay=RECONNECT,
            max_reconnect_attempts=None,
            outbox_limit=max(1024, 2 * options.window),
            outbox_overflow="block",
        )
        self._store.messages.subscribe(self._on_message)
        self._store.is_connected.subscribe(self._on_connected)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def send(self, messages: Iterable[Message]) -> int:
        """Send all; return how many, when each of them is done.

        Raises:
            PeerUnavailable: nothing was done in time, or the store has failed.
        """
        count = 0
        for message in messages:
            self._wait(self._options.window - 1)
            self._put(message)
            count += 1
        self._wait(0)
        return count

    def _put(self, message: Message) -> None:
        sent = _Sent(message)
        with self._changed:
            self._open[message.id] = sent
        receipt = self._store.send(message.data)
        # Without acknowledgements of its own, the peer's pong is the proof that it has a message.
        settled = receipt if self._options.ack else receipt.delivered()
        settled.add_done_callback(lambda receipt: self._on_settled(sent, receipt))

    def _wait(self, most: int) -> None:
        """Wait until no more than some messages are under way."""
        self._progress = time.monotonic()
        while True:
            with self._changed:
                if len(self._open) <= most:
                    return
                self._changed.wait(LOOK)
                if len(self._open) <= most:
                    return
                late = time.monotonic() - self._progress > self._options.timeout
            self._check(late)
            self._repeat()

    def _check(self, late: bool) -> None:
        state = self._store.state.value
        over = state.status in (Status.FAILED, Status.DISCONNECTED)
        if over or late:
            why = f"{type(state.error).__name__}: {state.error}" if state.error else state.status
            raise PeerUnavailable(
                f"{len(self._open)} messages were not "
                f"{'acknowledged' if self._options.ack else 'delivered'} "
                f"within {self._options.timeout} s; the store: {why}"
            )

    def _repeat(self) -> None:
        """Send again what an ended connection may have swallowed, and what was not written."""
        state = self._store.state.value
        if not state.is_connected:
            return
        with self._changed:
            again = [
                sent.message
                for sent in self._open.values()
                if sent.state != "queued"
                and (sent.state not in ("written", "delivered") or sent.session != state.session)
            ]
        for message in again:
            self._put(message)

    def _on_settled(self, sent: _Sent, receipt: Receipt) -> None:
        with self._changed:
            sent.state, sent.session = receipt.state, self._store.state.value.session
        if receipt.state == "delivered" and not self._options.ack:
            self._done(sent.message.id)

    def _on_connected(self, _: bool) -> None:
        with self._changed:
            self._changed.notify()

    def _on_message(self, message: Any) -> None:
        if self._options.ack and isinstance(message, dict):
            name = message.get(self._options.ack)
            if name is not None:
                self._done(str(name))

    def _done(self, name: str) -> None:
        with self._changed:
            if self._open.pop(name, None) is not None:
                self._progress = time.monotonic()
                self._changed.notify()
