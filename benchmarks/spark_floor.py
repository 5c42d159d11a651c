"""A source of Spark that reads nothing: what a batch costs Spark itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

__all__ = ["FloorSource"]

PARTS: Final = 2
COLUMNS: Final = pa.schema([("key", pa.string()), ("value", pa.int64())])


class FloorSource(DataSource):
    """The format `floor`: so many `messages`, in batches of `size`, made without reading."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "floor"

    def schema(self) -> str:
        """Return the columns that the queries here use."""
        return "key string, value long"

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802
        """Return what makes the rows."""
        return _Reader(int(self.options["messages"]), int(self.options["size"]))


class _Reader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    def __init__(self, messages: int, size: int) -> None:
        self._messages, self._size = messages, size

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        return {"seq": 0}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadMaxRows(self._size)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """Do nothing: it ends by itself."""

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802
        return {"seq": min(self._messages, start["seq"] + self._size)}

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        each = -(-(end["seq"] - start["seq"]) // PARTS)
        return [InputPartition(each)] * PARTS if each else []

    def read(self, partition: InputPartition) -> Iterator[Any]:
        numbers = range(partition.value)
        columns = [[f"key-{n % 40}" for n in numbers], list(numbers)]
        yield pa.RecordBatch.from_arrays(
            [pa.array(one, kind.type) for one, kind in zip(columns, COLUMNS, strict=True)],
            schema=COLUMNS,
        )
