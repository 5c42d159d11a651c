"""The pytest plugin: a server, connected stores, a scripted peer, and tests in virtual time.

Every run of pytest in the environment imports it. It stands outside the package, and imports the
library where a test uses it, so that the other runs do not pay for that.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from heimdall_reactive.devserver import DevServer, ServerOptions
    from heimdall_reactive.testing import ScriptedPeer
    from heimdall_reactive.testing.plugin import StoreFactory

__all__ = ["heimdall_peer", "heimdall_server", "heimdall_server_options", "heimdall_store"]

MARKER: Final = "heimdall_virtual_time"
PARTING: Final = 1.0  # seconds until the server has seen that a closed store is gone


@pytest.fixture
def heimdall_server_options() -> ServerOptions:
    """Return the options of `heimdall_server`: define a fixture of this name to change them."""
    return {}


@pytest.fixture
def heimdall_server(
    heimdall_server_options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DevServer]:
    """Run a fresh `DevServer` on a thread; paths lead to it, and nobody may stay connected."""
    from heimdall_reactive import WaitTimeout, ws_config
    from heimdall_reactive.devserver import serve_in_thread

    with serve_in_thread(**heimdall_server_options) as server, monkeypatch.context() as patch:
        patch.setenv("HEIMDALL_WS_URL", server.url)
        patch.setattr(ws_config, "_ws_url", None)  # it would come before the environment's
        yield server
        try:
            server.call(server.wait_for_connections(0, PARTING))
        except WaitTimeout:
            left = ", ".join(f"{peer.path} of {peer.user_id}" for peer in server.connections)
            pytest.fail(f"left connected: {left}; close the stores of the test", pytrace=False)


@pytest.fixture
def heimdall_peer() -> ScriptedPeer:
    """Return a fresh `ScriptedPeer`: the option `transport` of a store."""
    from heimdall_reactive.testing import ScriptedPeer

    return ScriptedPeer()


@pytest.fixture
def heimdall_store(request: pytest.FixtureRequest) -> Iterator[StoreFactory]:
    """Return a factory of connected stores, which are closed when the test ends.

    They connect to `heimdall_server` with a token that is good there, and reconnect after 10 ms.
    In virtual time they connect to `heimdall_peer`.
    """
    from heimdall_reactive.devserver import DEMO_TOKEN
    from heimdall_reactive.testing.plugin import StoreFactory

    if request.node.get_closest_marker(MARKER):
        factory = StoreFactory({"transport": request.getfixturevalue("heimdall_peer")})
    else:
        request.getfixturevalue("heimdall_server")
        factory = StoreFactory({"access_token": DEMO_TOKEN, "reconnect_delay": 0.01})
    yield factory
    factory.close()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also to `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(timeout=3600, grace=1): run this coroutine with heimdall_reactive.testing.run",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that has the marker in virtual time; leave every other one alone."""
    __tracebackhide__ = True
    marker = pyfuncitem.get_closest_marker(MARKER)
    if marker is None:
        return None
    from heimdall_reactive.testing import run

    test = _as_written(pyfuncitem)
    names = inspect.signature(test).parameters.keys() & pyfuncitem.funcargs.keys()
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    if not inspect.iscoroutinefunction(test):
        pytest.fail(f"{MARKER} is for coroutines (async def)", pytrace=False)
    factory = pyfuncitem.funcargs.get("heimdall_store")
    run(lambda: _closing(test, arguments, factory), **marker.kwargs)
    return True


def _as_written(item: pytest.Function) -> Callable[..., Any]:
    """Return a test without what other plugins put around it, as pytest-asyncio does."""
    owner = item.instance if item.instance is not None else getattr(item.parent, "obj", None)
    test: Callable[..., Any] = getattr(owner, item.originalname, item.obj)
    return test


async def _closing(
    test: Callable[..., Awaitable[object]], arguments: dict[str, Any], factory: object
) -> None:
    """Run a test, and close its stores while their loop still runs."""
    from heimdall_reactive.testing.plugin import StoreFactory

    try:
        await test(**arguments)
    finally:
        if isinstance(factory, StoreFactory):
            await factory.aclose()
