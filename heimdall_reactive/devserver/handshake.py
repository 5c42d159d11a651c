"""The opening handshake: which upgrades are refused, and as whom the others come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .journal import ServerJournal, UpgradeRecord, now
from .link import Arrival, ServerWire
from .tokens import ANONYMOUS, BEARER_SUBPROTOCOL, Grant, Tokens, find_token

__all__ = ["ENDPOINTS", "Handshake"]

_STATUS_ENDPOINT = "/v1/ws/status"

ENDPOINTS = (
    "/v1/ws",
    "/v1/ws/user",
    "/v1/ws/updates",
    "/v1/ws/notifications",
    _STATUS_ENDPOINT,
)
"""The paths that are served; the last one needs no token."""


@dataclass
class _Refusal:
    status: HTTPStatus
    times: int
    retry_after: int | str | None


class Handshake:
    """Decide about upgrade requests, and note each one in the journal."""

    def __init__(
        self,
        tokens: Tokens,
        journal: ServerJournal,
        *,
        require_token: bool,
        first_message_auth: bool,
        at_root: bool = False,
    ) -> None:
        self._tokens = tokens
        self._journal = journal
        self._require_token = require_token
        self._first_message_auth = first_message_auth
        self._endpoints = (*ENDPOINTS, "/") if at_root else ENDPOINTS
        self._refusals: deque[_Refusal] = deque()

    def refuse(self, status: HTTPStatus, times: int, retry_after: int | str | None) -> None:
        """Refuse the next upgrades, after those which are to be refused already."""
        self._refusals.append(_Refusal(status, times, retry_after))

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the answer that refuses a request, or None to go on with the upgrade."""
        path = request.path.partition("?")[0]
        token = find_token(request.path, request.headers)
        fingerprint = None if token is None else self._tokens.fingerprint(token)
        names = tuple(sorted({name.lower() for name, _ in request.headers.raw_items()}))
        arrival = Arrival(path, names, fingerprint)
        if isinstance(connection, ServerWire):
            connection.arrival = arrival
        if self._refusals:
            return self._next_refusal(connection)
        if path not in self._endpoints:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no such endpoint.\n")
        verdict = self._identify(path, token)
        if isinstance(verdict, HTTPStatus):
            response = connection.respond(verdict, f"{verdict.phrase}.\n")
            if verdict == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"
            return response
        arrival.grant = verdict
        return None

    def note(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Write the request and the status of its answer into the journal."""
        if isinstance(connection, ServerWire) and connection.arrival is not None:
            arrival = connection.arrival
            user_id = None if arrival.grant is None else arrival.grant.user_id
            self._journal.add_dial(
                UpgradeRecord(
                    now(),
                    arrival.path,
                    response.status_code,
                    arrival.headers,
                    user_id,
                    arrival.fingerprint,
                )
            )

    def select(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """Choose the first subprotocol that carries no token, else the one that does."""
        plain = [name for name in offered if not name.startswith(BEARER_SUBPROTOCOL)]
        return next(iter([*plain, *offered]), None)

    def _next_refusal(self, connection: ServerConnection) -> Response:
        refusal = self._refusals[0]
        refusal.times -= 1
        if refusal.times <= 0:
            self._refusals.popleft()
        response = connection.respond(refusal.status, "Refused by the script.\n")
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response

    def _identify(self, path: str, token: str | None) -> Grant | HTTPStatus | None:
        """Return an identity, a refusing status, or None where the first message has to tell."""
        verdict = HTTPStatus.UNAUTHORIZED if token is None else self._tokens.check(token)
        if isinstance(verdict, Grant) or verdict == HTTPStatus.FORBIDDEN:
            return verdict
        if path == _STATUS_ENDPOINT or not self._require_token:
            banned = ANONYMOUS.user_id in self._tokens.banned
            return HTTPStatus.FORBIDDEN if banned else ANONYMOUS
        return None if token is None and self._first_message_auth else verdict
