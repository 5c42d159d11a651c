"""Recordings: what one run went through, another goes through again, and no secret is in it."""

from __future__ import annotations

import asyncio
import json
import threading
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from heimdall_reactive import (
    CloseInfo,
    ConfigurationError,
    ConnectionLost,
    ConnectionState,
    Gap,
    HandshakeRefused,
    ObserverError,
    ProtocolSession,
    RecordingError,
    SendError,
    SessionProtocol,
    Status,
    StoreError,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.recording import record, replay
from heimdall_reactive.recording.cleaning import Cleaner
from heimdall_reactive.recording.file import FileWriter
from heimdall_reactive.recording.lines import (
    Header,
    RecordingEntry,
    SendTotals,
    read_entry,
    write_entry,
    write_header,
)
from heimdall_reactive.testing import HttpAnswer, Refuse, ScriptedPeer
from heimdall_reactive.testing import run as run_virtually
from tests.peers import quick
from tests.socket_peer import SocketPeer
from tests.support import SENT, run

RAW: Any = str | bytes


def watch(store: WebSocketStore[Any]) -> list[Any]:
    """Keep all that the observers of a store see, in one order."""
    seen: list[Any] = []
    for name in ("state", "messages", "gaps", "errors", "latency"):
        source = getattr(store, name)
        source.subscribe(lambda value, name=name: seen.append((name, comparable(value))))
    return seen


def comparable(value: Any) -> Any:
    """Make an error equal to one that says the same."""
    if isinstance(value, ConnectionState):
        fields = {name: getattr(value, name) for name in ConnectionState.__dataclass_fields__}
        return {**fields, "error": comparable(value.error)}
    if isinstance(value, Exception):
        data = {name: comparable(part) for name, part in vars(value).items()}
        return type(value), str(value), data
    return value


async def ended(store: WebSocketStore[Any], timeout: float = 5.0) -> None:
    """Wait for the end of a replay."""
    done = asyncio.Event()
    store.messages.subscribe(on_completed=done.set)
    async with asyncio.timeout(timeout):
        await done.wait()
    await store.aclose()


async def played(path: Path, message_type: Any = RAW) -> list[Any]:
    """Replay a recording instantly; without what a new store begins with."""
    store = replay(path, "instant", message_type=message_type)
    seen = watch(store)
    await ended(store)
    assert seen[:2] == [("state", comparable(ConnectionState())), ("latency", None)]
    return seen[2:]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def events(path: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if line.get("event") == event]


def test_a_recording_over_sockets_gives_the_same_sequence_again(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        async with SocketPeer() as peer:
            store: WebSocketStore[Any] = quick(
                f"{peer.url}/feed?key=1", message_type=int | str | bytes, ping_interval=0.02,
                immediate=False,
            )  # fmt: skip
            recorder, seen = record(store, path), watch(store)
            store.connect()
            link = await peer.accepted(8)
            for value in ("1", '"ü\\n"', b"\0\xff", "not JSON", '{"no": "int"}'):
                link.send(value)
            await store.send({"up": 1})
            await store.send(b"\1")
            assert await link.receive(8) == {"up": 1}
            await until_seen(store, seen, lambda: kinds(seen).count("errors") == 2)
            await until_seen(store, seen, lambda: kinds(seen).count("latency") > 1)
            peer.script(HttpAnswer(503, (("Retry-After", "0"),)))
            link.drop()
            link = await peer.accepted(8)
            link.send("2")
            link.close(4000, "bye\x1b")
            link = await peer.accepted(8)
            await store.wait_for(lambda state: state.session == 3, 8)
            await store.aclose()
            await recorder.aclose()
        assert recorder.error is None
        assert {"state", "messages", "gaps", "errors", "latency"} == set(kinds(seen))
        assert await played(path, int | str | bytes) == seen[2:]

    run(main)
    first, *rest = lines(path)
    assert (first["format"], first["version"]) == ("heimdall-reactive recording", 1)
    assert first["endpoint"].endswith("/feed")
    assert [("text" in sent, sent.get("binary")) for sent in events(path, "sent")] == [
        (True, None),
        (False, "AQ=="),
    ]
    times = [line["t"] for line in rest]
    assert times == sorted(times)
    assert rest[-1]["event"] == "end"
    assert path.stat().st_mode & 0o077 == 0


def kinds(seen: list[Any]) -> list[str]:
    return [name for name, _ in seen]


async def until_seen(store: WebSocketStore[Any], seen: list[Any], holds: Any) -> None:
    """Wait until a predicate of what was seen holds."""
    done = asyncio.Event()

    def look(_: object) -> None:
        if holds():
            done.set()

    sources: list[Any] = [store.state, store.latency, store.messages, store.errors]
    subscriptions = [source.subscribe(look) for source in sources]
    async with asyncio.timeout(8):
        await done.wait()
    for subscription in subscriptions:
        subscription.dispose()


async def scripted(path: Path) -> list[tuple[float, Any]]:
    """Record a store over a scripted peer in virtual time: messages at 1, 3 and 10 seconds."""
    peer, loop = ScriptedPeer(), asyncio.get_running_loop()
    store: WebSocketStore[Any] = use_websocket(
        "ws://peer/", transport=peer, message_type=RAW, ping_interval=None, reconnect_delay=2.0
    )
    began, seen = loop.time(), list[tuple[float, Any]]()
    store.messages.subscribe(lambda message: seen.append((loop.time() - began, message)))
    recorder = record(store, path)
    link = await peer.accepted()
    for at, message in ((1.0, "one"), (3.0, b"three"), (10.0, "ten")):
        await asyncio.sleep(began + at - loop.time())
        link.send(message)
        if at == 3.0:
            await asyncio.sleep(0.5)
            link.drop()
            link = await peer.accepted()
    await asyncio.sleep(1)
    await store.aclose()
    await recorder.aclose()
    return seen


@pytest.mark.parametrize("speed", [1.0, 2, 0.5])
def test_a_replay_takes_the_recorded_times_scaled(tmp_path: Path, speed: float) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        recorded = await scripted(path)
        assert [message for _, message in recorded] == ["one", b"three", "ten"]
        loop = asyncio.get_running_loop()
        began, seen = loop.time(), list[tuple[float, Any]]()
        store = replay(path, speed, message_type=RAW)
        store.messages.subscribe(lambda message: seen.append((loop.time() - began, message)))
        await ended(store, 100)
        assert [message for _, message in seen] == ["one", b"three", "ten"]
        for (at, _), (before, _) in zip(seen, recorded, strict=True):
            assert at == pytest.approx(before / speed, abs=1e-5)
        assert store.state.value.status is Status.DISCONNECTED
        assert store.stats.reconnects == 1

    run_virtually(main)


@pytest.mark.parametrize("speed", ["instant", None])
def test_an_instant_replay_takes_no_time(tmp_path: Path, speed: Any) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        recorded = await scripted(path)
        loop = asyncio.get_running_loop()
        began, store = loop.time(), replay(path, speed, message_type=RAW)
        seen: list[Any] = []
        store.messages.subscribe(seen.append)
        await ended(store)
        assert loop.time() == began
        assert seen == [message for _, message in recorded]

    run_virtually(main)


ACTS = st.one_of(
    st.tuples(st.just("send"), st.text(max_size=5) | st.binary(max_size=5)),
    st.tuples(st.just("close"), st.sampled_from([1000, 1001, 1008, 4000, 4401])),
    st.tuples(st.sampled_from(["drop", "connect", "disconnect", "record"]), st.none()),
    st.tuples(st.just("refuse"), st.sampled_from([401, 429, 500, 404])),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.01, 1.0, 7.0, 100.0])),
)


