"""Draw the ways through the house, the retries, and the dataflow: `python docs/_draw.py` does.

A picture has colours of its own for a light page; in the site it takes those of the scheme.
"""

from __future__ import annotations

from html import escape
from itertools import product
from math import hypot
from pathlib import Path
from typing import Any, Final

from heimdall_reactive import ConnectionLost
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.retry import Decision
from heimdall_reactive.base.rules import Action
from heimdall_reactive.connecting import events
from heimdall_reactive.connecting.machine import TABLE, Machine, Phase, step

IMAGES: Final = Path(__file__).parent / "images"

STYLE: Final = """<style>
.way text { font: 12px system-ui, "Noto Sans", "Liberation Sans", sans-serif; }
.way text, .way .name { fill: var(--drawing-ink, #24313d); }
.way .paper { fill: var(--drawing-paper, #fff); }
.way .name { font: 600 12.5px ui-monospace, "DejaVu Sans Mono", monospace; }
.way .soft { fill: var(--drawing-soft, #5b6b7a); }
.way .floor { fill: var(--drawing-soft, #5b6b7a); font-size: 11.5px; }
.way .band { fill: var(--drawing-box, #eef4f8); }
.way .box { fill: var(--drawing-card, #fff); stroke-width: 1.4; }
.way .box { stroke: var(--drawing-edge, #3b6ea5); }
.way .mark { stroke: var(--drawing-mark, #1f7a70); }
.way .warm { stroke: var(--drawing-warm, #b27a17); }
.way .line { fill: none; stroke: var(--drawing-edge, #3b6ea5); stroke-width: 1.8; }
.way .line.mark { stroke: var(--drawing-mark, #1f7a70); }
.way .line.warm { stroke: var(--drawing-warm, #b27a17); }
.way .dashed { stroke-dasharray: 5 4; }
.way .head { fill: var(--drawing-edge, #3b6ea5); }
.way .head.mark { fill: var(--drawing-mark, #1f7a70); }
.way .head.warm { fill: var(--drawing-warm, #b27a17); }
.way .number { fill: var(--drawing-ink, #24313d); }
.way .digit { fill: var(--drawing-card, #fff); font-weight: 600; }
</style>"""

WIDTH: Final = 760
FLOORS: Final = ("your code", "store", "codec, outbox", "session", "wire", "network")
FRAME: Final = (  # from the top down, so it is read upwards
    ("observers", "last_message, messages, channels, streams"),
    ("Publisher.on_incoming, Bus.emit", "commit the value, then tell all, in one order"),
    ("Codec.decode", "a typed message, or a report on errors"),
    ("Session.on_frame", "a sign of life; heartbeat replies end here"),
    ("Splitter.feed", "cuts whole messages out of the stream"),
)
COMMAND: Final = (
    ("store.send(value)", "or source.subscribe(store.send)"),
    ("encode", "what has no JSON form fails here, in the caller"),
    ("Outbox.put", "bounded; the Receipt says: queued"),
    ("Session.flush", "one at a time, what has waited longest first"),
    ("Wire.write", "taken by the operating system: written"),
)


def box(x: float, y: float, width: float, name: str, note: str = "", kind: str = "") -> str:
    """Return a box with a name and a line below it; 46 high."""
    middle = x + width / 2
    lines = [
        f'<rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="46" rx="7"/>',
        label(middle, y + (20 if note else 27), name, "name"),
    ]
    return "\n".join([*lines, label(middle, y + 36, note)] if note else lines)


def label(x: float, y: float, text: str, kind: str = "soft", anchor: str = "middle") -> str:
    """Return a line of text."""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def arrow(points: list[tuple[float, float]], kind: str = "") -> str:
    """Return a line through the points, with a head at its end."""
    path = " L".join(f"{x} {y}" for x, y in points)
    (x0, y0), (x, y) = points[-2:]
    length = max(abs(x - x0), abs(y - y0))
    dx, dy = (x - x0) / length, (y - y0) / length
    back, side = (x - 8 * dx, y - 8 * dy), (4.5 * dy, 4.5 * dx)
    corners = [(x, y)] + [(back[0] + k * side[0], back[1] + k * side[1]) for k in (1, -1)]
    head = " L".join(f"{x} {y}" for x, y in corners)
    return f'<path class="line {kind}" d="M{path}"/>\n<path class="head {kind}" d="M{head} Z"/>'


