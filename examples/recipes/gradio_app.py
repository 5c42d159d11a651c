"""Gradio: `python -m examples.recipes.gradio_app`."""

from collections.abc import AsyncIterator

import gradio as gr
import reactivex

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge, message_line, values

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)
# Gradio closes a generator of a tab that is gone when it yields next, so let it yield.
pulse = reactivex.timer(0.0, 5.0, scheduler=store.scheduler)


async def follow() -> AsyncIterator[tuple[str, str]]:
    """Follow the store for one tab."""
    newest = reactivex.combine_latest(badge(store), store.last_message, pulse)
    async for shown, message, _ in values(newest):
        yield shown.text, message_line(message)


def say(text: str) -> str:
    """Send what was typed, and empty the box."""
    store.send({"text": text})
    return ""


with gr.Blocks() as demo:
    status, message = gr.Textbox(label="status"), gr.Textbox(label="newest")
    box = gr.Textbox(label="say something")
    box.submit(say, box, box)
    demo.load(follow, None, [status, message], concurrency_limit=None)  # one for each tab

if __name__ == "__main__":
    demo.launch(server_name="127.0.0.1")
