"""`connect_log`: which streams it takes, and which it refuses before anything is lost in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError, Status
from heimdall_reactive.dataflow import Record, connect_log, use_log

from .conftest import served
from .nats_server import PROGRAMS, NatsServer, version

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")


async def make(server: NatsServer, stream: str, **config: Any) -> None:
    """Make a stream as another program would."""
    from nats.js.api import StreamConfig

    async with await connect_log(server.url, "other") as log:
        await log.js.add_stream(StreamConfig(name=stream, **config))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"subjects": ["S.>"], "retention": "interest"}, "retention=limits"),
        ({"subjects": ["S.>"], "retention": "workqueue"}, "retention=limits"),
        ({"subjects": ["S.in.*", "S.out.a"]}, "does not take S.gap.*, S.out.*; add them"),
        ({"subjects": ["S.>"], "no_ack": True}, "acknowledges nothing"),
    ],
)
async def test_a_stream_that_would_lose_records_is_refused_by_every_door(
    log_server: NatsServer, stream: str, config: dict[str, Any], complaint: str
) -> None:
    given = {**config, "subjects": [one.replace("S.", f"{stream}.") for one in config["subjects"]]}
    await make(log_server, stream, **given)
    complaint = complaint.replace("S.", f"{stream}.")
    with pytest.raises(ConfigurationError) as caught:
        await connect_log(log_server.url, stream)
    assert complaint in str(caught.value)
    async with use_log(stream, servers=log_server.url) as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert complaint in str(state.error)


@pytest.mark.parametrize("subjects", [["S.>"], ["S.*.*"], ["S.in.>", "S.gap.*", "S.out.*"]])
async def test_a_stream_that_takes_all_subjects_may_name_them_in_any_way(
    log_server: NatsServer, stream: str, subjects: list[str]
) -> None:
    await make(log_server, stream, subjects=[one.replace("S.", f"{stream}.") for one in subjects])
    async with await connect_log(log_server.url, stream) as log:
        assert log.stream == stream


@pytest.mark.parametrize("program", PROGRAMS or [""], ids=version)
async def test_an_id_from_before_a_purge_is_a_repeat(tmp_path: Path, program: str) -> None:
    with served(tmp_path, program=program) as server:
        async with await connect_log(server.url, "S") as log:
            assert not (await log.publish(Record("c", b"1", "1"))).duplicate
            await log.js.purge_stream("S")
            assert (await log.publish(Record("c", b"1", "1"))).duplicate
            assert (await log.js.stream_info("S")).state.messages == 0
            await log.js.delete_stream("S")
        async with await connect_log(server.url, "S") as log:
            assert not (await log.publish(Record("c", b"1", "1"))).duplicate
