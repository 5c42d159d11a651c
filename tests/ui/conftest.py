"""Fixtures of the tests of the bindings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .support import Stage, served


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Run an embedded server in a thread of its own."""
    with served() as stage:
        yield stage
