"""Stores composed into dataflow: a durable log behind the socket, and an engine behind the log.

Nothing here needs the libraries of the extras `nats` and `spark` before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .batches import Batch, Item
    from .embedded import embedded_log
    from .feeds import Feed
    from .gap_tracker import Known
    from .gaps import Missed
    from .ids import NoMessageId, RecentIds
    from .ingest import Ingest, IngestStats
    from .log_client import Ack, Log, LogError, StreamSettings, connect_log
    from .log_store import LogMessage, LogStore, use_log
    from .nats_client import RecordTooLarge
    from .outbound import Outbound, Sending
    from .reader import Reader
    from .records import Record, channel_of, read_record, subject

__all__ = [
    "Ack",
    "Batch",
    "Feed",
    "Ingest",
    "IngestStats",
    "Item",
    "Known",
    "Log",
    "LogError",
    "LogMessage",
    "LogStore",
    "Missed",
    "NoMessageId",
    "Outbound",
    "Reader",
    "RecentIds",
    "Record",
    "RecordTooLarge",
    "Sending",
    "StreamSettings",
    "channel_of",
    "connect_log",
    "embedded_log",
    "read_record",
    "subject",
    "use_log",
]

_MODULES: Final = {
    "Ack": "log_client",
    "Batch": "batches",
    "Feed": "feeds",
    "Ingest": "ingest",
    "IngestStats": "ingest",
    "Item": "batches",
    "Known": "gap_tracker",
    "Log": "log_client",
    "LogError": "log_client",
    "LogMessage": "log_store",
    "LogStore": "log_store",
    "Missed": "gaps",
    "NoMessageId": "ids",
    "Outbound": "outbound",
    "Reader": "reader",
    "RecentIds": "ids",
    "Record": "records",
    "RecordTooLarge": "nats_client",
    "Sending": "outbound",
    "StreamSettings": "log_client",
    "channel_of": "records",
    "connect_log": "log_client",
    "embedded_log": "embedded",
    "read_record": "records",
    "subject": "records",
    "use_log": "log_store",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
