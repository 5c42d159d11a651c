"""A cluster of three `nats-server` on loopback, whose servers are killed and started again."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from heimdall_reactive.dataflow import Log, LogError, StreamSettings, connect_log

from .nats_server import BINARY, NatsServer, free_port

__all__ = ["NatsCluster"]

SIZE: Final = 3


class NatsCluster:
    """Three servers, each with its files in a folder of its own.

    Args:
        folder: where they are.
        program: the server that is run.

    Attributes:
        servers: by the names that the servers have for each other.
    """

    def __init__(self, folder: Path, program: str | None = BINARY) -> None:
        ports = [free_port() for _ in range(SIZE)]
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
        self.servers: dict[str, NatsServer] = {}
        for number, port in enumerate(ports):
            name = f"n{number}"
            config = (
                f"server_name: {name}\n"
                f'cluster {{name: C, listen: "127.0.0.1:{port}", routes: [{routes}]}}'
            )
            self.servers[name] = NatsServer(folder / name, config=config, program=program)
        self._exits = ExitStack()

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers.values()]

    async def connect(self, stream: str, **options: Any) -> Log:
        """Connect to a stream with a replica on each; wait until the servers can make it."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await connect_log(
                        self.urls, stream, settings=StreamSettings(replicas=SIZE), **options
                    )
                except LogError:
                    await asyncio.sleep(0.1)

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            for server in self.servers.values():
                exits.enter_context(server)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()
