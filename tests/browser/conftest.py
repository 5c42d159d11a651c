"""Fixtures of the tests in a browser: its pages, and the development server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heimdall_reactive.devserver import DevServer, serve_in_thread

from .pages import Page, pages


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Return the page of a kind; each starts once."""
    with pages(tmp_path_factory.mktemp("browser")) as page_of:
        yield page_of


@pytest.fixture(scope="session", params=["node", "page", "worker"])
def page(request: pytest.FixtureRequest, page_of: Callable[[str], Page]) -> Page:
    """Return each page in turn."""
    return page_of(request.param)


@pytest.fixture(scope="session")
def tab(page_of: Callable[[str], Any]) -> Any:
    """Return the one in a tab of Chromium, whose document it has."""
    return page_of("page")


@pytest.fixture
def server() -> Iterator[DevServer]:
    """Run a server that answers with what it gets."""
    with serve_in_thread(require_token=False, echo=True) as running:
        yield running
