"""The plots of docs/performance.md, drawn from results.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["draw"]

OURS: Final = "#0a5fb4"
RIVALS: Final = ("#b0413e", "#d08770", "#8c6d31", "#5f7f3f", "#7b5aa6", "#6b6b6b", "#a3a3a3")
# Far from the others, which they would squeeze together.
FAR: Final = ("WebSocketApp (websocket-client)", "the bytes alone, not parsed")
WIDE: Final = 4.0  # from this ratio of largest to smallest on, the axis is logarithmic


def draw(cases: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what the cases have; return the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if "receive" in cases:
        drawn.append(_small_messages(cases["receive"], folder / "receive.png"))
    growing = [name for name in ("receive", "fan-out", "many stores") if name in cases]
    if growing:
        drawn.append(_growth([cases[name] for name in growing], folder / "growth.png"))
    return drawn


def _color(entry: str, rival: int) -> str:
    if entry.startswith("store"):
        return OURS
    return RIVALS[rival % len(RIVALS)]


def _small_messages(case: Mapping[str, Any], path: Path) -> Path:
    """Draw the cost of a small message as bars, the cheapest on top."""
    from matplotlib import pyplot

    cells = {
        entry: columns["0.1 KB"]["median"]
        for entry, columns in case["entries"].items()
        if "0.1 KB" in columns and entry not in FAR
    }
    order = sorted(cells, key=lambda entry: -cells[entry])
    figure, axes = pyplot.subplots(figsize=(7.2, 0.34 * len(order) + 1.0), layout="constrained")
    colors = [_color(entry, 5) for entry in order]
    bars = axes.barh(order, [cells[entry] for entry in order], color=colors)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_xlabel("µs a message of 0.1 KB; less is better")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    axes.tick_params(labelsize=9)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return path


def _growth(cases: list[Mapping[str, Any]], path: Path) -> Path:
    """Draw each case over what it grows with, side by side."""
    from matplotlib import pyplot, ticker

    size = (3.9 * len(cases), 4.4)
    figure, panels = pyplot.subplots(
        1, len(cases), figsize=size, layout="constrained", squeeze=False
    )
    for axes, case in zip(panels[0], cases, strict=True):
        rivals = 0
        for entry, columns in case["entries"].items():
            medians = {name: cell["median"] for name, cell in columns.items() if "CPU" not in name}
            if entry in FAR or len(medians) < 2:
                continue
            ours = entry.startswith("store")
            axes.plot(
                list(medians), list(medians.values()), color=_color(entry, rivals), label=entry,
                marker="o" if ours else ".", linewidth=2.2 if ours else 1.2,
                linestyle="--" if "plain" in entry else "-",
            )  # fmt: skip
            rivals += not ours
        axes.set_title(case["title"], fontsize=10)
        axes.set_xlabel(case["over"], fontsize=9)
        axes.set_ylabel(case["unit"], fontsize=9)
        low, high = axes.get_ylim()
        if high > WIDE * max(low, 0.01):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", which="both", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return path
