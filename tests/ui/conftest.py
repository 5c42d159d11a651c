"""Fixtures of the tests of the bindings."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from .support import Stage, served


@pytest.fixture(scope="session", autouse=True)
def resource_tracker() -> None:
    """Start what NiceGUI's process pool starts once a process, since Python 3.14 (forkserver)."""
    if sys.platform != "win32":
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Run an embedded server in a thread of its own."""
    with served() as stage:
        yield stage
