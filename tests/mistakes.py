"""Ninety typical mistakes, and what each of them says: `python -m tests.mistakes` writes the page.

A mistake raises, or returns the error that `state` or `errors` has of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import trustme
from pydantic import BaseModel
from reactivex import operators as ops
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

import heimdall_reactive
from tests.peers import peer, quick, raw_peer

PAGE: Final = Path(__file__).parents[1] / "docs" / "errors.md"
BEGIN, END = "<!-- mistakes -->\n", "<!-- /mistakes -->"
LIMIT: Final = 20


use_websocket: Any = heimdall_reactive.use_websocket  # type checkers know better


class Trade(BaseModel):
    price: float


async def handle_async(message: Any) -> None: ...


class Mistake(NamedTuple):
    """A mistake: what it is, its group, and what makes it."""

    what: str
    group: str
    make: Callable[[], Any]


MISTAKES: Final[list[Mistake]] = []
_group = ""


def mistake(what: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        MISTAKES.append(Mistake(what, _group, make))
        return make

    return add


async def words(made: Mistake) -> str:
    """Return what a mistake says, in one line, the same in each run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = made.make()
            if isinstance(result, Awaitable):
                async with asyncio.timeout(LIMIT):
                    result = await result
        except Exception as error:
            result = error
    result = caught[0].message if caught else result
    text = f"{type(result).__name__}: {result}" if isinstance(result, Exception) else str(result)
    text = re.sub(r"(localhost|127\.0\.0\.1):\d{4,5}", r"\1:PORT", text)
    text = re.sub(r"in \d+ minutes", "in 50 minutes", text)  # and up to a fifth more
    # The rest is what OpenSSL, `websockets` and Python say, each version in its own words.
    text = re.sub(r"accepted \(.*?\);", "accepted (...);", text)
    text = re.sub(r"(code 1009) \(.*?\)", r"\1 (...)", text)
    return re.sub(
        r"^TypeError: (?:object )?'?(None \(.*?\))'?(?: object)? can't be .*$",
        r"TypeError: \1 can't be awaited",
        text,
    )


async def failure(url: str, **options: Any) -> Exception | None:
    """Return what the first attempt fails of."""
    options = {"auto_reconnect": False, "max_reconnect_attempts": 0, **options}
    async with quick(url, **options) as store:
        state = await store.wait_for(lambda state: state.error is not None, LIMIT)
        return state.error


async def report(store: Any) -> Exception:
    """Return the next that `errors` has."""
    seen: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def look(error: Exception) -> None:
        if not seen.done():
            seen.set_result(error)

    with store.errors.subscribe(look):
        return await seen


@contextmanager
def logged() -> Iterator[list[str]]:
    """Give what the log says."""
    seen: list[str] = []
    handler: Any = logging.Handler()
    handler.emit = lambda record: seen.append(f"the log: {record.getMessage()}")
    logger = logging.getLogger("heimdall_reactive")
    logger.addHandler(handler)
    try:
        yield seen
    finally:
        logger.removeHandler(handler)


# Endpoints

_group = "The endpoint"


@mistake('`use_websocket("http://example.com/ws")`')
def _() -> None:
    use_websocket("http://example.com/ws")


@mistake('`use_websocket("example.com:8000/ws")`')
def _() -> None:
    use_websocket("example.com:8000/ws")


@mistake('`use_websocket("wws://example.com")`')
def _() -> None:
    use_websocket("wws://example.com")


@mistake("`use_websocket(8000)`")
def _() -> None:
    use_websocket(8000)


@mistake('`use_websocket("ws://example.com/ a")`')
async def _() -> Exception | None:
    return await failure("ws://example.com/ a")


@mistake('`use_websocket("ws://user:secret@example.com:port/")`')
async def _() -> Exception | None:
    return await failure("ws://user:secret@example.com:port/")


@mistake('`use_websocket("wss:/example.com/ws")`')
def _() -> None:
    use_websocket("wss:/example.com/ws")


@mistake('`ws_config.ws_url = "https://example.com"`')
def _() -> None:
    heimdall_reactive.ws_config.ws_url = "https://example.com"


# Options

_group = "An option"


