"""A peer that acknowledges what it takes, and notes it; a test can have it hold its answers."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

__all__ = ["AckPeer"]


class AckPeer:
    """A WebSocket server on loopback.

    Attributes:
        taken: every message, repeats too, in order.
        tokens: the Authorization headers of all connections.
        answers: whether it acknowledges.
        on_message: called with a message and its connection, before the answer.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.answers = True
        self.on_message: Any = lambda message, connection: None
        self._changed = threading.Condition()
        self._server: Server

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/"

    def wait(self, number: int, timeout: float) -> None:
        """Wait until some messages have come, repeats too."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.taken) >= number, timeout)

    def __enter__(self) -> Self:
        self._server = serve(self._serve, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        for end in (self._server.shutdown_watcher, self._server.shutdown_notifier):
            if isinstance(end, int):  # `websockets` 16 has a pipe here, and leaves it open
                os.close(end)

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.tokens.append(connection.request.headers.get("Authorization"))
        try:
            for text in connection:
                with self._changed:
                    message = json.loads(text)
                    self.taken.append(message)
                    self._changed.notify_all()
                self.on_message(message, connection)
                if self.answers:
                    connection.send(json.dumps({"ack": message["id"]}))
        except ConnectionClosed:
            pass
