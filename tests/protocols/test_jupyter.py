"""The example for Jupyter kernels against `jupyter-server`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from examples.protocols.jupyter import Jupyter
from heimdall_reactive import Status, WebSocketStore, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.support import beyond_doubt, record

from .programs import free_port, running

pytest.importorskip("jupyter_server", reason="pip install jupyter-server")

TOKEN = "long-lived"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={tmp_path}", f"--IdentityProvider.token={TOKEN}"),
    ]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**dict.fromkeys(folders, str(tmp_path)), "JUPYTER_PLATFORM_DIRS": "1"}
    with running(command, f"http://127.0.0.1:{port}", env):
        yield f"ws://127.0.0.1:{port}"


class Gate:
    """A port where the kernel's code says that it has come so far, and waits to go on."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._note, "127.0.0.1", 0)
        self.code = f"gate({self._server.sockets[0].getsockname()[1]})"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def _note(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._came.put_nowait(writer)

    async def reached(self) -> asyncio.StreamWriter:
        return await asyncio.wait_for(self._came.get(), 30)


GATE = """
import socket
def gate(port):
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.recv(1)
"""


def store_of(url: str, protocol: Jupyter, token: str = TOKEN) -> WebSocketStore[Any]:
    options: Any = {"access_token": token, "message_type": Any, "reconnect_delay": 0.05}
    options |= {"open_timeout": 30, "token_timeout": 30, "max_reconnect_attempts": None}
    return use_websocket(url, protocol=protocol, **options)


class Outputs:
    """What code has printed, one after the other; None at its end."""

    def __init__(self, store: WebSocketStore[Any], code: str) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        store.channel(code).subscribe(self._note, on_completed=lambda: self._queue.put_nowait(None))

    def _note(self, message: Any) -> None:
        if message["msg_type"] in ("stream", "error", "execute_result"):
            self._queue.put_nowait(message["content"])

    async def next(self) -> Any:
        return await asyncio.wait_for(self._queue.get(), 30)

    async def all(self) -> list[Any]:
        seen = []
        while (output := await self.next()) is not None:
            seen.append(output)
        return seen


def stream(text: str) -> Any:
    return {"name": "stdout", "text": text}


async def test_outputs_of_a_drop_are_delivered_after_it(server: str) -> None:
    async with FaultProxy(server) as proxy, Gate() as gate:
        protocol = Jupyter(proxy.url.removeprefix("ws://"), TOKEN)
        async with store_of(proxy.url, protocol) as store:
            errors = record(store.errors)
            assert await Outputs(store, GATE).all() == []
            outputs = Outputs(
                store,
                f"print('one', flush=True); {gate.code}\nprint('two', flush=True); {gate.code}\n3",
            )
            assert await outputs.next() == stream("one\n")
            first = await gate.reached()
            proxy.always(Reset(handshake=True))
            proxy.now(Reset())
            await store.wait_for(lambda state: not state.is_connected, 5)
            first.close()
            second = await gate.reached()
            queued = store.request(("kernel_info_request", {}), timeout=30)
            proxy.always(None)
            store.connect()
            assert await outputs.next() == stream("two\n")
            second.close()
            (result,) = await outputs.all()
            assert result["data"] == {"text/plain": "3"}
            assert (await queued)["content"]["status"] == "ok"
            (failure,) = await Outputs(store, "1 / 0").all()
            assert failure["ename"] == "ZeroDivisionError"
            for _ in range(2):  # what has ended runs again
                assert await Outputs(store, "print('again')").all() == [stream("again\n")]
            assert (beyond_doubt(errors), store.stats.invalid) == ([], 0)
            assert store.state.value.session == 2


def end_kernels(server: str) -> None:
    with closing(HTTPConnection(server.removeprefix("ws://"), timeout=30)) as link:
        headers = {"Authorization": f"token {TOKEN}"}
        link.request("GET", "/api/kernels", headers=headers)
        for kernel in json.load(link.getresponse()):
            link.request("DELETE", f"/api/kernels/{kernel['id']}", headers=headers)
            assert link.getresponse().read() == b""


async def test_code_runs_again_in_a_new_kernel(server: str) -> None:
    async with FaultProxy(server) as proxy, Gate() as gate:
        protocol = Jupyter(proxy.url.removeprefix("ws://"), TOKEN)
        async with store_of(proxy.url, protocol) as store:
            outputs = Outputs(store, f"{GATE}\n{gate.code}\nprint('done')")
            await gate.reached()
            proxy.always(Reset(handshake=True))
            proxy.now(Reset())
            await store.wait_for(lambda state: not state.is_connected, 5)
            await asyncio.to_thread(end_kernels, server)
            proxy.always(None)
            store.connect()
            (await gate.reached()).close()
            assert await outputs.all() == [stream("done\n")]
            assert store.state.value.session == 2


async def test_a_kernel_that_dies_stops_the_store(server: str) -> None:
    async with store_of(server, Jupyter(server.removeprefix("ws://"), TOKEN)) as store:
        deadly = store.channel("import os; os._exit(1)").subscribe()
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 30)
        assert "the kernel died" in str(state.error)
        deadly.dispose()
        store.connect()
        assert await Outputs(store, "print(1)").all() == [stream("1\n")]


async def test_a_kernel_that_somebody_deletes_stops_the_store(server: str) -> None:
    async with store_of(server, Jupyter(server.removeprefix("ws://"), TOKEN)) as store:
        assert await Outputs(store, "print(1)").all() == [stream("1\n")]
        await asyncio.to_thread(end_kernels, server)
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 30)
        assert "the kernel died" in str(state.error)
        store.connect()
        assert await Outputs(store, "print(2)").all() == [stream("2\n")]


async def test_a_wrong_token_fails(server: str) -> None:
    protocol = Jupyter(server.removeprefix("ws://"), "wrong")
    async with store_of(server, protocol, "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 10)
        assert "Jupyter refused the token" in str(state.error)
