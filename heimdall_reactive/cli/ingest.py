"""`ingest`: write what endpoints send into a stream of NATS JetStream."""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from heimdall_reactive import ConfigurationError, HeimdallError
from heimdall_reactive.base.starting import start_task

from .dialing import given_token
from .output import CommandError, Output, UsageError
from .text import clock, printable
from .values import count, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heimdall_reactive.dataflow import Feed, Ingest, IngestStats

__all__ = ["INGEST_TEXT", "describe_ingest", "ingest"]

INGEST_TEXT: Final = (
    "Connect to any WebSocket servers, and write each message to a stream of NATS JetStream, "
    "until Ctrl-C or SIGTERM; what was read by then is still written. A message is kept until "
    "the log has acknowledged it. Run as many copies as you like: the log keeps each message "
    "once by its id, so redundant copies lose nothing while one of them is connected. Messages "
    "that were missed are recorded as gaps. To try it without a server, use --log embedded."
)
BEHIND: Final = 10.0  # seconds of lag with which a copy that was ready is not any more
LOOK: Final = 0.5  # seconds between two looks at that
_COUNTS: Final = (
    "feeds", "read", "written", "duplicates", "repeats", "gaps", "missed", "dropped", "refused",
    "sent",
)  # fmt: skip


def describe_ingest(parser: argparse.ArgumentParser) -> None:
    """Say what may be written behind `ingest`."""
    add = parser.add_argument
    add("feeds", metavar="[CHANNEL=]ENDPOINT", nargs="+",
        help="a path or URL, and the channel that its messages get in the log (default: feed)",
    )  # fmt: skip
    add("--log", "--nats", metavar="URL|embedded[:DIR]", default="nats://localhost:4222",
        help="servers of the log, separated by commas (default: %(default)s). 'embedded' starts "
        "one on loopback and stops it at the end; it keeps the log in DIR for the next time, or "
        "in a temporary directory")  # fmt: skip
    add("--stream", metavar="NAME", required=True, help="created if it does not exist")
    add("--subscribe", metavar="CHANNEL", action="append", default=[],
        help="subscribe to a channel of the server on every socket; may be repeated")  # fmt: skip
    add(
        "--name",
        metavar="NAME",
        help="name of this copy (default: host, process and a random part)",
    )
    _describe_login(parser)
    _describe_ids(parser)
    group = parser.add_argument_group("copies that share endpoints")
    add = group.add_argument
    add("--replicas", type=count, metavar="N", help="hold each endpoint in N of the copies; "
        "default: every copy holds all")  # fmt: skip
    add("--lease", type=seconds, default=6.0, metavar="N",
        help="seconds until the endpoints of a dead copy move to others (default: 6)")  # fmt: skip
    add("--settle", type=seconds, default=3.0, metavar="N",
        help="seconds that other copies have to supply what one missed (default: 3)")  # fmt: skip
    parser.add_argument("--every", type=seconds, metavar="N", help="print counters every N seconds")
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end after N seconds")
    parser.add_argument("--ready-file", metavar="FILE", help="file that exists while this copy "
                        "has caught up, for a readiness probe")  # fmt: skip


