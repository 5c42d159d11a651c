"""What the server does to its clients on command, on the server's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.messages import (
    AccountBanned,
    ChannelMessage,
    RolePermissionsChanged,
    ServerMessage,
)

from .builders import build
from .control import channel_exists
from .core import ServerCore
from .script import (
    ScriptStep,
    parse_command,
    valid_close_code,
    valid_seconds,
    valid_status,
    valid_times,
)

__all__ = ["Commands"]

_log = logging.getLogger("heimdall_reactive.devserver")
_ANYTHING: TypeAdapter[object] = TypeAdapter(object)


class Commands:
    """Perform the commands of `DevServer`, which documents them."""

    def __init__(self, core: ServerCore) -> None:
        self._core = core
        self._commands: dict[str, Callable[..., object]] = {
            "ban": self.ban,
            "revoke": self.revoke,
            "forgive": self.forgive,
            "drop": self.drop,
            "refuse": self.refuse,
            "stall": self.stall,
            "restart": self.restart,
            "fire": self.fire,
        }

    def publish(self, channel: str, data: object) -> int:
        """Send `data` to the subscribers of a channel."""
        if not channel_exists(channel):
            raise ConfigurationError(f"there is no channel {channel!r} to publish on")
        text = _ANYTHING.dump_json(data, by_alias=True).decode()
        message = ChannelMessage(channel=channel, data=text)
        links = [link for link in self._core.ready if channel in link.channels]
        return self._core.deliver(links, message.model_dump_json(by_alias=True))

    def emit(self, message: ServerMessage) -> int:
        """Send a server message to the connections of its user."""
        links = self._core.ready
        if not isinstance(message, RolePermissionsChanged):
            user_id = message.user_id
            links = [link for link in links if link.grant and link.grant.user_id == user_id]
        return self._core.deliver(links, message.model_dump_json(by_alias=True, exclude_none=True))

    def fire(self, kind: str, user_id: str | None = None, **fields: object) -> ServerMessage:
        """Build a message and emit it."""
        message = build(kind, user_id, **fields)
        self.emit(message)
        return message

    def send_raw(self, message: str | bytes) -> int:
        """Send a frame as it is to every connection."""
        return self._core.deliver(self._core.ready, message)

    def ban(self, user_id: str | None = None, close: bool = True) -> None:
        """Ban users."""
        for user in self._users(user_id):
            _log.info("ban %s", user)
            self._core.tokens.banned.add(user)
            message = build("accountBanned", user)
            assert isinstance(message, AccountBanned)
            self.emit(message)
            if close:
                self._part(user, 4403, "banned")

    def revoke(self, user_id: str | None = None) -> None:
        """Revoke the tokens of users."""
        for user in self._users(user_id):
            _log.info("revoke %s", user)
            self._core.tokens.revoke_user(user)
            self.fire("sessionRevoked", user)
            self._part(user, 4401, "session revoked")

    def forgive(self, user_id: str | None = None) -> None:
        """Undo bans."""
        banned = self._core.tokens.banned
        banned.difference_update(list(banned) if user_id is None else [user_id])

    def drop(self, code: int | None = None) -> None:
        """End all connections."""
        if code is not None:
            valid_close_code(code)
        for link in list(self._core.links.values()):
            self._core.part(link, code, "dropped by the script")

    def refuse(
        self, status: int = 503, times: int = 1, retry_after: int | str | None = None
    ) -> None:
        """Refuse the next upgrades."""
        self._core.gate.refuse(valid_status(status), valid_times(times), _header(retry_after))

    def stall(self, seconds: float) -> None:
        """Stop reading and writing for a while."""
        duration = valid_seconds(seconds)
        for link in self._core.links.values():
            link.stall(duration)

    def restart(self, downtime: float = 1.0) -> None:
        """Stop listening for a while."""
        self._core.restart(valid_seconds(downtime))

    def run(self, line: str) -> None:
        """Perform one command line."""
        name, args = parse_command(line)
        self._perform(name, args)

    async def play(self, steps: Iterable[ScriptStep]) -> None:
        """Perform steps at their times, until the last one or until the server stops."""
        loop = asyncio.get_running_loop()
        stopped = self._core.listener.stopped
        begin = loop.time()
        for step in sorted(steps, key=lambda step: step.at):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(begin + step.at):
                    await stopped.wait()
            if stopped.is_set():
                return
            self._perform(step.command, step.args)

    def _perform(self, name: str, args: Sequence[Any]) -> None:
        command = self._commands.get(name)
        if command is None:
            raise ConfigurationError(f"unknown command {name!r}")
        command(*args)

    def _users(self, user_id: str | None) -> list[str]:
        if user_id is not None:
            return [user_id]
        return sorted({link.grant.user_id for link in self._core.ready if link.grant})

    def _part(self, user_id: str, code: int, reason: str) -> None:
        for link in self._core.ready:
            if link.grant and link.grant.user_id == user_id:
                self._core.part(link, code, reason)


def _header(value: int | str | None) -> int | str | None:
    if isinstance(value, str) and not value.isprintable():
        raise ConfigurationError("retry_after has to be one printable line")
    return value
