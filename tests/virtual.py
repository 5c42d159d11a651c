"""Stores in virtual time, against a scripted peer: what tests of several modules begin with."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.testing import ScriptedPeer, VirtualTimeLoop

URL: Final = "ws://localhost/v1/ws"


def loop() -> VirtualTimeLoop:
    """Return the loop that runs, which has virtual time."""
    found = asyncio.get_running_loop()
    assert isinstance(found, VirtualTimeLoop)
    return found


def stand_still(seconds: float) -> None:
    """Let this process be suspended: the clock goes on, and all timers are late."""
    vars(loop())["_now"] += seconds


def store_of(peer: ScriptedPeer, **options: Any) -> WebSocketStore[Any]:
    """Make a store of a scripted peer."""
    return use_websocket(URL, transport=peer, **options)


def steady_store_of(peer: ScriptedPeer, **options: Any) -> WebSocketStore[Any]:
    """Make a store that reconnects after exactly a second."""
    return store_of(peer, reconnect_delay=lambda _: 1.0, **options)
