"""Stores under Pyodide, over the development server."""

from __future__ import annotations

from typing import Final

import pytest

from heimdall_reactive import ConfigurationError, use_websocket
from heimdall_reactive.devserver import DevServer

from .pages import Page, TabPage

FRAME: Final = 50.0  # milliseconds


def test_typed_messages_come_and_sends_are_proved_by_the_close_alone(
    page: Page, server: DevServer
) -> None:
    found = page.run("wire.typed", f"{server.url}/v1/ws")
    assert found["seen"] == [{"n": 1}, {"n": 2}]
    assert "a page sees no pongs" in found["told"]
    assert (found["latency"], found["receipt"]) == (None, "delivered")
    assert found["close"] == [1000, "client"]


def test_binary_messages_come_as_they_went(page: Page, server: DevServer) -> None:
    assert page.run("wire.binary", f"{server.url}/v1/ws") == bytes(range(256)).hex()


def test_a_store_comes_back_after_a_drop_and_a_restart(page: Page, server: DevServer) -> None:
    act = {"drop": server.drop, "restart": lambda: server.restart(0.1)}
    assert page.run("wire.dropped", f"{server.url}/v1/ws", lambda what: act[what]()) == [2, 3]


def test_a_close_code_of_the_server_is_told(page: Page, server: DevServer) -> None:
    assert page.run("wire.closed", f"{server.url}/v1/ws", lambda _: server.drop(4400)) == [
        4400,
        "server",
    ]


def test_a_refusal_is_retried_with_counted_attempts_and_says_that_nobody_tells(
    page: Page, server: DevServer
) -> None:
    attempts, error = page.run("wire.refused", f"{server.url}/no/such/path")
    assert attempts == 3
    assert "browsers do not tell why" in error
    assert len(server.dials) == 3


def test_many_messages_come_in_order_and_hold_no_turn_for_long(
    page: Page, server: DevServer
) -> None:
    def asked(_: str) -> None:
        for number in range(20_000):
            server.send_raw(f'{{"n":{number}}}')

    in_order, gap = page.run("wire.many", f"{server.url}/v1/ws", asked)
    assert in_order
    assert gap < 1.0  # nobody's frame is measured here: a machine under load has longer ones


def test_a_page_paints_while_many_messages_come(tab: TabPage, server: DevServer) -> None:
    def asked(_: str) -> None:  # `measure.py` takes ten times as many, whose trace takes its time
        for number in range(2_000):
            server.send_raw(f'{{"n":{number}}}')

    url = f"{server.url}/v1/ws#2000"
    found, longest, _ = tab.busy(lambda: tab.run("wire.frames", url, asked))
    assert found["in_order"]
    assert longest < FRAME


def test_what_a_page_cannot_do_is_refused_at_the_call(page: Page) -> None:
    said = page.run("wire.limits", "ws://127.0.0.1:9/")
    assert [each.partition(":")[0] for each in said] == [
        "additional_headers", "access_token", "proxy", "origin", "compression", "ping_interval",
        "resend", "loop", "ssl", "server_hostname", "proxy_ssl", "family", "happy_eyeballs_delay",
        "local_addr", "unix", "sock",
    ]  # fmt: skip
    assert "say token_placement='first_message'" in said[1]


def test_no_task_is_left_and_no_websockets_imported(page: Page) -> None:
    assert page.run("wire.left") == []


def test_outside_a_browser_there_is_no_such_transport() -> None:
    with pytest.raises(ConfigurationError, match="Pyodide"):
        use_websocket("ws://localhost:9/", transport="browser")
