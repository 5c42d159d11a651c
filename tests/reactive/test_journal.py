"""What a store reports about itself: the journal, the counters as an observable, the log."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import Any

import pytest

from heimdall_reactive import (
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    Stats,
    Status,
    use_websocket,
)
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import ConnectionState, Gap
from heimdall_reactive.reactive.journal import LIMIT, Journal
from heimdall_reactive.testing import Refuse, ScriptedPeer, Unreachable
from heimdall_reactive.testing import run as run_virtual
from tests.socket_peer import SocketPeer
from tests.support import errors_in, record, until

URL = "ws://user:s3cret-canary@localhost/v1/ws?t=s3cret-canary"
CANARY = "s3cret-canary"


def events(journal: Journal) -> list[tuple[Any, ...]]:
    """Return the events with what tells them apart."""
    shown = ("status", "attempt", "code", "error", "source")
    return [
        (entry.event, *(entry.details[name] for name in shown if name in entry.details))
        for entry in journal
    ]


def failing(_: object) -> None:
    raise LookupError(CANARY)


# The journal


@pytest.mark.heimdall_virtual_time
async def test_a_journal_tells_what_happened_and_when() -> None:
    peer = ScriptedPeer(Refuse(401))
    options: dict[str, Any] = {"access_token": lambda: "token", "transport": peer}
    store = use_websocket(URL.replace("user:s3cret-canary@", ""), **options)
    link = await peer.accepted()
    link.send({"n": 1})
    link.send("{not JSON", text=True)
    await asyncio.sleep(2)
    link.close(1012, "restart")
    await peer.accepted()
    await store.wait_connected()
    await store.aclose()
    assert events(store.journal) == [
        ("dial", 0),
        ("token", "provider"),
        ("state", "waiting", 1, 1006, "HandshakeRefused"),
        ("dial", 1),
        ("token", "provider"),
        ("state", "connected"),
        ("error", "InvalidMessage"),
        ("state", "waiting", 1, 1012, "ConnectionLost"),
        ("dial", 1),
        ("token", "provider"),
        ("state", "connected"),
        ("gap",),
        ("state", "disconnecting"),
        ("state", "disconnected", 1000),
    ]
    times = [entry.at for entry in store.journal]
    assert times == sorted(times)
    assert times[-1] - times[0] >= 5


def test_an_entry_has_every_detail_of_its_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "heimdall_reactive")
    now = 1_700_000_000.0
    journal = Journal("ws://h/", lambda: now)
    states = [ConnectionState().connecting(0)]
    states.append(states[-1].connected(now))
    close = CloseInfo(1012, "restart", "server")
    states.append(states[-1].waiting(1, now + 3, close, ConnectionLost(1012, "restart")))
    states.append(states[-1].connecting(1))
    refused = CloseInfo(1006, "no", "server", 503)
    states.append(states[-1].failed(refused, LookupError(CANARY)))
    for state in states:
        journal.on_transition((ConnectionState(), state))
    journal.on_error(ConnectError("x" * 300, "reset"))
    journal.on_gap(Gap(1.0, 2.0, 2))
    journal.on_token("set")
    assert [entry.as_dict() for entry in journal] == [
        {"at": now, **entry}
        for entry in (
            {"event": "dial", "attempt": 0, "session": 0},
            {"event": "state", "status": "connected", "session": 1},
            {
                "event": "state", "status": "waiting", "session": 1,
                "attempt": 1, "retry_at": now + 3,
                "code": 1012, "reason": "restart", "who": "server",
                "error": "ConnectionLost", "cause": "close 1012",
                "text": "the connection ended with code 1012 (restart)",
            },
            {"event": "dial", "attempt": 1, "session": 1},
            {
                "event": "state", "status": "failed", "session": 1,
                "code": 1006, "reason": "no", "who": "server", "http_status": 503,
                "error": "LookupError",
            },
            {"event": "error", "error": "ConnectError", "text": "x" * 200, "cause": "reset"},
            {"event": "gap", "since": 1.0, "until": 2.0, "session": 2},
            {"event": "token", "source": "set"},
        )
    ]  # fmt: skip
    assert str(journal).splitlines()[0] == "2023-11-14T22:13:20.000+00:00 dial attempt=0 session=0"
    first = caplog.records[0]
    assert first.getMessage() == "ws://h/: dial attempt=0 session=0"
    assert (first.levelno, first.__dict__["event"]) == (logging.DEBUG, "dial")
    assert first.__dict__["details"] == {"attempt": 0, "session": 0}


def test_a_journal_writes_no_log_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heimdall_reactive")
    Journal("ws://h/", lambda: 0.0).on_token("set")
    assert caplog.records == []


async def test_a_journal_over_a_real_reconnection_is_json_and_text_line_by_line() -> None:
    async with SocketPeer() as peer:
        store = use_websocket(peer.url, reconnect_delay=0.02)
        async with store:
            (await peer.accepted()).drop()
            (await peer.accepted()).send({"n": 1})
            await until(store, lambda: store.last_message.value == {"n": 1})
            lines = store.journal.as_json().splitlines()
            assert [json.loads(line)["event"] for line in lines] == [
                "dial", "state", "state", "dial", "state", "gap",
            ]  # fmt: skip
            assert [json.loads(line) for line in lines] == [e.as_dict() for e in store.journal]
            text = str(store.journal).splitlines()
            assert len(text) == len(store.journal) == 6
            assert "+00:00 state status='waiting' session=1 attempt=1" in text[2]


@pytest.mark.heimdall_virtual_time
async def test_a_journal_has_no_secret_and_no_payload() -> None:
    peer = ScriptedPeer()
    async with use_websocket(
        URL, transport=peer, message_type=dict[str, int], reconnect_delay=0.1
    ) as store:
        link = await peer.accepted()
        link.send({"key": CANARY})
        link.send({"n": 1})
        store.messages.subscribe(failing)
        await asyncio.sleep(1)
        link.send({"n": 2})
        await asyncio.sleep(1)
        link.close(4000, f"no {CANARY}")
        await asyncio.sleep(1)
        store.set_access_token(CANARY)
        shown = str(store.journal) + store.journal.as_json() + repr(list(store.journal))
        assert CANARY not in shown
        assert "InvalidMessage" in shown
        assert "ObserverError" in shown
        assert "'set'" in shown


@pytest.mark.heimdall_virtual_time
async def test_a_journal_keeps_the_last_entries_and_is_bounded() -> None:
    peer = ScriptedPeer(*[Unreachable()] * 200)
    options: dict[str, Any] = {"max_reconnect_attempts": None, "reconnect_delay": 1}
    async with use_websocket("ws://localhost/", transport=peer, **options) as store:
        await peer.accepted()
        assert len(store.journal) == LIMIT
        assert [entry.event for entry in store.journal][:2] == ["state", "dial"]


@pytest.mark.heimdall_virtual_time
async def test_a_message_makes_no_entry() -> None:
    peer = ScriptedPeer()
    async with use_websocket("ws://localhost/", transport=peer) as store:
        link = await peer.accepted()
        await store.wait_connected()
        before = len(store.journal)
        for n in range(100):
            link.send({"n": n})
            store.send({"n": n})
        await asyncio.sleep(1)
        assert store.stats.received == 100
        assert len(store.journal) == before


@pytest.mark.heimdall_virtual_time
async def test_those_who_share_a_connection_have_one_journal() -> None:
    peer = ScriptedPeer()
    options: dict[str, Any] = {"transport": peer, "share": True, "share_linger": 0}
    async with use_websocket(URL, **options) as first, use_websocket(URL, **options) as second:
        await peer.accepted()
        await first.wait_connected()
        assert first.journal is second.journal
        assert events(first.journal) == [("dial", 0), ("state", "connected")]


# The counters


@pytest.mark.heimdall_virtual_time
async def test_the_counters_come_again_and_again_until_the_store_ends() -> None:
    clock = asyncio.get_running_loop().time
    peer = ScriptedPeer()
    store = use_websocket("ws://localhost/", transport=peer)
    seen: list[tuple[float, int]] = []
    ended: list[str] = []

    def see(stats: Stats) -> None:
        seen.append((round(clock()), stats.received))

    store.stats_every(10).subscribe(see, on_completed=lambda: ended.append("end"))
    stopped = store.stats_every(10).subscribe(see)
    stopped.dispose()
    link = await peer.accepted()
    link.send({"n": 1})
    await asyncio.sleep(25)
    link.drop()
    link = await peer.accepted()
    link.send({"n": 2})
    await asyncio.sleep(10)
    assert seen == [(10, 1), (20, 1), (30, 2)]
    await store.aclose()
    assert ended == ["end"]
    late: list[str] = []
    store.stats_every(1).subscribe(on_completed=lambda: late.append("end"))
    assert late == ["end"]


def test_the_counters_come_from_the_background_thread_as_well() -> None:
    with use_websocket("ws://127.0.0.1:9", immediate=False) as store:
        found: SimpleQueue[tuple[Stats, str]] = SimpleQueue()
        store.stats_every(0.01).subscribe(
            lambda stats: found.put((stats, threading.current_thread().name))
        )
        assert found.get(timeout=5) == (store.stats, "heimdall-reactive")


@pytest.mark.heimdall_virtual_time
async def test_an_observer_of_the_counters_that_raises_is_reported() -> None:
    async with use_websocket("ws://localhost/", transport=ScriptedPeer()) as store:
        errors, seen = record(store.errors), record(store.stats_every(1))
        store.stats_every(1).subscribe(failing)
        await asyncio.sleep(3.5)
        assert len(errors) >= 1
        assert len(seen) == 3


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", None])
def test_a_period_that_is_none_is_refused(seconds: Any) -> None:
    with (
        use_websocket("ws://127.0.0.1:9", immediate=False) as store,
        pytest.raises(ConfigurationError, match="a period must be more than 0 seconds"),
    ):
        store.stats_every(seconds)


# The log


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was logged without being asked for."""
    ours = [each for each in caplog.records if each.name == "heimdall_reactive"]
    return [(each.levelname, each.getMessage()) for each in ours if each.levelno > logging.DEBUG]


