"""The example for Nostr against a strict relay, written to the public text."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from examples.protocols.nostr import OVERLAP, Nostr
from heimdall_reactive import StoreError, use_websocket
from tests.peers import peer
from tests.support import record

Event = dict[str, Any]
NOW = 1_767_225_600  # 2026-01-01
LOGIN = 22242


def signed(kind: int, content: str, at: int = NOW, tags: list[list[str]] | None = None) -> Event:
    """Return an event with its real id; who signs is not what is tested."""
    event = {"pubkey": "a" * 64, "created_at": at, "kind": kind, "tags": tags or []}
    fields = [0, *event.values(), content]
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    number = hashlib.sha256(text.encode()).hexdigest()
    return {**event, "content": content, "id": number, "sig": f"signed {number}"}


def is_sound(event: Event) -> bool:
    made = signed(event["kind"], event["content"], event["created_at"], event["tags"])
    return event == made


class Relay:
    """Stores events, wants a login for kind 4, and notes what is out of order."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.events: list[Event] = []
        self.open: dict[str, Any] = {}  # the filters of the newest connection, by their names
        self.asked: list[list[Any]] = []  # the REQs of each connection
        self.challenge, self.known = "", False
        self.wrong: list[Any] = []

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.asked.append([])
        self.open, self.known = {}, False
        self.challenge = f"challenge {len(self.sockets)}"
        async for text in socket:
            match json.loads(text):
                case ["REQ", str(name), dict(wanted)] if 0 < len(name) <= 64:
                    self.asked[-1].append((name, wanted))
                    await self.subscribe(name, wanted)
                case ["CLOSE", str(name)] if name in self.open:
                    del self.open[name]
                case ["EVENT", event]:
                    if is_sound(event):
                        await self.say("OK", event["id"], True, "")
                        await self.publish(event)
                    else:
                        await self.say("OK", event["id"], False, "invalid: bad event id")
                case ["AUTH", {"kind": 22242, "id": number} as event]:
                    self.known = is_sound(event) and ["challenge", self.challenge] in event["tags"]
                    await self.say("OK", number, self.known, "")
                case message:
                    self.wrong.append(message)
                    await self.say("NOTICE", "invalid: unknown message")
                    await socket.close(1008)

    async def say(self, *message: Any) -> None:
        await self.sockets[-1].send(json.dumps(message))

    async def subscribe(self, name: str, wanted: Any) -> None:
        if 4 in wanted["kinds"] and not self.known:
            if len(self.asked[-1]) < 3:
                await self.say("AUTH", self.challenge)
            await self.say("CLOSED", name, "auth-required: we only serve private notes to members")
            return
        self.open[name] = wanted
        stored = [event for event in self.events if fits(event, wanted)]
        stored.sort(key=lambda event: event["created_at"], reverse=True)
        for event in stored[: wanted.get("limit", 500)]:
            await self.say("EVENT", name, event)
        await self.say("EOSE", name)

    async def publish(self, event: Event, lost: bool = False) -> None:
        self.events.append(event)
        for name, wanted in self.open.items():
            if fits(event, wanted) and not lost:
                await self.say("EVENT", name, event)


def fits(event: Event, wanted: Any) -> bool:
    return event["kind"] in wanted["kinds"] and event["created_at"] >= wanted.get("since", 0)


async def test_subscriptions_go_on_where_they_were_and_see_nothing_twice() -> None:
    relay = Relay()
    for number in range(3):
        await relay.publish(signed(1, f"stored {number}", NOW - 100 + number))
    filters = {"notes": {"kinds": [1], "limit": 2}, "secret": {"kinds": [4]}}

    def sign(challenge: str) -> Event:
        return signed(LOGIN, "", NOW, [["challenge", challenge]])

    async with peer(relay) as url:
        options: Any = {"message_type": Any, "reconnect_delay": 0.01}
        async with use_websocket(url, protocol=Nostr(filters, sign), **options) as store:
            notes, secret = record(store.channel("notes")), record(store.channel("secret"))
            errors = record(store.errors)

            async def publish(event: Event) -> Any:
                return (await store.request(["EVENT", event], timeout=5))[2]

            assert await publish(signed(1, "mine", NOW + 10))  # behind both subscriptions
            assert not await publish({**signed(1, "forged"), "content": "other"})
            assert await publish(signed(4, "private", NOW + 10))
            assert await publish(signed(2, "unasked", NOW + 10))
            relay.sockets[-1].transport.abort()
            await store.wait_for(lambda state: not state.is_connected, 5)
            await relay.publish(signed(1, "late", NOW - OVERLAP + 11), lost=True)
            for number in range(5):
                await relay.publish(signed(1, f"missed {number}", NOW + 20 + number), lost=True)
            for number in range(3):
                await publish(signed(1, f"new {number}", NOW + 30))
            for _ in range(2):
                await publish(signed(2, "last", NOW + 40))
            texts = [note and note["content"] for note in notes]
            assert texts == [
                *("stored 2", "stored 1", None, "mine"),
                *(f"missed {number}" for number in reversed(range(5))),
                *("late", None, "new 0", "new 1", "new 2"),
            ]
            assert [note and note["content"] for note in secret] == [None, "private", None]
            assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    since = {"since": NOW + 10 - OVERLAP}
    private = ("secret", {"kinds": [4]})
    later = ("secret", {"kinds": [4], **since})
    assert relay.asked == [
        [("notes", {"kinds": [1], "limit": 2}), private, private],
        [("notes", {"kinds": [1], **since}), later, later],
    ]
    assert relay.wrong == []


async def test_a_relay_that_wants_a_login_which_nobody_signs_fails_the_channel() -> None:
    relay = Relay()
    async with peer(relay) as url:
        protocol = Nostr({"notes": {"kinds": [1]}, "secret": {"kinds": [4]}})
        async with use_websocket(url, protocol=protocol, message_type=Any) as store:
            failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            store.channel("secret").subscribe(on_error=failed.set_result)
            error = await asyncio.wait_for(failed, 5)
            assert isinstance(error, StoreError)
            assert "auth-required" in str(error)
            observing = store.channel("notes").subscribe()
            await store.request(["EVENT", signed(1, "")], timeout=5)
            observing.dispose()
            for _ in range(2):
                await store.request(["EVENT", signed(1, "")], timeout=5)
            assert relay.open == {}
    assert relay.wrong == []
