"""The testing kit in a browser: a scripted peer behind the wire of a page."""

from __future__ import annotations

from .pages import Page


def test_a_scripted_peer_needs_no_server_and_no_websockets(page: Page) -> None:
    assert page.run("kit.scripted") == {"attempts": 3, "messages": [0, 2, 9], "live": 0}


def test_a_protocol_that_acknowledges_proves_what_was_sent(page: Page) -> None:
    assert page.run("kit.login") == ["delivered", "b", {"login": "secret"}]


def test_the_heartbeat_is_on_by_default_but_for_a_protocol_of_your_own(page: Page) -> None:
    assert page.run("kit.kit") == [False, {"type": "Ping"}, None]


def test_virtual_time_is_refused_with_words(page: Page) -> None:
    assert "ScriptedPeer(in_page=True)" in page.run("kit.virtual")
