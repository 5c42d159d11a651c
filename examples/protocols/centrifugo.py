"""Centrifugo, JSON: several replies in a frame, pings of `{}`, and channels that recover.

Source: https://centrifugal.dev/docs/transports/client_protocol
Run: python -m examples.protocols.centrifugo wss://HOST/connection/websocket TOKEN CHANNEL
Subscriptions by the server, and deltas, are left out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import heimdall_reactive as heimdall


class Centrifugo(heimdall.SessionProtocol, overlaps=False):
    """`store.channel("news")` has the publications of a channel, those of an absence too.

    `await store.request({"rpc": {"method": ..., "data": ...}})` returns the reply, with `error`
    where it failed; so do `publish`, `history` and `presence`. The option
    `reconnect_rules={"close 3500-3999": "stop", "close 4500-4999": "stop"}` heeds final closes.
    """

    def __init__(self) -> None:
        self._places: dict[str, Any] = {}  # where each channel goes on
        self.channels = heimdall.ChannelProtocol(
            subscribe=lambda name: {"subscribe": {"channel": name, **self._places.get(name, {})}},
            unsubscribe=lambda name: {"unsubscribe": {"channel": name}},
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: heimdall.ProtocolSession) -> None:
        """Connect with the token; a refused one is asked for again."""
        # What this session asks for, by its ids, and which channels have missed nothing.
        self._names, self._recovered = dict[int, str](), dict.fromkeys(self._places, False)
        session.send({"id": session.next_id(), "connect": {"token": await session.token()}})
        reply = await session.recv(lambda reply: "connect" in reply or "error" in reply)
        if "error" in reply:
            session.refuse("Centrifugo refused the connection", "refresh")
        session.expect(reply["connect"]["ping"] + 10)

    def decode(self, data: str | bytes, session: heimdall.ProtocolSession) -> Any:
        """Split a frame; what a channel has missed comes like any publication."""
        for line in data.splitlines():
            yield (reply := json.loads(line))
            for missed in reply.get("subscribe", {}).get("publications", ()):
                yield {"push": {"channel": self._names[reply["id"]], "pub": missed}}

    def receive(self, envelope: Any, session: heimdall.ProtocolSession) -> Any:
        """Show pushes, answer pings, and note where the channels stand."""
        if not envelope:
            session.send({})
        if (reply := envelope.get("subscribe")) is not None:
            name = self._names[envelope["id"]]
            place = {"recover": "epoch" in reply, "offset": 0, "epoch": "", **reply}
            self._places[name] = {key: place[key] for key in ("recover", "offset", "epoch")}
            self._recovered[name] = reply.get("recovered", False)
            if all(self._recovered.values()):
                session.recovered()
        if offset := envelope.get("push", {}).get("pub", {}).get("offset"):
            self._places[envelope["push"]["channel"]]["offset"] = offset
        return envelope.get("push")

    def prepare(self, value: Any, session: heimdall.ProtocolSession) -> Any:
        """Number a command of this session."""
        number = session.next_id()
        self._names[number] = value.get("subscribe", {}).get("channel", "")
        return {"id": number, **value}

    def correlate(self, value: Any) -> Any:
        """Return the id of a command or of its reply."""
        return value.get("id")

    def _match(self, envelope: Any) -> tuple[str, Any] | None:
        match envelope:
            case {"push": {"channel": name, "pub": {"data": data}}}:
                return name, data
            case {"push": {"channel": name, "unsubscribe": {"code": code}}}:
                return name, heimdall.Again() if code >= 2500 else heimdall.Ended()
            case {"id": number, "error": {"message": text}} if self._names.get(number):
                return self._names[number], heimdall.Failed(heimdall.StoreError(text))
        return None


if __name__ == "__main__":
    url, token, name = sys.argv[1:]
    with heimdall.use_websocket(url, protocol=Centrifugo(), access_token=token) as store:
        store.channel(name).subscribe(print)
        for _ in store.iterate():
            pass
