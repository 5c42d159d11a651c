"""What a task of the sink does, without Spark: messages arrive, and repeats have equal ids."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql.types import StructType

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import connect_log
from heimdall_reactive.dataflow.spark import HeimdallDataSource, PeerUnavailable

from .nats_server import NatsServer
from .spark_peer import AckPeer

SCHEMA = StructType().add("key", "string").add("total", "long")


def write(rows: list[dict[str, Any]], **options: Any) -> int:
    given = {"batchId": "7", **{name: str(value) for name, value in options.items()}}
    writer = HeimdallDataSource(given).streamWriter(SCHEMA, False)
    message: Any = writer.write(iter([pa.RecordBatch.from_pylist(rows)]))
    count: int = message.count
    return count


def results(count: int) -> list[dict[str, Any]]:
    return [{"key": f"k{index}", "total": index} for index in range(count)]


def test_each_row_is_acknowledged_before_the_task_is_done() -> None:
    with AckPeer() as peer:
        count = write(results(100), endpoint=peer.url, keyColumns="key", ackField="ack", window=8)
        assert count == len(peer.taken) == 100
        assert {(row["key"], row["total"]) for row in peer.taken} == {
            (f"k{index}", index) for index in range(100)
        }


def test_a_repeat_has_equal_ids() -> None:
    with AckPeer() as peer:
        for _ in range(2):
            write(results(10), endpoint=peer.url, keyColumns="key", ackField="ack")
        assert len(peer.taken) == 20
        assert len({row["id"] for row in peer.taken}) == 10


def test_what_was_under_way_is_sent_again_over_the_next_connection() -> None:
    with AckPeer() as peer:
        cuts = iter((3, 30))
        cut = next(cuts)

        def on_message(_: Any, connection: Any) -> None:
            nonlocal cut
            if len(peer.taken) == cut:
                cut = next(cuts, 0)
                connection.close(1012)

        peer.on_message = on_message
        write(results(50), endpoint=peer.url, idColumn="key", ackField="ack", window=8)
        assert {row["id"] for row in peer.taken} == {f"k{index}" for index in range(50)}
        assert len(peer.tokens) == 3


def test_without_acknowledgements_all_is_written() -> None:
    with AckPeer() as peer:
        peer.answers = False
        assert write(results(300), endpoint=peer.url, idColumn="key", window=16) == 300
        peer.wait(300, 20)
        assert [row["id"] for row in peer.taken] == [f"k{index}" for index in range(300)]


def test_a_peer_that_acknowledges_nothing_fails_the_task() -> None:
    with AckPeer() as peer, pytest.raises(PeerUnavailable, match="2 messages were not acknow"):
        write(results(2), endpoint=peer.url, idColumn="key", ackField="other", timeout=1)


def test_the_token_is_read_where_it_is_needed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PEER_TOKEN", "from-env")
    (tmp_path / "token").write_text("from-file\n")
    with AckPeer() as peer:
        common = {"endpoint": peer.url, "idColumn": "key", "ackField": "ack"}
        write(results(1), accessTokenEnv="PEER_TOKEN", **common)
        write(results(1), accessTokenFile=tmp_path / "token", **common)
        assert peer.tokens == ["Bearer from-env", "Bearer from-file"]
        with pytest.raises(ConfigurationError, match="no access token in the environment"):
            write(results(1), accessTokenEnv="NO_SUCH_TOKEN", **common)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "either idColumn"),
        ({"idColumn": "key", "keyColumns": "key"}, "either idColumn"),
        ({"keyColumns": "key,nothing"}, "no column nothing"),
        ({"idColumn": "key", "idField": "total"}, "name another idField"),
        ({"idColumn": "key", "sink": "log", "stream": "s"}, "channel or channelColumn"),
    ],
)
def test_a_sink_that_can_not_work_is_refused(options: dict[str, str], text: str) -> None:
    endpoint = {} if options.get("sink") else {"endpoint": "ws://127.0.0.1:9"}
    with pytest.raises(ConfigurationError, match=text):
        HeimdallDataSource({**endpoint, **options}).streamWriter(SCHEMA, False)


def test_two_rows_of_one_id_are_refused() -> None:
    with AckPeer() as peer, pytest.raises(ConfigurationError, match="two rows of one batch"):
        write([{"key": "a", "total": 1}] * 2, endpoint=peer.url, idColumn="key", ackField="ack")


def test_a_run_without_a_number_needs_a_name() -> None:
    with AckPeer() as peer, pytest.raises(ConfigurationError, match="give batchId"):
        write(results(1), endpoint=peer.url, keyColumns="key", batchId="")


def test_the_log_keeps_each_id_once(log_server: NatsServer, stream: str) -> None:
    async def stored() -> int:
        async with await connect_log(log_server.url, stream) as log:
            return (await log.js.stream_info(stream)).state.messages

    assert asyncio.run(stored()) == 0
    for _ in range(2):
        count = write(results(100), sink="log", servers=log_server.url, stream=stream,
                      channelColumn="key", keyColumns="key", window=9)  # fmt: skip
        assert count == 100
        assert asyncio.run(stored()) == 100
