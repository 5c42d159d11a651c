"""End in order when the service is stopped: SIGTERM from systemd or Kubernetes, or Ctrl-C."""

import asyncio
import signal
from collections import Counter, deque
from contextlib import suppress

from heimdall_reactive import Receipt, SendError, WaitTimeout, use_websocket


async def main() -> None:
    """Send every 50 ms until told to stop, and say what the server has of it."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):  # on Windows: signal.signal(each, ...)
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with use_websocket("ws://localhost:8765/chat", max_reconnect_attempts=None) as store:
        print("running", flush=True)  # what is sent before it connects waits
        receipts: deque[Receipt] = deque(maxlen=1000)
        while not stop.is_set():  # no new work from here on
            receipts.append(store.send({"count": len(receipts)}))
            await asyncio.sleep(0.05)
        with suppress(SendError, WaitTimeout):  # the states below say what became of them
            if receipts:
                await receipts[-1].delivered(timeout=5)
        print(dict(Counter(receipt.state for receipt in receipts)))
    print("closed")  # the closing handshake is over; no task or thread is left


asyncio.run(main())