def picture(height: float, parts: list[str], width: float = WIDTH) -> str:
    """Return a whole drawing."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="way" viewBox="0 0 {width} {height}">'
    paper = f'<rect class="paper" width="{width}" height="{height}"/>'
    return "\n".join([head, STYLE, paper, *parts, "</svg>", ""])


def draw_ways() -> str:
    """Draw the way of a frame, upwards, and that of a command, downwards."""
    step, left, right, width = 72, 112, 446, 306
    parts = []
    for floor, name in enumerate(FLOORS):
        y = 26 + step * floor
        parts.append(f'<rect class="band" x="0" y="{y}" width="{WIDTH}" height="60" rx="9"/>')
        parts.append(label(12, y + 34, name, "floor", "start"))
    parts.append(label(left + width / 2, 16, "a frame comes in", "name"))
    parts.append(label(right + width / 2, 16, "a command goes out", "name"))
    for floor, ((frame, about), (command, what)) in enumerate(zip(FRAME, COMMAND, strict=True)):
        y = 33 + step * floor
        parts.append(box(left, y, width, frame, about))
        parts.append(box(right, y, width, command, what, "mark"))
        between = (y + 46, y + step)
        parts.append(arrow([(left + width / 2, between[1]), (left + width / 2, between[0])]))
        hop = "mark dashed" if command == "Outbox.put" else "mark"
        parts.append(arrow([(right + width / 2, between[0]), (right + width / 2, between[1])], hop))
    parts.append(
        label(right + width / 2 + 12, 33 + step * 2 + 62, "on the loop's thread", anchor="start")
    )
    parts.append(box(left, 33 + step * 5, right + width - left, "socket"))
    return picture(26 + step * 6 - 6, parts)


def draw_healing() -> str:
    """Draw what leads from a loss to the next connection, or to an end."""
    parts = [
        box(10, 142, 132, "connected"),
        arrow([(142, 165), (222, 165)], "warm"),
        label(182, 130, "close"), label(182, 143, "refusal"), label(182, 156, "silence"),
        box(222, 142, 150, "Rules.action", "a cause, and its row", "warm"),
    ]  # fmt: skip
    branches = (
        (26, "retry, wait", "Retries.decide", "a delay and a timer, or enough", ""),
        (105, "refresh", "the provider", "asked again", ""),
        (184, "end", "disconnected", "the server is done with us", "warm"),
        (267, "stop", "failed", "somebody has to do something", "warm"),
    )
    for y, action, name, note, kind in branches:
        parts.append(arrow([(372, 165), (396, 165), (396, y + 23), (470, y + 23)], kind))
        parts.append(label(402, y + 17, action, anchor="start"))
        parts.append(box(470, y, 200, name, note, kind))
    parts += [
        arrow([(670, 49), (682, 49), (682, 76), (694, 76)]),
        arrow([(670, 128), (682, 128), (682, 101), (694, 101)]),
        '<rect class="box" x="694" y="58" width="56" height="62" rx="7"/>',
        label(722, 93, "dial", "name"),
        arrow([(722, 58), (722, 10), (76, 10), (76, 142)]),
        label(240, 28, "token, headers, upgrade: a new session"),
    ]
    return picture(330, parts)


def number(x: float, y: float, text: str) -> str:
    """Return the number of a hop, which the page has a row for."""
    return f'<circle class="number" cx="{x}" cy="{y}" r="8.5"/>\n' + label(x, y + 4, text, "digit")


def draw_dataflow() -> str:
    """Draw the way from a socket over the log to many readers, and back."""
    top, middle, bottom = 46, 118, 202  # of the three rows
    parts = [
        label(67, 30, "one socket a copy"), label(250, 30, "any number of copies"),
        label(462, 30, "NATS JetStream"), label(682, 30, "any number of readers"),
        '<rect class="band" x="372" y="38" width="180" height="218" rx="9"/>',
        f'<rect class="box" x="8" y="{top}" width="118" height="202" rx="7"/>',
        label(67, 140, "server", "name"), label(67, 158, "of a WebSocket,"),
        label(67, 174, "replays nothing"),
        box(178, top, 144, "Ingest", "ids, gaps, acks"),
        box(178, middle, 144, "Ingest", "another copy"),
        box(178, bottom, 144, "Outbound", "in each ingest", "mark"),
        box(382, top, 160, "in.<channel>", "messages"),
        box(382, middle, 160, "gap.<channel>", "what was missed", "warm"),
        box(382, bottom, 160, "out.<channel>", "what is to be sent", "mark"),
        box(612, top, 140, "use_log", "Rx, in a process"),
        box(612, middle, 140, "use_log", "on another machine"),
        box(612, bottom, 140, "Spark", "state and windows"),
        # in
        arrow([(126, top + 23), (178, top + 23)]), arrow([(126, middle + 23), (178, middle + 23)]),
        arrow([(322, top + 23), (382, top + 23)]),
        arrow([(322, middle + 14), (352, middle + 14), (352, top + 33), (382, top + 33)]),
        arrow([(322, middle + 30), (382, middle + 30)], "warm"),
        arrow([(542, top + 23), (612, top + 23)]),
        arrow([(542, top + 33), (586, top + 33), (586, middle + 14), (612, middle + 14)]),
        arrow([(586, middle + 14), (586, bottom + 14), (612, bottom + 14)]),
        arrow([(542, middle + 30), (612, middle + 30)], "warm"),
        # out
        arrow([(682, middle + 46), (682, bottom - 18), (564, bottom - 18), (564, bottom + 14),
               (542, bottom + 14)], "mark"),
        arrow([(612, bottom + 33), (542, bottom + 33)], "mark"),
        arrow([(382, bottom + 23), (322, bottom + 23)], "mark"),
        arrow([(178, bottom + 23), (126, bottom + 23)], "mark"),
        number(151, top + 11, "1"), number(348, top + 11, "2"), number(577, top + 11, "3"),
        number(598, bottom - 4, "4"), number(577, bottom + 44, "5"), number(348, bottom + 11, "6"),
    ]  # fmt: skip
    return picture(266, parts)


CONSUMERS: Final = (  # what is asked, from the top down, and what a yes leads to
    ("Shown on a screen?", "bind(source, show)", "Textual, NiceGUI, Qt, a notebook"),
    ("In another process?", "use_log()", "a log: nothing is lost"),
    ("The newest value only?", "last_message.value", "or a stream of the latest"),
    ("On another thread, with state?", "observe_on(hop)", "a view of the store, in order"),
    ("A script, without asyncio?", "for m in iterate():", "waits, bounded buffer"),
    ("A loop in a coroutine?", "async for m in stream():", "waits, bounded buffer"),
    ("An async function, or slow?", "on_message(async_fn)", "one call at a time, bounded"),
    ("A short function?", "messages.subscribe(fn)", "between two reads of the socket"),
)


def draw_consumers() -> str:
    """Draw which consumer to pick: a question on the left, and on the right what a yes says."""
    parts = []
    for number, (question, name, note) in enumerate(CONSUMERS):
        y = 8 + 64 * number
        parts += [
            f'<rect class="box warm" x="6" y="{y}" width="190" height="46" rx="7"/>',
            label(101, y + 27, question), box(240, y, 212, name, note, "mark"),
            arrow([(196, y + 23), (240, y + 23)], "mark"), label(214, y + 17, "yes"),
        ]  # fmt: skip
        if number:
            parts += [arrow([(101, y - 18), (101, y)]), label(110, y - 5, "no", anchor="start")]
    return picture(8 + 64 * len(CONSUMERS) - 10, parts, 458)


# The life of a connection: drawn from the table in `heimdall_reactive/connecting/machine.py`.

LOST: Final = ConnectionLost(1006, "")
DECISIONS: Final = (Decision(Action.RETRY, 1.0, 1), Decision(Action.END), Decision(Action.STOP))
HAPPENS: Final[tuple[Any, ...]] = (
    events.Connect(), events.Disconnect(), events.Close(), events.RetryDue(),
    events.Reopen(), events.Woke(9.0, 0.0), events.LoopLost(0.0, 0.0), events.Dialed(0, None),
    events.AttemptFailed(0, LOST, 0.0), events.Unusable(0), events.Ready(0, 0.0),
    events.Announced(0), events.Reported(0), events.Reconnect(4000, "", 0.0),
    events.Renew(1000, ""), events.ClosedEarly(0, CloseInfo(1006), LOST, 0.0),
    events.HandedOver(0, True, 0.0, 0.0), events.Closed(CloseInfo(1006), LOST, 0.0, 0.0),
    events.Stepped(9.0),
    *(events.Judged(0, decision, 0.0) for decision in DECISIONS),
)  # fmt: skip

Arrows = dict[tuple[Phase, str], set[Phase]]


def explore() -> Arrows:
    """Return what each event leads to in each phase, found by feeding every event everywhere."""
    found: Arrows = {}
    seen: set[tuple[Any, ...]] = set()
    ahead = [Machine()]
    while ahead:
        machine = ahead.pop()
        key = machine.phase, machine.closed, machine.planned, machine.beside
        if key in seen:
            continue
        seen.add(key)
        for event in (event for event in HAPPENS if type(event) in TABLE[machine.phase]):
            fed = event._replace(number=machine.number) if hasattr(event, "number") else event
            after, effects = step(machine, fed)
            if after != machine or effects:
                found.setdefault((machine.phase, type(event).__name__), set()).add(after.phase)
                ahead.append(after)
    return found


def table() -> str:
    """Return the rows of the page about the life of a connection."""
    found = explore()
    names = sorted({event for _, event in found})
    lines = ["| phase | event | leads to |", "|---|---|---|"]
    for phase, event in product(Phase, names):
        if (phase, event) in found and event not in EVERYWHERE:
            after = ", ".join(f"`{to}`" for to in Phase if to in found[phase, event])
            lines.append(f"| `{phase}` | `{event}` | {after} |")
    return "\n".join(lines)


# `Close` is a `Disconnect` that no attempt follows; a lost event loop is a page of its own.
EVERYWHERE: Final = {"Close", "LoopLost", "Stepped", "Woke"}
BESIDE: Final = {
    Phase.OPEN: (10, 110), Phase.RENEWING: (210, 10), Phase.SWITCHING: (420, 10),
    Phase.HANDING_OVER: (645, 50), Phase.ANNOUNCING: (490, 112), Phase.JUDGING: (330, 240),
    Phase.CONNECTING: (60, 205), Phase.HANDSHAKE: (600, 225),
}  # fmt: skip
PLACES: Final = {
    Phase.IDLE: (120, 4), Phase.CONNECTING: (120, 130), Phase.HANDSHAKE: (300, 20),
    Phase.ANNOUNCING: (490, 10), Phase.OPEN: (610, 90), Phase.MOVING: (6, 230),
    Phase.WAITING: (300, 200), Phase.JUDGING: (450, 170), Phase.FAILED: (200, 286),
    Phase.DISCONNECTED: (390, 360), Phase.CLOSING: (600, 360),
    Phase.REOPENED: (70, 450), Phase.REOPENING: (600, 450),
}  # fmt: skip
SIZE: Final = (104, 46)


Place = tuple[int, int]


def border(here: Place, there: Place) -> tuple[float, float]:
    """Return where the line from one phase to another leaves its box."""
    (x, y), (to_x, to_y) = here, there
    dx, dy = to_x - x, to_y - y
    scale = min(SIZE[0] / 2 / abs(dx) if dx else 9.0, SIZE[1] / 2 / abs(dy) if dy else 9.0)
    return x + SIZE[0] / 2 + dx * scale, y + SIZE[1] / 2 + dy * scale


def edge(here: Place, there: Place, text: str, both: bool) -> str:
    """Return an arrow between two phases, beside the one that leads back where there is one."""
    (x0, y0), (x, y) = border(here, there), border(there, here)
    length = hypot(x - x0, y - y0)
    dx, dy = (x - x0) / length, (y - y0) / length
    aside = -7.0 if both else 0.0
    x0, y0, x, y = x0 - dy * aside, y0 + dx * aside, x - dy * aside, y + dx * aside
    back, side = (x - 8 * dx, y - 8 * dy), (4.5 * -dy, 4.5 * dx)
    corners = [(x, y)] + [(back[0] + k * side[0], back[1] + k * side[1]) for k in (1, -1)]
    head = " L".join(f"{a:.1f} {b:.1f}" for a, b in corners)
    line = f'<path class="line" d="M{x0:.1f} {y0:.1f} L{x:.1f} {y:.1f}"/>'
    away = 10 + 3.2 * len(text) * abs(dy)
    words = label(round((x0 + x) / 2 + dy * away, 1), round((y0 + y) / 2 - dx * 8 + 4, 1), text)
    return f'{line}\n<path class="head" d="M{head} Z"/>\n{words}'


def draw_lifecycle() -> str:
    """Draw the table of a connection's life, without what leads everywhere."""
    return picture(506, draw_phases(PLACES, EVERYWHERE))


