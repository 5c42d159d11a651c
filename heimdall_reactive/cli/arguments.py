"""The command line: what may be written, and what `--help` says."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import heimdall_reactive

from . import values
from .completion import SHELLS, completion
from .connect import connect
from .dashboard import dashboard
from .demo import demo
from .dialing import describe_dial, describe_reconnect, describe_token
from .ingest import INGEST_TEXT, describe_ingest, ingest
from .output import Output, UsageError, run
from .record import record, replay
from .send import send
from .serve import serve
from .watch import watch

__all__ = ["parse"]

_EXIT_CODES: Final = "exit codes: 0 done, 1 failed, 2 wrong usage, 130 (Ctrl-C) or 143 (SIGTERM)"
_EXIT_CALMLY: Final = (
    "exit codes: 0 done, also when ended by Ctrl-C or SIGTERM; 1 failed, 2 wrong usage"
)
_ENDPOINT: Final = (
    "a path such as /v1/ws/updates, under HEIMDALL_WS_URL (default ws://localhost:3000), "
    "or a full ws:// or wss:// URL"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Returns:
        The options, with `run` (takes the options and the output) and `interrupted`, the exit
        code after a signal (None: that of the signal).

    Raises:
        UsageError: it is not valid.
        SystemExit: it asks for help or the version, which have been printed.
    """
    parser = _Parser(
        prog="heimdall-reactive",
        description="A WebSocket as reactive state, from the command line.",
        epilog="heimdall-reactive COMMAND --help shows the options of a command",
        allow_abbrev=False,
    )
    version = f"%(prog)s {heimdall_reactive.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for add in (
        _add_demo, _add_connect, _add_watch, _add_send, _add_record, _add_replay, _add_serve,
        _add_dashboard, _add_ingest, _add_completion,
    ):  # fmt: skip
        add(commands)
    defaults: dict[str, Any] = {"quiet": False, "timestamps": False, "hex": False, "channel": []}
    return parser.parse_args(
        arguments, argparse.Namespace(parser=parser, commands=commands.choices, **defaults)
    )


def _command(
    commands: Any, name: str, work: Callable[..., Any], summary: str, text: str, calm: bool
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=_EXIT_CALMLY if calm else _EXIT_CODES,
        allow_abbrev=False,
    )
    interrupted = 0 if calm else None

    def perform(options: argparse.Namespace, out: Output) -> int:
        return run(work(options, out), out, interrupted)

    parser.set_defaults(run=perform, interrupted=interrupted)
    return parser


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands, "demo", demo, "watch a connection break and reconnect",
        "Start a server and a store, and watch the connection break and reconnect. The server "
        "drops it, refuses it, restarts, stalls, expires the token and bans the user. A terminal "
        "shows a live view, a pipe gets plain lines. The demo checks itself: exit code 1 means "
        "that the store did not recover as planned.", calm=False,
    )  # fmt: skip
    parser.add_argument("--seconds", type=values.seconds, default=20.0, metavar="N",
                        help="about how long the story takes (default: 20)")  # fmt: skip
    parser.add_argument("--port", type=values.port, default=0, metavar="N",
                        help="port of the demo's server (default: a free one)")  # fmt: skip


