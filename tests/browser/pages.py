"""Where the scenarios run: Pyodide in Node, in a page of Chromium, and in a worker of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from tests.protocols.programs import MODULES, program, running
from tests.ui.chromium import Chromium, chromium

__all__ = ["Page", "TabPage", "pages"]

T = TypeVar("T")

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
PATIENCE: Final = 80  # seconds in which the next word must come


class Page(ABC):
    """A place where Pyodide runs."""

    @abstractmethod
    def read(self) -> dict[str, Any]:
        """Return the next word that it says."""

    @abstractmethod
    def tell(self, **words: str) -> None:
        """Send it a word."""

    def run(self, name: str, url: str = "", asked: Callable[[str], object] | None = None) -> Any:
        """Run a scenario; what it asks for is done here."""
        self.tell(name=name, url=url)
        while True:
            word = self.read()
            if "ask" in word:
                if asked is not None:
                    asked(word["ask"])
                self.tell(answer="")
                continue
            assert "done" in word, word.get("failed", word)
            return json.loads(word["done"])


class NodePage(Page):
    """Pyodide in a process of Node."""

    def __init__(self, site: str) -> None:
        node = program("node", "nodejs")
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        # The WebSocket of Node is there without the flag since 22.
        flags = ["--experimental-websocket"] if int(version.stdout[1:].split(".")[0]) < 22 else []
        self.process = subprocess.Popen(
            [node, "--no-warnings", *flags, HERE / "node.mjs", MODULES, site, ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "ready" in self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        watch = threading.Timer(PATIENCE, self.process.kill)  # a line that never comes
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        watch.join()
        assert line, "Node has ended"
        return json.loads(line)  # type: ignore[no-any-return]

    def tell(self, **words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.communicate(timeout=8)


class TabPage(Page):
    """Pyodide in a tab of Chromium."""

    def __init__(self, browser: Chromium, base: str, kind: str) -> None:
        self.base = base
        self._browser = browser
        self.tab = browser.open(f"{base}/page.html?{kind}")
        # It would tell this process each message: 20,000 of them took the page 3 s and not 1.7 s.
        self.tab.call("Network.disable")
        assert "ready" in self.read()

    def read(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while not (word := self.tab.look("globalThis.said && JSON.stringify(said.shift())")):
            assert time.monotonic() < end, "the page says nothing"
            time.sleep(0.02)
        return json.loads(word)  # type: ignore[no-any-return]

    def tell(self, **words: str) -> None:
        self.tab.look(f"void tell({json.dumps(words)})")

    def busy(self, run: Callable[[], T]) -> tuple[T, float, float]:
        """Do something; return its result, and ms of CPU of the page, from its first frame on.

        Those of its longest task, and the most between two frames. Not the time on the clock: a
        machine under load has gaps of its own. It may leave frames out, too, so that the second
        figure is an upper bound.
        """
        with self._browser.traced("toplevel", "blink.user_timing") as events:
            done = run()
        marks = [event for event in events if event["name"] == "frame"]
        (mine,) = {(event["pid"], event["tid"]) for event in marks}
        frames = sorted(event["ts"] for event in marks)
        spent, longest = [0.0] * (len(frames) + 1), 0.0
        for event in events:
            if (event["pid"], event["tid"]) == mine and event["name"].endswith("::RunTask"):
                # The clock of a thread may have steps of 10 ms.
                cpu = min(event.get("tdur", 0), event.get("dur", 0)) / 1000
                place = bisect(frames, event["ts"])
                spent[place] += cpu
                if 0 < place < len(frames):
                    longest = max(longest, cpu)
        return done, longest, max(spent[1:-1])

    def hide(self) -> None:
        """Open another tab in front of it."""
        self._browser.open("about:blank")
        self.tab.until("document.hidden")


@contextmanager
def pages(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Give a function that returns the page of a kind: `node`, `page` or `worker`.

    Args:
        folder: empty; what Chromium is served from.
    """
    site = os.environ.get("HEIMDALL_PYODIDE_SITE")
    if site is None or not (MODULES / "pyodide").is_dir():
        pytest.skip("pyodide or HEIMDALL_PYODIDE_SITE is missing")
    made: dict[str, Page] = {}
    with ExitStack() as stack:

        def page(kind: str) -> Page:
            if kind in made:
                return made[kind]
            if kind == "node":
                made[kind] = node = NodePage(site)
                stack.callback(node.close)
                return node
            if not made.keys() & {"page", "worker"}:
                fill(folder, Path(site))
                command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
                line = stack.enter_context(running([*command, "-d", folder], "port"))
                browser = stack.enter_context(chromium())
                places.append((line.split("(")[1].split("/)")[0], browser))
            base, browser = places[0]
            made[kind] = TabPage(browser, base, kind)
            return made[kind]

        places: list[Any] = []
        yield page


def fill(folder: Path, site: Path) -> None:
    """Put into a folder what Chromium loads."""
    (folder / "pyodide").symlink_to(MODULES / "pyodide")
    for name in ("harness.mjs", "page.mjs"):
        (folder / name).symlink_to(HERE / name)
    (folder / "page.html").write_text(
        "<!doctype html><meta charset=utf-8><title>A page</title>"
        '<script type="module" src="/page.mjs"></script>'
    )
    pack(folder / "site.zip", site, site)
    pack(folder / "source.zip", ROOT, ROOT / "heimdall_reactive", HERE)


def pack(into: Path, root: Path, *folders: Path) -> None:
    with zipfile.ZipFile(into, "w") as packed:
        for path in sorted(each for folder in folders for each in folder.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".so", ".json", ".txt"):
                packed.write(path, path.relative_to(root))
