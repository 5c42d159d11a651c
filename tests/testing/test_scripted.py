"""The scripted peer: a store reconnects against it in virtual time, as over a socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    Backoff,
    CertificateError,
    CloseInfo,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HandshakeRefused,
    InvalidMessage,
    Status,
    StoreOptions,
    WebSocketStore,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.testing import (
    Accept,
    BadCertificate,
    Fails,
    Hang,
    Link,
    Refuse,
    ScriptedPeer,
    Step,
    Unreachable,
    VirtualTimeLoop,
    run,
)
from heimdall_reactive.testing.scripted_wire import ScriptedWire
from heimdall_reactive.transports import Wire
from heimdall_reactive.transports.deafness import deafen
from heimdall_reactive.transports.websockets_dial import dial
from tests import support
from tests.peers import frame, raw_peer
from tests.peers import peer as served
from tests.support import fate, record
from tests.virtual import URL, loop, store_of


def now() -> float:
    return asyncio.get_running_loop().time()


def connected(
    test: Callable[[ScriptedPeer, WebSocketStore[Any], Link], Awaitable[None]], **options: Any
) -> None:
    """Run a test with a store that is connected to a scripted peer."""

    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, **options) as store:
            await store.wait_connected()
            await test(peer, store, await peer.accepted())
        assert peer.live == []

    run(main)


class TestDials:
    def test_five_attempts_of_minutes_take_no_time(self) -> None:
        async def main() -> list[float]:
            peer = ScriptedPeer()
            peer.always(Unreachable())
            delay = Backoff(initial=60, factor=2, cap=600)
            async with store_of(peer, reconnect_delay=delay) as store:
                state = await store.wait_for(lambda s: s.status is Status.FAILED)
                assert type(state.error) is ConnectError
            return [dial.at for dial in peer.dials]

        began = time.process_time()
        times = run(main)
        assert len(times) == 6
        assert times == sorted(times)
        assert time.process_time() - began < 1

    @pytest.mark.parametrize(
        ("step", "error", "at"),
        [
            (Refuse(404), HandshakeRefused, 0),
            (Refuse(404, delay=9), HandshakeRefused, 9),
            (Unreachable(), ConnectError, 0),
            (Hang(), ConnectTimeout, 10),
            (Accept(delay=11), ConnectTimeout, 10),
            (BadCertificate(), CertificateError, 0),
            (Fails(ConnectError("no route")), ConnectError, 0),
        ],
        ids=lambda value: getattr(type(value), "__name__", None),
    )
    @pytest.mark.heimdall_virtual_time
    async def test_each_step_fails_as_a_dial_does(
        self, step: Step, error: type[Exception], at: float
    ) -> None:
        async with store_of(ScriptedPeer(step), auto_reconnect=False) as store:
            state = await store.wait_for(lambda s: s.status is Status.FAILED)
            assert type(state.error) is error
            assert now() == at

    @pytest.mark.heimdall_virtual_time
    async def test_an_accept_may_take_its_time(self) -> None:
        peer = ScriptedPeer(Accept(delay=9))
        async with store_of(peer) as store:
            await store.wait_connected()
            assert now() == 9

    @pytest.mark.heimdall_virtual_time
    async def test_a_refused_token_is_asked_for_anew(self) -> None:
        tokens = iter(["old-t0ken", "new-t0ken"])
        peer = ScriptedPeer(Refuse(401))
        async with store_of(peer, access_token=lambda: next(tokens)) as store:
            await store.wait_connected()
        assert [dial.token for dial in peer.dials] == ["old-t0ken", "new-t0ken"]
        assert "t0ken" not in f"{peer!r} {peer.dials} {peer.links}"

    @pytest.mark.parametrize("placement", ["header", "subprotocol", "unsafe_query"])
    @pytest.mark.heimdall_virtual_time
    async def test_the_token_of_a_dial_is_found_and_hidden(self, placement: Any) -> None:
        peer = ScriptedPeer()
        async with store_of(peer, access_token="s3cret", token_placement=placement) as store:
            await store.wait_connected()
        assert peer.dials[0].token == "s3cret"
        assert repr(peer.dials[0]) == f"<DialRecord {URL} at 0.0 s: Accept>"

    @pytest.mark.heimdall_virtual_time
    async def test_the_script_can_be_changed_at_any_time(self) -> None:
        peer = ScriptedPeer(Refuse(404), Refuse(404))
        peer.script(Unreachable(), Refuse(503))
        async with store_of(peer) as store:
            await store.wait_connected()
            await asyncio.sleep(6)  # stable: the failures are forgotten
            peer.always(Unreachable())
            (await peer.accepted()).drop()
            await store.wait_for(lambda s: s.attempt == 2)
        steps = [type(dial.step) for dial in peer.dials]
        assert steps == [Unreachable, Refuse, Accept, Unreachable]

    @pytest.mark.heimdall_virtual_time
    async def test_a_dial_that_is_given_up_leaves_no_link(self) -> None:
        peer = ScriptedPeer()
        store = store_of(peer, immediate=False)
        for turns in range(6):
            store.connect()
            for _ in range(turns):
                await asyncio.sleep(0)
            store.disconnect()
            await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
            await loop().idle()  # the dial's task ends in a later turn
            assert peer.live == []
        await store.aclose()
        assert peer.links

    @pytest.mark.heimdall_virtual_time
    async def test_first_messages_come_after_the_announcement(self) -> None:
        async with store_of(ScriptedPeer(Accept([1, "two", b"3"]))) as store:
            seen: list[Any] = []
            store.is_connected.subscribe(seen.append)
            store.messages.subscribe(seen.append)
            await store.wait_connected()
        assert seen == [False, True, 1, b"3", False]

    @pytest.mark.heimdall_virtual_time
    async def test_a_peer_that_accepts_and_drops_meets_growing_delays(self) -> None:
        peer = ScriptedPeer()
        peer.always(Accept(then=Link.drop))
        async with store_of(peer, reconnect_delay=1) as store:
            await store.wait_for(lambda s: s.status is Status.FAILED)
        times = [dial.at for dial in peer.dials]
        gaps = [late - early for early, late in pairwise(times)]
        assert len(gaps) == 5
        assert gaps[-1] > 4 * gaps[0]


class TestLink:
    def test_a_store_heals_after_a_drop_and_never_has_two_links(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            lives: list[int] = []
            store.state.subscribe(lambda _: lives.append(len(peer.live)))
            link.drop("the network went away")
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.close == CloseInfo(1006, "the network went away", "network")
            assert peer.link is None
            await store.wait_connected()
            assert peer.link is peer.links[1] is await peer.accepted()
            assert lives == [1, 0, 0, 1]

        connected(test)

    def test_messages_go_both_ways_in_order(self) -> None:
        class Point(BaseModel):
            x: int

        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            seen = record(store.messages)
            for value in (1, {"a": None}, Point(x=2), b"raw", '"text"'):
                link.send(value)
                store.send(value)
            assert seen == []  # not before the loop's next turn
            expected = [1, {"a": None}, {"x": 2}, b"raw", "text"]
            assert [await link.receive() for _ in expected] == expected
            assert link.received == expected
            await asyncio.sleep(1)
            assert seen == expected
            assert link.frames[3:] == [Frame(b"raw", False), Frame(b'"text"', True)]
            store.send("no JSON")
            assert await link.receive() == "no JSON"

        connected(test)

    @pytest.mark.heimdall_virtual_time
    async def test_a_peer_can_answer_by_itself(self) -> None:
        peer = ScriptedPeer(on_message=lambda link, message: link.send({"echo": message}))
        async with store_of(peer) as store:
            seen = record(store.messages)
            await store.wait_connected()
            store.send(1)
            await asyncio.sleep(1)
            assert seen == [{"echo": 1}]

    def test_waits_end_with_the_link_or_their_time_out(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            with pytest.raises(TimeoutError):
                await link.receive(timeout=3)
            with pytest.raises(TimeoutError):
                await link.ended(timeout=3)
            with pytest.raises(TimeoutError):
                await peer.accepted(timeout=3)
            assert now() == 9
            link.drop()
            with pytest.raises(ConnectionError):
                await link.receive()
            await link.ended()

        connected(test)

    def test_a_close_by_the_store_is_seen(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.latency = 2
            store.disconnect()
            state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
            assert now() == 2
            assert (link.close_code, link.close_reason) == (1000, "")
            assert state.close == CloseInfo(1000, "", "client")

        connected(test)

    def test_a_peer_that_never_answers_a_close_costs_the_close_time_out(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.mute_close()
            await store.aclose()
            assert now() == 4

        connected(test, close_timeout=4)

    def test_a_session_is_over_with_the_close_frame_of_a_peer_that_holds_the_socket(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.mute_close()
            link.close(1001, "bye")
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.close == CloseInfo(1001, "bye", "server")
            assert now() == 0

        connected(test, close_timeout=4)

    def test_a_black_hole_is_found_at_the_end_of_interval_and_time_out(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            await asyncio.sleep(47)
            assert link.pings == 3
            link.silence()
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.close == CloseInfo(1006, "keepalive ping timeout", "network")
            assert now() == 60 + 7

        connected(test, ping_interval=20, ping_timeout=7)

    def test_the_latency_is_the_peers(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.latency = 0.25
            await asyncio.sleep(21)
            assert store.latency.value == 0.25

        connected(test)

    def test_a_silence_that_ends_in_time_costs_nothing(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            seen = record(store.messages)
            link.silence()
            link.send(1)
            link.send(2)
            receipts = [store.send("a"), store.send("b")]
            await asyncio.sleep(25)
            assert seen == link.received == []
            link.resume()
            await asyncio.sleep(60)
            assert (seen, link.received) == ([1, 2], ["a", "b"])
            assert {fate(receipt) for receipt in receipts} == {"written"}
            assert store.state.value.session == 1

        connected(test)

    def test_a_stall_holds_the_sends_and_keeps_their_order(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.stall(after=2)
            receipts = [store.send(n) for n in range(5)]
            await asyncio.sleep(1)
            assert link.received == [0, 1]
            assert receipts[-1].state == "queued"
            link.resume()
            link.stall(after=1)  # and full again, midway
            await asyncio.sleep(1)
            assert link.received == [0, 1, 2]
            link.resume()
            await receipts[-1]
            assert link.received == [0, 1, 2, 3, 4]
            assert store.state.value.session == 1

        connected(test)

    def test_a_stall_that_lasts_is_a_dead_peer(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.stall()
            await store.wait_for(lambda s: s.status is Status.WAITING)
            assert now() == 40

        connected(test)

    @pytest.mark.parametrize("arrives", [False, True])
    def test_a_cut_in_the_middle_of_a_flush(self, arrives: bool) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.cut_after_frames(2, arrives=arrives)
            for n in range(5):
                store.send(n)
            assert not link.live
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert isinstance(state.error, ConnectionLost)
            await store.wait_connected()
            later = await peer.accepted()
            assert link.received == [0, 1, 2][: 2 + arrives]
            assert later.received == [3, 4]  # what was being written is not sent twice

        connected(test)

    def test_bad_utf_8_is_reported_and_closes(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            errors = record(store.errors)
            link.send(b"\xff", text=True)
            link.send("too late")
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert isinstance(errors[0], InvalidMessage)
            assert state.close == CloseInfo(1007, "invalid UTF-8", "client")
            assert link.close_code == 1007
            assert store.last_message.value is None

        connected(test)

    def test_a_message_over_max_size_closes(self) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            link.send("x" * 101)
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.close is not None
            assert (state.close.code, state.close.who) == (1009, "client")

        connected(test, max_size=100)

    @pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 5000])
    def test_a_code_that_no_close_frame_may_have_is_refused(self, code: int) -> None:
        async def test(peer: ScriptedPeer, store: WebSocketStore[Any], link: Link) -> None:
            with pytest.raises(ValueError, match=str(code)):
                link.close(code)
            with pytest.raises(ValueError, match="123 bytes"):
                link.close(1000, "x" * 124)

        connected(test)


class Sink:
    """A receiver that notes what it is given."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.ended: asyncio.Future[CloseInfo] = asyncio.get_running_loop().create_future()

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        self.events.append(bytes(data))
        if data == b"raise":
            raise LookupError("a defect")

    def on_ping(self) -> None:
        pass

    def on_pong(self) -> None:
        pass

    def on_latency(self, seconds: float) -> None:
        pass

    def on_writable(self) -> None:
        self.events.append("writable")

    def on_closed(self, close: CloseInfo) -> None:
        self.events.append(close)
        self.ended.set_result(close)


