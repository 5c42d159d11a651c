"""Stores of a scripted peer, without any server; see `test_kit.py`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from heimdall_reactive import ConfigurationError, ProtocolSession, SessionProtocol, use_websocket
from heimdall_reactive.base.options import options_of
from heimdall_reactive.testing import Accept, Link, Refuse, ScriptedPeer, Unreachable, run

URL = "ws://peer.example/"


async def scripted(_: str) -> dict[str, Any]:
    """Meet refusals, a drop and a close, and be answered."""
    peer = ScriptedPeer(
        Unreachable(), Refuse(503), Accept(first_messages=[{"n": 0}]),
        on_message=lambda link, message: link.send({"n": message["n"] + 1}),
    )  # fmt: skip
    async with use_websocket(
        URL, transport=peer, message_type=dict[str, int], reconnect_delay=0.01
    ) as store:
        seen: asyncio.Queue[Any] = asyncio.Queue()
        store.messages.subscribe(seen.put_nowait)
        await store.wait_connected(timeout=8)
        attempts = store.stats.attempts
        store.send({"n": 1})
        messages = [(await asyncio.wait_for(seen.get(), 8))["n"] for _ in range(2)]
        peer.links[-1].drop()
        await store.wait_for(lambda state: state.session == 2, timeout=8)
        peer.links[-1].close(4400, "over")
        await store.wait_for(lambda state: state.session == 3, timeout=8)
        await peer.play("a-(drop)", {"a": {"n": 9}}, step=0.01)
        messages.append((await asyncio.wait_for(seen.get(), 8))["n"])
        await store.wait_for(lambda state: state.session == 4, timeout=8)
    return {"attempts": attempts, "messages": messages, "live": len(peer.live)}


class Login(SessionProtocol):
    """Logs in, numbers what it sends, and takes the answers as acknowledgements."""

    acknowledges = True

    async def handshake(self, session: ProtocolSession) -> None:
        session.send({"login": await session.token()})
        await session.recv(lambda message: message == {"welcome": True})

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        return {"id": session.next_id(), **value}

    def correlate(self, value: Any) -> int | None:
        return value.get("id")  # type: ignore[no-any-return]


async def login(_: str) -> list[Any]:
    """Speak a protocol whose answers prove what was sent, and have it sent again."""

    def answer(link: Link, message: Any) -> None:
        if "login" in message:
            link.send({"welcome": True})
        elif "id" in message:
            link.send({"id": message["id"], "is": message["what"]})

    peer = ScriptedPeer(on_message=answer)
    async with use_websocket(
        URL, transport=peer, protocol=Login(), access_token="secret", message_type=Any, resend=True,
        allow_insecure_token=True, reconnect_delay=0.01,
    ) as store:  # fmt: skip
        await store.wait_connected(timeout=8)
        receipt = store.send({"what": "a"})
        await receipt.delivered(8)
        reply = await store.request({"what": "b"}, timeout=8)
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2, timeout=8)
        return [receipt.state, reply["is"], peer.links[0].received[0]]


async def kit(_: str) -> list[Any]:
    """Import all of it, and look at what came along."""
    names = sorted({name.partition(".")[0] for name in sys.modules})
    found = options_of({}).heartbeat
    own = options_of({"protocol": Login()}).heartbeat
    assert found is not None
    return ["websockets" in names, found.message, own]


async def virtual(_: str) -> str:
    async def nothing() -> None: ...

    try:
        run(nothing)
    except ConfigurationError as error:
        return str(error)
    return ""
