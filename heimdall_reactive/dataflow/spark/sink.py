"""The sinks: what a task does with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql.datasource import (
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)

from heimdall_reactive.dataflow.records import Record

from .exceptions import reason_first
from .writing import Message, WriteOptions, messages

__all__ = ["BatchWriter", "StreamWriter"]


@dataclass
class Written(WriterCommitMessage):
    """What a task reports.

    Attributes:
        count: rows that arrived.
    """

    count: int


class Writes:
    """What a task does, for both kinds of writer."""

    def __init__(self, options: WriteOptions) -> None:
        self._options = options

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        """Send the rows of a task, on an executor; return when all of them have arrived."""
        with reason_first():
            return Written(_send(self._options, messages(self._options, iterator)))


class StreamWriter(Writes, DataSourceStreamArrowWriter):
    """Send the rows of each batch."""


class BatchWriter(Writes, DataSourceArrowWriter):
    """Send the rows of a frame once."""


def _send(options: WriteOptions, rows: Iterable[Message]) -> int:
    # Imported in the task, see source.py.
    if options.log is None:
        from .sender import Sender

        with Sender(options) as sender:
            return sender.send(rows)
    from .sync_client import SyncClient

    with SyncClient(options.log) as door:
        return door.publish(
            Record(row.channel, row.data.encode(), id=row.id, kind="out") for row in rows
        )
