"""Relay a WebSocket to browsers as server-sent events.

`pip install fastapi uvicorn`, then `uvicorn relay:app`, and open http://localhost:8000/trades.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse

from heimdall_reactive import WebSocketStore, use_websocket


@asynccontextmanager
async def life(app: FastAPI) -> AsyncIterator[None]:
    """Keep one connection for all browsers, as long as the server runs."""
    async with use_websocket("ws://localhost:8765/trades", max_reconnect_attempts=None) as store:
        app.state.store = store
        yield


app = FastAPI(lifespan=life)


@app.get("/trades", response_class=EventSourceResponse)
async def trades() -> AsyncIterator[Any]:
    """Send each trade; a browser that is too slow misses the oldest."""
    store: WebSocketStore[Any] = app.state.store
    async with store.stream(maxsize=100) as messages:
        async for message in messages:
            yield message