@settings(max_examples=60, deadline=None)
@given(acts=st.lists(ACTS, max_size=25), speed=st.sampled_from([None, 1.0, 30.0]))
def test_whatever_happens_happens_again(
    acts: list[tuple[str, Any]], speed: float | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "session.jsonl"

    async def main() -> None:
        peer = ScriptedPeer()
        store = use_websocket(
            "ws://peer/", transport=peer, message_type=RAW, max_reconnect_attempts=2,
            immediate=False,
        )  # fmt: skip
        seen: list[Any] = []
        recorder = None
        for name, value in [("record", None), ("connect", None), ("sleep", 0.01), *acts]:
            if name == "record":  # again, from the middle
                if recorder is not None:
                    await recorder.aclose()
                recorder, seen = record(store, path), watch(store)
            else:
                await act(store, peer, name, value)
        await store.aclose()
        assert recorder is not None
        await recorder.aclose()
        replayed = replay(path, speed, message_type=RAW)
        again = watch(replayed)
        await ended(replayed, 1e6)
        first = ("state", comparable(ConnectionState()))
        assert told(again) == told([*([] if seen[0] == first else [first]), *seen])

    run_virtually(main, timeout=None)


def told(seen: list[Any]) -> list[Any]:
    """Leave out that there is no latency, which a new store tells at another time."""
    return [event for event in seen if event != ("latency", None)]


async def act(store: WebSocketStore[Any], peer: ScriptedPeer, name: str, value: Any) -> None:
    link = peer.link
    if name == "sleep":
        await asyncio.sleep(value)
    elif name == "refuse":
        peer.script(Refuse(value))
    elif name in ("connect", "disconnect"):
        getattr(store, name)()
    elif link is not None:
        getattr(link, name)(*([] if value is None else [value]))


def test_a_store_is_recorded_from_the_middle_of_a_session(tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"

    async def main() -> None:
        async with SocketPeer() as peer:
            store = quick(peer.url, message_type=RAW)
            link = await peer.accepted(8)
            await message(store, link, "before")
            session = store._core.connection.sessions.current
            assert session is not None
            way = session._decode, session.write
            async with record(store, path):
                seen = watch(store)
                await message(store, link, "in between")
                await store.send("up")
            assert (session._decode, session.write) == way
            await message(store, link, "after")
            await store.aclose()
        first = events(path, "state")[0]
        assert (first["status"], first["session"]) == ("connected", 1)
        assert [line["text"] for line in events(path, "sent")] == ["up"]
        again = await played(path)
        assert [value for name, value in again if name == "messages"] == ["in between"]
        assert again[0] == seen[0]

    run(main)


async def message(store: WebSocketStore[Any], link: Any, text: str) -> None:
    """Let a message arrive."""
    arrived = asyncio.Event()
    subscription = store.messages.subscribe(lambda value: arrived.set() if value == text else None)
    link.send(text)
    async with asyncio.timeout(8):
        await arrived.wait()
    subscription.dispose()


def test_a_store_that_shares_its_connection_is_recorded_to_its_own_end(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"

    async def main() -> None:
        async with SocketPeer() as peer:
            mine, other = (
                quick(peer.url, message_type=RAW, share=True, share_linger=0) for _ in range(2)
            )
            link = await peer.accepted(8)
            recorder, seen = record(mine, path), watch(mine)
            await message(mine, link, "for both")
            await mine.aclose()
            await recorder.aclose()
            await message(other, link, "for the other")
            await other.aclose()
        assert [line["text"] for line in events(path, "received")] == ["for both"]
        assert told(await played(path)) == told(seen)

    run(main)


def test_two_recordings_of_a_store_end_in_any_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]

    async def main() -> None:
        async with SocketPeer() as peer:
            store = quick(peer.url, message_type=RAW)
            link = await peer.accepted(8)
            first, second = (record(store, path) for path in paths)
            await message(store, link, "both")
            await first.aclose()
            await message(store, link, "second")
            await second.aclose()
            second.dispose()
            await message(store, link, "nobody")
            await store.aclose()
        texts = [[line["text"] for line in events(path, "received")] for path in paths]
        assert texts == [["both"], ["both", "second"]]

    run(main)


def test_a_replay_can_be_recorded_and_is_the_same_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    async def main() -> None:
        await scripted(first)
        store = replay(first, 1.0, message_type=RAW)
        recorder = record(store, second)
        await ended(store, 100)
        await recorder.aclose()
        assert await played(second) == await played(first)

    run_virtually(main)


def test_what_became_of_the_sends_is_recorded_and_changes_no_replay(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        async with SocketPeer() as peer:
            store: WebSocketStore[Any] = quick(peer.url, immediate=False)
            recorder, seen = record(store, path), watch(store)
            store.connect()
            link = await peer.accepted(8)
            await store.send("proved").delivered(8)
            link.mute_pong()
            await store.send("nobody knows")
            link.drop()
            await store.wait_for(lambda state: state.status is Status.WAITING, 8)
            await store.aclose()
            await recorder.aclose()
        assert await played(path) == seen[2:]

    run(main)
    nothing = {"resent": 0, "rejected": 0, "dropped": 0, "expired": 0}
    told = [{k: v for k, v in line.items() if k != "t"} for line in events(path, "sends")]
    assert told[-1] == {"event": "sends", "delivered": 1, "in_doubt": 1, **nothing}
    assert all(before != after for before, after in pairwise(told))
    lost = [line for line in lines(path) if line.get("status") == "waiting"]
    *_, totals = (line for line in events(path, "sends") if line["t"] <= lost[0]["t"])
    assert totals["in_doubt"] == 1  # before the state that ended the session


def test_a_replay_decodes_by_its_own_type(tmp_path: Path) -> None:
    class Number(BaseModel):
        type: Literal["number"] = "number"
        value: int

    path = tmp_path / "session.jsonl"
    peer = ScriptedPeer()

    async def main() -> None:
        store = use_websocket("ws://peer/", transport=peer, message_type=RAW)
        async with store, record(store, path):
            link = await peer.accepted()
            await message(store, link, '{"type": "number", "value": 7}')
            await message(store, link, "text")
        typed = replay(path, "instant", message_type=Number)
        seen = watch(typed)
        await ended(typed)
        assert [value for name, value in seen if name == "messages"] == [Number(value=7)]
        assert kinds(seen).count("errors") == 1
        assert typed.stats.invalid == 1

    run_virtually(main)


def test_what_is_sent_into_a_replay_counts_as_written_and_goes_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        await scripted(path)
        store = replay(path, 1.0, message_type=RAW)
        receipt = store.send("early")
        store.messages.subscribe(store.send)
        assert (await receipt).state in SENT
        await ended(store, 100)
        assert store.stats.sent == 4

    run_virtually(main)


def test_who_waits_for_a_proof_in_a_replay_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        await scripted(path)
        store = replay(path, 1.0, message_type=RAW)
        receipts = [store.send(n) for n in range(3)]
        async with asyncio.timeout(100):
            await receipts[1].delivered()
            await receipts[2].delivered()
        assert receipts[0].state == "delivered"
        await ended(store, 100)
        assert store.stats.delivered == 3

    run_virtually(main)


def test_a_replay_is_ended_and_begun_anew_by_commands(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        await scripted(path)
        store = replay(path, 1.0, message_type=RAW, immediate=False)
        seen = watch(store)
        assert seen == [("state", comparable(ConnectionState())), ("latency", None)]
        for _ in range(2):
            store.connect()
            store.connect()
            await store.wait_connected(8)
            await asyncio.sleep(1.5)
            store.disconnect()
            assert store.state.value.status is Status.DISCONNECTED
            assert store.state.value.close == CloseInfo(1000, "", "client")
        await asyncio.sleep(60)
        assert [value for name, value in seen if name == "messages"] == ["one", "one"]
        await store.aclose()

    run_virtually(main)


def test_an_observer_may_end_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        await scripted(path)
        async with replay(path, "instant", message_type=RAW) as store:
            seen: list[Any] = []
            store.messages.subscribe(seen.append)
            store.messages.subscribe(store.disconnect)
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)
            assert seen == ["one"]

    run_virtually(main)


def test_a_store_is_recorded_and_replayed_without_an_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    arrived, over = threading.Event(), threading.Event()
    peer = ScriptedPeer(on_message=lambda link, message: link.send(message))
    with use_websocket("ws://peer/", transport=peer, message_type=RAW) as store:
        store.messages.subscribe(lambda _: arrived.set())
        with record(store, path):
            store.send("hello").result(8)
            assert arrived.wait(8)
    seen: list[Any] = []
    with replay(path, "instant", message_type=RAW, immediate=False) as again:
        again.messages.subscribe(seen.append, on_completed=over.set)
        again.connect()
        assert over.wait(8)
    assert seen == ["hello"]


def test_a_replay_goes_on_where_its_event_loop_has_ended(tmp_path: Path) -> None:
    path, over = tmp_path / "session.jsonl", threading.Event()
    run_virtually(lambda: scripted(path))

    async def begin() -> tuple[WebSocketStore[Any], list[Any]]:
        store = replay(path, 100.0, message_type=RAW)
        seen: list[Any] = []
        store.messages.subscribe(seen.append, on_completed=over.set)
        await store.wait_connected(8)
        return store, seen

    store, seen = asyncio.run(begin())
    store.send("wakes it up")
    assert over.wait(8)
    store.close()
    assert seen == ["one", b"three", "ten"]


def test_a_closed_store_has_an_end_to_record(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def main() -> None:
        async with use_websocket("ws://127.0.0.1:9", immediate=False) as store:
            pass
        async with record(store, path):
            pass

    run(main)
    assert [line["event"] for line in lines(path)[1:]] == ["state", "end"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_full_disk_ends_the_recording_and_not_the_connection() -> None:
    async with SocketPeer() as peer:
        store = quick(peer.url, message_type=RAW)
        seen = watch(store)
        recorder = record(store, "/dev/full")
        link = await peer.accepted(8)
        await until_seen(store, seen, lambda: "errors" in kinds(seen))
        await recorder.aclose()
        assert str(recorder.error) == (
            "cannot write '/dev/full': No space left on device; the recording has stopped"
        )
        await message(store, link, "alive")
        assert kinds(seen).count("errors") == 1
        await store.aclose()


LATE = "there was more than could be written in time"


def test_a_disk_that_is_too_slow_ends_the_recording(tmp_path: Path) -> None:
    told: list[str] = []
    file: FileWriter[bytes] = FileWriter(tmp_path / "slow", bytes, 10, told.append)
    file.put(b"123456789\n", 10)
    file.put(b"more", 4)
    file.put(b"and more", 8)
    file.join()
    path = str(tmp_path / "slow")
    assert told == [f"cannot write {path!r}: {LATE}; the recording has stopped"]


async def test_a_recording_needs_a_place(tmp_path: Path) -> None:
    async with use_websocket("ws://127.0.0.1:9", immediate=False) as store:
        with pytest.raises(RecordingError, match=r"cannot write .*: No such file"):
            record(store, tmp_path / "nowhere" / "file")
        with pytest.raises(RecordingError, match=r"cannot write .*: Is a directory"):
            record(store, tmp_path)


HEAD = write_header(Header("ws://peer/", "0.1.0", 1.0))
NEWER = HEAD.replace(b'"version":1', b'"version":2')
NEWEST = (
    "the recording has version 2, and 1 is the newest that is known here; "
    "use a newer heimdall-reactive"
)
UP = ConnectionState(status=Status.CONNECTED, session=1, connected_at=1.0)
STATE = write_entry(RecordingEntry(0.0, "state", UP), str)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "line 1 of the recording: this is not a recording of heimdall-reactive"),
        (b"\x80\n", "line 1 of the recording: this is not a recording of heimdall-reactive"),
        (b"[" * 100_000, "line 1 of the recording: this is not a recording of heimdall-reactive"),
        (b"{}\n", "line 1 of the recording: this is not a recording of heimdall-reactive"),
        (NEWER, f"line 1 of the recording: {NEWEST}"),
        (
            HEAD.replace(b'"endpoint":"ws://peer/"', b'"endpoint":1'),
            "line 1 of the recording: 'endpoint' is not str",
        ),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        replay(path)
    assert str(caught.value) == text
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"7", "not a JSON object"),
        (b'{"event": "end"}', "'t' is not int or float"),
        (b'{"t": true, "event": "end"}', "'t' is not int or float"),
        (b'{"t": 1, "event": "bang"}', "'bang' is not an event"),
        (b'{"t": 1, "event": "received"}', "'binary' is not str"),
        (b'{"t": 1, "event": "received", "binary": "%"}', "Only base64 data is allowed"),
        (STATE.strip().replace(b'"connected"', b'"up"'), "'up' is not a valid Status"),
        (STATE.strip().replace(b'"error":null', b'"error":{}'), "'kind' is not str"),
        (b'{"t": 1, "event": "gap", "since": 1, "until": null}', "'until' is not int or float"),
    ],
)
def test_a_bad_line_makes_the_replay_fail_with_its_number(
    tmp_path: Path, line: bytes, text: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(HEAD + STATE + line + b"\n" + STATE)

    async def main() -> None:
        store = replay(path, "instant")
        seen = watch(store)
        await ended(store)
        assert [value["status"] for name, value in seen if name == "state"] == [
            "idle", "connected", "failed",
        ]  # fmt: skip
        error = store.state.value.error
        assert isinstance(error, RecordingError)
        assert str(error) == f"line 3 of the recording: {text}"
        assert error.line == 3

    run(main)


@pytest.mark.parametrize("cut", [1, 30, len(STATE) - 1])
def test_a_last_line_that_is_cut_off_is_reported(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(HEAD + STATE + STATE[:cut])

    async def main() -> None:
        store = replay(path, "instant")
        errors: list[StoreError] = []
        store.errors.subscribe(errors.append)
        await ended(store)
        assert [str(error) for error in errors] == [
            "line 3 of the recording: it is cut off, and the recording ends there"
        ]
        assert store.state.value.is_connected

    run(main)


def test_a_recording_that_is_gone_is_refused_or_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RecordingError, match="cannot read"):
        replay(path)
    path.write_bytes(HEAD)

    async def main() -> None:
        store = replay(path, immediate=False)
        path.unlink()
        store.connect()
        await ended(store)
        assert store.state.value.status is Status.FAILED
        assert "cannot read" in str(store.state.value.error)

    run(main)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), "slow"])
