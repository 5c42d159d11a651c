"""Socket.IO v4: packets with a digit in front, pings by the server, and acknowledged events.

Source: https://socket.io/docs/v4/socket-io-protocol
Run: python -m examples.protocols.socketio "ws://HOST/socket.io/?EIO=4&transport=websocket" EVENT
Other namespaces than `/` and binary attachments are left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket

OPEN, PING, PONG, CONNECT = "0", "2", "3", "40"
DISCONNECT, EVENT, ACK, REFUSED = "41", "42", "43", "44"


class Packet(NamedTuple):
    """What a frame says: its type, the id of an acknowledgement where it has one, and its data."""

    kind: str
    number: str
    data: Any


def parse(text: str) -> Packet:
    """Read a packet, such as `42["news", 1]` or `437["done"]`."""
    kind, number, data = re.findall(r"\A(4\d|\d)(\d*)(.*)\Z", text, re.DOTALL)[0]
    return Packet(kind, number, json.loads(data) if data else None)


class SocketIO(SessionProtocol, overlaps=False):
    """`store.channel("news")` has the events of a name; `store.send(["name", ...])` emits one.

    `await store.request(["name", ...])` returns the acknowledgement; its `data` are the arguments.
    """

    def __init__(self) -> None:
        self.channels = ChannelProtocol(
            subscribe=lambda name: (),  # events come without being asked for
            unsubscribe=lambda name: (),
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Connect to the namespace; the server says how often it will ping."""
        times = (await session.recv(lambda packet: packet.kind == OPEN)).data
        session.expect((times["pingInterval"] + times["pingTimeout"]) / 1000)
        auth = {"token": await session.token()} if session.has_token else {}
        session.send(CONNECT + json.dumps(auth))
        answer = await session.recv(lambda packet: packet.kind in (CONNECT, REFUSED))
        if answer.kind == REFUSED:
            session.refuse("the Socket.IO server refused the connection", "refresh")

    def decode(self, data: str | bytes, session: ProtocolSession) -> Iterable[Packet]:
        """Read the packet of a frame."""
        return [parse(str(data))]

    def receive(self, envelope: Packet, session: ProtocolSession) -> Any:
        """Return an event as a list of its name and arguments; answer pings and events with ids."""
        if envelope.kind == DISCONNECT:
            session.refuse("the Socket.IO server disconnected this client", "stop")
        if envelope.kind == PING:
            session.send(PONG)
        elif envelope.kind == EVENT and envelope.number:
            session.send(f"{ACK}{envelope.number}[]")
        return envelope.data if envelope.kind == EVENT else None

    def prepare(self, value: Sequence[Any], session: ProtocolSession) -> str:
        """Write an event with an id of this session, which asks for an acknowledgement."""
        return f"{EVENT}{session.next_id()}{json.dumps(value)}" if value else ""

    def encode(self, value: str) -> Sequence[str]:
        """Send nothing for a channel."""
        return [value] if value else []

    def correlate(self, value: Any) -> Hashable | None:
        """Return the id of an acknowledgement, or of an event that is sent and asks for one."""
        packet, kind = (parse(value), EVENT) if isinstance(value, str) else (value, ACK)
        return packet.number if packet.kind == kind else None

    @staticmethod
    def _match(packet: Packet) -> tuple[str, Any] | None:
        if packet.kind != EVENT:
            return None
        name, *arguments = packet.data
        return name, arguments[0] if len(arguments) == 1 else arguments


if __name__ == "__main__":
    with use_websocket(sys.argv[1], protocol=SocketIO(), message_type=Any) as store:
        store.channel(sys.argv[2]).subscribe(print)
        for _ in store.iterate():
            pass
