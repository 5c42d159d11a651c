"""What a `repr` and a notebook show: name and value at a glance, short, harmless, without secrets.

Of every public object, and whatever a server or the user puts into it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rich
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from heimdall_reactive import (
    CloseInfo,
    ConnectionLost,
    ConnectionState,
    QueueHop,
    Receipt,
    SendError,
    Status,
    StoreOptions,
    Waiter,
    WebSocketClient,
    WebSocketStore,
    use_websocket,
    ws_config,
)
from heimdall_reactive.base.glance import glance, glance_html
from heimdall_reactive.bindings import UiScope, badge, bind, latest_by, window
from heimdall_reactive.dataflow import Feed, Ingest, Reader
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.recording import record, replay

TOKEN = "s3cret~canary~7b1f9e"
LONGEST = 400
TAGS = {"div", "span", "strong"}


class Shown(NamedTuple):
    """A store, and all that can be got from it."""

    store: WebSocketStore[Any]
    things: dict[str, Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A store over a server that echoes, the token included."""
    with serve_in_thread(echo=True, require_token=False) as server:
        url = f"{server.url}/v1/ws/updates?key={TOKEN}"
        with use_websocket(
            url, message_type=str | bytes, access_token=TOKEN, loop="thread"
        ) as store:
            store.wait_connected(8).result()
            yield Shown(store, everything(store, tmp_path_factory.mktemp("recording")))


def everything(store: WebSocketStore[Any], folder: Path) -> dict[str, Any]:
    """Return the public objects that hang on a store, by name."""
    values = "state is_connected last_message latency messages transitions gaps errors journal"
    commands = "send connect disconnect stats scheduler"
    things = {name: getattr(store, name) for name in f"{values} {commands}".split()}
    return {
        **things,
        "store": store,
        "state.value": store.state.value,
        "select": store.select(lambda state: state.status),
        "channel": store.channel("stats"),
        "messages_of": store.messages_of(str),
        "history": store.history(3),
        "stream": store.stream(),
        "iterate": store.iterate(),
        "on_message": store.on_message(_nothing),
        "waiter": ended_wait(store),
        "view": store.observe_on(QueueHop()),
        "client": WebSocketClient(store),
        "binding": bind(store.messages, lambda _: None, UiScope()),
        "latest_by": latest_by(store.messages, str),
        "window": window(store.latency, 60.0),
        "badge": badge(store),
        "recorder": record(store, folder / "session.jsonl"),
        "stats_every": store.stats_every(1.0),
        "options": StoreOptions(access_token=TOKEN, additional_headers={"X-Key": TOKEN}),
        "config": ws_config,
    }


def ended_wait(store: WebSocketStore[Any]) -> Waiter:
    waiter = store.wait_for(lambda _: True, 5)
    waiter.result()
    return waiter


async def _nothing(_: object) -> None: ...


