"""How a name becomes a socket: look-ups on threads of our own, and a race of addresses."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvloop

from heimdall_reactive.testing import DropSyn, FaultProxy
from heimdall_reactive.transports import addresses
from heimdall_reactive.transports.addresses import THREADS, look_up, open_socket
from tests.support import threads

LOOPS: list[Any] = [asyncio.SelectorEventLoop, uvloop.new_event_loop]
NAME = "two.example"
linux = pytest.mark.skipif(sys.platform != "linux", reason="a full backlog is mute on Linux only")


def inet(port: int, host: str = "127.0.0.1") -> tuple[Any, ...]:
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


def inet6(port: int) -> tuple[Any, ...]:
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0)


def resolve(monkeypatch: pytest.MonkeyPatch, *found: tuple[Any, ...]) -> list[threading.Thread]:
    """Give a name its addresses; return the list of the threads that look it up."""
    real, asking = socket.getaddrinfo, []

    def look(host: Any, *rest: Any, **named: Any) -> Any:
        if host != NAME:
            return real(host, *rest, **named)
        asking.append(threading.current_thread())
        return list(found)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return asking


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with listening() as port:
        return port


# Names


async def test_an_address_costs_no_thread() -> None:
    before = threads()
    for host, sockaddr in [("127.0.0.1", ("127.0.0.1", 80)), ("::1", ("::1", 80, 0, 0))]:
        (found,) = await look_up(host, 80)
        assert found.sockaddr == sockaddr
    assert threads() == before


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "name.invalid"])
async def test_what_is_not_a_name_is_not_found(host: str) -> None:
    with pytest.raises(socket.gaierror):
        await look_up(host, 80)


async def test_a_name_is_looked_up_on_a_daemon_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = resolve(monkeypatch, inet(80))
    assert [found.sockaddr for found in await look_up(NAME, 80)] == [("127.0.0.1", 80)]
    (thread,) = asking
    assert (thread.name, thread.daemon) == ("heimdall-names", True)


class BlackHole:
    """Name servers that do not answer before they are let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.entered = threading.Semaphore(0)
        self.answer = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self._look)

    def _look(self, host: str, *_: Any) -> Any:
        self.asked.append(host)
        self.entered.release()
        self.answer.wait(20)
        return [inet(80)]

    async def wait(self, count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(self.entered.acquire)


async def test_those_who_ask_for_a_name_at_once_share_a_look_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hole = BlackHole(monkeypatch)
    tasks = [asyncio.create_task(look_up("a", 80)) for _ in range(3)]
    await hole.wait(1)
    tasks[0].cancel()
    hole.answer.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1] == found[2] == [inet(80)]
    assert hole.asked == ["a"]


async def test_threads_do_not_pile_up_where_no_name_server_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hole, before = BlackHole(monkeypatch), threads()
    tasks = [asyncio.create_task(look_up(f"h{number}", 80)) for number in range(THREADS + 5)]
    await hole.wait(THREADS)
    asking = [thread for thread in threads() - before if thread.name == "heimdall-names"]
    assert len(asking) == THREADS
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "ours"), 5) == "ours"
    for task in tasks[:-1]:  # those whose turn has not come are not asked for any more
        task.cancel()
    await asyncio.wait(tasks[:-1])
    hole.answer.set()
    assert await tasks[-1] == [inet(80)]
    assert len(hole.asked) == THREADS + 1


