"""NATS over WebSocket: lines that share and span frames, subjects as channels, answers by inbox.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
Run: python -m examples.protocols.nats ws://HOST:8080 "SUBJECT.>"
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NamedTuple
from uuid import uuid4

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket

LINE = re.compile(rb"MSG (\S+) (\S+) (?:(\S+) )?(\d+)\r\n|([^\r]+)\r\n")


class Message(NamedTuple):
    """What arrives; who answers publishes to `reply`, where there is one."""

    subject: str
    number: str
    reply: str
    payload: bytes


class Nats(SessionProtocol, overlaps=False):
    """`store.channel("news.>")` has the messages of a subject, while this is connected.

    `store.send(("publish", "news.today", b"..."))` publishes; `store.request(("ask", "sum", b"1"))`
    publishes, too, and returns the first answer. The access token is NATS' own.
    """

    def __init__(self) -> None:
        self._inbox = f"_INBOX.{uuid4().hex}."
        self.channels = ChannelProtocol(
            subscribe=lambda name: f"SUB {name} {name.encode().hex()}\r\n",
            unsubscribe=lambda name: f"UNSUB {name.encode().hex()}\r\n",
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Log in, and listen for answers."""
        self._rest = b""
        login = {"verbose": False, "auth_token": await session.token() if session.has_token else ""}
        session.send(f"CONNECT {json.dumps(login)}\r\nSUB {self._inbox}* 00\r\nPING\r\n")
        if await session.recv(lambda line: line[:4] in ("PONG", "-ERR")) != "PONG":
            session.refuse("the server refused the login", "refresh")

    def decode(self, data: Any, session: ProtocolSession) -> list[Any]:
        """Return the lines and the messages that this frame completes."""
        self._rest, done = self._rest + data, list[Any]()
        while found := LINE.match(self._rest):
            subject, number, reply, size, line = (group.decode() for group in found.groups(b""))
            end = found.end() + (int(size) if size else -2)
            if len(self._rest) < end + 2:
                break
            done.append(line or Message(subject, number, reply, self._rest[found.end() : end]))
            self._rest = self._rest[end + 2 :]
        return done

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Return the messages, and answer pings."""
        if envelope == "PING":
            session.send("PONG\r\n")
        return envelope if isinstance(envelope, Message) else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Write a publication, with a subject for the answer where it asks."""
        if isinstance(value, str):
            return value
        word, subject, payload = value
        reply = f"{self._inbox}{session.next_id()}" if word == "ask" else ""
        return reply, f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n"

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a line or a publication."""
        return value.encode() if isinstance(value, str) else bytes(value[1])

    def correlate(self, value: Any) -> Any:
        """Return the subject of an answer."""
        return value.subject if isinstance(value, Message) else value[0]

    def _match(self, message: Any) -> tuple[str, Any] | None:
        known = isinstance(message, Message)
        return (bytes.fromhex(message.number).decode(), message) if known else None


if __name__ == "__main__":
    with use_websocket(sys.argv[1], protocol=Nats(), message_type=Any) as store:
        store.channel(sys.argv[2]).subscribe(print)
        for _ in store.iterate():
            pass
