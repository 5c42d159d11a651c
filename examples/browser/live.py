"""A live table over a peer in memory: what the documentation runs in the reader's own browser.

python -m examples.browser.live
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeAlias

from pydantic import BaseModel

from heimdall_reactive import ConnectionState, Status, WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, bind, latest_by
from heimdall_reactive.testing import Refuse, ScriptedPeer

Acts: TypeAlias = dict[str, Callable[[], object]]


class Quote(BaseModel):
    """What the peer sends."""

    symbol: str
    price: float


async def send_quotes(peer: ScriptedPeer) -> None:
    """Be the server: send the price of one thing after the other to whoever is connected."""
    prices = dict.fromkeys(("amber", "cocoa", "indigo", "saffron", "tea", "vanilla"), 100.0)
    while True:
        name = random.choice(list(prices))
        prices[name] *= random.gauss(1, 0.01)
        if peer.link is not None:
            peer.link.send(Quote(symbol=name, price=prices[name]))
        await asyncio.sleep(0.1)


def buttons(store: WebSocketStore[Quote], peer: ScriptedPeer) -> Acts:
    """Return what each button does: calls of the store, and faults of the peer."""

    def drop() -> None:
        if peer.link is not None:
            peer.link.drop("the peer hung up")

    def refuse() -> None:
        peer.script(Refuse(503), Refuse(503))  # later dials are accepted
        drop()

    return {
        "connect": store.connect,
        "disconnect": store.disconnect,
        "reconnect": store.reconnect,
        "drop": drop,
        "refuse": refuse,
    }


def prices(quotes: dict[str, Quote]) -> list[list[str]]:
    """Return rows of the table, as texts."""
    return [[name, f"{quote.price:.2f}"] for name, quote in quotes.items()]


def told(state: ConnectionState) -> str:
    """Return a state as one line, with the reason where there is a new one."""
    ended = state.status in (Status.WAITING, Status.FAILED)
    return f"{state.status.value}: {state.error}" if ended else str(state.status.value)


async def main(show: Callable[..., Any], pressed: asyncio.Queue[str]) -> None:
    """Show what a store has, until somebody presses `stop`.

    Args:
        show: takes the name of a part of the page, and what is new in it.
        pressed: names of buttons.
    """
    peer = ScriptedPeer()  # stands for the network and a server
    store = use_websocket(
        "ws://peer/quotes",
        transport=peer,
        message_type=Quote,
        reconnect_delay=2.0,
    )
    rows = latest_by(store.messages, lambda quote: quote.symbol)
    async with store, asyncio.TaskGroup() as tasks:
        bind(badge(store), lambda now: show("badge", now.text, now.tone))
        bind(store.transitions, lambda pair: show("line", told(pair[1])))
        bind(rows, lambda new: show("rows", prices(new.added | new.changed)))
        quotes = tasks.create_task(send_quotes(peer))
        acts = buttons(store, peer)
        while (name := await pressed.get()) != "stop":
            acts[name]()
        quotes.cancel()


if __name__ == "__main__":
    asyncio.run(main(print, asyncio.Queue()))
