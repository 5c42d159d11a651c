"""The users of the state machine: their tokens and providers, good and bad."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from heimdall_reactive import WebSocketStore

Op = tuple[Any, ...]


def jwt(sub: str, serial: int) -> str:
    """Return a token that tells whose it is."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": sub, "n": serial}).encode()).decode()
    return f"h.{claims.rstrip('=')}.s"


class Users:
    """Makes tokens and providers, and knows the label of whose each token is."""

    store: WebSocketStore[Any]

    def __init__(self) -> None:
        self.serials = itertools.count(1)
        self.modes: deque[str] = deque()
        self.owners: dict[str, str] = {}  # token to label

    def do(self, op: Op) -> None:
        """Perform one operation here and now."""
        getattr(self, f"do_{op[0]}")(*op[1:])

    def do_modes(self, modes: Sequence[str]) -> None:
        self.modes = deque(modes)

    def identity(self, identity: Op) -> tuple[Any, str | None, str]:
        """Return a token source, the principal for it, and the label of whose it is."""
        kind, who = identity
        serial = next(self.serials)
        match kind:
            case "none":
                return None, None, "nobody"
            case "static":
                return self._token(f"opaque-{who}", f"opaque-{who}"), None, f"opaque-{who}"
            case "jwt":
                return self._token(jwt(who, serial), who), None, who
            case "named":
                return self._token(f"named-{serial}", who), who, who
            case "named provider":
                return self._provider(who), who, who
            case "sync provider":
                return self._sync_provider(who), who, who
        return self._provider(f"provider-{serial}"), None, f"provider-{serial}"

    def _token(self, token: str, label: str) -> str:
        self.owners[token] = label
        return token

    def _provider(self, label: str) -> Callable[[], Any]:
        async def ask() -> Any:
            mode = self.modes.popleft() if self.modes else ""
            if mode in ("slow", "hang"):
                await asyncio.sleep(2 if mode == "slow" else 1000)
            return self._answered(mode, label)

        return ask

    def _sync_provider(self, label: str) -> Callable[[], Any]:
        return lambda: self._answered(self.modes.popleft() if self.modes else "", label)

    def _answered(self, mode: str, label: str) -> Any:
        match mode:
            case "raise":
                raise OSError("no token")
            case "none":
                return None
            case "rubbish":
                return 7
            case "disconnect" | "connect":
                self.store._life.call(lambda: self.do((mode,)))
        return self._token(f"asked-{next(self.serials)}", label)

    def option(self, kind: str) -> Callable[[Any], Any]:
        def decide(_: object) -> Any:
            match kind:
                case "raise":
                    raise ValueError("an option's own")
                case "disconnect" | "connect":
                    self.do((kind,))
            return {"yes": True, "no": False, "connect": 0.5, "nan": float("nan")}.get(kind)

        return decide
