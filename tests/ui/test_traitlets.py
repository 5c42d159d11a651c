"""Traits and widgets that follow a store: in a loop of this process, without one, in a kernel."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest
from reactivex.subject import BehaviorSubject

traitlets = pytest.importorskip("traitlets", reason="pip install 'heimdall-reactive[traitlets]'")
widgets = pytest.importorskip("ipywidgets", reason="pip install ipywidgets")

from heimdall_reactive import ConfigurationError  # noqa: E402
from heimdall_reactive.bindings import UiScope, badge, bind  # noqa: E402
from heimdall_reactive.bindings.frames import FRAME, Frames  # noqa: E402
from heimdall_reactive.bindings.traitlets import scope, to_trait  # noqa: E402

from .kernels import kernel  # noqa: E402
from .support import BURST, Stage, observers, wait_until  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_core"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
]

LOOPS: list[Literal["auto", "thread"]] = ["auto", "thread"]


class Model(traitlets.HasTraits):  # type: ignore[misc, name-defined, unused-ignore]
    """Traits without a widget."""

    value = traitlets.Any()
    number = traitlets.Int(read_only=True)


async def until(condition: Callable[[], bool], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - of another thread or of traitlets
            await asyncio.sleep(0.005)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())
    gc.collect()  # widgets refer to themselves


def pause() -> None:
    time.sleep(0.005)


def number(message: Any) -> int:
    return -1 if message is None else int(message["n"])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_widget_lives_through_all_of_it(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        label, box = widgets.Label(), widgets.Text()
        async with stage.store(loop, reconnect_delay=0.6) as store:
            before = observers(store)
            to_trait(badge(store), label, select=str)
            to_trait(store.is_connected, box, "disabled", select=lambda up: not up)
            to_trait(store.last_message, box, "placeholder", select=lambda m: f"{number(m)}")
            assert label.value in {"idle", "connecting"}
            assert (box.disabled, box.placeholder) == (True, "-1")
            await until(lambda: label.value == "connected" and not box.disabled)
            stage.say(7)
            await until(lambda: box.placeholder == "7")
            shown: list[str] = []
            label.observe(lambda change: shown.append(change["new"]), "value")
            stage.go_offline(store)
            await until(
                lambda: (
                    box.disabled and any(text.startswith("reconnecting in 1 s") for text in shown)
                )
            )
            await until(lambda: label.value == "connected" and not box.disabled)
            stage.say(8)
            await until(lambda: box.placeholder == "8")
            label.close()
            box.close()
            assert observers(store) == before
            stage.say(9)
            await until(lambda: number(store.last_message.value) == 9)
            await asyncio.sleep(2 * FRAME)
            assert box.placeholder == "8"

    run(work)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_burst_leaves_the_loop_alive(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        label = widgets.Label()
        gaps: list[float] = []
        threads: set[int] = set()
        renders = 0

        def seen(_: object) -> None:
            nonlocal renders
            renders += 1
            threads.add(threading.get_ident())

        async def beat() -> None:
            last = time.thread_time()  # a busy machine must not count, a busy loop must
            while True:
                await asyncio.sleep(0.005)
                gaps.append(time.thread_time() - last)
                last = time.thread_time()

        async with stage.store(loop) as store:
            await store.wait_connected(timeout=5)
            label.observe(seen, "value")
            to_trait(store.last_message, label, select=lambda m: f"{number(m)}")
            heart = asyncio.create_task(beat())
            began = time.monotonic()
            await asyncio.to_thread(stage.burst)
            await until(lambda: label.value == f"{BURST - 1}", 20)
            took = time.monotonic() - began
            heart.cancel()
            label.close()
        assert len(gaps) > 5
        assert max(gaps) < 0.25
        assert 1 < renders < took / FRAME + 3
        assert threads == {threading.get_ident()}

    run(work)


@pytest.mark.parametrize("loop", LOOPS)
def test_equal_messages_and_every_message(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        label, all_of_them, counted = widgets.Label(), Model(), list[int]()
        each: list[int] = []
        all_of_them.observe(lambda change: each.append(change["new"]), "value")
        async with stage.store(loop) as store:
            await store.wait_connected(timeout=5)
            to_trait(store.messages, all_of_them, select=number, buffer=100)
            bind(store.messages, lambda m: counted.append(number(m)), scope(label), buffer=100)
            for n in (5, 5, *range(6, 40)):
                stage.say(n)
            await until(lambda: counted[-1:] == [39] and each[-1:] == [39])
            assert each == list(range(5, 40))  # an equal value is not a change to traitlets
            assert counted == [5, 5, *range(6, 40)]
            counted.clear()
            binding = bind(store.last_message, lambda m: counted.append(number(m)), scope(label))
            for _ in range(2):  # the newest only, and it counts though it equals the one before
                had = len(counted)
                stage.say(39)
                await until(lambda had=had: len(counted) > had)  # type: ignore[misc]
            binding.dispose()
            label.close()

    run(work)


def test_an_error_in_one_hurts_no_other(stage: Stage) -> None:
    async def work() -> None:
        first, second, told = widgets.IntText(), widgets.Label(), list[Exception]()
        async with stage.store() as store:
            await store.wait_connected(timeout=5)
            errors: list[Any] = []
            store.errors.subscribe(errors.append)
            to_trait(store.last_message, first, select=lambda m: "no number" if m else 0)
            to_trait(store.last_message, first, select=lambda m: "nor this" if m else 0,
                     on_error=told.append)  # fmt: skip
            to_trait(store.last_message, second, select=str)
            stage.say(1)
            await until(lambda: second.value == "{'n': 1}" and bool(errors) and bool(told))
            assert first.value == 0
            assert isinstance(told[0], traitlets.TraitError)
            assert store.connected
            first.close()
            second.close()

    run(work)


def test_a_dead_loop_ends_the_binding_and_hurts_nobody(stage: Stage) -> None:
    label, plain = widgets.Label(), Model()
    with stage.store() as store:
        before = observers(store)

        async def mount() -> None:
            await store.wait_connected(timeout=5)
            to_trait(store.last_message, label, select=str)
            to_trait(store.last_message, plain, select=number)

        run(mount)
        stage.say(1)
        stage.say(2)
        wait_until(lambda: number(store.last_message.value) == 2, pause, 5)
        wait_until(lambda: observers(store) == before, pause, 5)
        assert plain.value == -1
        assert store.connected
        label.close()


def test_without_a_loop_it_is_set_in_place(stage: Stage) -> None:
    model, there, where = Model(), threading.Event(), set[str]()
    with stage.store() as store:
        before = observers(store)
        store.wait_connected(timeout=5).result()
        binding = to_trait(store.last_message, model, "number", select=number)

        def seen(change: Any) -> None:
            where.add(threading.current_thread().name)
            there.set()

        model.observe(seen, "number")
        stage.say(3)
        assert there.wait(5)
        assert (model.number, where) == (3, {"heimdall-reactive"})
        binding.dispose()
        assert observers(store) == before


def test_a_closed_widget_is_bound_to_nothing(stage: Stage) -> None:
    label = widgets.Label(value="as it was")
    label.close()
    with stage.store() as store:
        before = observers(store)
        assert to_trait(store.is_connected, label, select=str).is_disposed
        assert (label.value, observers(store)) == ("as it was", before)


def test_a_trait_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="Model has no trait 'valeu'; it has number, value"
    ):
        to_trait(None, Model(), "valeu")  # type: ignore[arg-type]


def test_a_trait_is_set_once_in_so_many_seconds() -> None:
    posted: list[Callable[[], None]] = []
    model, subject = Model(), BehaviorSubject(0)
    within = UiScope(posted.append, every=0)
    binding = to_trait(subject, model, every=60.0, within=within)
    for n in (1, 2):
        subject.on_next(n)
        while posted:
            posted.pop()()
    assert model.value == 1
    binding.dispose()


def test_a_scope_of_ones_own(stage: Stage) -> None:
    posted: list[Callable[[], None]] = []
    model = Model()
    with stage.store() as store:
        store.wait_connected(timeout=5).result()
        to_trait(store.last_message, model, select=number, within=UiScope(posted.append, every=0))
        stage.say(1)
        wait_until(lambda: bool(posted), pause, 5)
        assert model.value == -1
        posted.pop()()
        assert model.value == 1


def test_frames_keep_the_order_and_a_pause() -> None:
    async def work() -> None:
        loop, done, order = asyncio.get_running_loop(), asyncio.Event(), list[tuple[int, float]]()
        failures: list[Any] = []

        def fail() -> None:
            raise ZeroDivisionError

        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        post = Frames(loop, frame=0.5)
        post(lambda: order.append((0, loop.time())))
        post(fail)
        for n in range(1, 4):
            post(lambda n=n: order.append((n, loop.time())))  # type: ignore[misc]
        post(done.set)
        await asyncio.wait_for(done.wait(), 5)
        assert [n for n, _ in order] == [0, 1, 2, 3]
        assert order[1][1] - order[0][1] >= 0.5
        assert order[3][1] - order[1][1] < 0.5
        assert [type(error) for error in failures] == [ZeroDivisionError]

    run(work)


def test_an_anywidget_follows_too(stage: Stage) -> None:
    anywidget = pytest.importorskip("anywidget", reason="pip install anywidget")

    class Live(anywidget.AnyWidget):  # type: ignore[misc, name-defined, unused-ignore]
        _esm = "export default { render() {} }"
        number = traitlets.Int(-1).tag(sync=True)

    async def work() -> None:
        live = Live()
        async with stage.store("auto") as store:
            before = observers(store)
            to_trait(store.last_message, live, "number", select=number)
            await store.wait_connected(timeout=5)
            stage.say(4)
            await until(lambda: live.number == 4)
            live.close()
            assert observers(store) == before

    run(work)


CELL = """
import ipywidgets
from heimdall_reactive import use_websocket
from heimdall_reactive.bindings.traitlets import to_trait
from tests.ui.support import observers

