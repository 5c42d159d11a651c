"""The servers: how each is started, and what a client says to it."""

from __future__ import annotations

import getpass
import grp
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import pytest

from tests.protocols.programs import MODULES, program

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE / "servers"
MIB: Final = 2**20

Command: TypeAlias = list[str]
Start: TypeAlias = Callable[[int, int, Path], Command]
"""From the port, that of the server behind (if any) and a folder to the command."""


class Server(NamedTuple):
    """One server of the table.

    Attributes:
        start: its command.
        version: the packages or programs whose versions are shown.
        talk: what it speaks: `plain`, `mqtt` or `socketio`.
        behind: the server that it is in front of.
        too_big: bytes of a message that it does not take; 0 where there is no such bound.
        crashes: whether a handler that raises ends the process.
    """

    start: Start
    version: tuple[str, ...]
    talk: str = "plain"
    behind: Start | None = None
    too_big: int = 3 * MIB
    crashes: bool = False


def python(*command: str) -> Start:
    """Return how a module or a script of Python is run, in the environment of the servers."""
    return lambda port, _, __: [
        str(servers() / "python"), *(word.format(port=port, here=FOLDER) for word in command)
    ]  # fmt: skip


def servers() -> Path:
    """Return where the programs of `requirements.txt` are; skip where they are not."""
    if not (folder := os.environ.get("HEIMDALL_SERVERS")):
        pytest.skip("HEIMDALL_SERVERS is not set: pip install -r tests/interop/requirements.txt")
    return Path(folder)


def uvicorn(ws: str, app: str = "asgi:app") -> Start:
    """Return how uvicorn is run with one of its implementations."""
    return python(
        "-m", "uvicorn", "--port", "{port}", "--ws", ws, "--ws-max-size", str(2 * MIB), app,
    )  # fmt: skip


def hypercorn(app: str) -> Start:
    """Return how hypercorn is run."""
    return python("-m", "hypercorn", "-c", "{here}/hypercorn.toml", "-b", "127.0.0.1:{port}", app)


def node(script: str, package: str) -> Start:
    """Return how a script of Node is run."""

    def command(port: int, _: int, __: Path) -> Command:
        if not (MODULES / package).is_dir():
            pytest.skip(f"{package} missing: npm install in tests/protocols/servers")
        return [program("node", "nodejs"), str(FOLDER / script), str(port)]

    return command


def mosquitto(port: int, _: int, folder: Path) -> Command:
    """Write the settings of the broker; return its command."""
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"user {getpass.getuser()}\nallow_anonymous true\nlistener 0 {folder / 'socket'}\n"
        f"listener {port} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n"
    )
    return [program("mosquitto", "mosquitto"), "-c", str(settings)]


def nginx(port: int, behind: int, folder: Path) -> Command:
    """Write the settings of the proxy; return its command."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    settings = folder / "nginx.conf"
    settings.write_text(f"""
daemon off;
user {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name};
pid {folder / "nginx.pid"};
events {{}}
http {{
access_log off;
{paths}
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{behind};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }}
}}
}}
""")
    return [program("nginx", "nginx"), "-e", "stderr", "-p", str(folder), "-c", str(settings)]


def haproxy(port: int, behind: int, folder: Path) -> Command:
    """Write the settings of the proxy; return its command."""
    settings = folder / "haproxy.cfg"
    settings.write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend public
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    server one 127.0.0.1:{behind}
""")
    return [program("haproxy", "haproxy"), "-db", "-f", str(settings)]


def script(name: str) -> Start:
    """Return how a server that is a script is run."""
    return python("{here}/" + name, "{port}")


GRANIAN: Final = python(
    "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}",
    "--no-access-log", "asgi:app",
)  # fmt: skip
DAPHNE: Final = python(
    "-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "--websocket-max-message-size",
    str(2 * MIB), "asgi:app",
)  # fmt: skip
SANSIO: Final = uvicorn("websockets-sansio")

CATALOGUE: Final[dict[str, Server]] = {
    "uvicorn, `websockets`": Server(uvicorn("websockets"), ("uvicorn", "websockets")),
    "uvicorn, `websockets-sansio`": Server(SANSIO, ("uvicorn", "websockets")),
    "uvicorn, `wsproto`": Server(uvicorn("wsproto"), ("uvicorn", "wsproto")),
    "Starlette on uvicorn": Server(
        uvicorn("auto", "on_starlette:app"), ("starlette", "uvicorn")
    ),
    "hypercorn": Server(hypercorn("asgi:app"), ("hypercorn",)),
    "Quart on hypercorn": Server(hypercorn("on_quart:app"), ("quart", "hypercorn")),
    "daphne": Server(DAPHNE, ("daphne",)),
    "granian": Server(GRANIAN, ("granian",), too_big=17 * MIB),
    "aiohttp": Server(script("on_aiohttp.py"), ("aiohttp",)),
    "tornado": Server(script("on_tornado.py"), ("tornado",)),
    "sanic": Server(script("on_sanic.py"), ("sanic",)),
    "`websockets`": Server(script("on_websockets.py"), ("websockets",)),
    "Node `ws`": Server(node("ws.cjs", "ws"), ("ws",), crashes=True),
    "Socket.IO": Server(node("socketio.cjs", "socket.io"), ("socket.io",), "socketio"),
    "mosquitto": Server(mosquitto, ("mosquitto",), "mqtt", too_big=0),
    "nginx in front of uvicorn": Server(nginx, ("nginx", "uvicorn"), behind=SANSIO),
    "haproxy in front of uvicorn": Server(haproxy, ("haproxy", "uvicorn"), behind=SANSIO),
}  # fmt: skip
