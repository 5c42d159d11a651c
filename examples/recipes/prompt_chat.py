"""prompt_toolkit: `python -m examples.recipes.prompt_chat`, a chat with output above the prompt."""

import asyncio
import sys
import time
from contextlib import nullcontext

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge_of, message_line
from heimdall_reactive.devserver import serve_in_thread


async def main(url: str) -> None:
    """Send what is typed, and print what comes, until Ctrl-D."""
    async with use_websocket(url, max_reconnect_attempts=None) as store:
        session: PromptSession[str] = PromptSession(
            bottom_toolbar=lambda: badge_of(store.state.value, time.time()).text,
            refresh_interval=0.5,
        )
        with patch_stdout():
            store.messages.subscribe(lambda message: print("<", message_line(message["text"])))
            while True:
                try:
                    text = await session.prompt_async("> ")
                except (EOFError, KeyboardInterrupt):
                    break
                store.send({"text": text})


if __name__ == "__main__":
    given = sys.argv[1:]
    serving = nullcontext() if given else serve_in_thread(require_token=False, echo=True)
    with serving as server:
        asyncio.run(main(given[0] if server is None else f"{server.url}/v1/ws"))
