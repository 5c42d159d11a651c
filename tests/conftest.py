"""Tests that are coroutines run here; every test fails that leaves a thread or a file behind."""

from __future__ import annotations

import contextlib
import gc
import inspect
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from . import eager
from .support import descriptors, run, threads

VIRTUAL: Final = "heimdall_virtual_time"


def pytest_configure() -> None:
    """Install eager tasks where asked; open here what stays open for the process.

    A test run in the background of a shell ignores SIGINT, and its children would too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if eager.EAGER:
        eager.install()
    if sys.platform != "win32":
        import uvloop

        uvloop.new_event_loop().close()  # its first loop leaves something open
    with contextlib.suppress(ImportError):
        import ctypes  # noqa: F401 - some builds of libffi keep their own file open


def pytest_collection_finish() -> None:
    """Let no collection of garbage visit what the modules import: it would take 0.4 s each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine by `run`; one in virtual time is the plugin's."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test) or pyfuncitem.get_closest_marker(VIRTUAL):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    run(lambda: test(**arguments))
    return True


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare threads and descriptors before and after; `@pytest.mark.leaky` goes without."""
    if request.node.get_closest_marker("leaky"):
        yield
        return
    before_threads, before_descriptors = threads(), descriptors()
    complaints = _Complaints()
    logging.getLogger("asyncio").addHandler(complaints)
    yield
    logging.getLogger("asyncio").removeHandler(complaints)
    assert not complaints.seen, complaints.seen
    for thread in threads() - before_threads:
        thread.join(2)  # a provider's or pool's thread that is just ending
    assert threads() <= before_threads, "threads left"
    if len(descriptors()) > len(before_descriptors):
        gc.collect()  # only then: for every test it would cost more than most of the tests
        assert len(descriptors()) <= len(before_descriptors), "file descriptors left"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate of `localhost`, with its key; beside it `.crt`, the authority to trust."""
    import trustme  # here, since it costs 0.1 s

    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path.with_suffix(".crt")))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


class _Complaints(logging.Handler):
    """What the event loop logs that nobody else is told: errors in callbacks, lost exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))
