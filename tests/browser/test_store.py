"""What needs no socket of its own works in a browser as elsewhere."""

from __future__ import annotations

import json
import time

from heimdall_reactive.devserver import DevServer, serve_in_thread

from .pages import Page


def test_values_and_commands_are_told_and_end(page: Page, server: DevServer) -> None:
    found = page.run("store.subjects", f"{server.url}/v1/ws")
    connected = [value for name, value in found["told"] if name == "is_connected"]
    assert connected == [False, True, False, True, False]
    assert ["last_message", 7] in found["told"]
    assert ["send", 7] in found["told"]
    assert sorted(found["ended"]) == ["is_connected", "last_message", "send"]


def test_channels_are_asked_for_again_after_a_drop(page: Page, server: DevServer) -> None:
    def publish() -> None:
        end = time.monotonic() + 8
        while not server.publish("public", {"a": 1}):  # nobody has subscribed yet
            assert time.monotonic() < end
            time.sleep(0.01)

    act = {"publish": publish, "drop": server.drop}
    found = page.run("store.channels", f"{server.url}/v1/ws", lambda what: act[what]())
    assert found == [{"a": 1}, {"a": 1}]


def test_requests_are_answered_or_time_out(page: Page, server: DevServer) -> None:
    answer, error = page.run("store.requests", f"{server.url}/v1/ws")
    assert answer == {"id": 3, "question": "?"}
    assert error == "WaitTimeout"


def test_stores_share_one_socket(page: Page, server: DevServer) -> None:
    assert page.run("store.shared", f"{server.url}/v1/ws") == [[5], True, 1]
    assert len(server.dials) == 1


def test_views_and_streams_get_everything_in_order(page: Page, server: DevServer) -> None:
    numbers = list(range(5))
    assert page.run("store.views", f"{server.url}/v1/ws") == [numbers, numbers]


def test_a_recording_in_memory_is_replayed(page: Page, server: DevServer) -> None:
    assert page.run("store.recorded", f"{server.url}/v1/ws") == [True, [1, 2]]


def test_tokens_go_where_a_page_can_put_them_and_a_query_warns(page: Page) -> None:
    with serve_in_thread(first_message_auth=True) as server:
        found = page.run("store.tokens", f"{server.url}/v1/ws")
        assert {peer.user_id for peer in server.connections} <= {"demo"}
        assert [dial.user_id for dial in server.dials][1:] == ["demo", "demo"]
    assert [each[:2] for each in found] == [
        ["first_message", "connected"], ["subprotocol", "connected"], ["unsafe_query", "connected"],
    ]  # fmt: skip
    assert [len(each[2]) for each in found] == [0, 0, 1]
    assert "the page's console prints the URL" in json.dumps(found[2])


def test_a_message_that_is_too_large_ends_the_session(page: Page, server: DevServer) -> None:
    found = page.run("store.too_large", f"{server.url}/v1/ws")
    assert found == [1009, "a message of more than max_size=100", "client"]
