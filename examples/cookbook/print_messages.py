"""Print every message until Ctrl-C."""

from heimdall_reactive import use_websocket

with use_websocket("ws://localhost:8765/trades", max_reconnect_attempts=None) as store:
    try:
        for message in store.iterate():
            print(message, flush=True)
    except KeyboardInterrupt:
        print("bye")