def _add_serve(commands: Any) -> None:
    parser = _command(
        commands, "serve", serve, "run the development server",
        "Run the embedded Heimdall server until Ctrl-C, and show who connects and what arrives. "
        "Type commands for it, one a line, such as 'drop', 'ban demo', 'refuse 503 2', "
        "'restart 2', 'stall 5', 'fire rolesUpdated'; 'help' lists them.", calm=True,
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on (default: %(default)s)")  # fmt: skip
    parser.add_argument("--port", type=values.port, default=3000, metavar="N",
                        help="port to listen on; 0 picks a free one (default: 3000)")  # fmt: skip
    parser.add_argument(
        "--script", type=values.script, default=(), metavar="TEXT|@FILE",
        help="what the server does and when, such as '2 drop; 4.5 refuse 503 2', or @ and the "
        "name of a file of such lines",
    )  # fmt: skip
    parser.add_argument(
        "--no-token", action="store_true", help="accept connections without a token"
    )
    parser.add_argument("--echo", action="store_true",
                        help="send back every message that is not a control message")  # fmt: skip
    parser.add_argument(
        "--heartbeat", type=values.seconds, metavar="N",
        help="every N seconds publish on the channel 'stats', and send every connected user a "
        "random server message (none that ends a session)",
    )  # fmt: skip


def _add_dashboard(commands: Any) -> None:
    parser = _command(
        commands, "dashboard", dashboard, "watch connections in a browser",
        "Serve a page with connections, their messages, plots of rate and latency, and a send "
        "box. Without --endpoint it starts a development server, with buttons for messages and "
        "faults. Anyone who can reach the address can read and send: use a --host other than "
        "127.0.0.1 only in networks you trust.", calm=True,
    )  # fmt: skip
    parser.add_argument("--endpoint", action="append", default=[], metavar="ENDPOINT",
                        help=f"{_ENDPOINT}; may be given several times")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on (default: %(default)s)")  # fmt: skip
    parser.add_argument("--port", type=values.port, default=8080, metavar="N",
                        help="port of the page; 0 picks a free one (default: 8080)")  # fmt: skip
    describe_token(parser)


def _add_connect(commands: Any) -> None:
    parser = _command(
        commands, "connect", connect, "talk to an endpoint, at a prompt or in a pipe",
        "Connect to any WebSocket server. At a terminal, type a line to send it, and see what "
        "comes above the prompt; Ctrl-D ends. In a pipe, each line of standard input is a "
        "message, the server's messages go to standard output, and the state of the connection to "
        "standard error. Connects again as the store does. Exit code 1 means that it failed, or "
        "that typed lines were not sent; 3 means 'in doubt': nothing proves that the server has "
        "all that was written.", calm=True,
    )  # fmt: skip
    parser.add_argument("endpoint", metavar="ENDPOINT", help=_ENDPOINT)
    add = parser.add_argument
    add("-x", "--execute", action="append", default=[], metavar="MESSAGE",
        help="message to send instead of standard input; may be repeated")  # fmt: skip
    add("-w", "--wait", type=values.wait, default=2.0, metavar="N|forever",
        help="seconds to wait for answers after the last message of a pipe or of --execute "
        "(default: 2)")  # fmt: skip
    add("--history", metavar="FILE", help="remember typed lines in this file")
    _add_channel(parser)
    describe_reconnect(parser)
    _add_format(parser)
    _add_view(parser)
    add("-t", "--timestamps", action="store_true", help="print the time before each line")
    add("-q", "--quiet", action="store_true",
        help="in a pipe, print nothing about the connection but its last error")  # fmt: skip
    describe_dial(parser)


def _add_watch(commands: Any) -> None:
    parser = _command(
        commands, "watch", watch, "print what an endpoint sends",
        "Connect to any WebSocket server and print state changes and messages, one a line, with "
        "the time. Reconnects as a store does; ends when the store gives up (exit code 1) or the "
        "server closes for good. Control characters are escaped, as in \\x1b.",
        calm=True,
    )  # fmt: skip
    parser.add_argument("endpoint", metavar="ENDPOINT", help=_ENDPOINT)
    _add_channel(parser)
    describe_reconnect(parser)
    _add_view(parser)
    describe_dial(parser)


def _add_send(commands: Any) -> None:
    parser = _command(
        commands, "send", send, "send one message",
        "Connect once, send one message as text, and close. With --protocol the message is JSON, "
        "and is sent after the login. Prints 'delivered' once the server's answer to a ping "
        "proves that it has the message, or, with --wait-reply, the reply. Exit code 3 means "
        "'in doubt': it was written, but no proof arrived in time.", calm=False,
    )  # fmt: skip
    parser.add_argument("endpoint", metavar="ENDPOINT", help=_ENDPOINT)
    parser.add_argument("message", metavar="MESSAGE",
                        help="sent unchanged; - reads it from standard input")  # fmt: skip
    parser.add_argument("--wait-reply", action="store_true",
                        help="print the reply: the one that the protocol recognises, or else the "
                        "next message")  # fmt: skip
    parser.add_argument("--timeout", type=values.seconds, default=10.0, metavar="N",
                        help="seconds until it is written and answered (default: 10)")  # fmt: skip
    _add_format(parser)
    describe_dial(parser)


def _add_record(commands: Any) -> None:
    parser = _command(
        commands, "record", record, "record what an endpoint sends",
        "Watch an endpoint, and write its messages and the states of the connection to a file, "
        "one JSON object a line. Secrets are masked. An existing file is replaced.",
        calm=True,
    )  # fmt: skip
    parser.add_argument("endpoint", metavar="ENDPOINT", help=_ENDPOINT)
    parser.add_argument("file", metavar="FILE", help="the recording")
    describe_reconnect(parser)
    _add_view(parser)
    describe_dial(parser)


def _add_replay(commands: Any) -> None:
    parser = _command(
        commands, "replay", replay, "replay a recording",
        "Print what was recorded as watch does, in the recorded order and at the recorded pace, "
        "without a connection.", calm=True,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the recording")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=values.speed, default=1.0, metavar="X",
                      help="speed as a factor (default: 1)")  # fmt: skip
    pace.add_argument("--instant", action="store_true", help="as fast as possible")
    _add_view(parser)


def _add_ingest(commands: Any) -> None:
    summary = "write what endpoints send to a durable log"
    parser = _command(commands, "ingest", ingest, summary, INGEST_TEXT, calm=True)
    describe_ingest(parser)
    describe_token(parser)


def _add_completion(commands: Any) -> None:
    parser = _command(
        commands, "completion", completion, "print a completion script for a shell",
        "Print a script that completes commands and options. In bash: source "
        "<(heimdall-reactive completion bash). In zsh: write it to _heimdall-reactive in a folder "
        "of $fpath. In fish: heimdall-reactive completion fish > "
        "~/.config/fish/completions/heimdall-reactive.fish.", calm=True,
    )  # fmt: skip
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _add_channel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--subscribe", "--channel", dest="channel", action="append", default=[], metavar="CHANNEL",
        help="subscribe to a channel, and print only its messages; may be repeated",
    )  # fmt: skip


def _add_format(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--binary", action="store_true", help="send binary messages")
    kind.add_argument("--hex", action="store_true",
                      help="send and print binary messages as hexadecimal digits")  # fmt: skip


def _add_view(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true",
        help="print JSON lines: time and event (state, message, error); messages have format "
        "(json, text, or binary in base64) and data",
    )  # fmt: skip
    form.add_argument(
        "--raw", action="store_true",
        help="print messages only, unchanged; everything else goes to standard error",
    )  # fmt: skip
    parser.add_argument("--seconds", type=values.seconds, metavar="N", help="end after N seconds")
    parser.add_argument("--count", type=values.count, metavar="N", help="end after N messages")