async def opened(peer: ScriptedPeer, **options: Any) -> tuple[ScriptedWire, Link]:
    wire = await peer(URL, [], None, StoreOptions(**options))
    assert isinstance(wire, ScriptedWire)
    return wire, peer.links[-1]


class TestStrictness:
    @pytest.mark.heimdall_virtual_time
    async def test_misuse_of_the_wire_is_an_error_in_clear_words(self) -> None:
        wire, link = await opened(ScriptedPeer())
        link.stall()
        with pytest.raises(AssertionError, match="not writable"):
            wire.write(Frame(b"", True))
        link.resume()
        with pytest.raises(AssertionError, match="bytes"):
            wire.write(Frame("text", True))  # type: ignore[arg-type]
        wire.start(Sink())
        with pytest.raises(AssertionError, match="twice"):
            wire.start(Sink())
        wire.end(1000)
        with pytest.raises(AssertionError, match="not writable"):
            wire.write(Frame(b"", True))
        wire.kill()
        wire.kill()
        calls: list[Callable[[], None]] = [
            lambda: wire.write(Frame(b"", True)),
            lambda: wire.end(1000),
            lambda: wire.fail(1002, ""),
            lambda: wire.lose(""),
            lambda: wire.probe(1),
            lambda: wire.start(Sink()),
        ]
        for call in calls:
            with pytest.raises(AssertionError, match=r"after kill\(\)"):
                call()

    @pytest.mark.heimdall_virtual_time
    async def test_another_thread_may_not_touch_the_wire(self) -> None:
        wire, _ = await opened(ScriptedPeer())
        caught: list[str] = []

        def touch() -> None:
            calls: list[Callable[[], None]] = [lambda: wire.write(Frame(b"", True)), wire.kill]
            for call in calls:
                try:
                    call()
                except AssertionError as error:
                    caught.append(str(error))

        thread = threading.Thread(target=touch)
        thread.start()
        thread.join(5)
        assert len(caught) == 2
        assert "another thread" in caught[0]
        wire.kill()

    def test_a_wire_can_be_killed_when_its_loop_is_closed(self) -> None:
        loop = VirtualTimeLoop()
        peer = ScriptedPeer()
        wire, link = loop.run_until_complete(opened(peer))
        waiting = loop.create_task(link.ended())
        loop.advance()
        loop.close()
        wire.kill()
        assert peer.live == []
        assert not waiting.done()
        loop.set_exception_handler(lambda *_: None)  # the task will never end

    def test_a_receiver_that_raises_fails_the_connection_and_the_test(self) -> None:
        async def main() -> None:
            wire, link = await opened(ScriptedPeer())
            sink = Sink()
            wire.start(sink)
            link.send("raise")
            close = await sink.ended
            assert close == CloseInfo(1011, "LookupError while receiving", "client")

        with pytest.raises(AssertionError, match=r"a frame could not be processed.*a defect"):
            run(main)


Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Scene = Callable[[Wire, Any, Sink], Awaitable[None]]