def test_a_speed_is_a_number_above_zero(tmp_path: Path, speed: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(HEAD)
    with pytest.raises(ConfigurationError, match="speed must be a number above 0, or 'instant'"):
        replay(path, speed)


PRINTABLE = st.text(st.characters(categories=["L", "N", "P"]), max_size=20)
ERRORS = st.one_of(
    st.builds(ConnectionLost, st.integers(0, 4999), PRINTABLE),
    st.builds(HandshakeRefused, st.integers(100, 599), st.none() | st.floats(0, 1e6)),
    st.builds(SendError, PRINTABLE, st.sampled_from(["dropped", "in_doubt"])),
    st.builds(StoreError, PRINTABLE),
)
WALL = st.floats(0, 4e9)
CLOSES = st.builds(
    CloseInfo, st.integers(0, 4999), PRINTABLE, st.sampled_from(["client", "server", "network"]),
    st.none() | st.integers(100, 599),
)  # fmt: skip
STATES = st.builds(
    ConnectionState, status=st.sampled_from(Status), attempt=st.integers(0), session=st.integers(0),
    retry_at=st.none() | WALL, connected_at=st.none() | WALL, close=st.none() | CLOSES,
    error=st.none() | ERRORS, http_status=st.none() | st.integers(100, 599),
    subprotocol=st.none() | PRINTABLE, response_headers=st.dictionaries(PRINTABLE, PRINTABLE),
)  # fmt: skip
FRAMES = st.builds(Frame, st.binary() | st.text().map(str.encode), st.booleans())
VALUES = st.one_of(
    st.tuples(st.just("state"), STATES),
    st.tuples(st.sampled_from(["received", "sent"]), FRAMES),
    st.tuples(st.just("sends"), st.builds(SendTotals, *[st.integers(0)] * len(SendTotals._fields))),
    st.tuples(st.just("gap"), st.builds(Gap, WALL, WALL, st.integers(0))),
    st.tuples(st.just("error"), ERRORS),
    st.tuples(st.just("latency"), st.floats(0, 100)),
    st.tuples(st.just("end"), st.none()),
)


@given(at=st.floats(0, 1e6), value=VALUES)
def test_a_line_is_read_as_it_was_written(at: float, value: tuple[str, Any]) -> None:
    line = write_entry(RecordingEntry(at, *value), str)
    assert line.count(b"\n") == 1
    entry = read_entry(line, 2)
    assert entry.at == pytest.approx(at, abs=1e-6)
    assert (entry.event, comparable(entry.value)) == (value[0], comparable(value[1]))


@given(line=st.binary() | st.text().map(lambda text: json.dumps(text).encode()))
def test_any_other_line_is_an_error_with_its_number(line: bytes) -> None:
    with pytest.raises(RecordingError, match="line 7 of the recording: "):
        read_entry(line, 7)


@given(
    secrets=st.lists(st.text("ab~%1", min_size=1, max_size=12), max_size=3),
    text=st.text("ab~%1x", max_size=60),
    at=st.integers(0, 60),
    start=st.integers(0, 12),
)
def test_a_cleaner_leaves_and_takes_what_masks_do(
    secrets: list[str], text: str, at: int, start: int
) -> None:
    cleaner, masks = Cleaner(), [Mask([secret]) for secret in secrets]
    text = text[:at] + "".join(secrets)[start:] + text[at:]
    wanted = text
    for mask in masks:
        cleaner.add(mask)
        wanted = mask(wanted)
    assert cleaner(text) == wanted


def test_an_error_of_other_code_is_kept_by_its_type_alone() -> None:
    state = ConnectionState(status=Status.FAILED, error=ValueError("secret"))
    line = write_entry(RecordingEntry(0, "state", state), str)
    assert b"secret" not in line
    assert comparable(read_entry(line, 2).value.error) == (StoreError, "ValueError", {})
    report = write_entry(
        RecordingEntry(0, "error", ObserverError(KeyError("secret"), "state")), str
    )
    assert b"secret" not in report
    assert vars(read_entry(report, 2).value) == {"subject": "state", "ended": False}


def test_a_recording_of_a_protocol_has_its_messages_and_replays_without_it(tmp_path: Path) -> None:
    class Wrapped(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            session.send({"login": await session.token()})

        def receive(self, envelope: Any, session: ProtocolSession) -> Any:
            return envelope.get("body")

        def prepare(self, value: Any, session: ProtocolSession) -> Any:
            return {"id": session.next_id(), "body": value}

    async def main() -> None:
        peer, path = ScriptedPeer(), tmp_path / "a.jsonl"
        options: Any = {"protocol": Wrapped(), "access_token": "c4nary-token", "message_type": Any}
        async with use_websocket("/v1/ws", transport=peer, **options) as store:
            with record(store, path):
                await store.wait_connected()
                await store.send("hello")
                peer.links[0].send({"body": {"n": 1}})
                peer.links[0].send({"hidden": "c4nary-token"})
                peer.links[0].send({"body": "of c4nary-token"})
                await asyncio.sleep(0.1)
        assert peer.links[0].received == [{"login": "c4nary-token"}, {"id": 1, "body": "hello"}]
        text = path.read_text()
        assert "c4nary-token" not in text
        assert "login" not in text
        assert "hello" in text
        again = replay(path, message_type=Any, immediate=False)
        seen: list[Any] = []
        again.messages.subscribe(seen.append)
        again.connect()
        await ended(again)
        assert seen == [{"n": 1}, "of ***"]

    run_virtually(main)


def test_a_recording_of_a_protocol_keeps_every_digit_of_a_decimal(tmp_path: Path) -> None:
    class Trade(BaseModel):
        price: Decimal
        size: float

    async def main() -> None:
        peer, path = ScriptedPeer(), tmp_path / "a.jsonl"
        options: Any = {"protocol": SessionProtocol(), "message_type": Trade}
        async with use_websocket("/v1/ws", transport=peer, **options) as store:
            with record(store, path):
                await store.wait_connected()
                peer.links[0].send('{"price": 0.1000000000000000055, "size": 1.50}')
                peer.links[0].send('{"price": 1.10, "size": 2}')
                await asyncio.sleep(0.1)
        again = replay(path, message_type=Trade, immediate=False)
        seen: list[Any] = []
        again.messages.subscribe(seen.append)
        again.connect()
        await ended(again)
        prices = [str(trade.price) for trade in seen]
        assert prices == ["0.1000000000000000055", "1.10"]
        assert [trade.size for trade in seen] == [1.5, 2.0]

    run_virtually(main)