@mistake("`headers={...}`")
def _() -> None:
    use_websocket("/ws", headers={"A": "b"})


@mistake('`token="..."`')
def _() -> None:
    use_websocket("/ws", token="secret")


@mistake("`autoReconnect=True`")
def _() -> None:
    use_websocket("/ws", autoReconnect=True)


@mistake("`reconect_delay=1`")
def _() -> None:
    use_websocket("/ws", reconect_delay=1)


@mistake("`reconnect_delay=-1`")
def _() -> None:
    use_websocket("/ws", reconnect_delay=-1)


@mistake("`on_message=print`")
def _() -> None:
    use_websocket("/ws", on_message=print)


@mistake('`open_timeout="10"`')
def _() -> None:
    use_websocket("/ws", open_timeout="10")


async def hinted(**options: Any) -> str:
    with logged() as seen:
        await use_websocket("/ws", immediate=False, **options).aclose()
    return "; ".join(seen)


@mistake("`open_timeout=5000`, in milliseconds")
async def _() -> str:
    return await hinted(open_timeout=5000)


@mistake("`ping_interval=20_000`, in milliseconds")
async def _() -> str:
    return await hinted(ping_interval=20_000)


@mistake("`reconnect_delay=3000`, in milliseconds")
async def _() -> str:
    return await hinted(reconnect_delay=3000)


@mistake('`local_addr=("0.0.0.0", "80")`')
def _() -> None:
    use_websocket("/ws", local_addr=("0.0.0.0", "80"))


@mistake("`max_reconnect_attempts=-1`")
def _() -> None:
    use_websocket("/ws", max_reconnect_attempts=-1)


@mistake('`subprotocols="chat"`')
def _() -> None:
    use_websocket("/ws", subprotocols="chat")


@mistake('`additional_headers={"X-Tenant": 42}`')
def _() -> None:
    use_websocket("/ws", additional_headers={"X-Tenant": 42})


@mistake("`access_token=42`")
def _() -> None:
    use_websocket("/ws", access_token=42)


@mistake("`ssl=True`")
def _() -> None:
    use_websocket("/ws", ssl=True)


@mistake('`proxy="proxy:3128"`')
def _() -> None:
    use_websocket("/ws", proxy="proxy:3128")


@mistake('`message_type="Trade"`')
def _() -> None:
    use_websocket("/ws", message_type="Trade")


@mistake('`message_type={"a": int}`')
def _() -> None:
    use_websocket("/ws", message_type={"a": int})


@mistake("`message_type=Trade(price=1)`")
def _() -> None:
    use_websocket("/ws", message_type=Trade(price=1))


@mistake("`reconnect_delay=timedelta(seconds=3)`")
def _() -> None:
    use_websocket("/ws", reconnect_delay=timedelta(seconds=3))


@mistake("`reconnect_delay=Backoff`")
def _() -> None:
    use_websocket("/ws", reconnect_delay=heimdall_reactive.Backoff)


@mistake('`reconnect_rules={4409: "stop"}`')
def _() -> None:
    use_websocket("/ws", reconnect_rules={4409: "stop"})


@mistake('`access_token="secret\\n"`, read from a file')
async def _() -> Exception | None:
    return await failure("ws://127.0.0.1:1/ws", access_token="secret\n")


@mistake('`access_token="Bearer secret"`')
async def _() -> Exception | None:
    return await failure("ws://127.0.0.1:1/ws", access_token="Bearer secret")


@mistake('`access_token=""`')
async def _() -> Exception | None:
    return await failure("ws://127.0.0.1:1/ws", access_token="")


@mistake("`share=True` twice, with other options")
async def _() -> None:
    same = {"share": True, "immediate": False, "share_linger": 0}
    async with use_websocket("/ws", **same):
        use_websocket("/ws", **same, max_size=1)


# Calls

_group = "A call"


@asynccontextmanager
async def idle(**options: Any) -> AsyncIterator[Any]:
    async with use_websocket("/ws", immediate=False, **options) as store:
        yield store


@mistake("`store.messages()`")
async def _() -> None:
    async with idle() as store:
        store.messages()


