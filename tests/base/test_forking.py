"""A child process by `fork()`: what it inherits is the parent's, and what it makes is its own."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from heimdall_reactive.devserver import DevServer, serve_in_thread
from tests.support import errors_in

if not hasattr(os, "fork"):
    pytest.skip("this platform has no fork()", allow_module_level=True)

ROOT: Final = Path(__file__).parent.parent.parent
SAYS: Final = "this store belongs to the parent process; make one after the fork"

# Not in this process: it has threads, and so has the one that forks, whose Python warns of it.
BEGIN: Final = """
import asyncio, multiprocessing, os, signal, sys, threading, time, traceback, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from heimdall_reactive import *

url = sys.argv[1]
X = {"n": 1}
seen = []

def fork(work, leave=os._exit):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        began = time.monotonic()
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        print("in time" if time.monotonic() - began < 2 else "late", flush=True)
        leave(0)
    began = time.monotonic()
    status = os.waitpid(pid, 0)[1]
    print("child", status, "at once" if time.monotonic() - began < 4 else "late", flush=True)

def raised(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def outcome(url: str, program: str, *more: str) -> list[str]:
    """Run a program that forks; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, url, *more],
        capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert (errors_in(done.stderr), done.returncode) == ("", 0)
    return done.stdout.splitlines()


@pytest.fixture
def server() -> Iterator[DevServer]:
    with serve_in_thread(require_token=False, echo=True) as server:
        yield server


@pytest.fixture
def url(server: DevServer) -> str:
    return f"{server.url}/v1/ws"


CONNECTED: Final = """
store = use_websocket(url)
store.wait_connected().result(10)
"""


def test_an_inherited_store_says_that_it_is_the_parents(url: str) -> None:
    program = """
store.select(lambda state: state.status).subscribe(seen.append)
store.is_connected.subscribe(seen.append, on_completed=lambda: seen.append("completed"))
selected = store.select(lambda state: state.status)

def work():
    before = list(seen)
    print(store.connected, store.is_connected.value, store.latency.value, str(selected.value))
    print(store.state.value.status, store.state.value.error)
    for call in (
        lambda: store.send(X), store.connect, store.reconnect,
        lambda: store.request(X, match=bool), lambda: store.wait_connected().result(9),
        lambda: store.wait_for(lambda state: state.session == 9).result(9),
    ):
        print(raised(call))
    store.disconnect()
    store.set_access_token("t")
    store.channel("c").subscribe(print)
    print(len(store.journal) > 0, store.stats.sent, repr(store))
    print(seen == before)  # no code of the program has run
    late = []
    store.is_connected.subscribe(late.append, on_completed=lambda: late.append("completed"))
    store.messages.subscribe(print, on_completed=lambda: late.append("completed"))
    print(late)
    store.close()
    asyncio.run(store.aclose())

fork(work)
print(store.connected)
store.close()
"""
    status, *told, stats, quiet, late, time, child, parent = outcome(url, CONNECTED + program)
    assert status == "False False None failed"
    assert told == [f"failed {SAYS}", *[f"StoreClosed: {SAYS}"] * 6]
    assert stats.startswith("True 0 <WebSocketStore ")
    assert (quiet, late) == ("True", "[False, 'completed', 'completed']")
    assert (time, child, parent) == ("in time", "child 0 at once", "True")


@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
@pytest.mark.parametrize("where", ["thread", "loop", "observer"])
def test_the_parent_goes_on_whatever_the_child_does(url: str, where: str, leave: str) -> None:
    if (where, leave) == ("loop", "sys.exit") and sys.version_info >= (3, 14):
        pytest.skip("asyncio complains of a child that leaves by its task: no running event loop")
    program = """
def work():
    store.close()

def go():
    fork(work, LEAVE)
    return store.send(X)

async def on_a_loop():
    global store
    store = use_websocket(url)
    await store.wait_connected()
    await go()
    await store.send(X).delivered(10)
    store.messages.subscribe(seen.append)
    await store.aclose()

if WHERE == "loop":
    asyncio.run(on_a_loop())
else:
    store = use_websocket(url)
    store.wait_connected().result(10)
    if WHERE == "observer":
        done = threading.Event()
        store.messages.take(1).subscribe(lambda _: (go(), done.set()))
        store.send(X).result(10)
        done.wait(20)
    else:
        go().result(10)
    store.send(X).delivered(10).result()
    store.close()
print(store.stats.reconnects, store.stats.in_doubt, store.state.value.close.code)
"""
    program = program.replace("LEAVE", leave).replace("WHERE", repr(where))
    assert outcome(url, program) == ["in time", "child 0 at once", "0 0 1000"]


def test_a_socket_with_tls_is_the_parents_too(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    program = """
import ssl
context = ssl.create_default_context(cafile=sys.argv[2])
store = use_websocket(url.replace("127.0.0.1", "localhost"), ssl=context)
store.wait_connected().result(10)
fork(store.close, sys.exit)
store.send(X).delivered(10).result()
store.close()
print(store.stats.reconnects, store.stats.in_doubt, store.state.value.close.code)
"""
    with serve_in_thread(require_token=False, ssl=context) as server:
        trust = str(certificate.with_suffix(".crt"))
        told = outcome(f"{server.url}/v1/ws", program, trust)
    assert told == ["in time", "child 0 at once", "0 0 1000"]


def test_the_server_sees_the_parents_end_while_a_child_lives_on(
    server: DevServer, url: str
) -> None:
    program = """
pid = os.fork()
if pid == 0:
    time.sleep(20)  # killed by the test
    os._exit(0)
print(pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", BEGIN + CONNECTED + program, url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        pid = int(parent.stdout.readline())
        try:
            parent.stdin.write("\n")
            parent.stdin.flush()
            parent.wait(10)
            server.call(server.wait_until(lambda: not server.connections, 5))
        finally:
            os.kill(pid, signal.SIGKILL)


def test_what_waits_for_the_parent_says_so_in_the_child(url: str) -> None:
    program = """
idle = use_websocket(url, immediate=False)
queued, asked = idle.send(X), idle.request(X, match=bool)
proof, pending = queued.delivered(), idle.wait_connected()
queued.add_done_callback(seen.append)
sent = store.send(X).result(10)
messages = store.iterate()
idle_messages = idle.iterate()

def work():
    for call in (queued.result, proof.result, asked.result, pending.result):
        print(raised(call))
    print(queued.state, seen)
    print(sent.state, raised(sent.delivered().result))
    print(list(idle_messages))

fork(work)
print(queued.state)
idle.connect()
pending.result(10)
print(queued.result(10).attempts, raised(asked.result) == X, seen == [queued])
idle.close()
store.close()
"""
    *told, last, proved, empty, time, child, waits, sent = outcome(url, CONNECTED + program)
    text = f"not sent by this process: {SAYS}"
    assert told == [
        f"SendError: {text}", f"SendError: {text}", f"StoreClosed: {SAYS}", f"StoreClosed: {SAYS}",
    ]  # fmt: skip
    assert last == "rejected []"
    assert proved in ("delivered <Receipt delivered>", f"in_doubt SendError: {SAYS}")
    assert (empty, time, child, waits, sent) == (
        "[]", "in time", "child 0 at once", "queued", "1 True True",
    )  # fmt: skip


def test_a_child_makes_stores_of_its_own(server: DevServer, url: str) -> None:
    program = """
store = use_websocket(url, share=True, share_linger=20)
store.wait_connected().result(10)
also = use_websocket(url, share=True, share_linger=20)

def work():
    print(also.connected, raised(lambda: also.send(X)))
    with use_websocket(url, share=True, share_linger=0) as mine, use_websocket(url) as other:
        mine.send(X).delivered(10).result()
        other.send(X).delivered(10).result()
        print(mine.state.value.session, other.state.value.session, threading.active_count())
    print(threading.active_count())

fork(work, sys.exit)
print(store.send(X).delivered(10).result().state, also.connected)
also.close()
store.close()
"""
    first, *told = outcome(url, program)
    assert first == f"False StoreClosed: {SAYS}"
    assert told == ["1 1 2", "1", "in time", "child 0 at once", "delivered True"]


def test_a_connection_that_lingers_delays_no_child(url: str) -> None:
    program = """
with use_websocket(url, share=True, share_linger=15) as store:
    store.wait_connected().result(10)
fork(lambda: None, sys.exit)
"""
    assert outcome(url, program) == ["in time", "child 0 at once"]


def test_a_child_of_multiprocessing_has_stores(url: str) -> None:
    program = """
def work(answers):
    answers.put((store.connected, raised(lambda: store.send(X))))
    with use_websocket(url) as mine:
        mine.send(X).delivered(10).result()
        answers.put(mine.connected)

context = multiprocessing.get_context("fork")
answers = context.SimpleQueue()
child = context.Process(target=work, args=(answers,))
child.start()
child.join(20)
print(*answers.get(), answers.get(), child.exitcode)
store.close()
"""
    assert outcome(url, CONNECTED + program) == [f"False StoreClosed: {SAYS} True 0"]


def test_a_store_that_is_still_connecting_is_the_parents_too() -> None:
    program = """
store = use_websocket(url, access_token=lambda: time.sleep(60) or "t")
while not any(each.name == "heimdall-provider" for each in threading.enumerate()):
    time.sleep(0.01)

def work():
    print(store.state.value.status, raised(lambda: store.send(X)))
    store.close()

fork(work, sys.exit)
print(store.state.value.status, flush=True)
os._exit(0)
"""
    told = outcome("ws://127.0.0.1:9", program)
    assert told == [f"failed StoreClosed: {SAYS}", "in time", "child 0 at once", "connecting"]


def test_a_child_of_a_busy_parent_is_never_stuck(url: str) -> None:
    """Other threads hold locks of stores at the moment of a fork."""
    program = """
import logging
logging.getLogger("heimdall_reactive").addHandler(logging.NullHandler())  # of sends that never left
ends = threading.Event()

def churn():
    while not ends.is_set():
        store.send(X).add_done_callback(bool)
        with use_websocket(url, immediate=False) as other, other.iterate():
            other.send(X)
            other.select(lambda state: state.status).subscribe(bool).dispose()

threads = [threading.Thread(target=churn) for _ in range(3)]
for each in threads:
    each.start()

def work():
    raised(lambda: store.send(X))
    store.state.subscribe(bool)
    store.stats
    store.close()
    with use_websocket(url, immediate=False) as mine:
        mine.send(X)

for _ in range(30):
    fork(work)
ends.set()
for each in threads:
    each.join()
store.close()
"""
    assert outcome(url, CONNECTED + program) == ["in time", "child 0 at once"] * 30


def test_a_source_that_is_piped_into_an_inherited_store_is_not_lost_in_silence(url: str) -> None:
    program = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from reactivex.subject import Subject
clicks = Subject()
clicks.subscribe(store.send)
fork(lambda: (clicks.on_next(X), clicks.on_next(X)))
store.close()
"""
    told = outcome(url, CONNECTED + program)
    assert told == [f"WARNING {url}: send: {SAYS}", "in time", "child 0 at once"]


def test_a_view_is_the_parents_too(url: str) -> None:
    program = """
view = store.observe_on(QueueHop())

def work():
    print(view.connected, view.state.value.status, raised(lambda: view.send(X)))

fork(work)
print(view.connected)
store.close()
"""
    program = "from heimdall_reactive import QueueHop\n" + CONNECTED + program
    told = outcome(url, program)
    assert told == [f"False failed StoreClosed: {SAYS}", "in time", "child 0 at once", "True"]


def test_a_child_leaves_a_server_on_a_thread_to_its_parent() -> None:
    program = """
from heimdall_reactive.devserver import serve_in_thread
with serve_in_thread(require_token=False) as server:
    fork(lambda: None, sys.exit)
    with use_websocket(f"{server.url}/v1/ws") as store:
        store.wait_connected().result(10)
"""
    assert outcome("", program) == ["in time", "child 0 at once"]
