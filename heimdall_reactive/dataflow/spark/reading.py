"""What a job reads: its options, and the parts of a range of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql.datasource import InputPartition

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.dataflow.records import subject

from .exceptions import DataLost
from .options import LogOptions, SparkOptions

if TYPE_CHECKING:
    from .sync_client import LogState, SyncClient

__all__ = ["Part", "ReadOptions", "check_kept", "parts", "sequence_of"]

# Beyond so many channels in one part, a consumer for each costs more than to read them together.
MANY = 32


@dataclass(frozen=True)
class ReadOptions:
    """What a job reads; each is described in docs/dataflow/spark.md.

    Attributes:
        log: how the log is reached.
        channels: what is read, none for all.
        model: `package.module:Class`, `json`, or empty for Heimdall's messages.
        starting: `earliest`, `latest`, a sequence or a time.
        ending: the same, for a batch job.
        most: sequences in one batch, at most; 0 for no bound.
        partitions: parts that are read at the same time.
        by: `channel`, `sequence`, or `auto`.
        strict: whether records that the log has lost end the job.
        mode: `PERMISSIVE` or `FAILFAST`.
        raw: whether every row has its message in `_raw`.
    """

    log: LogOptions
    channels: tuple[str, ...]
    model: str
    starting: str
    ending: str
    most: int
    partitions: int
    by: str
    strict: bool
    mode: str
    raw: bool

    NAMES = (
        *LogOptions.NAMES, "channels", "model", "startingOffsets", "endingOffsets",
        "maxRecordsPerBatch", "partitions", "partitionBy", "failOnDataLoss", "mode", "raw",
    )  # fmt: skip

    @classmethod
    def of(cls, options: Mapping[str, str], starting: str) -> ReadOptions:
        """Read the options of a job.

        Args:
            options: as Spark has them.
            starting: where a job begins that does not say it.
        """
        given = SparkOptions(options, cls.NAMES)
        return cls(
            log=LogOptions.of(given),
            channels=given.names("channels"),
            model=given.text("model", ""),
            starting=given.text("startingOffsets", starting),
            ending=given.text("endingOffsets", "latest"),
            most=given.whole("maxRecordsPerBatch", 100_000, 0),
            partitions=given.whole("partitions", 4),
            by=given.choice("partitionBy", "auto", ("auto", "channel", "sequence")),
            strict=given.flag("failOnDataLoss", True),
            mode=given.choice("mode", "PERMISSIVE", ("PERMISSIVE", "FAILFAST")),
            raw=given.flag("raw", False),
        )


@dataclass(repr=False)
class Part(InputPartition):
    """What one task reads.

    Attributes:
        subjects: of the log.
        start: the first sequence.
        end: the sequence after the last.
    """

    subjects: tuple[str, ...]
    start: int
    end: int


def sequence_of(text: str, door: SyncClient, state: LogState) -> int:
    """Return the sequence that `earliest`, `latest`, a sequence or a time stands for."""
    if text == "earliest":
        return max(1, state.first)
    if text == "latest":
        return state.last + 1
    if text.isdecimal():
        return max(1, int(text))
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not an offset; give earliest, latest, a sequence or an ISO 8601 time"
        ) from None
    return door.sequence_at(time if time.tzinfo is not None else time.replace(tzinfo=UTC))


def check_kept(options: ReadOptions, start: int, created: str, state: LogState) -> None:
    """Refuse to go on where the log has no longer what comes next.

    Raises:
        DataLost: it has not, and `failOnDataLoss` is true.
    """
    if not options.strict:
        return
    stream = options.log.stream
    advice = (
        "to go on without them set failOnDataLoss=false; to begin again use another checkpoint; "
        "keep more with max_age and max_bytes of the stream"
    )
    if state.created != created or state.last + 1 < start:
        raise DataLost(
            f"the stream {stream!r} is not the one that the checkpoint was made with: it was "
            f"deleted and made again at {state.created}; {advice}"
        )
    if start < state.first:
        raise DataLost(
            f"the stream {stream!r} has dropped the sequences {start} to {state.first - 1} "
            f"before the job has read them; {advice}"
        )


def parts(options: ReadOptions, start: int, end: int, state: LogState) -> Sequence[Part]:
    """Return the parts of a range: by channel, or equal pieces where there are many channels."""
    stream = options.log.stream
    if start >= end:
        return []
    if options.channels:
        names = tuple(sorted({subject(stream, "in", name) for name in options.channels}))
    else:
        names = state.subjects
    count = options.partitions
    if options.by == "sequence" or (options.by == "auto" and len(names) > MANY * count):
        wanted = names if options.channels else (subject(stream, "in"),)
        size = -(-(end - start) // count)
        return [Part(wanted, at, min(end, at + size)) for at in range(start, end, size)]
    groups = [names[index::count] for index in range(count)]
    return [Part(group, start, end) for group in groups if group]
