"""The newest records of many channels: at once where the server can, else one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heimdall_reactive.dataflow import Log, LogError, Record, connect_log, last_records

from .conftest import served
from .nats_server import PROGRAMS, NatsServer, version

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

NAMES = [f"c{number:03}" for number in range(40)]


@pytest.fixture(scope="module", params=PROGRAMS or [""], ids=version)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    with served(tmp_path_factory.mktemp("last"), program=request.param) as running:
        yield running


async def fill(log: Log) -> list[Record]:
    """Write two records of each second channel; return the newest of each."""
    for number, name in enumerate(NAMES[::2]):
        for turn in range(2):
            one = Record(
                name, b"\x00%d" % turn, f"{number}.{turn}", received=7.5, text=False,
                headers={"Heimdall-Copy": "a"},
            )  # fmt: skip
            await log.publish(one)
    found = [await log.last(name) for name in NAMES]
    return [record for record in found if record is not None]


async def asked(log: Log, names: list[str]) -> tuple[list[Record], int]:
    """Return the newest records, by channel, and how many requests it took."""
    before = log.client.stats["out_msgs"]
    found = await last_records.last_records(log, names)
    return sorted(found, key=lambda one: one.channel), log.client.stats["out_msgs"] - before


def can_at_once(log: Log) -> bool:
    is_new = log.client.connected_server_version
    return (is_new.major, is_new.minor) >= (2, 11)


async def test_they_are_those_of_each_channel(
    server: NatsServer, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await connect_log(server.url, stream) as log:
        wanted = await fill(log)
        assert len(wanted) == 20
        found, requests = await asked(log, NAMES)
        assert found == wanted
        assert requests == (2 if can_at_once(log) else 40)
        monkeypatch.setattr(last_records, "MOST", 15)
        assert await asked(log, NAMES) == (wanted, 4 if can_at_once(log) else 40)
        assert await asked(log, NAMES[:1]) == (wanted[:1], 1)
        assert await asked(log, []) == ([], 0)
        assert (await asked(log, ["none", "at all"]))[0] == []


async def test_a_stream_that_does_not_allow_it_is_asked_one_by_one(
    server: NatsServer, stream: str
) -> None:
    async with await connect_log(server.url, stream) as log:
        config = (await log.js.stream_info(stream)).config
        await log.js.update_stream(config, allow_direct=False)
        wanted = await fill(log)
        found, requests = await asked(log, NAMES)
        assert found == wanted
        assert requests >= 40


async def test_what_a_replica_says_that_lags_is_not_believed(
    server: NatsServer, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await connect_log(server.url, stream) as log:
        wanted = await fill(log)
        told = type(log.js).stream_info

        async def of_the_leader(*args: str) -> object:
            info = await told(log.js, *args)
            info.state.last_seq += 1
            return info

        monkeypatch.setattr(log.js, "stream_info", of_the_leader)
        found, requests = await asked(log, NAMES)
        assert found == wanted
        assert requests >= 40


async def test_a_log_that_does_not_answer_is_named(tmp_path: Path, stream: str) -> None:
    with served(tmp_path) as mortal:
        async with await connect_log(mortal.url, stream) as log:
            mortal.kill()
            with pytest.raises(LogError, match="the log did not answer"):
                await last_records.last_records(log, NAMES)