def test_a_store_says_by_itself_that_it_lost_its_server_and_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "heimdall_reactive")

    async def main() -> None:
        peer = ScriptedPeer(Unreachable(), Unreachable())
        async with use_websocket(URL, transport=peer, reconnect_delay=lambda _: 2.0) as store:
            link = await peer.accepted()
            await store.wait_connected()
            link.close(1012, f"bye {CANARY}")
            link = await peer.accepted()
            await store.wait_for(lambda state: state.session == 2)

    run_virtual(main)
    where, again = "ws://localhost/v1/ws", "reconnecting in 2 s"
    assert told(caplog) == [
        ("WARNING", f"{where}: no connection: Connection refused; {again} (attempt 1)"),
        ("INFO", f"{where}: connected"),
        (
            "WARNING",
            f"{where}: the connection ended with code 1012 (bye ***); {again} (attempt 3)",
        ),
        ("INFO", f"{where}: connected again"),
    ]


def test_a_store_that_gives_up_says_so_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heimdall_reactive")

    async def main() -> None:
        for answers in ((Unreachable(), Unreachable()), (Refuse(404),)):
            async with use_websocket(
                "/v1/ws",
                transport=ScriptedPeer(*answers),
                max_reconnect_attempts=1,
                reconnect_delay=lambda _: 2.0,
            ) as store:
                await store.wait_for(lambda state: state.status is Status.FAILED)

    run_virtual(main)
    where = "ws://localhost:3000/v1/ws"
    advice = "connect() tries again"
    refused = "the server refused the WebSocket with HTTP 404; check the endpoint's path"
    assert told(caplog) == [
        ("WARNING", f"{where}: no connection: Connection refused; reconnecting in 2 s (attempt 1)"),
        ("WARNING", f"{where}: gave up: no connection: Connection refused; {advice}"),
        ("WARNING", f"{where}: gave up: {refused}; {advice}"),
    ]


