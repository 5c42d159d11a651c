"""Resolve the name of a host, and connect to the first of its addresses that answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, Final, NamedTuple, TypeAlias

from heimdall_reactive.base.forking import run_in_child
from heimdall_reactive.base.starting import start_task

__all__ = ["NoAddressError", "look_up", "open_socket"]

THREADS: Final = 16  # look-ups that run at the same time; further ones wait for one of them to end


class NoAddressError(OSError):
    """There is nothing to connect to or from, in our own words."""


class Address(NamedTuple):
    """One of the addresses of a name."""

    family: int
    kind: int
    protocol: int
    name: str
    sockaddr: Any


Name: TypeAlias = tuple[str, int, int]  # host, port and family
Answer: TypeAlias = "list[Address] | Exception"


class Lookups:
    """Look-ups of names, on daemon threads of our own.

    The event loop's executor would not do. It refuses work once the main thread has ended, it
    keeps the process from ending before its look-ups have, and it belongs to the application,
    whose own work would wait behind ours when no name server answers. Callers that ask for the
    same name at the same time share one look-up.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without threads and callers, as a forked child has none of them."""
        self._lock = threading.Lock()
        self._asking: dict[Name, list[Callable[[Answer], None]]] = {}
        self._queue: deque[Name] = deque()
        self._threads = 0

    def ask(self, name: Name, tell: Callable[[Answer], None]) -> None:
        """Look a name up, and call back on a thread of this object."""
        with self._lock:
            if name in self._asking:
                self._asking[name].append(tell)
                return
            if self._threads < THREADS:
                thread = threading.Thread(target=self._work, name="heimdall-names", daemon=True)
                thread.start()  # it waits for the lock; if it cannot start, nothing has changed
                self._threads += 1
            self._asking[name] = [tell]
            self._queue.append(name)

    def drop(self, name: Name, tell: Callable[[Answer], None]) -> None:
        """Forget who has given up."""
        with self._lock, suppress(KeyError, ValueError):
            self._asking[name].remove(tell)

    def _work(self) -> None:
        while (name := self._next()) is not None:
            answer = _resolve(name)
            with self._lock:
                asking = self._asking.pop(name)
            for tell in asking:
                tell(answer)

    def _next(self) -> Name | None:
        with self._lock:
            while self._queue:
                name = self._queue.popleft()
                if self._asking[name]:
                    return name
                del self._asking[name]  # everybody has given up before its turn came
            self._threads -= 1
            return None


_lookups: Final = Lookups()
run_in_child(_lookups.forget)


def _resolve(name: Name) -> Answer:
    host, port, family = name
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        return socket.gaierror(socket.EAI_NONAME, "not a name")
    except Exception as error:
        return error
    return [Address(*each) for each in found]


async def look_up(host: str, port: int, family: int = 0) -> list[Address]:
    """Return the addresses of a host, in the order of the operating system.

    Args:
        host: a name, or an address, which costs no thread.
        port: of the addresses.
        family: such as `socket.AF_INET`; 0 takes every family.

    Raises:
        OSError: there are none.
    """
    if _is_address(host):
        kind, numeric = socket.SOCK_STREAM, socket.AI_NUMERICHOST
        found = socket.getaddrinfo(host.encode(), port, family, kind, 0, numeric)
        return [Address(*each) for each in found]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()
    name = (host, port, family)

    def tell(found: Answer) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answer, found)

    try:
        _lookups.ask(name, tell)
    except RuntimeError as error:  # the process may have no further thread
        if threading.main_thread().is_alive():
            raise NoAddressError(f"no thread to look the name up: {error}") from None
        # Python 3.12.0 and 3.12.1 start none once the main thread has ended.
        _settle(answer, _resolve(name))
    try:
        return await answer
    finally:
        _lookups.drop(name, tell)


def _settle(answer: asyncio.Future[list[Address]], found: Answer) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _is_address(host: str) -> bool:
    if ":" in host:
        return True  # of IPv6, with a zone perhaps
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, UnicodeError):
        return False
    return True


async def open_socket(
    host: str,
    port: int,
    *,
    family: int = 0,
    local_addr: tuple[str, int] | None = None,
    delay: float | None = 0.25,
    resolved: Callable[[], object] | None = None,
) -> socket.socket:
    """Connect to the first address of a host that answers (RFC 8305, "Happy Eyeballs").

    `loop.create_connection` has the same, but that of uvloop has not, and it reports one address
    only when all of them fail.

    Args:
        host: a name or an address.
        port: where the server listens.
        family: such as `socket.AF_INET`; 0 takes every family.
        local_addr: where to connect from; None leaves it to the operating system.
        delay: seconds until the next address is tried beside those that have not answered yet;
            None tries one after the other.
        resolved: is called between the look-up and the first attempt.

    Raises:
        OSError: no address answers; where several failed, the most telling failure.
    """
    waiting = deque(_alternate(await look_up(host, port, family)))
    local = [] if local_addr is None else await look_up(*local_addr, family)
    if resolved is not None:
        resolved()
    if len(waiting) == 1:
        return await _connect(waiting[0], local, local_addr is not None)
    running: set[asyncio.Task[socket.socket]] = set()
    failures: list[OSError] = []
    try:
        while waiting or running:
            if waiting:
                work = _connect(waiting.popleft(), local, local_addr is not None)
                running.add(start_task(work, "heimdall-connect"))
            done, _ = await asyncio.wait(
                running, timeout=delay if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                running.discard(task)
                try:
                    return task.result()
                except OSError as error:
                    failures.append(error)
    finally:
        await _give_up(running)
    raise min(failures, key=_telling, default=NoAddressError("the name has no address"))


def _alternate(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, the first one's first (RFC 8305 section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]


async def _connect(address: Address, local: Sequence[Address], bound: bool) -> socket.socket:
    sock = socket.socket(address.family, address.kind, address.protocol)
    try:
        sock.setblocking(False)
        if bound:
            _bind(sock, local)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, local: Sequence[Address]) -> None:
    failure: OSError = NoAddressError(
        "local_addr is not of the same family as the server's address"
    )
    for address in local:
        if address.family == sock.family:
            try:
                return sock.bind(address.sockaddr)
            except OSError as error:
                failure = error
    raise failure


async def _give_up(tasks: set[asyncio.Task[socket.socket]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None:
            task.result().close()


def _telling(error: OSError) -> int:
    """Order failures: a port that refuses says more than a family without a route."""
    kinds = (ConnectionRefusedError, ConnectionError, TimeoutError, OSError)
    return next(rank for rank, kind in enumerate(kinds) if isinstance(error, kind))
