"""The example for MQTT against mosquitto: its own WebSocket, and a gateway that cuts packets."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from heimdall_reactive import ProtocolSession, Status, WebSocketStore, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.peers import peer
from tests.support import record

from .programs import free_port, program, running

pytest.importorskip("moat.lib.mqtt", reason="pip install moat-lib-mqtt")

from examples.protocols.mqtt import Mqtt

PASSWORD = "long-lived"


class Broker(NamedTuple):
    url: str
    socket: Path  # of plain MQTT


class Counted(Mqtt):
    """Notes how many packets each frame completes."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "garden")
        self.packets: set[int] = set()

    def decode(self, data: Any, session: ProtocolSession) -> list[Any]:
        packets = super().decode(data, session)
        self.packets.add(len(packets))
        return packets


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    mosquitto = program("mosquitto", "mosquitto")
    users, settings, port = tmp_path / "users", tmp_path / "mosquitto.conf", free_port()
    command: list[Any] = [
        program("mosquitto_passwd", "mosquitto"),
        "-b",
        "-c",
        users,
        "garden",
        PASSWORD,
    ]
    subprocess.run(command, check=True, capture_output=True)
    settings.write_text(f"""
user {getpass.getuser()}
password_file {users}
listener 0 {tmp_path / "socket"}
listener {port} 127.0.0.1
protocol websockets
socket_domain ipv4
""")
    with running([mosquitto, "-c", settings], " running"):
        yield Broker(f"ws://127.0.0.1:{port}", tmp_path / "socket")


@asynccontextmanager
async def gateway(broker: Broker) -> AsyncIterator[str]:
    """Serve plain MQTT by WebSocket, in frames that know nothing of packets."""

    async def handler(socket: ServerConnection) -> None:
        reader, writer = await asyncio.open_unix_connection(broker.socket)

        async def down() -> None:
            with suppress(ConnectionClosed):
                while data := await reader.read(50):
                    await socket.send(data)

        task = asyncio.create_task(down())
        with suppress(ConnectionClosed):
            async for data in socket:
                assert isinstance(data, bytes)
                writer.write(data)
        writer.transport.abort()
        await task

    async with peer(handler, subprotocols=[Subprotocol("mqtt")]) as url:
        yield url


@asynccontextmanager
async def itself(broker: Broker) -> AsyncIterator[str]:
    yield broker.url


def store_of(url: str, protocol: Mqtt, password: str = PASSWORD) -> WebSocketStore[Any]:
    options: Any = {"access_token": password, "message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=protocol, **options)


@pytest.mark.parametrize(("serve", "packets"), [(itself, {1}), (gateway, {0, 1})])
async def test_messages_of_a_drop_are_delivered_after_it(
    broker: Broker, serve: Any, packets: set[int]
) -> None:
    protocol = Counted("reader")
    async with (
        serve(broker) as url,
        FaultProxy(url) as proxy,
        store_of(proxy.url, protocol) as store,
        store_of(broker.url, Mqtt("writer", "garden")) as writer,
    ):
        errors, gaps = record(store.errors), record(store.gaps)
        every, first = record(store.channel("plant/+/heat")), list[Any]()
        ends: asyncio.Queue[Any] = asyncio.Queue()
        left = store.channel("plant/1/heat").subscribe(first.append)
        store.channel("plant/end").subscribe(ends.put_nowait)

        async def publish(place: str, payload: str | bytes) -> None:
            answer = await writer.request(("publish", f"plant/{place}", payload), timeout=5)
            assert answer.reason_code < 128

        own = await store.request(("publish", "plant/1/heat", "one"), timeout=5)
        assert own.packet_id == 4  # behind three subscriptions
        await publish("1/heat", large := bytes(range(256)) * 100)
        await publish("end", "")
        await asyncio.wait_for(ends.get(), 5)

        proxy.always(Reset(handshake=True))
        proxy.now(Reset())
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = store.send(("publish", "plant/1/heat", "queued"))
        await publish("2/heat", "missed")
        await publish("1/heat", "missed too")
        proxy.always(None)
        store.connect()
        await queued.delivered(timeout=5)
        assert queued.state == "delivered"

        left.dispose()
        await store.request(("publish", "plant/1/heat", "left"), timeout=5)
        await publish("end", "")
        await asyncio.wait_for(ends.get(), 5)
        # Without repeats: the drop may have cost the broker our last acknowledgement.
        assert list(dict.fromkeys(message.payload for message in every)) == [
            *("one", large, "missed", "missed too", "queued", "left")
        ]
        payloads = list(dict.fromkeys(message.payload for message in first))
        assert payloads == ["one", large, "missed too", "queued"]
        assert {message.topic for message in every} == {"plant/1/heat", "plant/2/heat"}
        assert (errors, gaps, store.stats.invalid) == ([], [], 0)
        assert store.state.value.session == 2
        assert protocol.packets >= packets


async def test_publications_that_are_sent_again_come_once_for_whoever_drops_repeats(
    broker: Broker,
) -> None:
    """QoS 1 is at least once: mosquitto passes a repeat on, and the number in it tells."""
    again: Any = {"resend": True, "max_reconnect_attempts": None, "stable_after": 0.0}
    again |= {"access_token": PASSWORD, "message_type": Any, "reconnect_delay": 0.01}
    async with (
        FaultProxy(broker.url) as proxy,
        store_of(broker.url, Mqtt("reader", "garden")) as reader,
        use_websocket(proxy.url, protocol=Mqtt("writer", "garden"), **again) as writer,
    ):
        got, ended = list[str](), asyncio.Event()
        reader.channel("count").subscribe(lambda packet: got.append(packet.payload))
        reader.channel("end").subscribe(lambda _: ended.set())
        await reader.request(("publish", "other", ""), timeout=5)  # behind the subscriptions
        await writer.wait_connected(5)
        receipts = []
        for n in range(200):
            receipts.append(writer.send(("publish", "count", str(n))))
            if n % 50 == 25:
                proxy.now(Reset())
                await writer.wait_for(lambda state: not state.is_connected, 5)
                await writer.wait_connected(5)
        for receipt in receipts:
            await receipt.delivered(10)
        assert max(receipt.attempts for receipt in receipts) > 1
        assert (writer.stats.delivered, writer.stats.in_doubt) == (200, 0)
        # Not `request`: mosquitto 2.0.11 may keep this acknowledgement until the next packet.
        writer.send(("publish", "end", ""))
        await asyncio.wait_for(ended.wait(), 5)
    assert list(dict.fromkeys(got)) == [str(n) for n in range(200)]


async def test_a_wrong_password_fails(broker: Broker) -> None:
    async with store_of(broker.url, Mqtt("reader", "garden"), "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "NOT_AUTHORIZED" in str(state.error)
