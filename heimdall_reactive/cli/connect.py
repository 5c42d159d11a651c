"""`connect`: talk to a server, at a prompt or in a pipe."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from types import ModuleType
from typing import Any, Final

from heimdall_reactive import Receipt, WebSocketStore
from heimdall_reactive.base.exceptions import HeimdallError, SendError
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.starting import start_task

from .dialing import lasting_store
from .output import CommandError, Output, UsageError
from .protocols import payload_of
from .send import IN_DOUBT, PROOF
from .show import Show, show_apart
from .stdin import read_lines
from .watch import follow

__all__ = ["connect"]

UNSENT: Final = ("queued", "rejected", "dropped", "expired")  # states of a receipt
UNSETTLED: Final = ("queued", "written")


async def connect(options: argparse.Namespace, out: Output) -> int:
    """Send what is typed, piped or given, and show what comes.

    Returns:
        The exit code: 1 where typed lines were not sent, 3 where nothing proves that the server has
        all that was written.

    Raises:
        CommandError: the store gave up, or a line cannot be sent.
        UsageError: the options cannot work.
    """
    prompt = _prompt(options, out)
    async with lasting_store(options) as store:
        if prompt is not None:
            with prompt.above():
                typed = _Talk(store, options, out, typed=True)
                show = prompt.show_in_colour(options, out)
                return await typed.run(prompt.typed_lines(store, options), show)
        lines = _given(options.execute) if options.execute else read_lines()
        return await _Talk(store, options, out).run(lines, show_apart(options, out))


def _prompt(options: argparse.Namespace, out: Output) -> ModuleType | None:
    """Return what asks for lines, where somebody sits at a terminal."""
    terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    if not terminal or options.execute or options.json or options.raw:
        return None
    try:
        from . import prompt
    except ModuleNotFoundError:
        out.status("for a prompt with history: pip install 'heimdall-reactive[cli]'")
        return None
    return prompt


async def _given(messages: list[str]) -> AsyncGenerator[str, None]:
    for message in messages:
        yield message


class _Talk:
    """One conversation: lines go out, and events are shown, until either ends.

    Args:
        store: of the connection.
        options: of the command.
        out: takes what is wrong with a line.
        typed: somebody types: a wrong line ends nothing, and the next may be typed at once.
    """

    def __init__(
        self, store: WebSocketStore[Any], options: argparse.Namespace, out: Output,
        typed: bool = False,
    ) -> None:  # fmt: skip
        self._store = store
        self._options = options
        self._out = out
        self._typed = typed
        self._last: Receipt | None = None
        self._open: list[Receipt] = []  # what was typed, and may not be delivered yet
        self._in_doubt = False

    async def run(self, lines: AsyncGenerator[Any, None], show: Show) -> int:
        """Talk, and return the exit code."""
        self._store.errors.subscribe(self._note)
        try:
            answered = await self._talk(lines, show)
        except asyncio.CancelledError:  # Ctrl-C, while the end waited for the rest
            if self._count(*UNSETTLED):
                return self._left()
            raise
        except CommandError as error:
            if unsent := self._count(*UNSENT):
                raise CommandError(f"{error}; {count_of(unsent, 'message')} not sent") from None
            raise
        if self._typed:
            return self._left()
        if answered:
            return 0
        if self._last is not None:
            self._in_doubt |= self._last.state != "delivered"
        if self._in_doubt:
            self._out.error("in doubt: nothing proves that the server received everything")
        return IN_DOUBT if self._in_doubt else 0

    async def _talk(self, lines: AsyncGenerator[Any, None], show: Show) -> bool:
        """Return whether `--count` or `--seconds` was the end: the answers are there."""
        follows = follow(self._store, self._options, show, names=self._options.channel)
        tasks = [start_task(follows), start_task(self._say(lines))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
            for task in done:  # the end of the connection first, it explains that of a send
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return tasks[0] in done and bool(tasks[0].result())

    def _count(self, *states: str) -> int:
        return sum(receipt.state in states for receipt in self._open)

    def _left(self) -> int:
        """Say what of the typed lines was not sent, or is not proved; return the exit code."""
        unsent, unproved = self._count(*UNSENT), self._count("written")
        if unsent:
            self._out.error(f"{count_of(unsent, 'message')} not sent: there was no connection")
        if unproved:
            self._out.error(f"{count_of(unproved, 'message')} may not have arrived: no proof came")
        doubted = unproved + self._count("in_doubt")  # which was shown when the connection ended
        return 1 if unsent else IN_DOUBT if doubted else 0

    def _note(self, error: Exception) -> None:
        self._in_doubt |= isinstance(error, SendError)

    async def _say(self, lines: AsyncGenerator[Any, None]) -> None:
        number = 0
        async with aclosing(lines):
            async for line in lines:
                number += 1
                try:
                    self._last = self._store.send(payload_of(line, self._options))
                except (UsageError, HeimdallError) as error:
                    if not self._typed:
                        raise CommandError(f"message {number} was not sent: {error}") from None
                    self._out.error(str(error))
                    continue
                if self._typed:
                    self._last.delivered()  # asked for now: no alarm where a pong came in time
                    self._open = [each for each in self._open if each.state in UNSETTLED]
                    self._open.append(self._last)
                    continue
                with suppress(SendError):  # which `errors` tells, too
                    await self._last
        await self._settle()

    async def _settle(self) -> None:
        if self._typed and (waiting := self._count("queued")):
            are = "is" if waiting == 1 else "are"
            self._out.status(
                f"{count_of(waiting, 'message')} {are} not sent yet: "
                f"one more attempt, for {PROOF:.0f} s at most"
            )
            self._store.connect()
        if self._last is not None and (self._typed or self._store.connected):
            with suppress(HeimdallError):
                await self._last.delivered(PROOF)
        if not self._typed:
            with suppress(TimeoutError, HeimdallError):  # what the connection ended of is shown
                await self._store.wait_connected()
                async with asyncio.timeout(self._options.wait):
                    await asyncio.Event().wait()
