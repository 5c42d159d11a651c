"""Models become columns, messages become rows; none is lost, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")

from pyspark.sql.types import StructField, StructType

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow.records import Record
from heimdall_reactive.dataflow.spark.exceptions import RecordRejected
from heimdall_reactive.dataflow.spark.rows import Rows, schema_of

HERE = "tests.dataflow.spark_models:"
ABOUT = ["_channel", "_id", "_seq", "_received", "_error", "_raw"]
EVERYTHING: dict[str, Any] = {
    "text": "t", "whole": 2**62, "real": 0.5, "yes": True, "when": "2026-01-02T03:04:05+02:00",
    "day": "2026-01-02", "money": "12.5", "price": "999999.99", "names": ["a", "b"],
    "points": [{"x": 1}, {"x": 2, "label": "two"}], "numbers": {"one": 1}, "point": {"x": 3},
    "side": "buy", "kind": "a", "either": "x", "anything": {"deep": [1]},
    "unique": "12345678-1234-5678-1234-567812345678", "secret": "hush", "pair": [1, "x"],
    "many": [1, 2], "tree": {"name": "root", "children": [{"name": "leaf"}]},
}  # fmt: skip


def record(value: Any, **fields: Any) -> Record:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record("c", data, **{"id": "7", "seq": 3, "received": 1.5, **fields})


def rows(model: str, *records: Record, mode: str = "PERMISSIVE", raw: bool = False) -> list[Any]:
    made = Rows(schema_of(model), model, mode, raw).batch(records)
    found: list[Any] = made.to_pylist(maps_as_pydicts="strict")
    return found


def kinds(model: str) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema_of(model).fields}


def test_older_records_without_a_new_required_field_are_told_in_rows_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    older = [record({"key": "k"}), record({"key": "k"})]
    made = rows(HERE + "Tick", *older)
    assert [row["key"] for row in made] == [None, None]
    assert all("value" in row["_error"] for row in made)
    assert "none of 2 records is of the model" in caplog.text
    assert "has it a new field without a default?" in caplog.text
    caplog.clear()
    rows(HERE + "Tick", *older, record({"key": "k", "value": 1}))
    assert caplog.text == ""


def test_each_kind_of_field_has_its_column() -> None:
    own = kinds(HERE + "All")
    assert list(own)[-6:] == ABOUT
    assert {name: own[name] for name in own if name not in ABOUT} == {
        "text": "string", "whole": "bigint", "real": "double", "yes": "boolean",
        "when": "timestamp", "day": "date", "money": "decimal(38,18)", "price": "decimal(8,2)",
        "names": "array<string>", "points": "array<struct<x:double,label:string>>",
        "numbers": "map<string,bigint>", "maybe": "bigint",
        "point": "struct<x:double,label:string>", "side": "string", "kind": "string",
        "either": "string", "anything": "string", "unique": "string", "secret": "string",
        "pair": "string", "many": "array<bigint>",
        "tree": "struct<name:string,children:array<string>>",
    }  # fmt: skip


def test_each_kind_of_value_is_in_its_row() -> None:
    (row,) = rows(HERE + "All", record(EVERYTHING))
    assert row["_error"] is None, row["_error"]
    assert row["when"] == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert (row["day"], row["money"], row["price"]) == (
        date(2026, 1, 2), Decimal("12.5"), Decimal("999999.99"),
    )  # fmt: skip
    assert row["points"] == [{"x": 1.0, "label": None}, {"x": 2.0, "label": "two"}]
    assert (row["numbers"], row["maybe"], row["side"]) == ({"one": 1}, None, "buy")
    assert (row["either"], row["anything"], row["pair"]) == ('"x"', '{"deep":[1]}', '[1,"x"]')
    assert row["unique"] == EVERYTHING["unique"]
    assert "hush" not in row["secret"]
    assert json.loads(row["tree"]["children"][0]) == {"name": "leaf", "children": []}
    assert (row["_channel"], row["_id"], row["_seq"], row["_raw"]) == ("c", "7", 3, None)
    assert row["_received"] == datetime.fromtimestamp(1.5, UTC)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"key": "k"}', "value: Field required"),
        (b"no json", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"key": "k", "value": 9223372036854775808}', "a whole number of more than 64 bits"),
    ],
)
def test_a_record_that_is_not_of_the_model_is_a_row_with_its_reason(
    data: bytes, error: str
) -> None:
    good = record({"key": "k", "value": 1})
    first, bad, last = rows(HERE + "Tick", good, record(data), good)
    assert first["value"] == last["value"] == 1
    assert (bad["_error"], bad["key"], bad["_id"]) == (error, None, "7")
    assert bad["_raw"] == data.decode(errors="replace")


def test_mode_failfast_ends_the_job_without_the_payload_in_the_error() -> None:
    with pytest.raises(RecordRejected, match="record 3 of 'c'") as caught:
        rows(HERE + "Tick", record({"key": "hush-hush"}), mode="FAILFAST")
    assert "hush-hush" not in str(caught.value)


def test_decimals_that_do_not_fit_are_reported_not_rounded() -> None:
    for money in ("1e25", "0.0000000000000000001", "NaN"):
        (row,) = rows(HERE + "All", record({**EVERYTHING, "money": money}))
        assert row["_error"], money


def test_a_value_that_is_not_of_its_type_costs_its_own_row_only() -> None:
    assert kinds(HERE + "Liar")["at"] == "timestamp"
    at = "2026-01-02T03:04:05Z"
    found = rows(HERE + "Liar", *(record({"value": n, "at": at}) for n in (12, 13, 14)))
    assert [row["value"] for row in found] == [12, None, 14]
    assert found[1]["_error"]
    assert "hush" not in found[1]["_error"]


def test_the_nine_messages_are_one_wide_row() -> None:
    own = kinds("")
    assert own["user_id"] == own["type"] == own["role_name"] == "string"
    assert (own["roles"], own["expires_at"], own["is_permanent"]) == (
        "array<string>", "timestamp", "boolean",
    )  # fmt: skip
    about = {"timestamp": "2026-01-02T03:04:05Z", "userId": "u"}
    deleted, roles, strange = rows(
        "",
        record({"type": "accountDeleted", **about}),
        record({"type": "rolesUpdated", "roles": ["admin"], **about}),
        record({"type": "somethingNew", "x": 1}),
    )
    assert (deleted["type"], deleted["user_id"]) == ("accountDeleted", "u")
    assert (roles["roles"], roles["reason"]) == (["admin"], None)
    assert strange["_error"]
    assert json.loads(strange["_raw"])["x"] == 1


def test_fields_of_one_name_and_two_types_are_json() -> None:
    assert kinds(HERE + "Either")["clash"] == "string"
    left, right = rows(
        HERE + "Either",
        record({"type": "left", "size": 1, "clash": 2}),
        record({"type": "right", "width": 0.5, "clash": "x"}),
    )
    assert (left["clash"], right["clash"]) == ("2", '"x"')
    assert (left["size"], left["width"], right["width"]) == (1, None, 0.5)


def test_messages_can_be_taken_as_they_are() -> None:
    (row,) = rows("json", record([1, 2]), raw=True)
    assert row["value"] == row["_raw"] == "[1, 2]"
    (row,) = rows("builtins:int", record(5))
    assert row["value"] == 5


def test_some_columns_can_be_chosen_and_no_others() -> None:
    whole = schema_of(HERE + "Tick")
    chosen = StructType([whole["value"], whole["_seq"]])
    batch = Rows(chosen, HERE + "Tick", "PERMISSIVE", False).batch(
        [record({"key": "k", "value": 1})]
    )
    assert batch.to_pylist() == [{"value": 1, "_seq": 3}]
    strange = StructType([StructField("nothing", whole["_seq"].dataType)])
    with pytest.raises(ConfigurationError, match="nothing bigint is not of the model"):
        Rows(strange, HERE + "Tick", "PERMISSIVE", False)


@pytest.mark.parametrize("name", ["nowhere:Tick", "json:Nothing", "Tick"])
def test_a_model_that_can_not_be_imported_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"package\.module:Class"):
        schema_of(name)
