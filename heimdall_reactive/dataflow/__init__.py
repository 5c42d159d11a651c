"""Stores composed into dataflow: a durable log behind the socket, and an engine behind the log.

Nothing here needs the libraries of the extras `nats` and `spark` before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .log_client import Log, StreamSettings, connect_log
    from .log_store import LogMessage, LogStore, use_log
    from .records import Record, channel_of, read_record, subject

__all__ = [
    "Log",
    "LogMessage",
    "LogStore",
    "Record",
    "StreamSettings",
    "channel_of",
    "connect_log",
    "read_record",
    "subject",
    "use_log",
]

_MODULES: Final = {
    "Log": "log_client",
    "LogMessage": "log_store",
    "LogStore": "log_store",
    "Record": "records",
    "StreamSettings": "log_client",
    "channel_of": "records",
    "connect_log": "log_client",
    "read_record": "records",
    "subject": "records",
    "use_log": "log_store",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
