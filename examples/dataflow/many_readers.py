"""One socket, and three readers of it in two processes, each of which answers through the log."""

from __future__ import annotations

import asyncio
import sys

from reactivex import operators as ops

from heimdall_reactive.dataflow import Feed, Ingest, Sending, embedded_log, use_log
from heimdall_reactive.devserver import DevServer


async def read(log: str, name: str) -> None:
    """React to the messages of the channel, wherever this runs; no socket is opened here."""
    gps = use_log("FLEET", "gps", servers=log, start="first", message_type=dict[str, int])
    async with gps as store:
        seen = await store.messages.pipe(ops.take(5), ops.to_list())
        print(name, "read", [message["n"] for message in seen])
        await store.send({"reader": name, "sum": sum(message["n"] for message in seen)})


async def serve() -> None:
    """Run the server, the log and the ingest; read twice here, and once in a process of its own."""
    with embedded_log() as log:
        async with DevServer(require_token=False) as server:
            gps = Feed(endpoint=f"{server.url}/v1/ws", channels=["gps"], id="n", sending=Sending())
            async with Ingest(log, "FLEET", [gps]):
                await server.wait_until(lambda: any(peer.channels for peer in server.connections))
                for n in range(1, 6):
                    server.publish("gps", {"n": n})

                carla = [sys.executable, "-m", "examples.dataflow.many_readers", log, "carla"]
                other = await asyncio.create_subprocess_exec(*carla)
                await asyncio.gather(read(log, "ann"), read(log, "bob"), other.wait())

                await server.wait_until(lambda: len(server.received) == 4)
                print(len(server.dials), "connection, on which the server got")
                for _, text in server.received:
                    print(" ", text)


if __name__ == "__main__":
    asyncio.run(read(*sys.argv[1:3]) if sys.argv[1:] else serve())