label = ipywidgets.Label()
store = use_websocket("{url}/v1/ws", loop="{loop}", reconnect_delay=0.2)
before = observers(store)
to_trait(store.last_message, label, select=lambda m: str(m and m["n"]))
await store.wait_connected(timeout=5)
print(label.comm.comm_id)
"""
AFTER = "label.close(); print(observers(store) - before); await store.aclose()"


@pytest.mark.leaky
def test_a_widget_of_a_kernel_is_live_while_no_cell_runs(stage: Stage) -> None:
    with kernel() as cell:
        for loop in LOOPS:
            comm = cell.run(CELL.format(url=stage.server.url, loop=loop))
            for n in (11, 12):  # the kernel is idle
                stage.say(n)
                assert cell.update(comm) == {"value": f"{n}"}
            assert cell.run(AFTER) == "0"


@pytest.mark.leaky
def test_a_cell_that_runs_ten_times_leaves_what_it_left_the_first_time(stage: Stage) -> None:
    with kernel() as cell:
        counts = []
        for _ in range(10):
            cell.run(KEYED.format(url=stage.server.url))
            stage.server.call(stage.server.wait_for_connections(1, 10))
            counts.append(cell.run(LEFT_OVER))
            stage.say(1)
            assert cell.run(SHOWN) == "True"
    assert counts[0].startswith("WebSocketStore 1, StoreCore 1, Binding 4, Window 1, threads ")
    assert counts == counts[:1] * 10


KEYED = """
import ipywidgets
from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge, bind, bind_batch, window
from heimdall_reactive.bindings.traitlets import scope, to_trait

