"""The plain methods of the server, callable from any thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

from heimdall_reactive.base.exceptions import WaitTimeout
from heimdall_reactive.base.messages import ServerMessage

from .commands import Commands
from .core import ServerCore
from .journal import Peer
from .tokens import Grant

__all__ = ["ThreadCommands", "running_loop"]

T = TypeVar("T")

_CALL_LIMIT = 10.0


class ThreadCommands:
    """What a program can do with a server: tokens, messages, and the commands of scripts.

    Each method may be called from any thread: on the server's loop it acts at once, elsewhere it
    waits until the loop has performed it.
    """

    def __init__(self, core: ServerCore) -> None:
        self._core = core
        self._stage = Commands(core)

    @property
    def connections(self) -> list[Peer]:
        """The open connections whose user is known, oldest first."""
        return self._act(lambda: [link.peer for link in self._core.ready])

    @property
    def dropped_slow(self) -> int:
        """How many connections were dropped because they did not read."""
        return self._core.dropped_slow

    def issue(
        self,
        user_id: str = "u1",
        *,
        session_id: str | None = None,
        expires_in: float | None = None,
        admin: bool = False,
    ) -> str:
        """Make a token.

        Args:
            user_id: the user it stands for.
            session_id: the session it stands for.
            expires_in: seconds of validity; None is forever.
            admin: whether it opens the `admin:` channels.
        """
        grant = Grant(user_id, session_id, admin)
        return self._act(lambda: self._core.tokens.issue(grant, expires_in))

    def expire(self, token: str) -> None:
        """Expire a token: later upgrades get HTTP 401, open connections stay.

        Raises:
            ConfigurationError: if it was not issued by this server.
        """
        self._act(lambda: self._core.tokens.expire(token))

    def revoke_token(self, token: str) -> None:
        """Revoke a token: later upgrades get HTTP 403, open connections stay.

        Raises:
            ConfigurationError: if it was not issued by this server.
        """
        self._act(lambda: self._core.tokens.revoke(token))

    def fingerprint(self, token: str) -> str:
        """Return what `UpgradeRecord.fingerprint` says for this token; servers differ in it."""
        return self._core.tokens.fingerprint(token)

    def publish(self, channel: str, data: object) -> int:
        """Send `data`, as JSON text, to the subscribers of a channel, and return their number.

        Raises:
            ConfigurationError: if no such channel can exist.
        """
        return self._act(lambda: self._stage.publish(channel, data))

    def emit(self, message: ServerMessage) -> int:
        """Send a server message to the connections of its user, and return their number.

        `RolePermissionsChanged` names no user and goes to everybody.
        """
        return self._act(lambda: self._stage.emit(message))

    def fire(self, kind: str, *, user_id: str | None = None, **fields: object) -> ServerMessage:
        """Build a plausible message with the current time, emit it, and return it.

        Args:
            kind: one of the nine types, such as `accountBanned`.
            user_id: the user it is for, `demo` by default.
            **fields: fields to override, such as `reason="spam"`.

        Raises:
            ConfigurationError: if the type is unknown, or a field has a wrong value.
        """
        return self._act(lambda: self._stage.fire(kind, user_id, **fields))

    def send_raw(self, message: str | bytes) -> int:
        """Send text or bytes unchanged to every connection, and return their number."""
        return self._act(lambda: self._stage.send_raw(message))

    def ban(self, user_id: str | None = None, close: bool = True) -> None:
        """Emit `accountBanned`, close with 4403, and refuse later upgrades with HTTP 403.

        Args:
            user_id: the user; None is every connected one.
            close: False leaves the connections open.
        """
        self._act(lambda: self._stage.ban(user_id, close))

    def revoke(self, user_id: str | None = None) -> None:
        """Emit `sessionRevoked`, revoke the user's tokens, and close with 4401.

        Args:
            user_id: the user; None is every connected one.
        """
        self._act(lambda: self._stage.revoke(user_id))

    def forgive(self, user_id: str | None = None) -> None:
        """Undo the ban of a user, or every ban; revoked tokens stay revoked."""
        self._act(lambda: self._stage.forgive(user_id))

    def drop(self, code: int | None = None) -> None:
        """End every connection.

        Args:
            code: the close code; None cuts the TCP connections without a close frame.

        Raises:
            ConfigurationError: if the code may not stand in a close frame.
        """
        self._act(lambda: self._stage.drop(code))

    def refuse(
        self, status: int = 503, times: int = 1, retry_after: int | str | None = None
    ) -> None:
        """Answer the next upgrade requests with an HTTP status.

        Args:
            status: the status, 300 or more.
            times: how many requests, after those that are already to be refused.
            retry_after: value of the `Retry-After` header: seconds, or an HTTP date.

        Raises:
            ConfigurationError: if the status is unknown or the number is less than one.
        """
        self._act(lambda: self._stage.refuse(status, times, retry_after))

    def stall(self, seconds: float) -> None:
        """Neither read nor write on the present connections for `seconds`.

        Whatever is to be sent in that time is held, and follows in order.

        Raises:
            ConfigurationError: if it is not a duration.
        """
        self._act(lambda: self._stage.stall(seconds))

    def restart(self, downtime: float = 1.0) -> None:
        """Drop everybody with 1012, and listen again on the same port after `downtime` seconds.

        Returns at once; a second restart during the downtime does nothing.

        Raises:
            ConfigurationError: if it is not a duration.
        """
        self._act(lambda: self._stage.restart(downtime))

    def run(self, line: str) -> None:
        """Perform one command line, such as `refuse 503 2`.

        Raises:
            ConfigurationError: if it is unknown or an argument is wrong.
        """
        self._act(lambda: self._stage.run(line))

    def _act(self, action: Callable[[], T]) -> T:
        loop = self._core.loop
        if loop is None or not loop.is_running() or loop is running_loop():
            return action()
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

        def perform() -> None:
            if outcome.set_running_or_notify_cancel():
                try:
                    outcome.set_result(action())
                except BaseException as error:
                    outcome.set_exception(error)

        try:
            loop.call_soon_threadsafe(perform)
        except RuntimeError:  # the loop has been closed, so nobody else acts
            return action()
        done, _ = concurrent.futures.wait([outcome], _CALL_LIMIT)
        if not done and outcome.cancel():
            raise WaitTimeout(f"the server's loop did not act within {_CALL_LIMIT:.0f} seconds")
        return outcome.result()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
