"""Two network namespaces, joined by the router: they are made, and they are taken away again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .router import Order

__all__ = ["SERVER", "Lab", "Process", "missing"]

CLIENT: Final = "10.77.1.2"
MOVED: Final = "10.77.1.3"
NAT: Final = "10.77.2.1"
SERVER: Final = "10.77.2.2"
GRACE: Final = 5.0  # seconds for a process to end


def missing() -> str:
    """Return what this machine lacks, or ""."""
    if sys.platform != "linux":
        return "Linux"
    if os.geteuid() != 0:
        return "root"
    if shutil.which("ip") is None:
        return "`ip`, of iproute2"
    return "" if Path("/dev/net/tun").exists() else "/dev/net/tun"


class Process:
    """A module of this package in a namespace, which is told by lines and answers with lines."""

    def __init__(self, namespace: str, module: str, *arguments: str) -> None:
        self._name = module
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        command = [*inside, sys.executable, "-m", f"benchmarks.network.{module}", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
        self._line()  # it is ready

    def __enter__(self) -> Process:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def tell(self, line: str) -> None:
        """Write a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return the answer to a line."""
        return json.loads(self._line())

    def ask(self, line: str) -> Any:
        """Write a line, and return its answer."""
        self.tell(line)
        return self.answer()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def order(self, order: Order) -> None:
        """Give the router an order; return when it obeys."""
        self.tell(json.dumps(vars(order)))
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended")
        return line


class Lab:
    """The network.

    Args:
        seed: of the router's chances.

    Attributes:
        router: takes orders.
        serving: the server of this round.
        client: the namespace of clients.
        server: the namespace of servers.
    """

    router: Process
    serving: Process

    def __init__(self, seed: int = 0) -> None:
        self.client, self.server = f"hr-client-{os.getpid()}", f"hr-server-{os.getpid()}"
        self._devices = {self.client: f"hrc{os.getpid()}", self.server: f"hrs{os.getpid()}"}
        self._seed = seed
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        """Build it."""
        with ExitStack() as stack:
            for name in self._devices:
                _ip("netns", "add", name)
                stack.callback(_ip, "netns", "delete", name)
            names = self._devices.values()
            self.router = stack.enter_context(Process("", "router", *names, NAT, str(self._seed)))
            for name, device in self._devices.items():
                _ip("link", "set", device, "netns", name)
            self.set_link(True)
            self.set_address(CLIENT)
            self._in(self.server, "link", "set", self._devices[self.server], "up")
            self._in(self.server, "address", "add", f"{SERVER}/24", "dev", self._server)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._stack.__exit__(kind, error, trace)

    def set_link(self, up: bool) -> None:
        """Take the client's link up or down; its routes go with it."""
        self._in(self.client, "link", "set", self._client, "up" if up else "down")
        if up:
            self._in(self.client, "route", "replace", "default", "dev", self._client)

    def set_address(self, address: str) -> None:
        """Give the client another address in place of those that it has."""
        self._in(self.client, "address", "flush", "dev", self._client)
        self._in(self.client, "address", "add", f"{address}/24", "dev", self._client)
        self._in(self.client, "route", "replace", "default", "dev", self._client)

    def move(self) -> None:
        """Change the client's address, as another network does."""
        self.set_address(MOVED)

    def come_back(self) -> None:
        """Give the client its first address again."""
        self.set_address(CLIENT)

    @property
    def _client(self) -> str:
        return self._devices[self.client]

    @property
    def _server(self) -> str:
        return self._devices[self.server]

    def _in(self, namespace: str, *arguments: str) -> None:
        _ip("-n", namespace, *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
