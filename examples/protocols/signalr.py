"""SignalR's JSON hub protocol: a handshake, records that end in 0x1E, requests and streams.

Source: https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
Run: python -m examples.protocols.signalr wss://HOST/hub TARGET [ARGUMENT ...]
"""

from __future__ import annotations

import json
import sys
from typing import Any

from heimdall_reactive import (
    ChannelProtocol,
    Ended,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)

END = "\x1e"


class SignalR(SessionProtocol, overlaps=False):
    """One object for each store; `store.channel("Counter")` is the stream of that hub method.

    `store.messages` has what the hub invokes here. A hub that answers nothing is left after two
    `ping` intervals, which is 30 seconds.
    """

    def __init__(self, ping: float = 15.0) -> None:
        self._ping = ping
        self._streams: dict[str, str] = {}  # of this session: their invocation ids by name
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"type": 4, "target": name, "arguments": []},
            unsubscribe=lambda name: {"type": 5, "invocationId": self._streams[name]},
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Agree on JSON, and ping from then on."""
        self._streams.clear()
        session.send({"protocol": "json", "version": 1})
        if "error" in await session.recv():
            session.refuse("the hub refused the handshake", "stop")
        session.every(self._ping, lambda: session.send({"type": 6}))
        session.expect(2 * self._ping)

    def decode(self, data: str | bytes, session: ProtocolSession) -> list[Any]:
        """Split a frame into its records."""
        return [json.loads(record) for record in str(data).split(END) if record]

    def encode(self, value: Any) -> str:
        """Return one record."""
        return json.dumps(value) + END

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Show what the hub invokes; a close says itself whether to come back."""
        if envelope["type"] == 7:
            session.refuse("the hub closed", "retry" if envelope.get("allowReconnect") else "stop")
        return envelope if envelope["type"] == 1 else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Give an invocation an id, with its target, which no id of the hub's own looks like."""
        if value["type"] in (1, 4):
            value = {"invocationId": f"{session.next_id()} {value['target']}", **value}
        if value["type"] == 4:
            self._streams[value["target"]] = value["invocationId"]
        return value

    def correlate(self, value: Any) -> Any:
        """Return the id of an invocation or of its completion."""
        return value.get("invocationId") if value["type"] in (1, 3) else None

    def _match(self, envelope: Any) -> tuple[str, Any] | None:
        number = envelope.get("invocationId", "")
        name = number.partition(" ")[2]
        if self._streams.get(name) != number:
            return None  # of no stream, or of one that was left
        if envelope["type"] == 2:
            return name, envelope["item"]
        error = envelope.get("error")
        return name, Ended() if error is None else Failed(StoreError(f"{name!r} failed: {error}"))


if __name__ == "__main__":
    url, target, *arguments = sys.argv[1:]
    with use_websocket(url, protocol=SignalR(), message_type=Any) as store:
        print(store.request({"type": 1, "target": target, "arguments": arguments}).result())
