"""`ScriptedPeer`: the peer of a store, in memory and under a test's command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from heimdall_reactive.base.browser_limits import IN_BROWSER
from heimdall_reactive.base.endpoints import redact
from heimdall_reactive.base.exceptions import ConnectTimeout
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.transports import Wire

from .marbles import cues
from .scripted_link import Link, LinkServer, MakeSocket
from .steps import Accept, Fails, Step

__all__ = ["DialRecord", "ScriptedPeer"]

BEARER: Final = "Bearer "
BEARER_PROTOCOL: Final = "bearer."
COMMANDS: Final = frozenset({"close", "drop", "mute_close", "resume", "silence", "stall"})


@dataclass(frozen=True, repr=False)
class DialRecord:
    """One dial that came; its repr holds no secret.

    Attributes:
        url: with query, which may hold the token.
        headers: of the upgrade, the token's among them.
        subprotocols: the offered ones.
        at: when, on the loop's clock in seconds.
        step: the answer.
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    at: float
    step: Step

    @property
    def token(self) -> str | None:
        """The access token in header, subprotocol or query; None without one."""
        for name, value in self.headers:
            if name.lower() == "authorization" and value.startswith(BEARER):
                return value.removeprefix(BEARER)
        for name in self.subprotocols:
            if name.startswith(BEARER_PROTOCOL):
                return name.removeprefix(BEARER_PROTOCOL)
        return next(iter(parse_qs(urlsplit(self.url).query).get("access_token", ())), None)

    def __repr__(self) -> str:
        return f"<DialRecord {redact(self.url)} at {self.at} s: {type(self.step).__name__}>"


class ScriptedPeer:
    """A peer without a socket: pass it as the option `transport` of a store.

    Each dial takes the next step of the script. After the last one, dials are accepted, or meet
    what `always` says.

    Args:
        steps: the script.
        on_message: is called with the link and each message that comes, to answer it.
        in_page: whether the store's side is the wire of a browser's page, which sees no pings, no
            statuses and no reasons of a drop; so it is where Python runs in one.

    Attributes:
        dials: the connection attempts, in order.
        links: the sessions, in order.
    """

    def __init__(
        self,
        *steps: Step,
        on_message: Callable[[Link, Any], object] | None = None,
        in_page: bool = IN_BROWSER,
    ) -> None:
        self.dials: list[DialRecord] = []
        self.links: list[Link] = []
        self._steps = deque(steps)
        self._default: Step = Accept()
        self._on_message = on_message
        self._in_page = in_page
        self._returned = 0
        self._waiting: list[asyncio.Future[None]] = []

    def script(self, *steps: Step) -> None:
        """Put other steps in the place of those that are left."""
        self._steps = deque(steps)

    def always(self, step: Step) -> None:
        """Let every dial from now on meet one step."""
        self._steps.clear()
        self._default = step

    async def play(
        self, marbles: str, values: Mapping[str, Any] | None = None, *, step: float = 1.0
    ) -> None:
        """Do what a marble diagram says, each at its time, and return at the diagram's end.

        Args:
            marbles: as for `expect_marbles`. `a` sends the value of that name, `#` drops the link,
                `|` closes it, and `(drop)`, `(silence)`, `(stall)`, `(resume)`, `(mute_close)`,
                `(close)` are the calls of `Link`. A new session is played on, too.
            values: what the names stand for, see `Link.send`; a single character or a number
                without a value stands for itself, as JSON.
            step: seconds of one character.

        Raises:
            ConfigurationError: a name is neither a value nor a call.
            ConnectionError: nobody is connected when it is time for something.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at, name, value in list(cues(marbles, values or {}, step, COMMANDS)):
            await asyncio.sleep(began + at - loop.time())
            if not name:
                break
            if (link := self.link) is None:
                raise ConnectionError(f"{name} at {at} s of {marbles!r}: nobody is connected")
            if name == "send":
                link.send(value)
            else:
                getattr(link, name)()

    @property
    def link(self) -> Link | None:
        """The newest link while it is live, else None."""
        return self.links[-1] if self.links and self.links[-1].live else None

    @property
    def live(self) -> list[Link]:
        """The links whose store still has its socket."""
        return [link for link in self.links if link.live]

    async def accepted(self, timeout: float | None = None) -> Link:
        """Return the next link, in the order of the dials; each is returned once.

        Args:
            timeout: seconds, None forever.

        Raises:
            TimeoutError: no dial was accepted in time.
        """
        async with asyncio.timeout(timeout):
            while self._returned == len(self.links):
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future
        self._returned += 1
        return self.links[self._returned - 1]

    async def __call__(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        subprotocols: Sequence[str] | None,
        options: StoreOptions,
    ) -> Wire:
        """Answer a dial, see `Dial`."""
        step = self._steps.popleft() if self._steps else self._default
        now = asyncio.get_running_loop().time()
        self.dials.append(DialRecord(url, tuple(headers), tuple(subprotocols or ()), now, step))
        if self._in_page:
            from .scripted_page import dial
        else:
            from .scripted_server import dial

        def connect(server: LinkServer, make_socket: MakeSocket) -> Link:
            return Link(server, make_socket, self._on_message, lambda link: self._open(link, step))

        try:
            wire = await dial(step, connect, url, headers, subprotocols, options)
        except Exception as error:
            if isinstance(step, Fails) and not isinstance(error, ConnectTimeout):
                raise step.error from None
            raise
        finally:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        try:
            await asyncio.sleep(0)  # who waits in `accepted` is there when the session begins
        except asyncio.CancelledError:
            wire.kill()
            raise
        return wire

    def _open(self, link: Link, step: Step) -> None:
        self.links.append(link)
        if isinstance(step, Accept):
            for message in step.first_messages:
                link.send(message)
            if step.then is not None:
                asyncio.get_running_loop().call_soon(step.then, link)

    def __repr__(self) -> str:
        return f"<ScriptedPeer {len(self.dials)} dials, {len(self.live)} live>"