def _describe_login(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("login to the log; secrets are read from files or variables")
    for name, metavar, text in (
        ("ca", "FILE", "certificate authorities to trust (PEM)"),
        ("cert", "FILE", "client certificate (PEM)"),
        ("key", "FILE", "key of that certificate, if it is in a separate file"),
        ("creds", "FILE", "credentials of a user (JWT and seed)"),
        ("nkey", "FILE", "seed of a user"),
        ("user-env", "NAME", "environment variable with the name of a user"),
        ("password-env", "NAME", "environment variable with the user's password"),
        ("token-env", "NAME", "environment variable with a token"),
    ):
        group.add_argument(f"--nats-{name}", metavar=metavar, help=text)


def _describe_ids(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how messages are identified").add_argument
    add("--id", metavar="FIELD", help="field with the id of a message (default: id, else seq)")
    add("--single", action="store_true",
        help="messages have no ids: one copy at a time holds an endpoint")  # fmt: skip
    add("--consecutive", action="store_true",
        help="ids are consecutive whole numbers: missing ones are counted")  # fmt: skip
    add("--resume", metavar="TEXT", help="what to add to an endpoint to resume after an offset, "
        "such as '?from={offset}'")  # fmt: skip
    add("--rewind", type=count, default=0, metavar="N",
        help="resume N before the last offset; repeats are dropped (default: 0)")  # fmt: skip


async def ingest(options: argparse.Namespace, out: Output) -> int:
    """Write until the user's limit, a signal, or the end of every feed.

    Raises:
        CommandError: the log cannot be reached, or every feed has ended.
    """
    from heimdall_reactive.dataflow import Ingest

    feeds, login = _feeds(options), _login(options)
    _check_ready_file(options.ready_file)
    try:
        with _told(out), _log(options, out) as servers:
            made = Ingest(
                servers.split(","), options.stream, feeds, name=options.name,
                replicas=1 if options.single else options.replicas, lease=options.lease,
                settle=options.settle, **login,
            )  # fmt: skip
            async with made as running:
                out.line(f"{clock()}  copy {running.name} writes to {options.stream}")
                await _run(running, options, out)
            _show(made.stats, out)
    except HeimdallError as error:
        raise CommandError(str(error)) from None
    return 0


@contextmanager
def _log(options: argparse.Namespace, out: Output) -> Iterator[str]:
    """Give the URLs of the log, whose server runs for as long as this if it is embedded."""
    if not _embedded(options):
        yield options.log
        return
    _, colon, directory = options.log.partition(":")
    if colon and not directory:
        raise UsageError("--log embedded: needs a directory after the colon")
    from heimdall_reactive.dataflow import embedded_log

    with embedded_log(Path(directory).expanduser() if directory else None) as url:
        where = directory or "a temporary directory, which is removed at the end"
        out.line(f"{clock()}  log {url} in {printable(where)}")
        yield url


async def _run(running: Ingest, options: argparse.Namespace, out: Output) -> None:
    showing = start_task(_show_every(running, options.every, out))
    telling = start_task(_tell_ready(running, options.ready_file, out))
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(options.seconds):
                await running.run()
    finally:
        showing.cancel()
        telling.cancel()
        await asyncio.wait([showing, telling])


async def _tell_ready(running: Ingest, file: str | None, out: Output) -> None:
    """Print when the copy has caught up, and when it has fallen behind."""
    try:
        while True:
            try:
                await running.ready()
            except Exception:  # it has ended, and `run` raises the same
                return
            stats = running.stats
            out.line(f"{clock()}  ready: {stats.connected} connected, lag {stats.lag:.1f} s")
            _show_ready(file, True)
            while running.is_ready(BEHIND):  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(LOOK)
            stats = running.stats
            out.line(
                f"{clock()}  not ready: {stats.connected} of {stats.feeds} connected, "
                f"lag {stats.lag:.1f} s, {stats.publisher.waiting} waiting for the log"
            )
            _show_ready(file, False)
    finally:
        _show_ready(file, False)


def _check_ready_file(file: str | None) -> None:
    """Refuse a file that cannot be made, and remove one that a killed copy has left."""
    try:
        for ready in (True, False):
            _show_ready(file, ready)
    except OSError as error:
        raise UsageError(f"--ready-file {file} cannot be made: {error.strerror}") from None


def _show_ready(file: str | None, ready: bool) -> None:
    if file is not None and ready:
        Path(file).touch()
    elif file is not None:
        Path(file).unlink(missing_ok=True)


async def _show_every(running: Ingest, seconds: float | None, out: Output) -> None:
    while seconds is not None:
        await asyncio.sleep(seconds)
        _show(running.stats, out)


def _show(stats: IngestStats, out: Output) -> None:
    counts = asdict(stats)
    shown = ", ".join(f"{name} {counts[name]}" for name in _COUNTS if counts[name])
    lag = f", lag {stats.lag:.1f} s" if stats.publisher.waiting else ""
    out.line(f"{clock()}  {shown or 'nothing was read'}; waiting {stats.publisher.waiting}{lag}")


def _embedded(options: argparse.Namespace) -> bool:
    return re.match("embedded(:|$)", options.log) is not None


def _feeds(options: argparse.Namespace) -> list[Feed]:
    from heimdall_reactive.dataflow import Feed

    resume = options.resume
    if resume is not None and "{offset}" not in resume:
        raise UsageError("--resume needs {offset} in it, such as '?from={offset}'")
    store: dict[str, Any] = {
        "access_token": given_token(options),
        "allow_insecure_token": options.allow_insecure_token,
    }
    return [
        Feed(
            endpoint=endpoint, channel=channel or "feed", channels=tuple(options.subscribe),
            id=options.id, single=options.single, consecutive=options.consecutive,
            resume=None if resume is None else (lambda at: resume.replace("{offset}", str(at))),
            rewind=options.rewind, options=store,
        )
        for channel, endpoint in map(_named, options.feeds)
    ]  # fmt: skip


def _named(text: str) -> tuple[str, str]:
    """Split `CHANNEL=ENDPOINT`; an endpoint may have a `=` of its own."""
    found = re.fullmatch(r"([^=/]+)=(wss?://.+|/.*)", text)
    return (found[1], found[2]) if found else ("", text)


def _login(options: argparse.Namespace) -> dict[str, Any]:
    from heimdall_reactive.dataflow.login import from_environment, has_secret, login_of

    if has_secret(options.log):
        raise UsageError(
            "--log contains a secret, which the process list shows: use --nats-user-env and "
            "--nats-password-env, or --nats-token-env, with the names of environment variables"
        )
    try:
        found = login_of(
            ca=options.nats_ca or "", certificate=options.nats_cert or "",
            key=options.nats_key or "", credentials=options.nats_creds or "",
            nkey=options.nats_nkey or "", token=from_environment(options.nats_token_env),
            user=from_environment(options.nats_user_env),
            password=from_environment(options.nats_password_env),
        )  # fmt: skip
    except ConfigurationError as error:
        raise UsageError(str(error)) from None
    if found and _embedded(options):
        raise UsageError("an embedded log takes no --nats-creds and no other login")
    return found


class _Lines(logging.Handler):
    def __init__(self, out: Output) -> None:
        super().__init__(logging.WARNING)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.line(f"{clock()}  {printable(record.getMessage())}")


@contextmanager
def _told(out: Output) -> Iterator[None]:
    """Print what the ingest logs: gaps, and failures of the log."""
    logger, lines = logging.getLogger("heimdall_reactive"), _Lines(out)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
