"""Nostr: subscriptions to a relay that go on where they were, and events that it confirms.

Source: https://github.com/nostr-protocol/nips/blob/master/01.md, and 42.md for the login
Run: python -m examples.protocols.nostr wss://RELAY '{"kinds": [1]}'
Signing is the caller's.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import heimdall_reactive as heimdall

OVERLAP = 60  # seconds that are asked for twice: the clocks of authors differ


class Nostr(heimdall.SessionProtocol, overlaps=False):
    """`store.channel("notes")` has the events of a filter, and None behind the stored ones.

    `await store.request(["EVENT", signed])` returns what the relay says of it: `["OK", id, ...]`.

    Args:
        filters: what the channels ask for, by their names.
        sign: returns the signed event of kind 22242 for a challenge of the relay.
    """

    def __init__(self, filters: dict[str, Any], sign: Callable[[str], Any] | None = None) -> None:
        self._filters, self._sign = filters, sign
        self._seen: deque[Any] = deque(maxlen=1000)  # the newest events, with their channels
        self._newest = dict.fromkeys(filters, 0)  # when the newest event of each was made
        self._later = dict[str, Any]()  # filters of the channels whose stored events have come
        self.channels = heimdall.ChannelProtocol(
            subscribe=lambda name: ["REQ", name, self._later.get(name, filters[name])],
            unsubscribe=lambda name: ["CLOSE", name],
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: heimdall.ProtocolSession) -> None:
        """Say nothing: a relay asks for a login when it wants one."""
        self._refused = set[str]()  # what it wanted one for, on this connection

    def decode(self, data: str | bytes, session: heimdall.ProtocolSession) -> list[Any]:
        """Leave out what came before a reconnection, and note where to go on."""
        (envelope,) = super().decode(data, session)
        kind, name, *rest = envelope
        if kind == "EVENT":
            if (name, rest[0]["id"]) in self._seen:
                return []
            self._seen.append((name, rest[0]["id"]))
            self._newest[name] = max(rest[0]["created_at"], self._newest[name])
        if kind == "EOSE" or name in self._later:  # before that, older ones are still to come
            wanted = {key: value for key, value in self._filters[name].items() if key != "limit"}
            since = max(self._newest[name] - OVERLAP, wanted.get("since", 0))
            self._later[name] = {**wanted, "since": since}
        return [envelope]

    def receive(self, envelope: Any, session: heimdall.ProtocolSession) -> Any:
        """Answer a challenge, where the caller signs; show events and notices."""
        if envelope[0] == "AUTH" and self._sign is not None:
            session.send(["AUTH", self._sign(envelope[1])])
        return envelope if envelope[0] in ("EVENT", "NOTICE") else None

    def correlate(self, value: Any) -> Any:
        """Return the id of an event that is published, or of what the relay says of it."""
        match value:
            case ["EVENT", {"id": number}] | ["OK", number, *_]:
                return number
        return None

    def _match(self, envelope: Any) -> tuple[str, Any] | None:
        match envelope:
            case ["EVENT" | "EOSE", name, *events]:
                return name, events[0] if events else None
            case ["CLOSED", name, text]:
                again = text.startswith("auth-required:") and name not in self._refused
                self._refused.add(name)
                error = heimdall.StoreError(text)
                return name, heimdall.Again() if again else heimdall.Failed(error)
        return None


if __name__ == "__main__":
    url, wanted = sys.argv[1:]
    with heimdall.use_websocket(url, protocol=Nostr({"it": json.loads(wanted)})) as store:
        store.channel("it").subscribe(print)
        for _ in store.iterate():
            pass
