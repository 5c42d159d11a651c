"""Run `connect` beside wscat and websocat, and print the table of docs/cli.md.

    python -m tests.cli.compare WSCAT WEBSOCAT

Each cell says what was seen: the programs get the same input, and a server of this process looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme
from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve

LIMIT: Final = 8.0  # seconds; who has not ended by then does not end
OURS: Final = [sys.executable, "-m", "heimdall_reactive", "connect"]
NONE: Final = "no"


@dataclass
class Seen:
    """What came of a run."""

    code: int | None
    out: bytes
    err: bytes
    seconds: float
    got: list[Any] = field(default_factory=list)


Judge = Callable[[Seen], str]
Way = tuple[list[str], bytes] | None  # arguments and standard input; None: it has no such option


class Bench:
    """Servers, and a program that is run against them."""

    def __init__(self, wscat: str, websocat: str, folder: Path) -> None:
        self.wscat, self.websocat = [wscat, "-c"], [websocat]
        self.folder = folder
        self.got: list[Any] = []
        self.sessions = 0

    async def echo(self, socket: ServerConnection) -> None:
        self.sessions += 1
        with contextlib.suppress(Exception):
            async for message in socket:
                self.got.append(message)
                await socket.send(message)

    async def look(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        headers = socket.request.headers
        names = ("X-Key", "Origin", "Authorization")
        self.got.append([headers.get(name) for name in names] + [socket.subprotocol])
        await socket.wait_closed()

    async def cut(self, socket: ServerConnection) -> None:
        """Answer the first message, cut the first session, and answer in the second."""
        self.sessions += 1
        async for message in socket:
            await socket.send(f"{message!r} in session {self.sessions}")
            if self.sessions == 1:
                await (await socket.ping())
                socket.transport.abort()

    async def run(self, command: list[str], data: bytes, slowly: bool = False) -> Seen:
        self.got, self.sessions = [], 0
        begin = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=-1, stdout=-1, stderr=-1, cwd=self.folder
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = (
            asyncio.create_task(process.stdout.read()),
            asyncio.create_task(process.stderr.read()),
        )
        code: int | None = None
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(LIMIT):
                for line in data.splitlines(keepends=True) if slowly else [data]:
                    process.stdin.write(line)
                    await process.stdin.drain()
                    if slowly:
                        await asyncio.sleep(1.5)  # for people type no faster
                if data:  # else it is held open, as a terminal is
                    process.stdin.close()
                code = await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return Seen(code, await out, await err, time.monotonic() - begin, self.got)


def ended(seen: Seen) -> str:
    return "does not end" if seen.code is None else f"exit code {seen.code}"


def answered(*wanted: bytes) -> Judge:
    def judge(seen: Seen) -> str:
        lines = [line for line in seen.out.split(b"\n") if line]
        if lines == list(wanted):
            what = "the answers and no more"
        elif all(any(each in line for line in lines) for each in wanted):
            what = "answers with marks or prompts around them"
        else:
            what = "no answer"
        return f"{what}, {ended(seen)}"

    return judge


def arrived(wanted: list[Any]) -> Judge:
    def judge(seen: Seen) -> str:
        got = [each.rstrip("\n") if isinstance(each, str) else each for each in seen.got]
        return "yes" if got == wanted else f"no: {len(got)} of {len(wanted)}"

    return judge


def says(*parts: str) -> Judge:
    def judge(seen: Seen) -> str:
        text = (seen.out + seen.err).decode("utf-8", "replace").strip()
        line = text.splitlines()[0][:250] if text else "nothing"
        return f"`{line}`, {ended(seen)}"

    return judge


async def main(wscat: str, websocat: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(wscat, websocat, Path(name))
        rows = await table(bench)
    print("| what | `connect` | wscat | websocat |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


async def table(bench: Bench) -> list[list[str]]:
    """Run all, one after the other."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(bench.folder / "ca.pem"))
    rows: list[list[str]] = []

    async def row(
        what: str, judge: Judge, ours: Way, wscat: Way, websocat: Way, slowly: bool = False
    ) -> None:
        cells = [what]
        programs = ((OURS, ours), (bench.wscat, wscat), (bench.websocat, websocat))
        for program, way in programs:
            cells.append(
                NONE if way is None else judge(await bench.run(program + way[0], way[1], slowly))
            )
        rows.append(cells)
        print(cells, file=sys.stderr)

    async with contextlib.AsyncExitStack() as stack:

        async def opened(
            handler: Callable[[ServerConnection], Awaitable[None]], **more: Any
        ) -> str:
            server: Server = await stack.enter_async_context(
                serve(handler, "localhost", 0, ping_interval=None, close_timeout=0.5, **more)
            )
            port = next(iter(server.sockets)).getsockname()[1]
            return f"{'wss' if 'ssl' in more else 'ws'}://localhost:{port}/"

        echo, cut = await opened(bench.echo), await opened(bench.cut)
        look, safe = (
            await opened(bench.look, subprotocols=["v2"]),
            await opened(bench.echo, ssl=tls),
        )
        refusing = await opened(bench.echo, process_request=lambda c, r: c.respond(401, "no\n"))
        await stack.enter_async_context(unix_serve(bench.echo, str(bench.folder / "s")))
        strip = ["-n", "--linemode-strip-newlines"]
        two, text = (b"one", b"two"), b"one\ntwo\n"
        await row(
            "two lines through a pipe", answered(*two),
            ([echo, "-q"], text), ([echo], text), ([echo, *strip], text),
        )  # fmt: skip
        await row(
            "two messages as options", answered(*two),
            ([echo, "-q", "-x", "one", "-x", "two"], b""),
            ([echo, "-x", "one", "-x", "two", "-w", "2"], b""), None,
        )  # fmt: skip
        await row(
            "one message and its answer, from the start to the end",
            lambda seen: f"{seen.seconds:.2f} s, {ended(seen)}",
            ([echo, "-q", "-x", "one", "--count", "1"], b""),
            ([echo, "-x", "one", "-w", "0"], b""), ([echo, *strip, "-1"], b"one\n"),
        )  # fmt: skip
        lines = [str(n) for n in range(50_000)]
        data = ("\n".join(lines) + "\n").encode()
        await row(
            "50,000 lines through a pipe arrive", arrived(lines),
            ([echo, "-q"], data), ([echo], data), ([echo, "-n"], data),
        )  # fmt: skip
        basic = ["-o", "https://a.b", "--auth", "ada:pw", "-s", "v2"]
        wanted = ["42", "https://a.b", "Basic YWRhOnB3", "v2"]
        await row(
            "header, origin, login and subprotocol", arrived([wanted]),
            ([look, "-H", "X-Key: 42", *basic, "-x", "a", "-w", "0"], b""),
            ([look, "-H", "X-Key:42", *basic, "-x", "a", "-w", "1"], b""),
            ([look, "-H", "X-Key: 42", "--origin", "https://a.b", "--basic-auth", "ada:pw",
              "--protocol", "v2", "-1"], b"a\n"),
        )  # fmt: skip
        secure, execute = arrived(["a"]), ["-x", "a", "-w", "1"]
        await row(
            "an authority of your own", secure,
            ([safe, "-q", "--cacert", "ca.pem", *execute], b""),
            ([safe, "--ca", "ca.pem", *execute], b""), None,
        )  # fmt: skip
        await row(
            "any certificate", secure, ([safe, "-k", *execute], b""),
            ([safe, "-n", *execute], b""), ([safe, "-k", *strip, "-1"], b"a\n"),
        )  # fmt: skip
        await row(
            "a Unix socket", secure, (["ws://localhost/", "--unix", "s", *execute], b""),
            (["ws+unix:./s:/", *execute], b""),
            ([*strip, "-1", "--ws-c-uri=ws://localhost/", "-", "ws-c:unix-connect:s"], b"a\n"),
        )  # fmt: skip
        await row(
            "binary messages", arrived([b"\xff\x00"]),
            ([echo, "-q", "--hex", "-x", "ff00"], b""), None, ([echo, "-b", "-1"], b"\xff\x00"),
        )  # fmt: skip
        await row(
            "a line is answered that is typed after a drop",
            lambda seen: "yes" if b"'b' in session 2" in seen.out else f"no, {ended(seen)}",
            ([cut, "-q", "--reconnect", "forever", "-w", "4"], b"a\nb\n"), ([cut], b"a\nb\n"),
            ([*strip, "-t", "-", f"autoreconnect:{cut}"], b"a\nb\n"), slowly=True,
        )  # fmt: skip
        once = ["-q", "--reconnect", "0", "-x", "a"]
        for what, url in (
            ("HTTP 401", refusing), ("nobody listens", "ws://localhost:1/"),
            ("a certificate that nobody vouches for", safe),
        ):  # fmt: skip
            await row(what, says(), ([url, *once], b""), ([url, *execute], b""), ([url], b"a\n"))
    return rows


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
