"""A chat in Tk: `python -m examples.first.tk_app`."""

# ruff: noqa: D103, SIM117 - it is shown word for word, and as short as it can be
import tkinter as tk
from typing import Any

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, bind, message_line
from heimdall_reactive.bindings.tk import scope
from heimdall_reactive.devserver import serve_in_thread


def window(store: WebSocketStore[Any]) -> tk.Tk:
    root = tk.Tk(className="Chat")
    status, log, box = tk.Label(root), tk.Listbox(root, width=60), tk.Entry(root)
    for part in (status, log, box):
        part.pack(fill="x", padx=8, pady=4)

    def send(_: object) -> None:
        store.send({"text": box.get()})
        box.delete(0, "end")

    def show(message: Any) -> None:
        log.insert("end", message_line(message))

    box.bind("<Return>", send)
    bind(badge(store), lambda shown: status.config(text=shown.text), scope(status))
    bind(store.messages, show, scope(log), buffer=100)
    return root


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    with serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            window(store).mainloop()
