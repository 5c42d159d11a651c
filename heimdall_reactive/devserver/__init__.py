"""An embedded Heimdall-compatible server for development and tests.

::

    async with DevServer() as server:
        store = use_websocket(server.url + "/v1/ws/user", access_token=server.issue("u1"))
        ...
        server.fire("rolesUpdated", user_id="u1")
        server.refuse(503, times=2)
        server.drop()
"""

from .handshake import ENDPOINTS
from .journal import Peer, UpgradeRecord
from .script import ScriptStep, parse_command, parse_script
from .server import DevServer
from .threads import ServerOptions, serve_in_thread
from .tokens import DEMO_TOKEN, DEMO_USER

__all__ = [
    "DEMO_TOKEN",
    "DEMO_USER",
    "ENDPOINTS",
    "DevServer",
    "Peer",
    "ScriptStep",
    "ServerOptions",
    "UpgradeRecord",
    "parse_command",
    "parse_script",
    "serve_in_thread",
]
