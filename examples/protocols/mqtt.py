"""MQTT 5: packets that share and span frames, acknowledged publications, and a session to resume.

The packets are those of `moat-lib-mqtt`, which does no input or output of its own.
Source: https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html
Run: python -m examples.protocols.mqtt ws://HOST:8080 TOPIC PAYLOAD
"""

from __future__ import annotations

import sys
from typing import Any

from moat.lib import mqtt
from moat.lib.mqtt.client_state_machine import MQTTClientStateMachine

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket

EXPIRY: Any = {mqtt.PropertyType.SESSION_EXPIRY_INTERVAL: 3600}
NUMBER = mqtt.PropertyType.SUBSCRIPTION_IDENTIFIER
ONCE = mqtt.RetainHandling.SEND_RETAINED_IF_NOT_SUBSCRIBED
OPTIONS: Any = {"publish": {"qos": mqtt.QoS.AT_LEAST_ONCE}}


class Mqtt(SessionProtocol, overlaps=False):
    """`store.channel("plant/+/heat")` has the messages of a filter, also those of a lost hour.

    `store.send(("publish", "plant/1/heat", "21"))` is `delivered` when the broker acknowledges it;
    `store.request()` of the same returns that. A name belongs to one client at a time. An access
    token is sent as the user's password.
    """

    subprotocols = ("mqtt",)
    acknowledges = True

    def __init__(self, name: str, user: str | None = None) -> None:
        self._name, self._user = name, user
        self._filters: dict[str, int] = {}  # with their numbers, which outlive a session
        self.channels = ChannelProtocol(
            subscribe=self._ask, unsubscribe=self._leave, match=self._match, json_text=False
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Resume the session of this name, or begin one."""
        self._client = MQTTClientStateMachine(self._name)
        self._client.connect()
        self._client.get_outbound_data()  # its login sets no expiry: a drop would end the session
        login = mqtt.MQTTConnectPacket(client_id=self._name, keep_alive=30, properties=EXPIRY)
        if session.has_token:
            login.username, login.password = self._user, await session.token()
        login.encode(data := bytearray())
        session.send((None, data))
        answer = await session.recv()
        if answer.reason_code:
            session.refuse(f"the broker answered {answer.reason_code.name}", "refresh")
        if answer.session_present:
            session.recovered()
        session.every(30, lambda: session.send(self.prepare(("ping",), session)))
        session.expect(45)

    def decode(self, data: Any, session: ProtocolSession) -> list[Any]:
        """Return the packets that this frame completes, and acknowledge the messages."""
        packets = self._client.feed_bytes(data)
        session.send((None, self._client.get_outbound_data()))
        return list(packets)

    def encode(self, value: Any) -> list[bytes]:
        """Return the bytes, where there are any."""
        return [bytes(value[1])] if value[1] else []

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Return the messages."""
        return envelope if isinstance(envelope, mqtt.MQTTPublishPacket) else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Return the packet id and the bytes of a command."""
        number = getattr(self._client, value[0])(*value[1:], **OPTIONS.get(value[0], {}))
        return number, self._client.get_outbound_data()

    def correlate(self, value: Any) -> Any:
        """Return the packet id of a command or of an acknowledgement."""
        number = value[0] if isinstance(value, tuple) else getattr(value, "packet_id", None)
        return None if isinstance(value, mqtt.MQTTPublishPacket) else number

    def _ask(self, name: str) -> Any:
        number = self._filters.setdefault(name, len(self._filters) + 1)
        return "subscribe", [mqtt.Subscription(name, retain_handling=ONCE, subscription_id=number)]

    def _leave(self, name: str) -> Any:
        return "unsubscribe", [mqtt.Pattern(name)]

    def _match(self, packet: Any) -> tuple[str, Any] | None:
        numbers = getattr(packet, "properties", {}).get(NUMBER)
        return (list(self._filters)[numbers[0] - 1], packet) if numbers else None


if __name__ == "__main__":
    with use_websocket(sys.argv[1], protocol=Mqtt("example"), message_type=Any) as store:
        print(store.request(("publish", *sys.argv[2:])).result())
