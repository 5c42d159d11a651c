"""Gradio: `python -m examples.recipes.gradio_app`."""

import time

import gradio as gr

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge_of, message_line

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)


def look() -> tuple[str, str]:
    """Look at the store for one tab. There is nothing to unsubscribe: a look has no observer."""
    return badge_of(store.state.value, time.time()).text, message_line(store.last_message.value)


def say(text: str) -> str:
    """Send what was typed, and empty the box."""
    store.send({"text": text})
    return ""


with gr.Blocks() as demo:
    status, message = gr.Textbox(label="status"), gr.Textbox(label="newest")
    box = gr.Textbox(label="say something")
    box.submit(say, box, box)
    timer = gr.Timer(0.5)
    timer.tick(look, None, [status, message], show_progress="hidden", queue=False)

if __name__ == "__main__":
    demo.launch(server_name="127.0.0.1")
