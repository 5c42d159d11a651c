"""`use_log` where something is too large, too far, without a name, or over at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive import ConfigurationError, SendError
from heimdall_reactive.dataflow import Record, connect_log, use_log
from heimdall_reactive.dataflow.log_place import Place
from tests.support import record, run

from .nats_server import NatsServer

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")


@pytest.mark.parametrize("resend", [False, True])
async def test_a_send_that_is_too_large_for_the_log_is_rejected_and_costs_no_connection(
    log_server: NatsServer, resend: bool
) -> None:
    stream = f"T{uuid4().hex}"
    async with (
        await connect_log(log_server.url, stream) as log,
        use_log(stream, "a", servers=log_server.url, resend=resend) as store,
    ):
        errors = record(store.errors)
        await store.wait_connected(5)
        large, small = store.send("x" * 2**21), store.send("y")
        with pytest.raises(SendError, match="1048576") as caught:
            await large
        assert caught.value.state == large.state == "rejected"
        assert [str(error) for error in errors] == [str(caught.value)]
        await small
        last = await log.last("a", "out")
        assert last is not None
        assert last.data == b"y"
        assert store.connected
        assert store.state.value.session == 1
        assert store.stats.rejected == 1


def test_a_store_that_ends_with_a_ping_under_way_ends_in_order(
    log_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stream = f"T{uuid4().hex}"
        async with await connect_log(log_server.url, stream) as log:
            for _ in range(15):
                async with use_log(stream, "a", servers=log_server.url) as store:
                    await store.wait_connected(5)
            assert await log.js.consumers_info(stream) == []

    run(main, timeout=20)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("names", [{"channel": ""}, {"channel": "a", "send_channel": ""}])
def test_a_channel_without_a_name_is_refused_at_once(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        use_log("T", **names, immediate=False)


async def test_a_place_in_a_stream_that_was_made_anew_is_told_also_to_a_new_process(
    log_server: NatsServer,
) -> None:
    stream = f"T{uuid4().hex}"
    async with (
        await connect_log(log_server.url, stream) as log,
        use_log(stream, "a", servers=log_server.url, start=100, immediate=False) as store,
    ):
        await log.publish(Record("a", b"1", "1"))
        errors, reading = record(store.errors), store.stream()
        store.connect()
        async with asyncio.timeout(5):
            assert await anext(reading) == 1
        assert "recreated" in str(errors[0])


@given(st.integers(1, 50), st.integers(0, 50))
def test_a_sequence_behind_the_end_is_of_another_stream(start: int, last: int) -> None:
    place = Place(start)
    assert bool(place.enter(1, last)) == (start > last + 1)
