"""`TokenRefresh`: hands a session its next token before the one that it has expires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.hidden import SecretText
from heimdall_reactive.base.masking import bare
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.base.session_protocol import SessionProtocol, blamed, overrides
from heimdall_reactive.base.starting import start_task

from .listener import Listener
from .providers import ProviderCalls
from .runtime import Runtime
from .session import Session
from .tokens import Identity, ask_token, principal_of

__all__ = ["TokenRefresh"]


class TokenOwner(Protocol):
    """The connection, as this sees it."""

    identity: Identity

    def reconnect(self, code: int = ..., reason: str = "", overlap: bool = False) -> None:
        """Open another session in place of this one."""


class TokenRefresh:
    """Renews the token of the current session, as long as its tokens say when they expire.

    Args:
        owner: says who connects now, and opens another session with a token of its own.
        protocol: may take a token on the open socket.
        options: the store's.
        asker: asks the provider.
        runtime: the event loop.
        listener: is told what went wrong; it is tried again after half of the time that is left.
    """

    __slots__ = (
        "_asker", "_due", "_due_at", "_listener", "_options", "_owner", "_protocol", "_runtime",
        "_task", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        owner: TokenOwner,
        protocol: SessionProtocol,
        options: StoreOptions,
        asker: ProviderCalls,
        runtime: Runtime,
        listener: Listener,
    ) -> None:
        self._owner = owner
        self._protocol = protocol
        self._options = options
        self._asker = asker
        self._runtime = runtime
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._due: Callable[[], None] | None = None
        self._due_at = 0.0  # seconds since the epoch

    def start(self, session: Session) -> None:
        """Renew the token of the current session from now on."""
        token = session.token
        if token is None:
            return
        from heimdall_reactive.base.access_token import AccessToken  # only where there is one

        if not isinstance(token, AccessToken):
            return
        left = token.expires_at - self._runtime.wall()
        # A token may live shorter than the time before its end; one that is old already is not
        # asked for again at once, for the provider may return it again.
        delay = max(left - self._options.token_refresh_before, left / 2, 1.0)
        self._arm(delay, partial(self._begin, session))

    def on_wake(self) -> None:
        """Look at the wall clock again: the event loop's stood still while the machine slept."""
        if self._timer is not None and self._due is not None:
            self._arm(max(0.0, self._due_at - self._runtime.wall()), self._due)

    def stop(self) -> None:
        """Renew nothing any more."""
        for each in (self._timer, self._task):
            if each is not None:
                each.cancel()
        self.forget()

    def forget(self) -> None:
        """Leave the timer to an event loop that is closed."""
        self._timer = self._task = self._due = None

    def _arm(self, delay: float, due: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._due_at = due, self._runtime.wall() + delay
        self._timer = self._runtime.loop.call_later(delay, due)

    def _begin(self, session: Session) -> None:
        self.start(session)  # again, unless a new token or session takes its place
        whose = self._owner.identity
        if whose is session.identity and not callable(whose.token):
            return  # there is no other token to ask for yet
        if overrides(self._protocol, "refresh"):
            self._task = start_task(self._hand_over(session), "heimdall-token", self._runtime.loop)
        else:
            self._reconnect()

    def _reconnect(self) -> None:
        self._owner.reconnect(reason="token", overlap=True)

    async def _hand_over(self, session: Session) -> None:
        """Hand the session its next token; what fails is reported, and tried again later."""
        whose = self._owner.identity
        limit = self._options.token_timeout
        try:
            token = await ask_token(whose.token, limit, self._asker)
            taken = whose is session.identity and _same_user(session.token, token)
            if taken and token is not None and session.conversation is not None:
                with blamed("refresh"):
                    async with asyncio.timeout(limit):
                        taken = await self._protocol.refresh(
                            token.get_secret_value(), session.conversation
                        )
        except StoreError as error:
            self._listener.on_error(bare(error))
            return
        if taken:
            session.use_token(token)
            self.start(session)
        else:
            self._reconnect()


def _same_user(before: SecretText | None, after: SecretText | None) -> bool:
    return principal_of(before) == principal_of(after)
