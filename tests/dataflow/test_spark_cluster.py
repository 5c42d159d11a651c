"""A job on two executors, one of which is killed, and its driver after it: exact all the same.

One run for all tests of this module, and for all processes that they are spread over: a JVM takes
seconds to start.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")

from heimdall_reactive.dataflow import connect_log
from heimdall_reactive.dataflow.records import Record

from .nats_server import NatsServer
from .spark_job import ROOT
from .spark_peer import AckPeer
from .spark_processes import executor_of_port, kill_marked

pytestmark = [
    pytest.mark.leaky,
    pytest.mark.timeout(620),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the executors in /proc"),
]

KEYS, RECORDS, BATCH = 40, 16_000, 4000
ROUNDS: Final = RECORDS // BATCH
NINE: Final[list[dict[str, Any]]] = [
    {"type": "accountDeleted"}, {"type": "accountBanned", "isPermanent": True},
    {"type": "sessionRevoked"}, {"type": "forceLogout"}, {"type": "rolesUpdated", "roles": []},
    {"type": "permissionsUpdated", "permissions": ["p"]},
    {"type": "rolePermissionsChanged", "roleId": "r", "roleName": "n"},
    {"type": "emailLinkVerified", "email": "e", "platformAccountId": "p"},
    {"type": "emailChangeVerified", "oldEmail": "o", "newEmail": "n"},
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a run has left.

    Attributes:
        folder: where its files are.
        taken: what the peer has got.
        tokens: with which it was connected to.
        killed: the process of the executor that was killed, and that of the driver.
        report: what the further jobs have found.
        kept: records of kind `out` in the log at the end, of two channels.
    """

    folder: Path
    taken: list[dict[str, Any]]
    tokens: list[str | None]
    killed: list[int]
    report: dict[str, Any]
    kept: list[int]


class Stage:
    """The driver as a program, and what happens to it.

    Attributes:
        folder: where its files are.
        taken: what the peer has got.
        killed: the process of the executor that was killed, and that of the driver.
    """

    def __init__(
        self, folder: Path, server: NatsServer, peer: AckPeer, java: dict[str, str]
    ) -> None:
        self.folder, self._server, self.peer = folder, server, peer
        self._java = java
        self._mark = f"HEIMDALL_TEST_MARK={os.getpid()}-{id(self)}"
        self._died = threading.Event()
        self._killing = threading.Lock()
        self._driver: subprocess.Popen[bytes]
        self.killed: list[int] = []
        self.taken = peer.taken
        peer.on_message = self._on_message

    def run(self) -> Outcome:
        """Run the job on two executors until its driver is killed, and go on in one process."""
        asyncio.run(fill(self._server.url))
        try:
            self._start("local-cluster[2,1,512]")
            assert self._ended() == -signal.SIGKILL, self.log()
            kill_marked(self._mark)
            self._died.set()
            self._start("local[2]")
            assert self._ended() == 0, self.log()
        finally:
            self._died.set()
            kill_marked(self._mark)
            self._driver.wait()
        report = json.loads((self.folder / "report.json").read_text())
        kept = [
            asyncio.run(stored(self._server.url, f"USERS.out.{name}"))
            for name in ("results", "counts")
        ]
        return Outcome(self.folder, self.taken, self.peer.tokens, self.killed, report, kept)

    def _ended(self) -> int:
        try:
            return self._driver.wait(300)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it takes too long, {len(self.taken)} messages came; {self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text()[-4000:]

    def _start(self, master: str) -> None:
        log = {"servers": self._server.url}
        given = {
            "master": master,
            "folder": str(self.folder),
            "checkpoint": str(self.folder / "checkpoint"),
            "source": {**log, "stream": "TICKS", "model": "tests.dataflow.spark_models:Tick",
                       "startingOffsets": "earliest", "maxRecordsPerBatch": BATCH,
                       "partitions": 2},
            "sink": {"endpoint": self.peer.url, "keyColumns": "key", "ackField": "ack",
                     "accessTokenFile": str(self.folder / "token")},
            "extras": {
                "report": str(self.folder / "report.json"),
                "source": {**log, "stream": "USERS", "startingOffsets": "earliest"},
                "checkpoint": str(self.folder / "counts"),
                "sink": {**log, "sink": "log", "stream": "USERS", "channel": "results",
                         "keyColumns": "type", "batchId": "the only run"},
            },
        }  # fmt: skip
        name, _, value = self._mark.partition("=")
        with (self.folder / "log").open("ab") as log_file:
            self._driver = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.dataflow.spark_job",
                 json.dumps(given)],
                cwd=ROOT, env={**os.environ, **self._java, name: value,
                               "SPARK_WORKER_DIR": str(self.folder)},
                stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file,
            )  # fmt: skip

    def _on_message(self, message: dict[str, Any], connection: Any) -> None:
        """Kill an executor in the second batch and the driver in the third, before an answer."""
        batch = message["count"] // (BATCH // KEYS)
        with self._killing:
            if batch == 2 and not self.killed:
                self.killed.append(executor_of_port(connection.remote_address[1]))
                os.kill(self.killed[0], signal.SIGKILL)
            elif batch == 3 and len(self.killed) == 1:
                self.killed.append(self._driver.pid)
                self._driver.kill()
        if len(self.killed) == 2:
            self._died.wait(60)  # the dead driver's executors get no answer any more


