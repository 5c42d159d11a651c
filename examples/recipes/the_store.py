"""The one store of a process, for frameworks that run a file again for every tab."""

from heimdall_reactive import use_websocket

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)