ipywidgets.Widget.close_all()
label, status, log, plot = (ipywidgets.Label() for _ in range(4))
store = use_websocket("{url}/v1/ws", loop="thread", key="feed")
minute = window(store.messages, 60, 600, value=lambda message: message["n"])
to_trait(store.last_message, label, select=str)
to_trait(badge(store), status, select=str)
bind_batch(store.messages, lambda told: log.set_trait("value", str(told)), scope(log), buffer=100)
bind(minute, lambda series: plot.set_trait("value", str(series.y)), scope(plot))
await store.wait_connected(timeout=5)
"""
LEFT_OVER = """
import asyncio, gc, os, threading

PACKAGE = "heimdall_reactive."
KINDS = ("WebSocketStore", "StoreCore", "Binding", "Window")

def held():
    gc.collect()
    kinds = [type(each) for each in gc.get_objects()]
    within = [kind.__name__ for kind in kinds if str(kind.__module__).startswith(PACKAGE)]
    found = [f"{kind} {within.count(kind)}" for kind in KINDS]
    return ", ".join([*found, f"threads {threading.active_count()}", f"sockets {sockets()}"])

def sockets():
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.islink(link) and "socket:" in os.readlink(link) for link in links)

async def settled():
    before, now = "", held()
    while now != before:  # the store that was replaced closes
        await asyncio.sleep(0.3)
        before, now = now, held()
    print(now)

await settled()
"""
SHOWN = """
import asyncio

async def shown():
    async with asyncio.timeout(10):
        while not (label.value == "{'n': 1}" and log.value and plot.value.startswith("[1")):
            await asyncio.sleep(0.01)
    return status.value == "connected"

print(await shown())
"""
