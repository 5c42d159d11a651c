"""The peer of the state machine: dials and links, watched on their way to a scripted peer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from heimdall_reactive import StoreOptions
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.messages import AccountBanned
from heimdall_reactive.testing import Accept, Link, ScriptedPeer, Step, VirtualTimeLoop
from heimdall_reactive.transports import Wire

from .log import Record
from .users import Users

BEAT: Final = {"type": "beat"}
PONG: Final = {"type": "Pong"}


class FarSide(Users):
    """A scripted peer, the connections it was asked for, what it sent and was sent."""

    loop: VirtualTimeLoop

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.peer = ScriptedPeer(*steps, on_message=self._answer)
        self.faults: list[str] = []
        self.links: list[Record] = []
        self.dialling = 0
        self.last_dial: tuple[str, str] | None = None
        self.dialled_at = 0  # version of the state
        self.forbidden = False  # to dial
        self.deaf = False  # to heartbeats
        self.pongs = 0
        self.said_pong = False  # unasked

    def fault(self, holds: bool, words: str) -> None:
        """Note what an observer saw wrong: raised there, it would be reported as its own error."""
        if not holds:
            self.faults.append(words)

    def do_script(self, steps: Sequence[Step]) -> None:
        self.peer.script(*steps)

    def do_link(self, call: str, *args: Any) -> None:
        """Let the peer do something to the newest link."""
        if self.links:
            getattr(self.links[-1].link, call)(*args)

    def do_latency(self, seconds: float) -> None:
        if self.links:
            self.links[-1].link.latency = seconds

    def do_say(self, kind: str) -> None:
        """Let the peer send a message on the newest link."""
        if not self.links:
            return
        record = self.links[-1]
        match kind:
            case "bad":
                record.link.send("{bad")
            case "utf8":
                record.link.send(b"\xff", text=True)
            case "pong":
                self.pongs += 1
                self.said_pong = True
                record.link.send(PONG)
            case _:
                self._say(record, kind)

    def do_deaf(self, deaf: bool) -> None:
        self.deaf = deaf

    async def dial(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        subprotocols: Sequence[str] | None,
        options: StoreOptions,
    ) -> Wire:
        """Pass a dial on to the peer, and note what is wrong with it."""
        self.fault(not self.forbidden, "connected after disconnect()")
        self.fault(self.dialling == 0, "two dials at once")
        self.fault(not self.peer.live, "connected beside a live link")
        bearer = dict(headers).get("Authorization", "").removeprefix("Bearer ")
        label = self.owners[bearer] if bearer else "nobody"
        if self.last_dial not in (None, (label, url)):
            self.fault(self.store.last_message.value is None, "another user's last_message")
        self.last_dial, self.dialled_at = (label, url), self.store.state._version
        self.dialling += 1
        before = len(self.peer.links)
        try:
            return await self.peer(url, headers, subprotocols, options)
        finally:
            self.dialling -= 1
            for link in self.peer.links[before:]:
                self._register(link, label, url)

    def _register(self, link: Link, label: str, url: str) -> None:
        step = self.peer.dials[-1].step
        first = [m["n"] for m in step.first_messages] if isinstance(step, Accept) else []
        record = Record(link, label, url, first, heard=self.loop.wall())
        write, arrive = link.wire.write, link.wire.data_received

        def written(frame: Frame) -> None:
            record.handed.append(frame.data.decode())
            if link._silent:
                record.held.append(frame.data.decode())
            write(frame)

        def heard(data: bytes) -> None:
            record.heard = self.loop.wall()
            arrive(data)

        link.wire.write = written  # type: ignore[method-assign]
        link.wire.data_received = heard  # type: ignore[method-assign]
        self.links.append(record)

    def _answer(self, link: Link, message: Any) -> None:
        if message == BEAT and not self.deaf:
            self.pongs += 1
            link.send(PONG)

    def _say(self, record: Record, kind: str) -> None:
        n = next(self.serials)
        record.sent.append(n)
        if kind == "ban":
            now = datetime.now(UTC)
            record.link.send(
                AccountBanned(timestamp=now, user_id="u", reason=str(n), is_permanent=True)
            )
        elif kind == "bytes":
            record.link.send(str(n).encode(), text=False)
        else:
            record.link.send({"type": "note", "n": n})