class Served:
    """A `websockets` server's connection with the names of a `Link`."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, value: str) -> None:
        self._do(self._connection.send(value))

    def close(self, code: int, reason: str = "") -> None:
        self._do(self._connection.close(code, reason))

    def drop(self) -> None:
        self._connection.transport.abort()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Mute:
    """Raw bytes with the names of a `Link`: it answers neither a ping nor a close."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def send(self, value: str) -> None:
        self._writer.write(frame(1, value.encode()))

    def close(self, code: int, reason: str = "") -> None:
        self._writer.write(frame(8, code.to_bytes(2, "big") + reason.encode()))

    def drop(self) -> None:
        self._writer.close()


@asynccontextmanager
async def real(mute: bool, options: StoreOptions) -> AsyncIterator[tuple[Wire, Any]]:
    """Open a wire over sockets, to a peer that answers or to one that is mute."""
    far: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def serve(connection: ServerConnection) -> None:
        far.set_result(Served(connection))
        await connection.wait_closed()

    async def hold(reader: Reader, writer: Writer) -> None:
        far.set_result(Mute(writer))
        deafen(writer.transport)
        await reader.read()

    async with raw_peer(hold) if mute else served(serve) as url:
        wire = await dial(url, [], None, options)
        try:
            yield wire, await far
        finally:
            wire.kill()


