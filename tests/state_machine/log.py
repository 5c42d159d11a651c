"""What the state machine notes: sends, links, observers, and the order of all that was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heimdall_reactive import ConnectionState, Receipt, Status
from heimdall_reactive.base.messages import AccountBanned
from heimdall_reactive.testing import Link

if TYPE_CHECKING:
    from .world import World


@dataclass
class Sent:
    """One send: its serial number, and the users as whom it may arrive."""

    text: str
    receipt: Receipt
    labels: set[str]
    urls: set[str] | None  # where it may arrive; None where that is open
    at: float


@dataclass
class Record:
    """One link, with what its peer sent and what the store wrote, in order."""

    link: Link
    label: str
    url: str
    sent: list[int] = field(default_factory=list)
    handed: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)  # those of them that a silence took
    heard: float = 0.0  # wall clock at the last sign of life


@dataclass
class Ban:
    """From a disconnect() to the next permission to dial, in versions of the state."""

    start: int
    sent: int  # sends before it
    end: int | None = None


@dataclass
class Joined:
    """An observer beside the recording ones."""

    name: str
    start: int | None  # where in the record its values begin, None where that is not known
    seen: list[Any] = field(default_factory=list)
    completed: int = 0
    disposable: Any = None
    left: bool = False
    deaf: bool = False  # records nothing, or was looked at for the last time
    raised: bool = False


def number(message: Any) -> int | None:
    """Return the serial number of a message, None of a heartbeat's reply."""
    if isinstance(message, bytes):
        return int(message)
    if isinstance(message, AccountBanned):
        return int(message.reason or "")
    return message["n"] if isinstance(message, dict) else None


class Log:
    """Everything that one observer of every subject sees, in the order that it sees it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = ConnectionState()
        self.told: set[int] = set()  # sessions whose gap was told
        self.spoken: set[int] = set()  # sessions that had messages
        self.session_of: dict[int, Record] = {}
        self.leaving: dict[int, float] = {}  # when a session began to close, by the loop's clock
        self.since: list[float] = []  # when each state was seen
        self.speaker = -1  # index of the link that spoke last

    def take(self, name: str, value: Any) -> None:
        """Check one notification against those before it, and the values as they are now."""
        store, fault = self.world.store, self.world.fault
        now = store.state.value
        same = store.is_connected.value is store.connected is now.is_connected
        fault(same, f"in {name}: is_connected is not state")
        fault(now.is_connected or store.latency.value is None, f"in {name}: an old latency")
        if name == "state":
            self.state = value
            self.since.append(self.world.loop.time())
            if value.status is Status.DISCONNECTING:
                self.leaving[value.session] = self.since[-1]
            if value.is_connected and value.session not in self.session_of and self.world.links:
                self.session_of[value.session] = self.world.links[-1]
        elif name == "messages":
            self._message(value)
        elif name == "gaps":
            self._gap(value)

    def _message(self, message: Any) -> None:
        fault, state = self.world.fault, self.state
        fault(state.status in (Status.CONNECTED, Status.DISCONNECTING), f"{message} in {state}")
        fault(state.session == 1 or state.session in self.told, "a message before its gap")
        self.spoken.add(state.session)
        n = number(message)
        if n is None:
            return
        speakers = [i for i, record in enumerate(self.world.links) if n in record.sent]
        fault(len(speakers) == 1, f"{n} comes from nowhere")
        fault(speakers[0] >= self.speaker, f"{n} of an old link")
        fault(self.session_of.get(state.session) is self.world.links[speakers[0]],
              f"{n} of another session")  # fmt: skip
        self.speaker = max(self.speaker, speakers[0])

    def _gap(self, gap: Any) -> None:
        fault, state = self.world.fault, self.state
        fault(gap.session == state.session > 1, f"{gap} in {state}")
        fault(gap.session not in self.told | self.spoken, f"{gap} twice or late")
        fault(gap.since <= gap.until == state.connected_at, f"{gap} in {state}")
        before = max(self.told, default=1)
        record = self.session_of[before]
        # Heard between two ticks of the watch, or while closing: before or after a sleep?
        at = record.link.wire.heard_at
        begin = min(at, self.leaving.get(before, at)) - 1.01
        doubtful = sum(s for t, s in self.world.sleeps if begin <= t <= at)
        late = gap.since - record.heard
        fault(-doubtful - 0.01 < late < 0.01, f"{gap}, but heard until {record.heard}")
        self.told.add(gap.session)
