"""Fixtures of the dataflow tests: a real `nats-server`, and streams of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .nats_server import BINARY, MISSING, NatsServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def log_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Run a server for all tests of this process; each has streams of its own."""
    with served(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run a server that one test may kill."""
    with served(tmp_path) as server:
        yield server


@pytest.fixture
def stream() -> str:
    """Return the name of a stream that no other test has."""
    return f"s{next(_numbers)}"


@contextmanager
def served(folder: Path, *options: str) -> Iterator[NatsServer]:
    """Run a server; skip the test where something for it is missing."""
    pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")
    if BINARY is None:
        pytest.skip(MISSING)
    with NatsServer(folder, *options) as server:
        yield server
