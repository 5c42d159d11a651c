"""`Rows`: records of the log as rows of Spark, by a model.

No field of a pydantic model begins with an underscore: the columns that we add never clash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import BaseModel
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from heimdall_reactive.base.exceptions import ConfigurationError, InvalidMessage
from heimdall_reactive.base.messages import ServerMessage
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.dataflow.records import Record

from .columns import Column, Unfit, column_of, columns_of, text_column
from .exceptions import RecordRejected

__all__ = ["JSON", "Rows", "schema_of"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

JSON: Final = "json"
"""The `model` of messages that are taken as they are: one column of text."""

VALUE: Final = "value"  # the column of a model that has no fields

UNFIT: Final = (pa.ArrowException, ValueError, TypeError, OverflowError)

ABOUT: Final = (
    StructField("_channel", StringType()),
    StructField("_id", StringType()),
    StructField("_seq", LongType()),
    StructField("_received", TimestampType()),
    StructField("_error", StringType()),
    StructField("_raw", StringType()),
)


@dataclass(frozen=True)
class Model:
    """How messages become columns.

    Attributes:
        columns: by name.
        read: makes of a message the values of the columns that it has.

    """

    columns: dict[str, Column]
    read: Callable[[Record], dict[str, Any]]


@lru_cache(maxsize=32)
def load(name: str) -> Model:
    """Return the model of a name: `package.module:Class`, empty for Heimdall's nine messages.

    Raises:
        ConfigurationError: it cannot be imported, or has no columns.
    """
    if name == JSON:
        return Model({VALUE: Column(StringType())}, lambda record: {VALUE: record.data.decode()})
    kind: Any = _import(name) if name else ServerMessage
    models = _models(kind)
    decode = Codec[Any](kind).decode
    if not models:
        column = column_of(kind)
        change = column.convert
        return Model({VALUE: column}, lambda record: {
            VALUE: _apply(change, decode(record.data, record.text))
        })  # fmt: skip
    columns, parts = _wide(models)

    def read(record: Record) -> dict[str, Any]:
        value = decode(record.data, record.text)
        found = {}
        for field, convert in parts[type(value)]:
            part = getattr(value, field)
            found[field] = part if convert is None or part is None else convert(part)
        return found

    return Model(columns, read)


def schema_of(model: str) -> StructType:
    """Return the whole schema of a model: its own columns, and those about the record."""
    own = [StructField(name, column.type) for name, column in load(model).columns.items()]
    return StructType([*own, *ABOUT])


class Rows:
    """Make rows of records.

    Args:
        schema: the columns that are wanted, some or all of `schema_of(model)`.
        model: name of the model.
        mode: `PERMISSIVE` has a record that is not of the model in a row with `_error` and
            `_raw`, `FAILFAST` ends the job.
        raw: whether every row has its message in `_raw`.

    Raises:
        ConfigurationError: a column is not of the model.
    """

    def __init__(self, schema: StructType, model: str, mode: str, raw: bool) -> None:
        self._model, self._strict, self._keep = load(model), mode == "FAILFAST", raw
        self._name, self._warned = model or "ServerMessage", False
        known = {field.name: field.dataType for field in schema_of(model).fields}
        for field in schema.fields:
            if known.get(field.name) != field.dataType:
                raise ConfigurationError(
                    f"the column {field.name} {field.dataType.simpleString()} is not of the model "
                    f"{model or 'ServerMessage'}; it has {', '.join(known)}"
                )
        self._names = [field.name for field in schema.fields]
        self._schema = to_arrow_schema(schema, timezone="UTC")

    def batch(self, records: Sequence[Record]) -> pa.RecordBatch:
        """Return the rows of some records.

        Raises:
            RecordRejected: one is not of the model, in mode `FAILFAST`.
        """
        rows = [self._row(record) for record in records]
        if not self._warned and len(rows) > 1 and all(row["_error"] for row in rows):
            self._warned = True
            logger.warning(
                "none of %d records is of the model %s (%s): has it a new field without a default?",
                len(rows), self._name, rows[0]["_error"],
            )  # fmt: skip
        try:
            return self._arrow(rows)
        except UNFIT:  # a value that is not of its field's type: a validator can do that
            return self._arrow([self._checked(*pair) for pair in zip(records, rows, strict=True)])

    def _arrow(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        columns = [
            pa.array([row.get(name) for row in rows], field.type)
            for name, field in zip(self._names, self._schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _checked(self, record: Record, row: dict[str, Any]) -> dict[str, Any]:
        try:
            self._arrow([row])
        except UNFIT as error:
            return self._about(record, {}, f"a value is not of its type ({type(error).__name__})")
        return row

    def _row(self, record: Record) -> dict[str, Any]:
        error: str | None = None
        row: dict[str, Any] = {}
        try:
            row = self._model.read(record)
        except InvalidMessage as found:
            error = found.reason
        except Unfit as found:
            error = str(found)
        except UnicodeDecodeError:
            error = "not UTF-8"
        except Exception as found:  # of a user's type; its text may quote the message
            error = f"a value cannot be converted ({type(found).__name__})"
        return self._about(record, row, error)

    def _about(self, record: Record, row: dict[str, Any], error: str | None) -> dict[str, Any]:
        """Add what is known of the record, whatever became of the message."""
        if error is not None and self._strict:
            raise RecordRejected(
                f"the record {record.seq} of {record.channel!r} is not of the model: {error}; "
                "mode=PERMISSIVE gives it in a row with _error and _raw"
            )
        row["_channel"], row["_id"] = _text(record.channel), _text(record.id)
        row["_seq"] = record.seq
        row["_received"] = int(record.received * 1e6)
        row["_error"] = error
        row["_raw"] = record.data.decode(errors="replace") if error or self._keep else None
        return row


def _text(name: str) -> str:
    """Return a name that a server chose as Arrow takes it: half a surrogate pair as `?`."""
    return name if name.isascii() else name.encode(errors="replace").decode()


def _import(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"model={name!r} cannot be imported ({error}); give package.module:Class, and ship "
            "the package to the executors with spark.submit.pyFiles or a virtual environment"
        ) from None
    return found


def _models(kind: Any) -> tuple[type[BaseModel], ...]:
    """Return the models of a union, or the one; none where anything else is in it."""
    if get_origin(kind) is Annotated:
        return _models(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        found = [_models(part) for part in get_args(kind)]
        return tuple(model for models in found for model in models) if all(found) else ()
    plain = isinstance(kind, type) and issubclass(kind, BaseModel)
    return (kind,) if plain and "root" not in kind.model_fields else ()


Parts = dict[type[BaseModel], list[tuple[str, Callable[[Any], Any] | None]]]


def _wide(models: Sequence[type[BaseModel]]) -> tuple[dict[str, Column], Parts]:
    """Return the columns of all models side by side; of one name with two types, JSON text."""
    each = {model: columns_of(model) for model in models}
    columns: dict[str, Column] = {}
    for own in each.values():
        for name, column in own.items():
            if name in columns and columns[name].type != column.type:
                for other in each.values():
                    if name in other:
                        other[name] = text_column(Any)
                column = text_column(Any)
            columns[name] = column
    lower = [name.lower() for name in columns]
    if clash := {name for name in lower if lower.count(name) > 1}:
        raise ConfigurationError(
            f"fields that differ in case only are one column for Spark: {', '.join(sorted(clash))}"
        )
    parts = {
        model: [(name, column.convert) for name, column in own.items()]
        for model, own in each.items()
    }
    return columns, parts


def _apply(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)
