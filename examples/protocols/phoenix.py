"""Phoenix channels, version 2: a join for each topic, and references of this session.

Source: https://hexdocs.pm/phoenix/writing_a_channels_client.html
Run: python -m examples.protocols.phoenix "wss://HOST/socket/websocket?vsn=2.0.0" TOPIC
"""

from __future__ import annotations

import json
import sys
from typing import Any

from heimdall_reactive import (
    Again,
    ChannelProtocol,
    Ended,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)

FIELDS = ("join_ref", "ref", "topic", "event", "payload")
ENDS = {"phx_error": Again(), "phx_close": Ended()}


class Phoenix(SessionProtocol, overlaps=False):
    """One object for each store; `store.channel("room:lobby")` joins while it is observed.

    A push is `store.send({"topic": ..., "event": ..., "payload": ...})`; `store.request()` of the
    same returns its reply. A server that answers nothing is left after two `heartbeat` intervals.
    A channel that crashes at each join is joined again at once; `send_rate=` slows that down.
    """

    def __init__(self, heartbeat: float = 30.0) -> None:
        self._heartbeat = heartbeat
        self._joins: dict[str, str] = {}  # of this session: the reference of each topic's join
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"topic": name, "event": "phx_join", "payload": {}},
            unsubscribe=lambda name: {"topic": name, "event": "phx_leave", "payload": {}},
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Forget the references of the last session; nothing is said but heartbeats."""
        self._joins.clear()
        beat = {"topic": "phoenix", "event": "heartbeat", "payload": {}}
        session.every(self._heartbeat, lambda: session.send(self.prepare(beat, session)))
        session.expect(2 * self._heartbeat)

    def decode(self, data: str | bytes, session: ProtocolSession) -> list[Any]:
        """Name the five fields of a message."""
        return [dict(zip(FIELDS, json.loads(data), strict=True))]

    def encode(self, value: Any) -> str:
        """Return the five fields in their order."""
        return json.dumps([value[field] for field in FIELDS])

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Hide replies: they are for requests."""
        return None if envelope["event"] == "phx_reply" else envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Give a message the references of this session."""
        ref, topic, event = str(session.next_id()), value["topic"], value["event"]
        if event == "phx_join":
            self._joins[topic] = ref
        join_ref = self._joins.pop(topic, None) if event == "phx_leave" else self._joins.get(topic)
        return {"join_ref": join_ref, "ref": ref, **value}

    def correlate(self, value: Any) -> Any:
        """Return the reference that a reply has in common with its push."""
        return value["ref"]

    def _match(self, envelope: Any) -> tuple[str, Any] | None:
        topic, join_ref = envelope["topic"], self._joins.get(envelope["topic"])
        if join_ref is None or envelope["join_ref"] not in (None, join_ref):
            return None  # of a join that is over
        if envelope["event"] != "phx_reply":
            return topic, ENDS.get(envelope["event"], envelope)
        if envelope["ref"] != join_ref or envelope["payload"]["status"] == "ok":
            return None
        return topic, Failed(StoreError(f"the server refused to join {topic!r}"))


if __name__ == "__main__":
    url, topic = sys.argv[1:3]
    with use_websocket(url, protocol=Phoenix(), message_type=Any, send_rate=(5, 1.0)) as store:
        store.channel(topic).subscribe(print, print)
        for _ in store.iterate():
            pass
