"""`serve`: the development server on the command line."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from heimdall_reactive.base.exceptions import ConfigurationError, WaitTimeout
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.devserver import DEMO_TOKEN, DEMO_USER, ENDPOINTS, DevServer

from .output import CommandError, Output
from .stdin import read_lines
from .text import clock, preview, printable

__all__ = ["serve"]

_COMMANDS: Final = """\
ban [USER]                       ban a user, or everybody, and close
revoke [USER]                    revoke tokens and close
forgive [USER]                   undo bans
drop [CODE]                      close all, or cut the lines where no code is given
refuse [STATUS [TIMES [AFTER]]]  answer the next dials with an HTTP status
stall SECONDS                    neither read nor write for so long
restart [SECONDS]                stop listening for so long
fire TYPE [USER]                 send a server message, such as rolesUpdated"""

_KINDS: Final = (
    "rolesUpdated",
    "permissionsUpdated",
    "emailLinkVerified",
    "emailChangeVerified",
    "rolePermissionsChanged",
)


async def serve(options: argparse.Namespace, out: Output) -> int:
    """Run the server until it is cancelled.

    Raises:
        CommandError: the address cannot be bound.
    """
    server = DevServer(
        options.host, options.port, require_token=not options.no_token, echo=options.echo
    )
    try:
        await server.start()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        address = f"{options.host}:{options.port}"
        raise CommandError(f"cannot listen on {address}: {why}; try another --port") from None
    try:
        _announce(server, options, out)
        work = [_tell(server, out), server.play(options.script), _obey_all(server, out)]
        if options.heartbeat:
            work.append(_beat(server, options.heartbeat))
        await _together(work)
    finally:
        await server.stop()
    return 0


async def _together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [start_task(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _announce(server: DevServer, options: argparse.Namespace, out: Output) -> None:
    url, path = server.url, "/v1/ws"
    needs = "not needed" if options.no_token else f"{DEMO_TOKEN} (user {DEMO_USER})"
    flag = "" if options.no_token else f" --token {DEMO_TOKEN}"
    out.line(f"serving    {url}")
    out.line(f"endpoints  {' '.join(ENDPOINTS)}")
    out.line(f"token      {needs}")
    out.line(f"try        heimdall-reactive watch {url}{path}{flag}")
    out.line("commands   one a line: drop, ban demo, refuse 503 2, ... or help; Ctrl-C quits")
    out.line()


async def _obey_all(server: DevServer, out: Output) -> None:
    """Perform the lines from standard input; its end is not the server's."""
    async for line in read_lines():
        _obey(server, line.decode("utf-8", "replace"), out)


def _obey(server: DevServer, line: str, out: Output) -> None:
    """Perform a line from standard input; report one that is wrong."""
    line = line.partition("#")[0].strip()
    if line in ("help", "?"):
        out.line(_COMMANDS)
    elif line:
        try:
            server.run(line)
        except ConfigurationError as error:
            out.error(str(error))
        else:
            out.line(f"{clock()}  done      {printable(line)}")


async def _tell(server: DevServer, out: Output) -> None:
    """Print upgrades, messages and ends of connections as they happen."""
    chronicle = _Chronicle(server, out)
    while True:
        with contextlib.suppress(WaitTimeout):
            await server.wait_until(chronicle.look, timeout=86_400.0)


class _Chronicle:
    """Prints what is new on a server; called after each change, it finds one thing at a time."""

    def __init__(self, server: DevServer, out: Output) -> None:
        self._server = server
        self._out = out
        self._dial: object = None
        self._message: object = None
        self._open: dict[int, str] = {}

    def look(self) -> bool:
        """Print what is new; return False, since nothing in particular is waited for."""
        server, line = self._server, self._out.line
        if server.dials and server.dials[-1] is not self._dial:
            self._dial = dial = server.dials[-1]
            who = dial.user_id or "-"
            line(f"{clock()}  upgrade   {printable(dial.path)} by {who}: HTTP {dial.status}")
        peers = {peer.id: peer.user_id for peer in server.connections}
        for number in peers.keys() - self._open.keys():
            line(f"{clock()}  opened    #{number} {peers[number]}")
        if server.received and server.received[-1] is not self._message:
            self._message = server.received[-1]
            number, message = server.received[-1]
            line(f"{clock()}  received  #{number} {preview(message)}")
        for number in self._open.keys() - peers.keys():
            line(f"{clock()}  closed    #{number} {self._open[number]}")
        self._open = peers
        return False


async def _beat(server: DevServer, seconds: float) -> None:
    for number in itertools.count(1):
        await asyncio.sleep(seconds)
        users = sorted({peer.user_id for peer in server.connections})
        server.publish("stats", {"beat": number, "connections": len(server.connections)})
        kind = random.choice(_KINDS)
        for user in users:
            server.fire(kind, user_id=user)
            if kind == "rolePermissionsChanged":  # names no user and goes to everybody
                break
