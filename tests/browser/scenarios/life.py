"""A store while its page is put away, hidden, frozen and shown; see `test_life.py`."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from heimdall_reactive import Heartbeat, use_websocket

js: Any = import_module("js")
SPY = """
const calls = { add: [], remove: [] };
for (const kind of ["add", "remove"]) {
    const own = globalThis[`${kind}EventListener`];
    globalThis[`${kind}EventListener`] = (name, listener) => {
        calls[kind].push(name);
        calls.listener = listener;
        own.call(globalThis, name, listener);
    };
}
calls.isDestroyed = () => {
    try { calls.listener({ type: "pageshow" }); }
    catch (error) { return String(error).includes("destroyed"); }
    return false;
};
calls
"""


def tell(name: str) -> None:
    target = getattr(js, "document", js) if name == "resume" else js
    target.dispatchEvent(js.Event.new(name))


async def online(url: str) -> list[Any]:
    async with use_websocket(url, reconnect_delay=600.0) as store:
        await store.wait_connected(timeout=8)
        await js.ask("drop")
        lost = await store.wait_for(lambda state: state.status == "waiting", timeout=8)
        tell("online")
        back = await store.wait_for(lambda state: state.session == 2, timeout=8)
        return [lost.attempt, back.attempt]


async def probed(url: str) -> list[Any]:
    beat = Heartbeat(interval=600.0)
    quick: dict[str, Any] = {"reconnect_delay": 0.05, "ping_timeout": 0.5}
    async with use_websocket(url, heartbeat=beat, **quick) as store:
        await store.wait_connected(timeout=8)
        sent = store.stats.sent
        tell("visibilitychange")
        pinged = store.stats.sent - sent
        await asyncio.sleep(0.2)  # its answer is nobody's message
        told = store.last_message.value
        await js.ask("stall")
        tell("resume")
        lost = await store.wait_for(lambda state: not state.is_connected, timeout=8)
        assert lost.close is not None
        return [pinged, told, lost.close.reason]


async def away(url: str) -> list[Any]:
    async with use_websocket(url, reconnect_delay=600.0) as store:
        await store.wait_connected(timeout=8)
        tell("pagehide")
        status = store.state.value.status
        kept = store.send("kept")
        back = await store.wait_for(lambda state: state.session == 2, timeout=8)
        await asyncio.wait_for(kept, 8)
        return [status, back.session, kept.state]


async def listeners(url: str) -> list[Any]:
    calls: Any = js.eval(SPY)
    try:
        async with use_websocket(url, reconnect_delay=0.05) as store:
            await store.wait_connected(timeout=8)
            await js.ask("drop")
            await store.wait_for(lambda state: state.session == 2, timeout=8)
            async with use_websocket(url) as other:
                await other.wait_connected(timeout=8)
        added, removed = sorted(calls.add), sorted(calls.remove)
        return [len(added), added == removed, calls.isDestroyed()]
    finally:
        js.eval("delete globalThis.addEventListener; delete globalThis.removeEventListener")


async def beating(url: str) -> list[Any]:
    """Beat and receive while the test hides the page."""
    beat = Heartbeat(interval=0.3, timeout=0.3)
    seen: list[int] = []
    async with use_websocket(
        url, heartbeat=beat, message_type=dict[str, int], reconnect_delay=0.05
    ) as store:
        done = asyncio.Event()

        def take(message: Any) -> None:
            seen.append(message["n"])
            if message["n"] == 99:
                done.set()

        store.messages.subscribe(take)
        await store.wait_connected(timeout=8)
        hidden = asyncio.ensure_future(js.ask("hide"))
        loop, gap = asyncio.get_running_loop(), 0.0
        async with asyncio.timeout(30):
            while not (done.is_set() and hidden.done()):
                before = loop.time()
                await asyncio.sleep(0.05)
                gap = max(gap, loop.time() - before)
        return [store.state.value.session, seen == list(range(100)), gap]


async def frozen(url: str) -> list[Any]:
    async with use_websocket(url, reconnect_delay=0.05) as store:
        closes: list[Any] = []
        store.state.subscribe(lambda state: closes.append(state.close and state.close.code))
        await store.wait_connected(timeout=8)
        await js.ask("freeze")
        back = await store.wait_for(lambda state: state.session == 2, timeout=8)
        return [back.session, 1006 in closes]


async def left_and_back(url: str) -> list[Any]:
    """Be put away and restored by the browser itself."""
    async with use_websocket(url, reconnect_delay=600.0) as store:
        await store.wait_connected(timeout=8)
        js.persisted = None
        js.eval("addEventListener('pageshow', (e) => { globalThis.persisted = e.persisted })")
        await js.ask("leave and come back")
        back = await store.wait_for(lambda state: state.session == 2, timeout=8)
        return [js.persisted, back.session]


async def offline(url: str) -> list[Any]:
    """Lose the network, by the browser itself."""
    async with use_websocket(url, reconnect_delay=600.0) as store:
        await store.wait_connected(timeout=8)
        await js.ask("offline")
        store.reconnect()
        lost = await store.wait_for(lambda state: state.status == "waiting", timeout=8)
        await js.ask("online")
        back = await store.wait_for(lambda state: state.session == 2, timeout=8)
        return [str(lost.error), back.attempt]
