#!/usr/bin/env bash
# A plot of Bokeh 3.9.2 that a server streams to, and that nobody touches, answers: after each update the
# browser sends both ends of its axes back, and on_change() of the ranges fires on the server as if
# someone had panned. With syncable=False nothing comes back.
# Needs Debian's package: apt-get install chromium
# Seen: 20 updates: 80 changes of the ranges on the server; with syncable=False: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q bokeh==3.9.2
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import os
import signal

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from bokeh.server.server import Server

UPDATES = 20


def plot(document, ended, syncable):
    source = ColumnDataSource({"x": [0], "y": [0]})
    chart = figure(width=400, height=300, toolbar_location=None)
    chart.line("x", "y", source=source)
    document.add_root(chart)
    changes = []
    for axis in (chart.x_range, chart.y_range):
        axis.syncable = syncable
        for end in ("start", "end"):
            axis.on_change(end, lambda attr, old, new: changes.append(new))
    rounds = iter(range(1, UPDATES + 1))

    def update():
        number = next(rounds, None)
        if number is None:
            document.remove_periodic_callback(timer)
            ended.set_result(len(changes))
        else:
            source.stream({"x": [number], "y": [number**2]})

    def painted(attr, old, new):
        chart.remove_on_change("inner_width", painted)
        document.add_timeout_callback(begin, 1000)  # until the first paint has told all it had

    def begin():
        nonlocal timer
        changes.clear()
        timer = document.add_periodic_callback(update, 200)

    timer = None
    chart.on_change("inner_width", painted)


async def look(name, syncable):
    ended = asyncio.get_running_loop().create_future()
    app = {"/": lambda document: plot(document, ended, syncable)}
    server = Server(app, port=0, address="127.0.0.1")
    server.start()
    url = f"http://127.0.0.1:{server.port}/"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={name}"]
    browser = await asyncio.create_subprocess_exec(
        "/usr/bin/chromium", *flags, url, stdout=-3, stderr=-3, start_new_session=True
    )
    try:
        return await asyncio.wait_for(ended, 120)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        server.stop()


async def main():
    changes, unsynced = await look("synced", True), await look("unsynced", False)
    print(f"{UPDATES} updates: {changes} changes of the ranges on the server; ", end="")
    print(f"with syncable=False: {unsynced}")
    raise SystemExit(changes < UPDATES or unsynced != 0)


asyncio.run(main())
PY
