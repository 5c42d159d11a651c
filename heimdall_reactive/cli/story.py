"""The demo's story: what the server does, and what has to come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from heimdall_reactive.base.exceptions import SessionEnded
from heimdall_reactive.base.state import ConnectionState, Status
from heimdall_reactive.devserver import DEMO_USER

from .stage import DemoStage

__all__ = ["CHAPTERS", "Chapter"]

States = Sequence[ConnectionState]


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Attributes:
        title: one or two words.
        text: what is told at its beginning.
        length: its share of a story of 20 seconds.
        act: lets it happen, and returns when it is over; raises `WaitTimeout` where it is not.
        proof: whether the states that were seen are those that were told.
    """

    title: str
    text: str
    length: float
    act: Callable[[DemoStage], Awaitable[object]]
    proof: Callable[[States], bool]


def _healed(state: ConnectionState) -> bool:
    return state.is_connected


async def _connect(stage: DemoStage) -> None:
    stage.store.connect()
    await stage.reach(_healed)
    stage.ping()
    stage.note("hello")
    await stage.notes_arrive()
    stage.server.fire("rolesUpdated")


async def _cut(stage: DemoStage) -> None:
    stage.server.drop()
    await stage.reach(_is(Status.WAITING))
    stage.note("written while the line was cut")
    await _heal(stage)
    stage.server.fire("emailLinkVerified")


async def _refuse(stage: DemoStage) -> None:
    stage.server.refuse(503, times=2)
    stage.server.drop(1001)
    await stage.reach(lambda state: state.http_status == 503)
    stage.note("written between two refusals")
    await _heal(stage)
    stage.server.fire("permissionsUpdated")


async def _restart(stage: DemoStage) -> None:
    stage.server.restart(downtime=1.1 * stage.unit)
    await stage.reach(_is(Status.WAITING))
    await _heal(stage)
    stage.note("welcome back")
    await stage.notes_arrive()


async def _stall(stage: DemoStage) -> None:
    stage.server.stall(stage.limit)
    await stage.reach(_is(Status.WAITING))
    await _heal(stage)
    stage.server.fire("rolePermissionsChanged")


async def _expire(stage: DemoStage) -> None:
    stage.expire_token()
    stage.server.drop()
    await stage.reach(_is(Status.WAITING))
    await _heal(stage)
    stage.note("with a fresh token")
    await stage.notes_arrive()


async def _ban(stage: DemoStage) -> None:
    stage.server.ban(DEMO_USER)
    await stage.reach(_is(Status.FAILED))


async def _forgive(stage: DemoStage) -> None:
    stage.server.forgive(DEMO_USER)
    stage.store.set_access_token(stage.provide_token)
    await stage.reach(_healed)
    stage.note("thank you")
    await stage.notes_arrive()
    stage.server.fire("emailChangeVerified")


async def _heal(stage: DemoStage) -> None:
    await stage.reach(_healed)
    await stage.notes_arrive()


def _is(status: Status) -> Callable[[ConnectionState], bool]:
    return lambda state: state.status is status


def _refusals(states: States, status: int) -> int:
    """Count the attempts that were refused with a status."""
    return sum(s.http_status == status and s.status is Status.WAITING for s in states)


def _codes(states: States) -> set[int]:
    return {state.close.code for state in states if state.close is not None}


def _connected(states: States) -> bool:
    return bool(states) and states[-1].is_connected


def _session_ended(states: States) -> bool:
    last = states[-1] if states else ConnectionState()
    return last.status is Status.FAILED and isinstance(last.error, SessionEnded)


CHAPTERS = (
    Chapter("connect", "the store asks the provider for a token and dials",
            2.2, _connect, _connected),
    Chapter("cut", "the server cuts the line; a note waits in the outbox",
            2.4, _cut, lambda seen: _connected(seen) and 1006 in _codes(seen)),
    Chapter("refuse", "the server leaves, then answers two dials with HTTP 503",
            4.0, _refuse, lambda seen: _connected(seen) and _refusals(seen, 503) == 2),
    Chapter("restart", "the server restarts: 1012, and nobody listens for a while",
            2.8, _restart, lambda seen: _connected(seen) and 1012 in _codes(seen)),
    Chapter("stall", "the server falls silent; only an unanswered ping tells",
            3.0, _stall, lambda seen: _connected(seen) and 1006 in _codes(seen)),
    Chapter("expire", "the token expires: HTTP 401, the provider gives a new one",
            2.4, _expire, lambda seen: _connected(seen) and _refusals(seen, 401) == 1),
    Chapter("ban", "the server bans the user: failed, and no further dial",
            1.6, _ban, _session_ended),
    Chapter("forgive", "the ban is lifted; set_access_token() brings the store back",
            1.6, _forgive, _connected),
)  # fmt: skip
"""The story, 20 seconds in all."""