def draw_overlap() -> str:
    """Draw a planned reconnection with overlap; what leads out of `open` does so here too."""
    left_out = EVERYWHERE | {"Disconnect", "Reconnect", "Unusable", "Reported"}
    return picture(300, draw_phases(BESIDE, left_out))


def draw_phases(places: dict[Phase, tuple[int, int]], left_out: set[str]) -> list[str]:
    """Draw some phases, and the events that lead from one of them to another."""
    found = explore()
    lines: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), after in sorted(found.items()):
        for there in sorted(after - {phase}):
            plain = event == "Disconnect" and there is Phase.DISCONNECTED
            if event not in left_out and not plain and {phase, there} <= set(places):
                lines.setdefault((phase, there), []).append(event)
    for names in lines.values():
        if "Connect" in names:  # where nothing is connected, the three are the same
            names[:] = [name for name in names if name not in ("Reconnect", "Renew")]
    parts = [
        edge(places[here], places[there], ", ".join(names), (there, here) in lines)
        for (here, there), names in lines.items()
    ]
    return parts + [box(*place, SIZE[0], phase) for phase, place in places.items()]


BEGIN: Final = "<!-- table -->"
END: Final = "<!-- end -->"
PICTURES: Final = {
    "way-both.svg": draw_ways,
    "way-reconnecting.svg": draw_healing,
    "way-dataflow.svg": draw_dataflow,
    "way-consumer.svg": draw_consumers,
    "lifecycle.svg": draw_lifecycle,
    "lifecycle-overlap.svg": draw_overlap,
}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
    page = IMAGES.parent / "lifecycle.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
