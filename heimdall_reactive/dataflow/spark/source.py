"""`HeimdallDataSource`: the log as a source of Spark, and stores and the log as its sinks.

Spark plans a job with a process for each step, some of them for each batch: what only a task
needs is imported there, since the client of the log is half the time of an import.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    DataSourceWriter,
    InputPartition,
)
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)
from pyspark.sql.types import StructType

from heimdall_reactive.dataflow.records import subject

from .exceptions import LogUnavailable, reason_first
from .reading import Part, ReadOptions, check_kept, parts, sequence_of
from .rows import Rows, schema_of
from .sink import BatchWriter, StreamWriter
from .writing import WriteOptions

if TYPE_CHECKING:
    from .sync_client import LogState, SyncClient

__all__ = ["HeimdallDataSource", "each_batch", "register"]


logger: Final = logging.getLogger("heimdall_reactive.dataflow")


def register(spark: SparkSession) -> None:
    """Make the format `heimdall` known to a session.

    Example:
        >>> register(spark)
        >>> frame = spark.readStream.format("heimdall").option("stream", "TICKS").load()
    """
    spark.dataSource.register(HeimdallDataSource)


def each_batch(**options: Any) -> Callable[[DataFrame, int], None]:
    """Return a function for `foreachBatch` that sends the rows of each batch.

    For `outputMode("update")`, which Spark allows no sink that is written in Python.

    Args:
        **options: of the sink.

    Example:
        >>> totals.writeStream.outputMode("update").foreachBatch(
        ...     each_batch(endpoint="wss://example.org/totals", keyColumns="key", ackField="ack")
        ... )
    """

    def write(frame: DataFrame, batch: int) -> None:
        writer = frame.write.format(HeimdallDataSource.name()).options(**options)
        writer.option("batchId", batch).mode("append").save()

    return write


class HeimdallDataSource(DataSource):
    """The format `heimdall`; its options stand in docs/dataflow/spark.md."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "heimdall"

    def schema(self) -> StructType:
        """Return the columns of the model, and those about the record."""
        return schema_of(ReadOptions.of(self.options, "earliest").model)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return what reads a range of the log once."""
        return BatchReader(ReadOptions.of(self.options, "earliest"), schema)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802
        """Return what reads the log on and on."""
        return StreamReader(ReadOptions.of(self.options, "latest"), schema)

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        """Return what sends a frame once."""
        return BatchWriter(WriteOptions.of(self.options, schema))

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:  # noqa: N802
        """Return what sends the rows of each batch."""
        return StreamWriter(WriteOptions.of(self.options, schema))


class Reads:
    """What a task does, for both kinds of reader."""

    def __init__(self, options: ReadOptions, schema: StructType) -> None:
        self._options, self._schema = options, schema
        Rows(schema, options.model, options.mode, options.raw)  # refused here, not in a task

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """Return the rows of a part, on an executor."""
        # Where there is nothing to read, Spark makes a partition of its own.
        return self._batches(partition) if isinstance(partition, Part) else iter(())

    def _batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        options = self._options
        rows = Rows(self._schema, options.model, options.mode, options.raw)
        with reason_first(), _open(options) as door:
            for name in part.subjects:
                for records in door.read(name, part.start, part.end):
                    yield rows.batch(records)
            # The log may have dropped some while it was read.
            state = door.state()
            check_kept(options, part.start, state.created, state)


class BatchReader(Reads, DataSourceReader):
    """Read a range of the log once."""

    @reason_first()
    def partitions(self) -> list[InputPartition]:
        """Return the parts of the range."""
        options = self._options
        with _open(options) as door:
            state = door.state(subject(options.log.stream, "in"))
            start = sequence_of(options.starting, door, state)
            end = min(sequence_of(options.ending, door, state), state.last + 1)
        check_kept(options, start, state.created, state)
        return list(parts(options, start, end, state))


class StreamReader(Reads, DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Read the log on and on; an offset is the next sequence, and the stream's time of birth."""

    def __init__(self, options: ReadOptions, schema: StructType) -> None:
        super().__init__(options, schema)
        self._door: SyncClient | None = None
        self._until: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection at home: the reader is sent to the executors."""
        return {**self.__dict__, "_door": None}

    @reason_first()
    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        """Return where a job without a checkpoint begins."""
        state = self._state()
        return _offset(sequence_of(self._options.starting, self._opened(), state), state.created)

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        """Return how much one batch may hold."""
        return ReadMaxRows(self._options.most) if self._options.most else ReadAllAvailable()

    @reason_first()
    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """Ignore whatever comes from now on."""
        self._until = self._state().last + 1

    @reason_first()
    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802
        """Return where the next batch ends; where it starts while the log is away."""
        try:
            state = self._state()
        except LogUnavailable as error:
            if self._until is not None:
                raise  # a job that reads all there is would end as if it had
            logger.warning("%s; the job waits for it", error)
            return start
        self._check(start, state)
        begin = start["seq"] if start["created"] == state.created else 1
        begin = max(begin, min(state.first, state.last + 1))
        end = state.last + 1 if self._until is None else min(self._until, state.last + 1)
        if isinstance(limit, ReadMaxRows):
            end = min(end, begin + limit.max_rows)
        return _offset(end, state.created) if end > begin else start

    def reportLatestOffset(self) -> dict[str, Any] | None:  # noqa: N802
        """Return the end of the log, for the progress of the query; None while it is away."""
        try:
            state = self._state()
        except LogUnavailable:
            return None
        return _offset(state.last + 1, state.created)

    @reason_first()
    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """Return the parts of a batch."""
        state = self._state(subject(self._options.log.stream, "in"))
        self._check(start, state)
        begin = start["seq"] if start["created"] == end["created"] else 1
        return parts(self._options, begin, end["seq"], state)

    def stop(self) -> None:
        """Close the connection."""
        door, self._door = self._door, None
        if door is not None:
            door.close()

    def _opened(self) -> SyncClient:
        if self._door is None:
            self._door = _open(self._options)
        return self._door

    def _state(self, subjects: str | None = None) -> LogState:
        return self._opened().state(subjects)

    def _check(self, start: dict[str, Any], state: LogState) -> None:
        check_kept(self._options, start["seq"], start["created"], state)


def _open(options: ReadOptions) -> SyncClient:
    from .sync_client import SyncClient

    return SyncClient(options.log)


def _offset(sequence: int, created: str) -> dict[str, Any]:
    return {"seq": sequence, "created": created}
