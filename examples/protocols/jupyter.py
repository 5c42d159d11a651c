"""Jupyter kernels: a kernel that is made by HTTP, and the outputs of code as a channel that ends.

Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html
Run: python -m examples.protocols.jupyter 127.0.0.1:8888 TOKEN "print(1 + 1)"
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

from heimdall_reactive import ChannelProtocol, Ended, Refused, SessionProtocol, use_websocket


class Jupyter(SessionProtocol, overlaps=False):
    """`store.channel("print(1)")` runs code, and has what the kernel says of it until it is done.

    A drop does not stop it: the server keeps the outputs until this client is back. In a new kernel
    it runs again. `store.request(("kernel_info_request", {}))` returns the reply to any message.
    """

    def __init__(self, host: str, token: str) -> None:
        self._headers = {"Authorization": f"token {token}"}
        self._host, self._client, self._kernel = host, uuid4().hex, ""
        self._running: dict[str, str] = {}  # code, and the id of the message that runs it
        self.channels = ChannelProtocol(  # code is its own name, and runs on without observers
            subscribe=str, unsubscribe=lambda code: "", match=self._match, json_text=False
        )

    async def endpoint(self, attempt: int) -> str | None:
        """Make a kernel, unless it is there."""
        await asyncio.to_thread(self._find)
        return f"ws://{self._host}/api/kernels/{self._kernel}/channels?session_id={self._client}"

    def receive(self, envelope: Any, session: Any) -> Any:
        """Return the messages; a kernel that died is left alone, for the code may kill it again."""
        state = envelope["content"].get("execution_state", envelope["msg_type"])
        if state in ("restarting", "dead", "shutdown_reply"):
            self._running.clear()
            session.refuse("the kernel died", "stop")
        return envelope

    def prepare(self, value: Any, session: Any) -> Any:
        """Make a message with an id; code that is running needs none."""
        kind, content = value if isinstance(value, tuple) else ("execute_request", {"code": value})
        number = uuid4().hex
        if not value or self._running.setdefault(content.get("code", number), number) != number:
            return None
        header = {"msg_id": number, "msg_type": kind, "session": self._client, "version": "5.4"}
        return {"channel": "shell", "header": header, "parent_header": {}, "content": content}

    def encode(self, value: Any) -> list[str]:
        """Write a message, where there is one."""
        return [json.dumps({**value, "metadata": {}})] if value else []

    def correlate(self, value: Any) -> Any:
        """Return the id of a message, or of the one that it replies to."""
        ids = value["parent_header"] or value["header"]
        return ids["msg_id"] if value["channel"] == "shell" else None

    def _find(self) -> None:
        with closing(HTTPConnection(self._host, timeout=10)) as link:
            link.request("GET", "/api/kernels", headers=self._headers)
            if (answer := link.getresponse()).status == 403:
                raise Refused("Jupyter refused the token", "stop")
            if self._kernel not in [kernel["id"] for kernel in json.load(answer)]:
                self._running.clear()
                link.request("POST", "/api/kernels", headers=self._headers)
                self._kernel = json.load(link.getresponse())["id"]

    def _match(self, message: Any) -> tuple[str, Any] | None:
        parent = message["parent_header"].get("msg_id")
        code = next((code for code, number in self._running.items() if number == parent), None)
        if code is None or message["content"].get("execution_state") != "idle":
            return (code, message) if code else None
        del self._running[code]
        return code, Ended()


if __name__ == "__main__":
    host, token, code = sys.argv[1:]
    with use_websocket(f"ws://{host}", protocol=Jupyter(host, token), access_token=token) as store:
        store.channel(code).subscribe(print, on_completed=store.close)
        for _ in store.iterate():
            pass
