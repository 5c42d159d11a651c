"""The timed operators of RxPY in a browser."""

from __future__ import annotations

import pytest

from heimdall_reactive import ConfigurationError
from heimdall_reactive.consuming.scheduler import NO_TIMER, no_timer
from heimdall_reactive.devserver import DevServer

from .pages import Page


def test_a_timed_operator_without_a_scheduler_says_what_to_do(
    page: Page, server: DevServer
) -> None:
    *said, connected = page.run("rx.without", f"{server.url}/v1/ws")
    assert said[:3] == [f"on_error: {NO_TIMER}"] * 3
    assert said[3] == f"errors: an observer of 'messages' raised ConfigurationError: {NO_TIMER}"
    assert connected


def test_timed_operators_work_with_the_scheduler_of_the_store(
    page: Page, server: DevServer
) -> None:
    assert page.run("rx.within", f"{server.url}/v1/ws") == [1, -1, [0, 1, 2]]


def test_the_hint_is_an_error_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match=r"scheduler=store\.scheduler"):
        no_timer(1.0, print)
