"""The stores of the pytest plugin, which is `heimdall_reactive_pytest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from heimdall_reactive import ConfigurationError, WebSocketStore, use_websocket
from heimdall_reactive.connecting.runtime import running_loop

__all__ = ["StoreFactory"]

ENDPOINT: Final = "/v1/ws/updates"
PATIENCE: Final = 5.0  # seconds a dial may take


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
        """Return a connected store, for a test that is not a coroutine.

        Args:
            endpoint: a path of the server, or a full URL.
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
