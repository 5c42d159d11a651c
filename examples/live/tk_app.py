"""A live table and a live plot in Tk: `python -m examples.live.tk_app`."""

import sys
import tkinter as tk
from math import isnan
from tkinter import ttk

from examples.live.feed import Market, Tick, market
from heimdall_reactive.bindings import Changes, Fate, Series, badge, bind
from heimdall_reactive.bindings.tk import scope

COLOURS = {"good": "#2e7d32", "busy": "#bf360c", "idle": "#616161", "bad": "#c62828"}


def window(live: Market) -> tk.Tk:
    """Return a window that shows every row, the last minute of the first, and the connection."""
    root = tk.Tk(className="Market")
    style = ttk.Style(root)
    style.theme_use("clam")
    style.configure(".", background="white")
    style.map("TEntry", fieldbackground=[("disabled", "#e0e0e0")])
    frame = ttk.Frame(root, padding=16)
    frame.pack(fill="both", expand=True)
    frame.columnconfigure(2, weight=1)
    frame.rowconfigure(1, weight=1)
    status = tk.Label(frame, name="status", fg="white", padx=12, pady=4)
    button = ttk.Button(frame, name="drop", text="Drop", command=live.drop)
    table = ttk.Treeview(frame, name="table", columns=("price",), height=16)
    table.heading("#0", text="Symbol")
    table.heading("price", text="Price")
    table.column("#0", width=120)
    table.column("price", width=100, anchor="e")
    bar = ttk.Scrollbar(frame, command=table.yview)
    table.configure(yscrollcommand=bar.set)
    plot = tk.Canvas(frame, name="plot", width=460, bg="#f5f7fa", highlightthickness=0)
    box, word, fate = ttk.Entry(frame, name="box"), ttk.Label(frame, name="fate"), Fate()
    ttk.Label(frame, text="Market", font=("", 14, "bold")).grid(sticky="w")
    status.grid(row=0, column=2, sticky="e", padx=12)
    button.grid(row=0, column=3)
    table.grid(row=1, sticky="ns", pady=12)
    bar.grid(row=1, column=1, sticky="ns", pady=12, padx=(0, 12))
    plot.grid(row=1, column=2, columnspan=2, sticky="nsew", pady=12)
    ttk.Label(frame, text="A symbol of your own:").grid(sticky="w")
    box.grid(sticky="ew")
    word.grid(row=3, column=2, sticky="w")

    def show_rows(changes: Changes[str, Tick]) -> None:
        table.delete(*changes.removed)
        for symbol, tick in changes.changed.items():
            table.set(symbol, "price", f"{tick.price:.2f}")
        for symbol, tick in changes.added.items():
            table.insert("", "end", symbol, text=symbol, values=(f"{tick.price:.2f}",))

    def add(_: object) -> None:
        fate.follow(live.add(box.get()))
        box.delete(0, "end")

    box.bind("<Return>", add)
    bind(badge(live.store), lambda b: status.config(text=b.text, bg=COLOURS[b.tone]), scope(status))
    bind(live.store.is_connected, lambda up: box.state([f"{'!' * up}disabled"]), scope(box))
    bind(live.rows, show_rows, scope(table))
    bind(live.minute, lambda series: draw(plot, series), scope(plot))
    bind(fate, lambda text: word.config(text=text), scope(word))
    return root


def draw(plot: tk.Canvas, series: Series) -> None:
    """Draw a line up to each gap, with the lowest and the highest value beside them."""
    plot.delete("all")
    if len(series.x) < 2:
        return
    width, height = plot.winfo_width() - 72, plot.winfo_height() - 32
    seen = [y for y in series.y if not isnan(y)]
    begin, end, low, high = series.x[0], series.x[-1], min(seen), max(seen)
    lines = [list[float]()]
    for x, y in zip(series.x, series.y, strict=True):
        if isnan(y):
            lines.append([])
            continue
        lines[-1].append(56 + width * (x - begin) / (end - begin))
        lines[-1].append(16 + height * (high - y) / ((high - low) or 1))
    for line in lines:
        if len(line) > 2:  # of a lone point there is none
            plot.create_line(line, fill="#1565c0", width=2)
    for value, y in ((high, 16), (low, 16 + height)):
        plot.create_text(8, y, text=f"{value:.2f}", anchor="w", fill="#455a64")


if __name__ == "__main__":
    with market(url=next(iter(sys.argv[1:]), None)) as live:
        window(live).mainloop()
