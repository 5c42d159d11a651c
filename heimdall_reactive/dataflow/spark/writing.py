"""What a job writes: its options, and rows as messages with an id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark import TaskContext
from pyspark.sql.types import StructType

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.connecting.codec import encode

from .options import LogOptions, Secret, SparkOptions

__all__ = ["Message", "WriteOptions", "messages"]

# Properties that Spark gives each task of a streaming job (StreamExecution, MicroBatchExecution);
# the number of the batch is told to a writer only when its tasks are done.
QUERY: Final = "sql.streaming.queryId"
BATCH: Final = "streaming.sql.batchId"


@dataclass(frozen=True)
class Message:
    """One row to be sent.

    Attributes:
        id: the same at every repeat.
        channel: where it goes, empty for a WebSocket.
        data: JSON text.
    """

    id: str
    channel: str
    data: str


@dataclass(frozen=True)
class WriteOptions:
    """What a job writes; each is described in docs/dataflow/spark.md.

    Attributes:
        log: how the log is reached, None where a WebSocket is.
        endpoint: of the WebSocket, a path or a URL.
        secret: where its token is.
        insecure: whether the token may travel unencrypted.
        ack: field of the peer's answers with the id of what it has, empty where it gives none.
        timeout: seconds without any progress until the task fails.
        window: messages that are under way at a time.
        id_column: the column that holds the id.
        key_columns: those that tell a row from all others of its batch.
        id_field: the field of a message that takes the id.
        batch: number of the batch, where Spark does not tell it.
        channel: of the log, for all rows.
        channel_column: the column that names the channel of each row.
    """

    log: LogOptions | None
    endpoint: str
    secret: Secret
    insecure: bool
    ack: str
    timeout: float
    window: int
    id_column: str
    key_columns: tuple[str, ...]
    id_field: str
    batch: str
    channel: str
    channel_column: str

    NAMES = (
        *LogOptions.NAMES, "sink", "endpoint", "allowInsecureToken", "ackField", "idColumn",
        "keyColumns", "idField", "batchId", "channel", "channelColumn",
    )  # fmt: skip

    @classmethod
    def of(cls, options: Mapping[str, str], schema: StructType) -> WriteOptions:
        """Read the options of a sink for rows of a schema."""
        given = SparkOptions(options, cls.NAMES)
        to_log = given.choice("sink", "websocket", ("websocket", "log")) == "log"
        found = cls(
            log=LogOptions.of(given) if to_log else None,
            endpoint="" if to_log else given.text("endpoint"),
            secret=Secret.of(given),
            insecure=given.flag("allowInsecureToken", False),
            ack=given.text("ackField", ""),
            timeout=given.seconds("timeout", 30.0),
            window=given.whole("window", 256),
            id_column=given.text("idColumn", ""),
            key_columns=given.names("keyColumns"),
            id_field=given.text("idField", "id"),
            batch=given.text("batchId", ""),
            channel=given.text("channel", ""),
            channel_column=given.text("channelColumn", ""),
        )
        found._check(schema.fieldNames(), to_log)
        return found

    def _check(self, columns: list[str], to_log: bool) -> None:
        if bool(self.id_column) == bool(self.key_columns):
            raise ConfigurationError(
                "a row needs an id that is the same when its batch is repeated: give either "
                "idColumn, a column that holds it, or keyColumns, those that tell the row from "
                "all others of its batch, such as the columns of groupBy"
            )
        named = (self.id_column, self.channel_column, *self.key_columns)
        if missing := [name for name in named if name and name not in columns]:
            raise ConfigurationError(
                f"the rows have no column {', '.join(missing)}; they have {', '.join(columns)}"
            )
        if self.id_field in columns and self.id_field != self.id_column:
            raise ConfigurationError(
                f"the rows have a column {self.id_field!r} already; name another idField"
            )
        if "@" in self.endpoint.partition("?")[0]:
            raise ConfigurationError(
                "the URL in endpoint may hold no user and password, Spark shows it; "
                "give accessTokenEnv or accessTokenFile"
            )
        if to_log and bool(self.channel) == bool(self.channel_column):
            raise ConfigurationError("sink=log needs either channel or channelColumn")


def messages(options: WriteOptions, batches: Iterable[pa.RecordBatch]) -> Iterator[Message]:
    """Return the rows of a task as messages.

    Raises:
        ConfigurationError: a row has no id, or two have one: a peer would take the second for a
            repeat of the first.
    """
    query, batch_id = _property(QUERY), options.batch or _property(BATCH)
    if options.key_columns and not batch_id:
        raise ConfigurationError(
            "a job without a stream has no number of a batch: give batchId, a name of this run "
            "that is the same when the run is repeated, or idColumn"
        )
    seen: set[str] = set()
    for batch in batches:
        for row in _utc(batch).to_pylist(maps_as_pydicts="strict"):
            name = _id(options, (query, batch_id), row)
            if name in seen:
                raise ConfigurationError(
                    f"two rows of one batch have the id {name!r}: "
                    "idColumn or keyColumns do not tell them apart"
                )
            seen.add(name)
            row.setdefault(options.id_field, name)
            channel = str(row[options.channel_column]) if options.channel_column else ""
            yield Message(name, channel or options.channel, encode(row).data.decode())


def _id(options: WriteOptions, job: tuple[str, str], row: Mapping[str, Any]) -> str:
    if options.id_column:
        if row[options.id_column] in (None, ""):
            raise ConfigurationError(f"a row has no id in the column {options.id_column!r}")
        return str(row[options.id_column])
    keys = [row[name] for name in options.key_columns]
    # The same batch of the same query has the same rows: both numbers are in the checkpoint.
    return hashlib.sha256(encode([*job, *keys]).data).hexdigest()[:32]


def _property(name: str) -> str:
    context = TaskContext.get()
    return (context.getLocalProperty(name) if context else None) or ""


def _utc(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Have times in UTC: an id must not depend on the time zone of a session."""
    columns = [
        column.cast(pa.timestamp("us", "UTC"))
        if pa.types.is_timestamp(column.type) and column.type.tz
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