def test_an_answer_for_an_event_loop_that_is_closed_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hole = BlackHole(monkeypatch)
    before = threads()

    async def leave() -> None:
        task = asyncio.create_task(look_up("a", 80))
        await hole.wait(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    hole.answer.set()
    for thread in threads() - before:
        thread.join(5)


def script(text: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def test_a_worker_reconnects_by_name_after_the_main_thread_has_ended() -> None:
    done = script("""
        import asyncio, logging, threading
        from websockets.asyncio.server import serve
        from heimdall_reactive import use_websocket

        logging.getLogger("heimdall_reactive").setLevel(logging.ERROR)  # it reports the drop

        async def work():
            drop = asyncio.Event()
            async def handle(connection):
                await drop.wait()
                drop.clear()
                connection.transport.abort()
            async with serve(handle, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                async with use_websocket(f"ws://localhost:{port}/", reconnect_delay=0.01) as store:
                    await store.wait_connected(10)
                    while threading.main_thread().is_alive():
                        await asyncio.sleep(0.01)
                    drop.set()
                    over = lambda s: s.session == 2 or s.status == "failed"
                    state = await store.wait_for(over, 10)
                    print(state.status, state.session, flush=True)
                drop.set()

        threading.Thread(target=asyncio.run, args=(work(),)).start()
    """)
    assert (done.stdout, done.stderr) == ("connected 2\n", "")


def test_a_look_up_that_hangs_does_not_hold_the_process() -> None:
    done = script("""
        import asyncio, socket, threading, time
        from heimdall_reactive import use_websocket

        entered = threading.Event()

        def black_hole(*_, **__):
            entered.set()
            time.sleep(60)

        socket.getaddrinfo = black_hole

        async def main():
            async with use_websocket("ws://h.example/"):
                while not entered.is_set():
                    await asyncio.sleep(0.01)
        asyncio.run(main())
        print("ended")
    """)
    assert (done.stdout, done.stderr) == ("ended\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_begins_without_the_threads_of_its_parent() -> None:
    done = script("""
        import asyncio, os, socket, threading, warnings
        from heimdall_reactive.transports.addresses import look_up

        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        look, entered = socket.getaddrinfo, threading.Event()

        def black_hole(*_, **__):
            entered.set()
            threading.Event().wait()

        socket.getaddrinfo = black_hole

        async def main():
            task = asyncio.create_task(look_up("localhost", 80))
            while not entered.is_set():
                await asyncio.sleep(0.01)
            if (child := os.fork()) == 0:
                socket.getaddrinfo = look
                answers = []
                from heimdall_reactive.transports import addresses
                addresses._lookups.ask(("localhost", 80, 0), answers.append)
                while not answers:
                    pass
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            task.cancel()

        asyncio.run(main())
    """)
    assert (done.stdout, done.stderr) == ("7\n", "")


# The race


def race(make_loop: Callable[[], asyncio.AbstractEventLoop], work: Any) -> Any:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(work)


@linux
@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_mute_address_costs_a_moment_and_not_the_attempt(
    make_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(port: int) -> None:
        async with FaultProxy("ws://127.0.0.1:9") as proxy:
            proxy.always(DropSyn())
            mute = int(proxy.url.rpartition(":")[2].strip("/"))
            resolve(monkeypatch, inet(mute), inet(port))
            async with asyncio.timeout(10):
                sock = await open_socket(NAME, 80, delay=0.05)
            assert sock.getpeername()[1] == port
            sock.close()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await open_socket(NAME, 80, delay=None)

    with listening() as port:
        race(make_loop, main(port))


@pytest.mark.parametrize("make_loop", LOOPS)
def test_the_next_address_is_tried_at_once_where_one_refuses(
    make_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(port: int) -> None:
        resolve(monkeypatch, inet(closed_port()), inet(port))
        async with asyncio.timeout(10):
            sock = await open_socket(NAME, 80, delay=60.0)
        assert (sock.getpeername()[1], sock.proto) == (port, socket.IPPROTO_TCP)
        sock.close()

    with listening() as port:
        race(make_loop, main(port))


@pytest.mark.parametrize("delay", [0.25, None])
async def test_a_host_that_refuses_everywhere_refuses(
    delay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    resolve(monkeypatch, inet6(port), inet(port))
    with pytest.raises(ConnectionRefusedError):
        await open_socket(NAME, 80, delay=delay)


async def test_a_refusal_tells_more_than_a_family_without_a_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("255.255.255.255", 9))
    resolve(monkeypatch, nowhere, inet(closed_port()))
    with pytest.raises(ConnectionRefusedError):
        await open_socket(NAME, 80)
    resolve(monkeypatch, nowhere)
    with pytest.raises(OSError) as caught:
        await open_socket(NAME, 80)
    assert not isinstance(caught.value, ConnectionError)


async def test_a_name_without_addresses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch)
    with pytest.raises(OSError, match="the name has no address"):
        await open_socket(NAME, 80)


def test_families_take_turns() -> None:
    found = [addresses.Address(*each) for each in (inet6(1), inet6(2), inet(3), inet(4), inet(5))]
    ports = [address.sockaddr[1] for address in addresses._alternate(found)]
    assert ports == [1, 3, 2, 4, 5]


async def test_of_two_that_answer_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as first, listening() as second:
        resolve(monkeypatch, inet(first), inet(second))
        sock = await open_socket(NAME, 80, delay=0.0)
        sock.close()  # the other one is a leak that the suite would find


# Where from


async def test_a_socket_comes_from_the_local_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sock = await open_socket("127.0.0.1", port, local_addr=("127.0.0.5", 0))
        with sock:
            assert sock.getsockname()[0] == "127.0.0.5"


@pytest.mark.parametrize("host", ["::1", "192.0.2.1"])
async def test_a_local_address_that_cannot_be_had_fails(host: str) -> None:
    with listening() as port, pytest.raises(OSError) as caught:
        await open_socket("127.0.0.1", port, local_addr=(host, 0))
    assert caught.value.errno in (None, errno.EADDRNOTAVAIL)


async def test_a_family_excludes_the_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(socket.gaierror):
        await open_socket("127.0.0.1", 80, family=socket.AF_INET6)