@mistake("`for message in store.messages:`")
async def _() -> None:
    async with idle() as store:
        for _message in store.messages:
            pass


@mistake("`async for message in store.messages:`")
async def _() -> None:
    async with idle() as store:
        async for _message in store.messages:
            pass


@mistake("`for message in store:`")
async def _() -> None:
    async with idle() as store:
        for _message in store:
            pass


@mistake("`for message in store.stream():`")
async def _() -> None:
    async with idle() as store:
        for _message in store.stream():
            pass


@mistake("`store.messages.value`")
async def _() -> None:
    async with idle() as store:
        _ = store.messages.value


@mistake("`store.last_message.price`")
async def _() -> None:
    async with idle() as store:
        _ = store.last_message.price


@mistake('`store.messages.subscribe("print")`')
async def _() -> None:
    async with idle() as store:
        store.messages.subscribe("print")


@mistake("`store.messages.subscribe(async_function)`")
async def _() -> None:
    async with idle() as store:
        store.messages.subscribe(handle_async)


@mistake("`if store.is_connected:`")
async def _() -> None:
    async with idle() as store:
        if store.is_connected:
            pass


@mistake("`store.is_connected.value = True`")
async def _() -> None:
    async with idle() as store:
        store.is_connected.value = True


@mistake("`store.last_message.on_next(1)`")
async def _() -> None:
    async with idle() as store:
        store.last_message.on_next(1)


@mistake("`await store.close()`")
async def _() -> None:
    async with idle() as store:
        await store.close()


@mistake("`store.on_message(sync_function)`")
async def _() -> None:
    def handle(message: Any) -> None: ...

    async with idle() as store:
        store.on_message(handle)


@mistake('`store.messages_of("trade")`')
async def _() -> None:
    async with idle() as store:
        store.messages_of("trade")


@mistake("`store.messages_of(Trade)`, without `message_type=Trade`")
async def _() -> None:
    async with idle() as store:
        store.messages_of(Trade)


@mistake('`store.wait_for("connected")`')
async def _() -> None:
    async with idle() as store:
        await store.wait_for("connected")


@mistake("`store.wait_for(async_function)`")
async def _() -> None:
    async with idle() as store:
        await store.wait_for(handle_async)


@mistake('`store.select("status")`')
async def _() -> None:
    async with idle() as store:
        store.select("status")


@mistake('`store.observe_on("qt")`')
async def _() -> None:
    async with idle() as store:
        store.observe_on("qt")


@mistake("`store.on_each(save, store.messages)`")
async def _() -> None:
    async with idle() as store:
        store.on_each("save", store.messages)


@mistake('`store.stream("latest")`')
async def _() -> None:
    async with idle() as store:
        store.stream("latest")


@mistake("`store.channel(42)`")
async def _() -> None:
    async with idle() as store:
        store.channel(42)


@mistake('`store.request({"op": "time"})`')
async def _() -> None:
    async with idle() as store:
        await store.request({"op": "time"})


@mistake("`store.request(...)`, without `await`")
async def _() -> None:
    async with idle() as store:
        store.request({"op": "time"}, match=lambda message: message["op"] == "time", timeout=0.01)
        await asyncio.sleep(0.1)


@mistake('`store.reconnect("bye")`')
async def _() -> None:
    async with idle() as store:
        store.reconnect("bye")


@mistake("`store.set_access_token(42)`")
async def _() -> None:
    async with idle() as store:
        store.set_access_token(42)


@mistake("`store.send(object())`")
async def _() -> None:
    async with idle() as store:
        store.send(object())


@mistake('`store.send({"price": float("nan")})`')
async def _() -> None:
    async with idle() as store:
        store.send({"price": float("nan")})


@mistake("`store.send(...)` while there is no connection, 1,025 times")
async def _() -> Exception:
    async with idle(outbox_limit=1) as store:
        store.send("first")
        reported = asyncio.ensure_future(report(store))
        await asyncio.sleep(0)
        store.send("second")
        return await reported


@mistake("`store.send(...)`, and `store.close()` before there is a connection")
async def _() -> Exception:
    async with idle() as store:
        store.send("first")
        reported = asyncio.ensure_future(report(store))
        await asyncio.sleep(0)
        await store.aclose()
        return await reported