@asynccontextmanager
async def scripted(mute: bool, options: StoreOptions) -> AsyncIterator[tuple[Wire, Any]]:
    """The same in memory."""
    peer = ScriptedPeer()
    wire = await peer(URL, [], None, options)
    if mute:
        peer.links[0].mute_close()
        peer.links[0].latency = 1e9
    try:
        yield wire, peer.links[0]
    finally:
        wire.kill()


@pytest.mark.parametrize("world", [real, scripted])
class TestSeam:
    """What a wire promises, held by the real one and by the double."""

    def play(self, world: Any, scene: Scene, mute: bool = False, **options: Any) -> None:
        options = {"close_timeout": 0.2, "compression": None, **options}

        async def main() -> None:
            async with world(mute, StoreOptions(**options)) as (wire, far):
                await scene(wire, far, Sink())

        (support.run if world is real else run)(main)

    def test_frames_before_the_start_are_held(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            far.send("1")
            far.send("2")
            await asyncio.sleep(0.05)  # the frames are on their way, nobody can tell when they come
            assert sink.events == []
            wire.start(sink)
            assert sink.events[0] == b"1"
            far.drop()
            await sink.ended
            assert sink.events[:2] == [b"1", b"2"]

        self.play(world, scene)

    @pytest.mark.parametrize("code", [1000, 1001, 1013, 4401])
    def test_a_close_of_the_server_comes_behind_its_frames(self, world: Any, code: int) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            far.send("last")
            far.close(code, "why")
            await sink.ended
            assert sink.events == [b"last", CloseInfo(code, "why", "server")]
            assert not wire.writable

        self.play(world, scene)

    def test_a_socket_that_ended_before_the_start_is_told_at_the_start(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            far.drop()
            while wire.writable:  # noqa: ASYNC110 - it tells nobody before `start`
                await asyncio.sleep(0.01)
            wire.start(sink)
            close = await sink.ended
            assert close == CloseInfo(1006, "the socket ended without a close frame", "network")

        self.play(world, scene)

    def test_an_answered_close_is_ours(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            wire.end(1000, "bye")
            assert not wire.writable
            assert not sink.events
            assert await sink.ended == CloseInfo(1000, "bye", "client")

        self.play(world, scene)

    def test_an_unanswered_close_ends_with_the_close_time_out(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            before = now()
            wire.end(1000)
            close = await sink.ended
            assert close == CloseInfo(1006, "the socket ended without a close frame", "network")
            assert 0.19 < now() - before < 1

        self.play(world, scene, mute=True)

    def test_frames_that_come_behind_our_close_still_count(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            wire.end(1000)
            far.send("late")
            far.close(1001, "theirs")
            far.drop()
            assert await sink.ended == CloseInfo(1000, "", "client")
            assert sink.events[0] == b"late"

        self.play(world, scene, mute=True)

    def test_a_failure_keeps_our_code_and_reads_no_more(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            wire.fail(1007, "invalid UTF-8")
            far.send("late")
            assert await sink.ended == CloseInfo(1007, "invalid UTF-8", "client")
            assert len(sink.events) == 1

        self.play(world, scene, mute=True)

    def test_a_peer_that_is_given_up_is_lost_to_the_network(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            wire.lose("dead")
            assert not wire.writable
            assert not sink.events
            assert await sink.ended == CloseInfo(1006, "dead", "network")

        self.play(world, scene)

    def test_a_mute_peer_is_found_by_ping_and_by_probe(self, world: Any) -> None:
        for times in ({"ping_interval": 0.1, "ping_timeout": 0.1}, {"ping_interval": None}):

            async def scene(wire: Wire, far: Any, sink: Sink) -> None:
                wire.start(sink)
                before = now()
                if "ping_timeout" not in times:  # noqa: B023
                    wire.probe(0.1)
                assert await sink.ended == CloseInfo(1006, "keepalive ping timeout", "network")
                assert 0.09 < now() - before < 8  # the usual timeout is 20

            self.play(world, scene, mute=True, **times)

    def test_nothing_is_told_after_a_kill(self, world: Any) -> None:
        async def scene(wire: Wire, far: Any, sink: Sink) -> None:
            wire.start(sink)
            far.send("1")
            wire.kill()
            assert not wire.writable
            await asyncio.sleep(0.05)
            assert sink.events == []

        self.play(world, scene)
