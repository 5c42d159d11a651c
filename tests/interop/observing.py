"""What a store sees of a server: in conversations, and when the server ends and comes back."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from examples.protocols.socketio import SocketIO
from heimdall_reactive import (
    ProtocolSession,
    SessionProtocol,
    Status,
    WebSocketStore,
    use_websocket,
)
from tests.peers import quick
from tests.protocols.programs import MODULES, free_port
from tests.support import until

from .catalogue import CATALOGUE, FOLDER, MIB, Server, Start

__all__ = ["Stage", "observe"]

LIMIT: Final = 20.0  # seconds for what takes one; a busy machine takes more
KILL: Final = signal.SIGKILL if os.name == "posix" else signal.SIGTERM


class Process:
    """A program that can be started again at the same port."""

    def __init__(self, start: Start, port: int, behind: int, folder: Path) -> None:
        self.port = port
        folder.mkdir()
        self._log = folder / "log"
        self._command = start(port, behind, folder)
        self._folder = folder
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when its port takes connections."""
        paths = {"PYTHONPATH": str(FOLDER), "NODE_PATH": str(MODULES)}
        env = {**os.environ, **paths, "PYTHONDONTWRITEBYTECODE": "1"}
        with self._log.open("ab") as log:
            self._running = await asyncio.create_subprocess_exec(
                *self._command, cwd=self._folder, env=env, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        async with asyncio.timeout(LIMIT):
            while not await self._listens():  # noqa: ASYNC110 - it does not say so
                await asyncio.sleep(0.02)

    async def end(self, number: signal.Signals) -> None:
        """Tell the program to end, or kill it with all that it has started; wait for its end."""
        assert self._running is not None
        with suppress(ProcessLookupError):
            if number is signal.SIGTERM:
                self._running.terminate()
            else:
                os.killpg(self._running.pid, number)
        async with asyncio.timeout(LIMIT):
            await self._running.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        assert self._running is not None
        self._running.send_signal(number)

    async def clear(self) -> None:
        """Kill what is left, and show what it has printed."""
        if self._running is not None:
            await self.end(KILL)
            print(self._log.read_text(errors="replace"))

    async def _listens(self) -> bool:
        if self._running is not None and self._running.returncode is not None:
            raise RuntimeError(self._log.read_text(errors="replace"))
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.transport.abort()
        return True


class Look(SessionProtocol):
    """Keeps the session, which knows what was negotiated."""

    session: ProtocolSession

    async def handshake(self, session: ProtocolSession) -> None:
        """Look at the session."""
        self.session = session
        await super().handshake(session)


class LookAtSocketIO(Look, SocketIO, overlaps=False):
    """The same of the protocol Socket.IO."""


class Speech:
    """How to talk to servers of one kind."""

    path = "/{path}"
    options: dict[str, Any] = {"message_type": str | bytes}  # noqa: RUF012

    def look(self) -> Look:
        """Return a protocol that keeps its session."""
        return Look()

    def speaking(self) -> dict[str, Any]:
        """Return the options of a store."""
        return dict(self.options)

    async def echo(self, store: WebSocketStore[Any], value: Any) -> bool:
        """Send a value; return whether it comes back."""
        came = asyncio.Event()
        with store.messages.subscribe(lambda message: came.set() if message == value else None):
            await store.wait_connected(LIMIT)
            store.send(value)
            with suppress(TimeoutError):
                await asyncio.wait_for(came.wait(), LIMIT)
        return came.is_set()


class SocketIOSpeech(Speech):
    """Packets of Socket.IO, of which one asks for the echo."""

    path = "/socket.io/?EIO=4&transport=websocket&{path}"

    def look(self) -> Look:
        return LookAtSocketIO()

    def speaking(self) -> dict[str, Any]:
        options = {"message_type": Any, "max_size": 4 * MIB, "access_token": "good"}
        return {**options, "protocol": self.look()}

    async def echo(self, store: WebSocketStore[Any], value: Any) -> bool:
        return bool((await store.request(["echo", value], timeout=LIMIT)).data == [value])


class MqttSpeech(Speech):
    """Publications to a topic that one has subscribed to."""

    path = "/?{path}"
    _numbers = itertools.count()

    def look(self) -> Look:
        pytest.importorskip("moat.lib.mqtt", reason="pip install moat-lib-mqtt")
        from examples.protocols.mqtt import Mqtt

        class LookAtMqtt(Look, Mqtt, overlaps=False):
            """The same of the protocol MQTT."""

        return LookAtMqtt(f"observer-{next(self._numbers)}")

    def speaking(self) -> dict[str, Any]:
        return {"message_type": Any, "max_size": 4 * MIB, "protocol": self.look()}

    async def echo(self, store: WebSocketStore[Any], value: Any) -> bool:
        came: asyncio.Queue[Any] = asyncio.Queue()
        patience = 4.0 if len(value) > 1000 else LIMIT  # a large one is known not to come back
        topic = f"echo/{next(self._numbers)}"
        with store.channel(topic).subscribe(came.put_nowait):
            store.send(("publish", topic, value))
            with suppress(TimeoutError):
                packet = await asyncio.wait_for(came.get(), patience)
                return bool(packet.payload == value)
        return False


SPEECHES: Final = {"plain": Speech, "mqtt": MqttSpeech, "socketio": SocketIOSpeech}


class Stage:
    """A server that runs, and stores that talk to it."""

    def __init__(self, server: Server, folder: Path) -> None:
        behind = free_port() if server.behind else 0
        self.server = server
        self.speech = SPEECHES[server.talk]()
        self.parts = [Process(server.start, free_port(), behind, folder / "server")]
        if server.behind:
            self.parts.append(Process(server.behind, behind, 0, folder / "behind"))

    async def start(self) -> None:
        """Start what does not run."""
        for part in reversed(self.parts):
            await part.start()

    async def clear(self) -> None:
        """End all."""
        for part in self.parts:
            await part.clear()

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"ws://127.0.0.1:{self.parts[0].port}{self.speech.path.format(path=path)}"

    def store(self, path: str, **options: Any) -> WebSocketStore[Any]:
        """Return a store with short times."""
        return quick(self.url(path), **{**self.speech.speaking(), **options})


async def observe(name: str, folder: Path) -> dict[str, str]:
    """Return what is seen of a server; all that a restart ends has to come back by itself."""
    stage = Stage(CATALOGUE[name], folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.clear)
        await stage.start()
        talks = await asyncio.gather(*(case(stage) for case in CASES.values()))
        seen: dict[str, str] = await _negotiated(stage) | dict(zip(CASES, talks, strict=True))
        seen["raises"] = await _ends(stage, "raise")  # may end the process
        for where, part in zip(("", ", behind"), stage.parts, strict=False):
            seen["SIGTERM" + where] = await _restarted(stage, part, signal.SIGTERM)
            seen["kill -9" + where] = await _restarted(stage, part, KILL)
    return seen


async def _negotiated(stage: Stage) -> dict[str, str]:
    look = stage.speech.look()
    offered = {} if look.subprotocols else {"subprotocols": ["first", "second"]}
    async with stage.store("chosen", protocol=look, **offered) as store:
        await store.wait_connected(LIMIT)
        extensions = look.session.response_headers.get("sec-websocket-extensions", "")
        chosen = look.session.subprotocol or "none"
        return {"deflate": _yes("permessage-deflate" in extensions), "subprotocol": chosen}


async def _echo(stage: Stage) -> str:
    async with stage.store("echo") as store:
        return _yes(await stage.speech.echo(store, "grüß"))


async def _mib(stage: Stage) -> str:
    async with stage.store("echo") as store:
        value = "x" * MIB if stage.server.talk == "socketio" else bytes(range(256)) * 4096
        return _yes(await stage.speech.echo(store, value))


async def _refused(stage: Stage) -> str:
    if stage.server.talk == "mqtt":
        return "-"
    wrong = {"access_token": "wrong"} if stage.server.talk == "socketio" else {}
    async with stage.store("refuse", **wrong) as store:
        state = await store.wait_for(lambda state: state.error is not None, LIMIT)
        return str(state.http_status or "packet `44`")


async def _failed(stage: Stage) -> str:
    if stage.server.talk != "plain" or stage.server.crashes:
        return "-"
    async with stage.store("fail") as store:
        state = await store.wait_for(lambda state: state.error is not None, LIMIT)
        return str(state.http_status)


async def _returned(stage: Stage) -> str:
    return await _ends(stage, "return")


async def _too_big(stage: Stage) -> str:
    size = stage.server.too_big
    if not size:
        return "-"
    value: Any = b"x" * size if stage.server.talk == "plain" else ["echo", "x" * size]
    async with stage.store("echo", outbox_bytes=2 * size) as store:
        await store.wait_connected(LIMIT)
        store.send(value)
        return await _lost(store)


async def _reads_nothing(stage: Stage) -> str:
    """Keep a connection to a handler that only pushes, with a timeout that passes five times."""
    if stage.server.talk != "plain":
        return "-"
    async with stage.store("push", ping_interval=0.2, ping_timeout=0.3) as store:
        messages: list[tuple[Any, str]] = []
        await store.wait_for(lambda state: state.is_connected, LIMIT)
        receipt = store.send("unread")
        store.messages.subscribe(lambda message: messages.append((message, receipt.state)))
        await until(store, lambda: len(messages) > 0 and messages[-1][0] == "2", LIMIT)
        assert store.state.value.session == 1, messages
        return "pongs" if messages[-1][1] == "delivered" else "none"


async def _ends(stage: Stage, path: str) -> str:
    """Return the code with which a connection ends behind a message, or that it does not."""
    if stage.server.talk != "plain":
        return "-"
    async with stage.store(path, reconnect_delay=1.0) as store:
        await store.wait_connected(LIMIT)
        await store.send("go on")
        try:
            code = await _lost(store, 2.0)
        except TimeoutError:
            return "stays open"
        if path == "raise" and stage.server.crashes:
            await stage.parts[0].end(KILL)
            await stage.start()
        await store.wait_for(lambda state: state.session == 2, LIMIT)
        return code


async def _restarted(stage: Stage, part: Process, number: signal.Signals) -> str:
    """End a program and start it again; the store has its default rules and attempts."""
    speaking = {**stage.speech.speaking(), "reconnect_delay": 1.0}
    async with use_websocket(stage.url("echo"), **speaking) as store:
        assert await stage.speech.echo(store, "before")
        ending = asyncio.create_task(part.end(number))
        code = await _lost(store)
        await ending
        await part.start()
        await store.wait_for(lambda state: state.session == 2, LIMIT)
        assert await stage.speech.echo(store, "after")
        assert store.state.value.session == 2
        return code


async def _lost(store: WebSocketStore[Any], limit: float = LIMIT) -> str:
    state = await store.wait_for(lambda state: not state.is_connected, limit)
    assert state.close is not None
    assert state.status is not Status.FAILED, state.error
    return str(state.close.code)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


CASES: Final[dict[str, Callable[[Stage], Any]]] = {
    "echo": _echo,
    "1 MiB": _mib,
    "refuses": _refused,
    "raises before it accepts": _failed,
    "returns": _returned,
    "too big": _too_big,
    "reads nothing": _reads_nothing,
}
