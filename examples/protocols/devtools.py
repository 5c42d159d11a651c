"""Chrome DevTools: a URL for each attempt, a session of one page, and the events of domains.

Source: https://chromedevtools.github.io/devtools-protocol
Run: chromium --headless --remote-debugging-port=9222, then
     python -m examples.protocols.devtools 127.0.0.1:9222 https://example.org
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket


class DevTools(SessionProtocol, overlaps=False):
    """`store.channel("Network")` has the events of a domain, on one page that this opens.

    `await store.request({"method": "Page.navigate", "params": {...}})` returns the answer. The page
    is the same after a lost connection, and another one after a restart of the browser.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._page = self._session = ""
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"method": f"{name}.enable"},
            unsubscribe=lambda name: {"method": f"{name}.disable"},
            match=self._match,
            json_text=False,
        )

    async def endpoint(self, attempt: int) -> str | None:
        """Ask the browser: it has another URL after each start."""
        return await asyncio.to_thread(self._url)

    async def handshake(self, session: ProtocolSession) -> None:
        """Attach to the page, which is opened where it is missing."""
        pages = (await self._ask(session, "Target.getTargets"))["targetInfos"]
        if self._page not in [page["targetId"] for page in pages]:
            opened = await self._ask(session, "Target.createTarget", url="about:blank")
            self._page = opened["targetId"]
        options = {"targetId": self._page, "flatten": True}
        self._session = (await self._ask(session, "Target.attachToTarget", **options))["sessionId"]

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Return the events; a page that is gone or crashed is opened again."""
        if envelope.get("method") in ("Target.detachedFromTarget", "Inspector.targetCrashed"):
            self._page = ""
            session.refuse("the page is gone")
        return envelope if "method" in envelope else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number a command, and address it to the page unless it is for the browser."""
        whole = value["method"].startswith(("Browser.", "Target."))
        place = {} if whole else {"sessionId": self._session}
        return {"id": session.next_id(), **place, **value}

    def correlate(self, value: Any) -> Any:
        """Return the id of a command or its answer."""
        return value.get("id")

    async def _ask(self, session: ProtocolSession, method: str, **params: Any) -> Any:
        session.send(command := self.prepare({"method": method, "params": params}, session))
        answer = await session.recv(lambda message: message.get("id") == command["id"])
        return answer["result"]

    def _url(self) -> str:
        with closing(HTTPConnection(self._address, timeout=5)) as link:
            link.request("GET", "/json/version")
            return str(json.load(link.getresponse())["webSocketDebuggerUrl"])

    def _match(self, message: Any) -> tuple[str, Any] | None:
        domain, _, event = message.get("method", "").partition(".")
        return (domain, message) if event else None


if __name__ == "__main__":
    address, url = sys.argv[1:]
    tools = DevTools(address)
    with use_websocket(f"ws://{address}", protocol=tools, message_type=Any) as store:
        store.channel("Network").subscribe(print)
        store.request({"method": "Page.navigate", "params": {"url": url}}).result()
