"""`Journal`: the last events of a store with their times, for whoever asks afterwards why."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from heimdall_reactive.base.endpoints import redact, ws_config
from heimdall_reactive.base.exceptions import HeimdallError, SessionEnded, one_line
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.state import ConnectionState, Gap, Status, in_words

__all__ = ["Journal", "JournalEntry", "about_error"]

LIMIT: Final = 256  # entries that are kept
MAX_TEXT: Final = 200  # characters of an error

logger: Final = logging.getLogger("heimdall_reactive")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event of a store. It holds no payload and no secret.

    Attributes:
        at: when, in seconds since the epoch.
        event: `dial`, `state`, `error`, `gap` or `token`.
        details: plain values by name; which ones depends on the event.
    """

    at: float
    event: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return a flat dict of plain JSON values."""
        return {"at": self.at, "event": self.event, **self.details}

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return " ".join([when, self.event, *(f"{k}={v!r}" for k, v in self.details.items())])


class Journal:
    """The last 256 events of a store, the oldest first; `print` shows one a line.

    A message makes no entry. A dial, a change of the state, an error, a gap and a token do. The
    log reports an outage without being asked: when it begins, when it ends, and that the store
    gave up.

    Args:
        name: of the store, for the log.
        now: gives seconds since the epoch.
        loud: whether outages are logged; not those that are only replayed.
    """

    __slots__ = ("_down", "_entries", "_loud", "_name", "_now")

    def __init__(self, name: str, now: Callable[[], float], *, loud: bool = True) -> None:
        self._name = name
        self._now = now
        self._loud = loud
        self._down = False  # since a failure that was logged
        self._entries: list[JournalEntry] = []  # a deque takes 0.7 KB, and most stores note little

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(tuple(self._entries))  # others may write at the same time

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        return glance(self, f"{self._name}: {count_of(len(self._entries), 'event')}")

    def as_json(self) -> str:
        """Return the entries as JSON lines."""
        import json  # few programs need it

        return "\n".join(json.dumps(entry.as_dict()) for entry in self)

    def add(self, event: str, details: dict[str, Any]) -> None:
        """Add an entry, and write it to the log at level `DEBUG`."""
        self._append(event, details)
        if logger.isEnabledFor(logging.DEBUG):
            text = " ".join(f"{key}={value!r}" for key, value in details.items())
            extra = {"endpoint": self._name, "event": event, "details": details}
            logger.debug("%s: %s %s", self._name, event, text, extra=extra)

    def _append(self, event: str, details: dict[str, Any]) -> None:
        self._entries.append(JournalEntry(self._now(), event, details))
        del self._entries[:-LIMIT]

    def note(self, value: Any) -> None:
        """Note a change of the state as a pair, a gap, or an error."""
        if isinstance(value, tuple):
            self.on_transition(value)
        elif isinstance(value, Gap):
            self.on_gap(value)
        else:
            self.on_error(value)

    def on_transition(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        """Note a change of the state; the start of an attempt is a `dial`."""
        before, state = pair
        if state.status is Status.CONNECTING:
            self.add("dial", {"attempt": state.attempt, "session": state.session})
        else:
            self.add("state", _about_state(state))
        if self._loud:
            self._tell(before, state)

    def _tell(self, before: ConnectionState, state: ConnectionState) -> None:
        """Tell the log of the first failure in a row, of its end, and of the end of all attempts.

        At the levels that are shown where nobody has configured logging.
        """
        level, text = logging.WARNING, ""
        match state.status:
            case Status.WAITING if not self._down:
                text = f"{_cause(state)}; {in_words(state, self._now())}"
            case Status.FAILED | Status.DISCONNECTED if isinstance(state.error, SessionEnded):
                text = _cause(state)  # which says what to do
            case Status.FAILED:
                text = f"gave up: {_cause(state)}; connect() tries again"
            case Status.DISCONNECTED if state.error is not None:
                text = f"ended: {_cause(state)}; connect() connects again"
            case Status.CONNECTED if self._down and not before.is_connected:
                level, text = logging.INFO, f"connected{' again' if state.session > 1 else ''}"
        if state.status not in (Status.CONNECTING, Status.DISCONNECTING):
            self._down = state.status is Status.WAITING
        if text:
            extra = {"endpoint": self._name, "event": "state", "details": _about_state(state)}
            url = _url(self._name)
            once = text.replace(f" ({url})", "")  # many errors name it too
            logger.log(level, "%s: %s", url, once, extra=extra)

    def on_error(self, error: Exception) -> None:
        """Note what ended nothing."""
        self._append("error", about_error(error))

    def on_gap(self, gap: Gap) -> None:
        """Note what a reconnection left out."""
        self.add("gap", {"since": gap.since, "until": gap.until, "session": gap.session})

    def on_token(self, source: str) -> None:
        """Note that there is a token: of a `provider`, or `set` by the program."""
        self.add("token", {"source": source})


def _url(name: str) -> str:
    """Return the URL of a store by its name, which may be a path under a URL with secrets."""
    if re.match(r"[\w+.-]+:", name):
        return name
    try:
        return redact(ws_config.resolve(name))
    except HeimdallError:
        return name


def _cause(state: ConnectionState) -> str:
    details = about_error(state.error or HeimdallError(str(state.status)))
    return str(details.get("text", details["error"]))


def about_error(error: BaseException) -> dict[str, Any]:
    """Describe an error in plain values; the text of a foreign one may quote anything."""
    details: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, HeimdallError):
        details["text"] = one_line(str(error), MAX_TEXT)
    cause = getattr(error, "cause", None)
    if isinstance(cause, str):
        details["cause"] = cause
    return details


def _about_state(state: ConnectionState) -> dict[str, Any]:
    details: dict[str, Any] = {"status": str(state.status), "session": state.session}
    if state.status is Status.WAITING:
        details |= {"attempt": state.attempt, "retry_at": state.retry_at}
    if state.close is not None:
        details |= {"code": state.close.code, "reason": state.close.reason, "who": state.close.who}
    if state.http_status is not None:
        details["http_status"] = state.http_status
    if state.error is not None:
        details |= about_error(state.error)
    return details
