"""A store in Tk: `python -m examples.tk_app` opens a window."""

import json
import tkinter as tk
from tkinter import ttk
from typing import Any

from examples.fate import Fate
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, bind
from heimdall_reactive.bindings.tk import scope
from heimdall_reactive.devserver import DevServer, serve_in_thread

COLOURS = {"good": "#2e7d32", "busy": "#d84315", "idle": "#616161", "bad": "#c62828"}


def window(store: WebSocketStore[Any], server: DevServer) -> tk.Tk:
    """Return a window that shows how the connection is, and the newest messages."""
    root = tk.Tk(className="Heimdall")
    style = ttk.Style(root)
    style.theme_use("clam")
    style.configure(".", background="white")
    style.map("TEntry", fieldbackground=[("disabled", "#e0e0e0")])
    frame = ttk.Frame(root, padding=24)
    status = tk.Label(frame, name="status", fg="white", padx=12, pady=4)
    log = tk.Listbox(frame, name="log", height=5, width=48, bd=0, bg="#f5f7fa", font="TkFixedFont")
    box = ttk.Entry(frame, name="box", width=36)
    word, fate = ttk.Label(frame, name="fate"), Fate()
    button = ttk.Button(frame, name="drop", text="drop", command=lambda: drop(server))
    ttk.Label(frame, text="Heimdall", font=("", 14, "bold")).grid(sticky="w")
    status.grid(row=0, column=1, columnspan=2, sticky="e")
    log.grid(columnspan=3, pady=16, sticky="ew")
    box.grid(columnspan=2, sticky="nsew", padx=(0, 12))
    button.grid(row=2, column=2, sticky="e")
    word.grid(columnspan=3, sticky="w")
    frame.pack()

    def add(message: object) -> None:
        log.insert("end", json.dumps(message))
        log.delete(0, log.size() - 6)  # all but the last five

    def send(_: object) -> None:
        fate.follow(store.send({"text": box.get()}))
        box.delete(0, "end")

    box.bind("<Return>", send)
    bind(badge(store), lambda b: status.config(text=b.text, bg=COLOURS[b.tone]), scope(status))
    bind(store.messages, add, scope(log), buffer=5)
    bind(store.is_connected, lambda up: box.state([f"{'!' * up}disabled"]), scope(box))
    bind(fate, lambda text: word.config(text=text), scope(word))
    return root


def drop(server: DevServer) -> None:
    """Cut the line, and refuse the next two dials, so that the countdown can be seen."""
    server.refuse(503, times=2)
    server.drop()


if __name__ == "__main__":
    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None)
        with store:
            window(store, server).mainloop()
