"""Every test fails that leaves a thread or a file descriptor behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .support import descriptors, threads


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare threads and descriptors before and after; `@pytest.mark.leaky` goes without."""
    if request.node.get_closest_marker("leaky"):
        yield
        return
    before_threads, before_descriptors = threads(), descriptors()
    yield
    for thread in threads() - before_threads:
        thread.join(2)  # a provider's or pool's thread that is just ending
    assert threads() <= before_threads, "threads left"
    if len(descriptors()) > len(before_descriptors):
        gc.collect()  # only then: for every test it would cost more than most of the tests
        assert len(descriptors()) <= len(before_descriptors), "file descriptors left"
