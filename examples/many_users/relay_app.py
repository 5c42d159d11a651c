"""A relay in FastAPI: a store as server-sent events, to any number of browsers.

Run it with `uvicorn --factory examples.many_users.relay_app:demo`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import reactivex
from fastapi import Cookie, Depends, FastAPI, HTTPException, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from reactivex import operators as ops

from examples.many_users.visitors import Visitor, Visitors
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, values


def application(public: str, private: str, linger: float = 10.0) -> FastAPI:
    """Return an application that relays a public feed, and to each visitor their own.

    Args:
        public: endpoint that needs no token.
        private: endpoint that is asked with a visitor's token.
        linger: seconds that a visitor's connection outlives their last reader.
    """
    visitors = Visitors(private, linger=linger, message_type=dict)  # as they came, not parsed

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with use_websocket(public, max_reconnect_attempts=None) as feed:
            app.state.feed = feed
            yield
            visitors.close()

    app = FastAPI(lifespan=life)

    def logged_in(session: Annotated[str | None, Cookie()] = None) -> Visitor:
        if (visitor := visitors.find(session)) is None:
            raise HTTPException(401, "log in first")
        return visitor

    @app.post("/login")
    def log_in(name: str, token: str, response: Response) -> None:
        """Stand for your own log-in, which checks a password and gets a token."""
        secret = visitors.log_in(name, token)
        response.set_cookie("session", secret, httponly=True, samesite="strict")

    @app.get("/public", response_class=EventSourceResponse)
    async def public_events() -> AsyncIterator[ServerSentEvent]:
        """Relay what everybody may see."""
        feed: WebSocketStore[Any] = app.state.feed
        async for message in values(feed.messages, buffer=100):
            yield ServerSentEvent(data=message)

    @app.get("/private", response_class=EventSourceResponse)
    async def private_events(
        visitor: Annotated[Visitor, Depends(logged_in)],
    ) -> AsyncIterator[ServerSentEvent]:
        """Relay what this visitor alone may see, and how their connection is."""
        with visitors.tab(visitor) as desk:
            status = badge(desk.store).pipe(ops.map(lambda shown: ("status", str(shown))))
            messages = desk.last.pipe(ops.map(lambda message: ("message", message)))
            async for kind, told in values(reactivex.merge(status, messages), buffer=100):
                yield ServerSentEvent(event=kind, data=told)

    return app


def demo() -> FastAPI:
    """Relay a development server that runs on this machine: `heimdall-reactive serve`."""
    return application("/v1/ws/status", "/v1/ws/user")