async def fill(url: str) -> None:
    async with await connect_log(url, "TICKS") as log:
        records = (
            Record(f"c{n % 8}", json.dumps({"key": f"k{n % KEYS}", "value": n}).encode(), id=str(n))
            for n in range(RECORDS)
        )
        for _ in range(RECORDS // 500):
            await asyncio.gather(*(log.publish(next(records)) for _ in range(500)))
    async with await connect_log(url, "USERS") as log:
        for n, message in enumerate(NINE):
            message = {"timestamp": "2026-01-01T00:00:00Z", "userId": f"u{n}", **message}
            await log.publish(Record("user", json.dumps(message).encode(), id=f"m{n}"))
        await log.publish(Record("user", b"no json", id="bad"))


async def stored(url: str, name: str) -> int:
    async with await connect_log(url, "USERS") as log:
        info = await log.js.stream_info("USERS", subjects_filter=name)
        return (info.state.subjects or {}).get(name, 0)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, log_server: NatsServer, java: dict[str, str]
) -> Outcome:
    """Run the job once: other processes of pytest-xdist wait, and take the same outcome."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "spark"
    folder.mkdir(exist_ok=True)
    kept = folder / "outcome"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.touch()  # also a run that fails is the only one
            (folder / "token").write_text("a-secret-of-the-sink")
            with AckPeer() as peer:
                kept.write_bytes(pickle.dumps(Stage(folder, log_server, peer, java).run()))
        data = kept.read_bytes()
    assert data, "it failed in another process"
    outcome = pickle.loads(data)
    assert isinstance(outcome, Outcome)
    return outcome


def test_an_executor_and_then_the_driver_were_killed_midway(stage: Outcome) -> None:
    assert len(stage.killed) == 2


def test_counts_and_sums_are_exact_for_each_key(stage: Outcome) -> None:
    last: dict[str, tuple[int, int]] = {}
    for row in stage.taken:
        last[row["key"]] = max(last.get(row["key"], (0, 0)), (row["count"], row["total"]))
    expected = {f"k{n}": (RECORDS // KEYS, sum(range(n, RECORDS, KEYS))) for n in range(KEYS)}
    assert last == expected


def test_every_result_of_every_batch_came_and_none_that_is_wrong(stage: Outcome) -> None:
    each = BATCH // KEYS
    expected = {
        (f"k{n}", each * batch, sum(range(n, BATCH * batch, KEYS)))
        for n in range(KEYS)
        for batch in range(1, ROUNDS + 1)
    }
    assert {(row["key"], row["count"], row["total"]) for row in stage.taken} == expected


def test_repeats_have_equal_ids_and_equal_contents(stage: Outcome) -> None:
    contents = defaultdict(set)
    for row in stage.taken:
        contents[row["id"]].add((row["key"], row["count"], row["total"]))
    assert len(contents) == KEYS * ROUNDS
    assert all(len(found) == 1 for found in contents.values())
    assert len(stage.taken) > len(contents), "nothing was repeated: was anything killed?"


def test_an_id_is_made_of_the_query_the_batch_and_the_key(stage: Outcome) -> None:
    query = json.loads((stage.folder / "checkpoint" / "metadata").read_text())["id"]
    ids = {(row["key"], row["count"]): row["id"] for row in stage.taken}
    for batch in range(ROUNDS):
        data = json.dumps([query, str(batch), "k0"], separators=(",", ":")).encode()
        made = hashlib.sha256(data).hexdigest()[:32]
        assert ids["k0", (batch + 1) * BATCH // KEYS] == made


def test_the_nine_messages_and_a_bad_one_are_rows(stage: Outcome) -> None:
    rows = {row["_id"]: row for row in stage.report["rows"]}
    assert [rows[f"m{n}"]["type"] for n in range(9)] == [message["type"] for message in NINE]
    assert rows["m0"]["user_id"] == "u0"
    assert rows["bad"] == {"type": None, "user_id": None, "_error": "not JSON", "_id": "bad"}


def test_the_log_has_each_result_once_though_it_was_written_twice(stage: Outcome) -> None:
    assert stage.kept[0] == len(NINE)


def test_the_example_writes_its_counts_to_the_log(stage: Outcome) -> None:
    assert stage.kept[1] == len(NINE) + 1


def test_the_token_was_used_and_is_nowhere_in_the_logs(stage: Outcome) -> None:
    assert Counter(stage.tokens).keys() == {"Bearer a-secret-of-the-sink"}
    assert "a-secret-of-the-sink" not in (stage.folder / "log").read_text()