@mistake("`store.send(...)` after `store.close()`")
async def _() -> None:
    store = use_websocket("/ws", immediate=False)
    await store.aclose()
    store.send("x")


@mistake("`with store:` after `store.close()`")
async def _() -> None:
    store = use_websocket("/ws", immediate=False)
    await store.aclose()
    with store:
        pass


@mistake("`store.connect()` after `store.close()`")
async def _() -> None:
    store = use_websocket("/ws", immediate=False)
    await store.aclose()
    store.connect()


@mistake("`store.wait_connected(timeout=5)`, without `await`")
async def _() -> None:
    async with idle() as store:
        store.wait_connected(timeout=5)


@mistake('`store.wait_connected(timeout="5")`')
async def _() -> None:
    async with idle() as store:
        await store.wait_connected(timeout="5")


@mistake("`store.send(...).result()` on the event loop")
async def _() -> None:
    async with idle() as store:
        store.send("x").result()


@mistake('`create_websocket("/ws", on_message="print")`')
async def _() -> None:
    calls: Any = {"on_message": "print"}
    heimdall_reactive.create_websocket("/ws", immediate=False, **calls)


@mistake("`store.wait_connected(timeout=5).result()` on the event loop")
async def _() -> None:
    async with idle() as store:
        store.wait_connected(timeout=5).result()


@mistake("`await store.wait_connected(timeout=0.01)` without a server")
async def _() -> None:
    async with idle() as store:
        await store.wait_connected(timeout=0.01)


@mistake("`store.iterate(timeout=0.1)` on a thread, and no message")
async def _() -> None:
    async with idle() as store:
        await asyncio.to_thread(lambda: next(store.iterate(timeout=0.1)))


@mistake("`with` in a coroutine, and the loop ends while it connects")
async def _() -> str:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def careless(url: str) -> None:
        with use_websocket(url, auto_reconnect=False) as store:
            await store.wait_for(lambda state: state.status == "connecting")
            await asyncio.sleep(0.1)

    with logged() as seen:
        async with raw_peer(mute, upgrade=False) as url:
            await asyncio.to_thread(asyncio.run, careless(url))
    return seen[0]


# The network

_group = "The network"


@mistake("a name that does not exist")
async def _() -> Exception | None:
    return await failure("ws://no-such-host.invalid/ws?key=secret", proxy=None)


@mistake("nobody listens on the port")
async def _() -> Exception | None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return await failure(f"ws://127.0.0.1:{bound.getsockname()[1]}/ws?key=secret")


@mistake("nobody listens, and `reconnect_delay=3000`, in milliseconds")
async def _() -> str:
    with logged() as seen, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{bound.getsockname()[1]}/ws"
        async with use_websocket(url, reconnect_delay=3000) as store:
            await store.wait_for(lambda state: state.retry_at is not None)
    return seen[-1]


@mistake("`ws://` to a port that answers nothing, with `open_timeout=0.2`")
async def _() -> Exception | None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_peer(mute, upgrade=False) as url:
        return await failure(url, open_timeout=0.2)


@mistake("a TCP server that is not a web server")
async def _() -> Exception | None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        await reader.read()

    async with raw_peer(banner, upgrade=False) as url:
        return await failure(url)


@mistake("`wss://` to a port without TLS")
async def _() -> Exception | None:
    async with peer(lambda _: asyncio.sleep(0)) as url:
        return await failure(url.replace("ws://", "wss://"))


