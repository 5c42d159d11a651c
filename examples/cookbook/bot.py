"""A bot that answers commands: a bounded queue, and four workers that share it."""

import asyncio
from contextlib import suppress

from pydantic import BaseModel

from heimdall_reactive import MessageStream, WebSocketStore, use_websocket


class Line(BaseModel):
    id: int
    text: str


async def answer(text: str) -> str:
    """Take your time: a database, a model, another service."""
    await asyncio.sleep(0.2)
    return str(sum(int(word) for word in text.split()[1:]))


async def work(queue: MessageStream[Line], store: WebSocketStore[Line]) -> None:
    """Answer what the other workers have not taken; a bad command ends no worker."""
    async for line in queue:
        if line.text.startswith("!add "):
            try:
                reply = await answer(line.text)
            except ValueError:
                reply = "usage: !add 1 2"
            await store.send({"id": line.id, "reply": reply})


async def main() -> None:
    """Answer until Ctrl-C. While a hundred commands wait, new ones are dropped."""
    url = "ws://localhost:8765/chat"
    async with use_websocket(url, message_type=Line, max_reconnect_attempts=None) as store:
        queue = store.stream(maxsize=100, overflow="drop_newest", name="commands")
        async with asyncio.TaskGroup() as workers:
            for _ in range(4):
                workers.create_task(work(queue, store))


with suppress(KeyboardInterrupt):
    asyncio.run(main())
