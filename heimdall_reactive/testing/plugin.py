"""The pytest plugin: a server, connected stores, a scripted peer, and tests in virtual time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from heimdall_reactive import (
    ConfigurationError,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
    ws_config,
)
from heimdall_reactive.connecting.runtime import running_loop
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer, ServerOptions, serve_in_thread

from .scripted import ScriptedPeer
from .virtual import run

__all__ = [
    "StoreFactory",
    "heimdall_peer",
    "heimdall_server",
    "heimdall_server_options",
    "heimdall_store",
]

MARKER: Final = "heimdall_virtual_time"
ENDPOINT: Final = "/v1/ws/updates"
PATIENCE: Final = 5.0  # seconds a dial may take
PARTING: Final = 1.0  # seconds until the server has seen that a closed store is gone


class StoreFactory:
    """What `heimdall_store` is: a function that makes connected stores, and closes them.

    Args:
        defaults: options of every store that is not given others.
    """

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self._defaults = defaults
        self._open: dict[WebSocketStore[Any], bool] = {}  # and whether it is on a test's own loop

    def __call__(
        self,
        endpoint: str = ENDPOINT,
        *,
        timeout: float = PATIENCE,
        **options: Any,
    ) -> WebSocketStore[Any]:
        """Return a connected store, for a test that is no coroutine.

        Args:
            endpoint: a path of the server, or a whole URL.
            timeout: seconds until it has to be connected.
            **options: as for `use_websocket`.

        Raises:
            ConfigurationError: an event loop runs on this thread: await `connect` there.
            HeimdallError: the store gave up, or was not connected in time (`WaitTimeout`).
        """
        if running_loop() is not None:
            raise ConfigurationError(
                "heimdall_store() would block this event loop; await heimdall_store.connect()"
            )
        store = self._make(endpoint, options, own=False)
        store.wait_connected().result(timeout)
        return store

    async def connect(
        self,
        endpoint: str = ENDPOINT,
        *,
        timeout: float = PATIENCE,
        **options: Any,
    ) -> WebSocketStore[Any]:
        """Return a connected store on the running loop; arguments and errors as in a call.

        In virtual time it is closed for the test. On another loop the test closes it, with
        `async with`: when a fixture ends, that loop does not run any more.
        """
        store = self._make(endpoint, options, own=True)
        await store.wait_connected(timeout)
        return store

    async def aclose(self) -> None:
        """Close the stores that are still open, on the running loop."""
        for store in list(self._open):
            await store.aclose()

    def close(self) -> None:
        """Close the stores that are still open.

        Raises:
            Failed: one was left open on an event loop that has ended.
        """
        left = [repr(store) for store, own in self._open.items() if own]
        for store in list(self._open):
            store.close()
        if left:
            pytest.fail(f"left open: {', '.join(left)}; use `async with`", pytrace=False)

    def _make(self, endpoint: str, options: Mapping[str, Any], own: bool) -> WebSocketStore[Any]:
        store: WebSocketStore[Any] = use_websocket(endpoint, **{**self._defaults, **options})
        self._open[store] = own

        def forget() -> None:
            self._open.pop(store, None)

        store.errors.subscribe(on_completed=forget)
        store.connect()
        return store


@pytest.fixture
def heimdall_server_options() -> ServerOptions:
    """Return the options of `heimdall_server`: define a fixture of this name to change them."""
    return {}


@pytest.fixture
def heimdall_server(
    heimdall_server_options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DevServer]:
    """Run a fresh `DevServer` on a thread; paths lead to it, and nobody may stay connected."""
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
    return ScriptedPeer()


@pytest.fixture
def heimdall_store(request: pytest.FixtureRequest) -> Iterator[StoreFactory]:
    """Return a factory of connected stores, which are closed when the test ends.

    They connect to `heimdall_server` with a token that is good there, and dial again after 10 ms.
    In virtual time they connect to `heimdall_peer`.
    """
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
    try:
        await test(**arguments)
    finally:
        if isinstance(factory, StoreFactory):
            await factory.aclose()
