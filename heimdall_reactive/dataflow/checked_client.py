"""`CheckedClient`: a client of `nats-py` that keeps refusals, and says no secret unencrypted.

Imported where a connection is opened: `nats-py` is optional.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from .batch_client import BatchClient

__all__ = ["CheckedClient"]

MOST: Final = 1_000  # subjects whose refusals are kept


class CheckedClient(BatchClient):
    """A client that tells what the server refuses; `nats-py` only logs it.

    Attributes:
        encrypted: whether the server must encrypt. `nats-py` writes user, password and token
            unencrypted to a server that does not ask for TLS, whatever `tls=` and the URL say.
        on_refusal: is told each error of the server.
        failure: why a server was not reached the last time.
        working: tasks of its subscriptions, which it cancels and forgets when it closes by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encrypted = False
        self.on_refusal: Callable[[str], Awaitable[None]] | None = None
        self.failure: Exception | None = None
        self.working: set[asyncio.Task[None]] = set()
        self._refused: dict[str, str] = {}  # by subject

    async def request(self, subject: str, *args: Any, **kwargs: Any) -> Msg:
        """Send a request; where it is not answered because it was refused, say so."""
        try:
            return await super().request(subject, *args, **kwargs)
        except TimeoutError:
            if (refusal := self._refused.get(subject.lower())) is not None:
                raise Error(f"nats: '{refusal}'") from None
            raise

    async def subscribe(self, *args: Any, **kwargs: Any) -> Subscription:
        """Subscribe, and note the task that does the work."""
        made = await super().subscribe(*args, **kwargs)
        if (task := made._wait_for_msgs_task) is not None:
            self.working.add(task)
            task.add_done_callback(self.working.discard)
        return made

    def left(self) -> str:
        """Return an error of the server that was not read, as a reset connection came first."""
        reader = getattr(self._transport, "_io_reader", None)
        found = re.search(rb"-ERR '(.+)'", bytes(getattr(reader, "_buffer", b"")))
        return found[1].decode(errors="replace") if found else ""

    async def _connect_to_server(self, s: Any) -> None:
        try:
            await super()._connect_to_server(s)
        except Exception as error:
            self.failure = error
            raise

    def _connect_command(self) -> bytes:
        server = self._current_server
        safe = self._server_info.get("tls_required") or (server and server.uri.scheme == "wss")
        if self.encrypted and not safe:
            raise Error("nats: 'the server does not ask for TLS (tls_required)'")
        return super()._connect_command()

    async def _process_err(self, err_msg: str) -> None:
        refusal = err_msg.strip("'")
        if (subject := re.search('"(.+)"', refusal)) and len(self._refused) < MOST:
            self._refused[subject[1]] = refusal  # `nats-py` has made it lower case
        if self.on_refusal is not None:
            await self.on_refusal(refusal)
        await super()._process_err(err_msg)