class Tags(HTMLParser):
    """Refuses all but a few harmless elements."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= {"style", "aria-hidden"}


def check(name: str, text: str) -> None:
    assert text.isprintable(), name
    assert len(text) <= LONGEST, (name, len(text))
    pieces = {TOKEN[at : at + 8] for at in range(len(TOKEN) - 7)}
    assert not [piece for piece in pieces if piece in text], (name, text)


def check_all(things: dict[str, Any]) -> None:
    for name, thing in things.items():
        check(name, repr(thing))
        if hasattr(thing, "_repr_html_"):
            html = thing._repr_html_()
            Tags().feed(html)
            assert TOKEN[:8] not in html


def test_name_and_value_at_a_glance() -> None:
    with serve_in_thread(echo=True) as server, server_store(server.url) as store:
        sent = store.send({"type": "tick", "n": 1})
        answer = store.request({"type": "tick", "n": 2}, match=lambda m: m["n"] == 2)
        assert answer.result() == {"type": "tick", "n": 2}
        sent.delivered().result(5)
        seen = {
            repr(thing).replace(server.url, "ws://server")
            for thing in (
                store, store.is_connected, store.last_message, store.send, store.connect,
                store.messages, store.channel("stats"), store.messages_of(dict),
                store.history(3), store.stream(), store.select(lambda s: s.session), sent,
                store.state.value, answer, store.journal, server, ended_wait(store),
            )
        }  # fmt: skip
    assert seen == {
        (
            "<WebSocketStore ws://server/v1/ws/status connected, session 1, 2 received, 2 sent, "
            'last: tick  {"n": 2}>'
        ),
        "<State is_connected: True>",
        '<State last_message: tick  {"n": 2}>',
        '<Command send: tick  {"n": 2}>',
        "<Trigger connect: None>",
        "<Stream messages: 0 observers>",
        "<Channel stats: 0 observers>",
        "<Derived messages of dict>",
        "<History history: 0 of 3 messages, 0 observers>",
        "<MessageStream stream 1: 0 waiting, 0 delivered>",
        "<Selection select: 1>",
        "<Receipt delivered>",
        "<ConnectionState connected, session 1>",
        '<Request answered: tick  {"n": 2}>',
        "<Journal ws://server/v1/ws/status: 2 events>",
        "<DevServer ws://server, listening>",
        "<Waiter for 5 s; the store is connected, session 1; await it, or call result()>",
    }


def server_store(url: str) -> WebSocketStore[Any]:
    store = use_websocket(url + "/v1/ws/status", message_type=Any, loop="thread")
    store.wait_connected(8).result()
    return store


texts = st.text(max_size=40)
pieces = st.lists(texts | st.just(TOKEN), min_size=1, max_size=4).map("".join)
messages = (
    pieces
    | pieces.map(lambda text: json.dumps({"type": text[:60], "value": text}))
    | pieces.map(lambda text: text.encode("utf-8", "replace"))
    | st.just("<script>alert(1)</script><img src=x onerror=alert(1)>")
    | st.just("x" * 100_000)
)


@settings(max_examples=60, deadline=None)
@given(messages)
@example("a" * 75 + TOKEN)
@example("a" * 155 + TOKEN)
def test_whatever_comes_is_one_short_line_without_the_token(shown: Shown, message: Any) -> None:
    try:
        str(message if isinstance(message, str) else "").encode()
    except UnicodeEncodeError:  # what no text frame can hold
        return
    request = shown.store.request(message, match=lambda _: True)
    check("request", repr(request))
    request.result(8)
    check_all({**shown.things, "request": request})


def test_they_stay_what_they_were_after_the_end(tmp_path: Path) -> None:
    with serve_in_thread(echo=True, require_token=False) as server:
        store = use_websocket(
            server.url + "/v1/ws/updates", message_type=str, access_token=TOKEN, loop="thread"
        )
        store.wait_connected(8).result()
        store.request(f"my {TOKEN}", match=lambda _: True).result(8)
        things = everything(store, tmp_path)
        store.close()
        check_all({**things, "state.value": store.state.value})
        assert repr(store.last_message) == "<State last_message: my ***, ended>"
        assert repr(store).endswith(
            " disconnected, session 1, 1 received, 1 sent, last: my ***, by the client, code 1000>"
        )
        things["recorder"].close()  # until then it is being written
        with replay(tmp_path / "session.jsonl", loop="thread", immediate=False) as again:
            check_all({"replay": again, "state": again.state})


async def test_a_token_that_waits_to_be_used_is_hidden_too() -> None:
    async with use_websocket("ws://127.0.0.1:9", access_token=TOKEN, immediate=False) as store:
        store.send({"type": "login", "token": TOKEN})
        assert repr(store.send) == '<Command send: login  {"token": "***"}>'
        store.set_access_token("another~canary~0f2e")
        store.send(SecretStr("another~canary~0f2e").get_secret_value())
        assert repr(store.send) == "<Command send: ***>"


LOST = ConnectionLost(1006, "reset")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ConnectionState(), "idle"),
        (ConnectionState(status=Status.CONNECTING, attempt=2), "connecting, attempt 2"),
        (ConnectionState(status=Status.FAILED, error=LOST), f"failed, {LOST}"),
        (ConnectionState(status=Status.FAILED, error=ValueError(TOKEN)), "failed, ValueError"),
        (
            ConnectionState(status=Status.DISCONNECTED, close=CloseInfo(1000, "bye", "server")),
            "disconnected, by the server, code 1000 bye",
        ),
    ],
)
def test_a_state_in_words(state: ConnectionState, words: str) -> None:
    assert (str(state), repr(state)) == (words, f"<ConnectionState {words}>")


def test_a_receipt_says_why() -> None:
    receipt = Receipt()
    assert (repr(receipt), repr(receipt.delivered())) == (
        "<Receipt queued>", "<Delivery of <Receipt queued>>",
    )  # fmt: skip
    receipt.settle("expired", SendError("it waited longer than send_ttl", "expired"))
    assert repr(receipt) == "<Receipt expired, it waited longer than send_ttl>"
    assert "✕" in receipt._repr_html_()


def test_rich_shows_the_fields_that_say_something() -> None:
    out = io.StringIO()
    state = ConnectionState(status=Status.CONNECTING, attempt=2)
    rich.print(state, Receipt(), file=out)
    assert out.getvalue() == (
        "ConnectionState(status=<Status.CONNECTING: 'connecting'>, attempt=2)\n"
        "Receipt(state='queued')\n"
    )


@given(st.text(), st.text())
def test_any_words_make_one_short_line(name: str, words: str) -> None:
    kind = type("X", (), {})
    kind.__name__ = name.replace("\0", "") or "X"
    text = glance(kind(), words)
    assert text.isprintable()
    assert len(text) <= LONGEST


@given(st.text(), st.lists(st.text()))
def test_a_notebook_gets_text_and_no_markup_of_others(title: str, lines: list[str]) -> None:
    Tags().feed(glance_html("good", title, *lines))


async def test_what_reads_and_writes_the_log_says_how_far_it_is() -> None:
    feed = Feed(endpoint=f"ws://ada:{TOKEN}@127.0.0.1:9/x?key={TOKEN}", channel="a")
    ingest = Ingest(f"nats://ada:{TOKEN}@127.0.0.1:9", "S", [feed], name="copy")
    assert repr(ingest) == "<Ingest copy: 0 of 1 feed>"
    with serve_in_thread() as server:
        reader = Reader(Feed(endpoint=f"{server.url}/v1/ws/status?key={TOKEN}"), offset=7)
        await reader.store.wait_connected(8)
        store = f"<WebSocketStore {server.url}/v1/ws/status connected, session 1>"
        assert repr(reader) == f"<Reader at 7, 0 read, of {store}>"
        await reader.aclose()