def test_a_long_delay_is_told_in_minutes(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        peer = ScriptedPeer(Unreachable())
        async with use_websocket(URL, transport=peer, reconnect_delay=lambda _: 3000) as store:
            await store.wait_for(lambda state: state.status is Status.WAITING)

    run_virtual(main)
    where = "ws://localhost/v1/ws"
    words = "no connection: Connection refused; reconnecting in 50 minutes (attempt 1)"
    assert told(caplog) == [("WARNING", f"{where}: {words}")]


def test_a_store_that_the_server_ended_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heimdall_reactive")

    async def main() -> None:
        for auto, code in ((False, 1012), (True, 1000)):
            peer = ScriptedPeer()
            async with use_websocket(
                URL, transport=peer, auto_reconnect=auto, reconnect_rules={"close 1000": "end"}
            ) as store:
                (await peer.accepted()).close(code, "")
                await store.wait_for(lambda state: state.status is Status.DISCONNECTED)

    run_virtual(main)  # a goodbye that the program has a rule for is not a failure
    text = "the connection ended with code 1012; connect() connects again"
    assert told(caplog) == [("WARNING", f"ws://localhost/v1/ws: ended: {text}")]


def test_a_session_that_the_server_ended_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with use_websocket(URL, transport=peer) as store:
            link = await peer.accepted()
            link.send({"type": "forceLogout", "userId": "u", "timestamp": "2026-01-01T00:00:00Z"})
            link.close(1008, "")
            await store.wait_for(lambda state: state.status is Status.FAILED)

    run_virtual(main)
    text = "the server ended the session (forceLogout); connect() connects again"
    assert told(caplog) == [("WARNING", f"ws://localhost/v1/ws: {text}")]


def test_an_error_of_another_library_is_named_and_not_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Journal("log:STREAM/*", lambda: 0.0)
    dialled = ConnectionState().connecting(0)
    journal.on_transition((dialled, dialled.failed(None, LookupError(CANARY))))
    assert told(caplog) == [
        ("WARNING", "log:STREAM/*: gave up: LookupError; connect() tries again")
    ]


def test_a_user_who_disconnects_is_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heimdall_reactive")

    async def main() -> None:
        async with use_websocket(URL, transport=ScriptedPeer()) as store:
            await store.wait_connected()
            store.reconnect(overlap=True)
            await store.wait_for(lambda state: state.session == 2)
            store.disconnect()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
            store.connect()
            await store.wait_connected()

    run_virtual(main)
    assert told(caplog) == []


def test_without_any_logging_a_store_tells_on_standard_error() -> None:
    program = """
from heimdall_reactive import use_websocket
with use_websocket("ws://127.0.0.1:9/v1/ws?t=s3cret-canary", max_reconnect_attempts=0) as store:
    store.wait_for(lambda state: state.status == "failed").result(20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)
    text = "gave up: no connection: Connection refused; connect() tries again"
    assert errors_in(done.stderr) == f"ws://127.0.0.1:9/v1/ws: {text}\n"


def test_a_record_of_the_log_is_one_line_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "heimdall_reactive")

    async def main() -> None:
        peer = ScriptedPeer()
        async with use_websocket(URL, transport=peer, reconnect_delay=0.1) as store:
            store.messages.subscribe(failing)
            link = await peer.accepted()
            link.send({"key": CANARY})
            link.send("{not JSON", text=True)
            await asyncio.sleep(1)
            link.close(1012, f"bye\n{CANARY}")
            await peer.accepted()
            await store.wait_for(lambda state: state.status is Status.CONNECTED)

    run_virtual(main)
    records = [r for r in caplog.records if r.name == "heimdall_reactive"]
    found = {record.__dict__["event"] for record in records}
    assert found == {"dial", "state", "gap", "error", "observer"}
    for entry in records:
        assert "\n" not in entry.getMessage()
        assert entry.__dict__["endpoint"] == "ws://localhost/v1/ws"
        assert CANARY not in repr(entry.__dict__)
        json.dumps(entry.__dict__["details"])
