"""A store over the development server; see `test_wire.py`."""

from __future__ import annotations

import asyncio
import ssl
import sys
from importlib import import_module
from typing import Any

from heimdall_reactive import SendError, use_websocket

js: Any = import_module("js")


async def typed(url: str) -> dict[str, Any]:
    async with use_websocket(url, message_type=dict[str, int]) as store:
        seen: list[Any] = []
        store.messages.subscribe(seen.append)
        both = asyncio.Event()
        store.messages.subscribe(lambda message: both.set() if message == {"n": 2} else None)
        await store.wait_connected(timeout=8)
        await store.send({"n": 1})
        receipt, told = store.send({"n": 2}), ""
        try:
            await receipt.delivered(8)
        except SendError as error:
            told = str(error)
        async with asyncio.timeout(8):
            await both.wait()
        found = {"seen": seen, "told": told, "latency": store.latency.value}
    close = store.state.value.close
    assert close is not None
    return {**found, "receipt": receipt.state, "close": [close.code, close.who]}


async def binary(url: str) -> str:
    async with use_websocket(url, message_type=str | bytes) as store:
        first = store.stream()
        await store.wait_connected(timeout=8)
        store.send(bytes(range(256)))
        async with asyncio.timeout(8):
            return bytes(await anext(first)).hex()  # type: ignore[arg-type]


async def dropped(url: str) -> list[Any]:
    async with use_websocket(url, reconnect_delay=0.05) as store:
        await store.wait_connected(timeout=8)
        await js.ask("drop")
        lost = await store.wait_for(lambda state: state.session == 2, timeout=8)
        await js.ask("restart")
        back = await store.wait_for(lambda state: state.session == 3, timeout=8)
        return [lost.session, back.session]


async def refused(url: str) -> list[Any]:
    store = use_websocket(url, max_reconnect_attempts=2, reconnect_delay=0.01)
    failed = await store.wait_for(lambda state: state.status == "failed", timeout=8)
    await store.aclose()
    return [store.stats.attempts, str(failed.error)]


async def closed(url: str) -> list[Any]:
    async with use_websocket(url, auto_reconnect=False) as store:
        await store.wait_connected(timeout=8)
        await js.ask("close 4400")
        state = await store.wait_for(lambda state: not state.is_connected, timeout=8)
        assert state.close is not None
        return [state.close.code, state.close.who]


async def many(url: str) -> list[Any]:
    async with use_websocket(url, message_type=dict[str, int]) as store:
        await store.wait_connected(timeout=8)
        loop, numbers, done = asyncio.get_running_loop(), [], asyncio.Event()
        gap, before = 0.0, loop.time()

        def take(message: Any) -> None:
            numbers.append(message["n"])
            if len(numbers) == 20_000:
                done.set()

        store.messages.subscribe(take)
        asking = asyncio.ensure_future(js.ask("many"))
        while not done.is_set():
            await asyncio.sleep(0)
            gap, before = max(gap, loop.time() - before), loop.time()
        await asking
        return [numbers == list(range(20_000)), round(gap, 3)]


FRAMES = """
globalThis.watchFrames = () => {
    const seen = { worst: 0, count: 0, on: true, last: performance.now() };
    requestAnimationFrame(function frame() {
        const now = performance.now();
        seen.worst = Math.max(seen.worst, now - seen.last);
        seen.last = now;
        seen.count += 1;
        performance.mark("frame"); // in a trace
        if (seen.on) requestAnimationFrame(frame);
    });
    return seen;
};
"""


async def frames(url: str) -> dict[str, Any]:
    """Take as many typed messages as the fragment says in a page that paints."""
    url, _, count = url.partition("#")
    async with use_websocket(url, message_type=dict[str, int]) as store:
        await store.wait_connected(timeout=8)
        loop, numbers, done = asyncio.get_running_loop(), [], asyncio.Event()

        def take(message: Any) -> None:
            numbers.append(message["n"])
            if len(numbers) == int(count):
                done.set()

        store.messages.subscribe(take)
        js.eval(FRAMES)
        seen: Any = js.watchFrames()
        began = loop.time()
        asking = asyncio.ensure_future(js.ask("many"))
        await done.wait()
        took = loop.time() - began
        seen.on = False
        await asking
        return {
            "gap": round(seen.worst), "frames": seen.count, "seconds": round(took, 2),
            "in_order": numbers == list(range(int(count))),
        }  # fmt: skip


async def limits(url: str) -> list[str]:
    said = []
    cases: tuple[dict[str, Any], ...] = (
        {"additional_headers": {"X-A": "1"}}, {"access_token": "t"}, {"proxy": None},
        {"origin": "https://a.example"}, {"compression": None}, {"ping_interval": 1.0},
        {"resend": True}, {"loop": "thread"}, {"ssl": ssl.create_default_context()},
        {"server_hostname": "a.example"}, {"proxy_ssl": ssl.create_default_context()},
        {"family": 2}, {"happy_eyeballs_delay": 1.0}, {"local_addr": ("192.0.2.1", 0)},
        {"unix": "/ws.sock"}, {"sock": lambda: None},
    )  # fmt: skip
    for options in cases:
        try:
            use_websocket(url, **options)
        except ValueError as error:
            said.append(f"{next(iter(options))}: {error}")
    return said


async def left(_: str) -> list[str]:
    mine = asyncio.current_task()
    tasks = [task.get_name() for task in asyncio.all_tasks() if task is not mine]
    return [*tasks, *(name for name in sys.modules if name.split(".")[0] == "websockets")]