@asynccontextmanager
async def secure(name: str) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """Serve with a certificate of a name; give the URL and a context that trusts its authority."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serve(lambda _: asyncio.sleep(0), "localhost", 0, ssl=context) as server:
        yield f"wss://localhost:{next(iter(server.sockets)).getsockname()[1]}/ws", trusting


@mistake("`ws://` to a port with TLS")
async def _() -> Exception | None:
    async with secure("localhost") as (url, _context):
        return await failure(url.replace("wss://", "ws://"))


@mistake("a certificate of an authority that nobody knows")
async def _() -> Exception | None:
    async with secure("localhost") as (url, _context):
        return await failure(url)


@mistake("a certificate of another host")
async def _() -> Exception | None:
    async with secure("example.org") as (url, context):
        return await failure(url, ssl=context)


@mistake("a token over `ws://` to another host")
async def _() -> Exception | None:
    return await failure("ws://example.com/ws", access_token="secret")


@mistake("a token provider that returns `None`")
async def _() -> Exception | None:
    async with peer(lambda socket: socket.wait_closed()) as url:
        return await failure(url, access_token=lambda: None)


@mistake("a token provider that raises")
async def _() -> Exception | None:
    def provide() -> str:
        raise KeyError("secret")

    async with peer(lambda socket: socket.wait_closed()) as url:
        return await failure(url, access_token=provide)


@mistake("a proxy that does not run")
async def _() -> Exception | None:
    return await failure("ws://example.com/ws", proxy="http://user:secret@127.0.0.1:1")


# What a server answers

_group = "The server's answer"


async def refusal(status: int, **options: Any) -> Exception | None:
    def answer(_: ServerConnection, request: Request) -> Response:
        body = b"<html>Hello</html>"
        headers = Headers({"Content-Type": "text/html", "Content-Length": str(len(body))})
        return Response(status, HTTPStatus(status).phrase, headers, body)

    async with peer(lambda _: asyncio.sleep(0), process_request=answer) as url:
        return await failure(f"{url}/ws?key=secret", **options)


@mistake("HTTP 200, a web page")
async def _() -> Exception | None:
    return await refusal(200)


@mistake("HTTP 401, with no token")
async def _() -> Exception | None:
    return await refusal(401)


@mistake("HTTP 403, with a token")
async def _() -> Exception | None:
    return await refusal(403, access_token="secret")


@mistake("HTTP 404")
async def _() -> Exception | None:
    return await refusal(404)


@mistake("HTTP 426")
async def _() -> Exception | None:
    return await refusal(426)


@mistake("HTTP 503")
async def _() -> Exception | None:
    return await refusal(503)


# Messages

_group = "A message"


async def complaint(message: str | bytes, **options: Any) -> Exception:
    async def tell(socket: ServerConnection) -> None:
        await socket.send(message)
        await socket.wait_closed()

    async with peer(tell) as url, quick(url, **options) as store:
        return await report(store)


@mistake("text that is not JSON, without a `message_type`")
async def _() -> Exception:
    return await complaint("hello")


@mistake("JSON that is not the `message_type`")
async def _() -> Exception:
    return await complaint('{"price": "secret"}', message_type=Trade)


@mistake("a message above `max_size`")
async def _() -> Exception | None:
    async def tell(socket: ServerConnection) -> None:
        await socket.send("x" * 2000)
        await socket.wait_closed()

    async with peer(tell) as url:
        return await failure(url, max_size=1000, message_type=str)


@mistake("an observer that raises")
async def _() -> Exception:
    def careless(message: str) -> None:
        raise ZeroDivisionError

    async def tell(socket: ServerConnection) -> None:
        await socket.send("x")
        await socket.wait_closed()

    async with peer(tell) as url, quick(url, message_type=str) as store:
        store.messages.subscribe(careless)
        return await report(store)


@mistake("an operator's function that raises")
async def _() -> Exception:
    async def tell(socket: ServerConnection) -> None:
        await socket.send("x")
        await socket.wait_closed()

    async with peer(tell) as url, quick(url, message_type=str) as store:
        store.messages.pipe(ops.map(float)).subscribe()
        return await report(store)


async def row(made: Mistake) -> str:
    """Return the table's row of a mistake."""
    said = (await words(made)).replace("|", "\\|")
    return f"| {made.what} | {said} |"


async def table() -> str:
    """Return the page's table, a part for each group."""
    parts, last = [], ""
    for made in MISTAKES:
        if made.group != last:
            last = made.group
            parts.append(f"\n| {last} | what it says |\n|---|---|")
        parts.append(await row(made))
    return "\n".join(parts).strip() + "\n"


def shown() -> str:
    """Return the table that the page has."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(asyncio.run(table()))
    else:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(page.replace(shown(), asyncio.run(table())), encoding="utf-8")
