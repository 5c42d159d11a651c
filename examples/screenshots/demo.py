"""Makes `docs/images/demo.webp`: `python -m examples.screenshots.demo`.

A recording of `heimdall-reactive demo` in a terminal; frames that show the same are one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from .terminal import Terminal

PICTURE: Final = Path("docs/images/demo.webp")
COLUMNS, LINES = 88, 28
EVERY: Final = 0.2  # seconds between two looks at the screen
LAST: Final = 3.0  # seconds that the last frame stays
SIZE: Final = 26  # pixels of the font: twice what a page shows, for fine screens
FONTS: Final = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf"
MARGIN: Final = 24
BACKGROUND: Final = "#16181d"
COLOURS: Final = {
    "default": "#d7dae0", "brightblack": "#7f8694", "black": BACKGROUND, "red": "#ff6b68",
    "green": "#7ccf7c", "brown": "#e5c07b", "cyan": "#5cc8d6", "white": "#d7dae0",
}  # fmt: skip


class Cell(NamedTuple):
    """One place of the screen: its character, how it is drawn, and its two colours."""

    text: str
    bold: bool
    ink: str
    paper: str


Frame = tuple[tuple[Cell, ...], ...]


def cell(shown: Any) -> Cell:
    """Return what pyte says of a place, in colours."""
    ink, paper = COLOURS[shown.fg], BACKGROUND if shown.bg == "default" else COLOURS[shown.bg]
    return Cell(shown.data, shown.bold, *((paper, ink) if shown.reverse else (ink, paper)))


def record() -> list[tuple[Frame, float]]:
    """Run the demo, and return what the terminal showed, with the seconds of each frame."""
    found: list[tuple[Frame, float]] = []
    command = [sys.executable, "-m", "heimdall_reactive", "demo"]
    with Terminal(command, COLUMNS, LINES) as terminal:
        terminal.until(lambda lines: any("connection" in line for line in lines))
        begin = time.monotonic()
        while terminal.process.poll() is None:
            shown = terminal.lines(EVERY)
            if not any("connection ─" in line for line in shown):
                break  # the other screen is gone, and the summary follows
            frame = tuple(tuple(map(cell, row)) for row in terminal.cells())
            lasted, begin = time.monotonic() - begin, time.monotonic()
            if found and found[-1][0] == frame:
                found[-1] = frame, found[-1][1] + lasted
            else:
                found.append((frame, lasted))
        terminal.end()
    return [*found[:-1], (found[-1][0], LAST)]


def draw(frame: Frame, plain: Any, bold: Any) -> Image.Image:
    """Draw a frame."""
    width, height = round(plain.getlength("M")), SIZE * 9 // 8
    size = (COLUMNS * width + 2 * MARGIN, LINES * height + 2 * MARGIN)
    image = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(image)
    for line, row in enumerate(frame):
        for column, (text, thick, ink, paper) in enumerate(row):
            x, y = MARGIN + column * width, MARGIN + line * height
            if paper != BACKGROUND:
                pen.rectangle((x, y, x + width - 1, y + height - 1), paper)
            if text != " ":
                pen.text((x, y), text, ink, bold if thick else plain)
    return image


def main() -> None:
    """Record, draw and save."""
    plain, bold = (ImageFont.truetype(FONTS.format(style), SIZE) for style in ("", "-Bold"))
    found = record()
    first, *others = (draw(frame, plain, bold) for frame, _ in found)
    first.save(
        PICTURE, save_all=True, append_images=others, loop=0, lossless=True, method=6,
        duration=[round(seconds * 1000) for _, seconds in found],
    )  # fmt: skip
    print(f"{PICTURE}: {len(found)} frames, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
