"""A Chromium without a window whose tabs can be hidden: only the tab in front is visible.

Playwright's tabs never are hidden, for it tells each that it has the focus. So this speaks the
browser's own protocol, over the library's dependency `websockets`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

__all__ = ["Chromium", "Tab", "chromium"]


class Chromium:
    """A browser with one window."""

    def __init__(self, link: ClientConnection) -> None:
        self._link = link
        self._number = 0
        self.tabs: dict[str, Tab] = {}

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Do something in the browser, or in a tab."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._link.send(
            json.dumps(message if session is None else {**message, "sessionId": session})
        )
        while True:
            answer = json.loads(self._link.recv(30))
            if answer.get("id") == self._number:
                if "navigated" in str(answer.get("error")):  # it looked at a page that goes
                    return {"result": {}}
                assert "error" not in answer, answer
                return answer["result"]
            if answer["method"] == "Network.webSocketFrameReceived":
                data = answer["params"]["response"]["payloadData"]
                self.tabs[answer["sessionId"]].frames.append(data)

    @contextmanager
    def traced(self, *categories: str) -> Iterator[list[dict[str, Any]]]:
        """Give a list that has what was traced, as Chromium's own events, when the block ends."""
        found: list[dict[str, Any]] = []
        config = {"includedCategories": categories}
        self.call("Tracing.start", traceConfig=config, transferMode="ReportEvents")
        yield found
        self.call("Tracing.end")
        while (told := json.loads(self._link.recv(30))).get("method") != "Tracing.tracingComplete":
            found += told["params"]["value"] if told["method"] == "Tracing.dataCollected" else ()

    def person(self) -> str:
        """Return somebody else, with cookies of their own, for `open`."""
        return str(self.call("Target.createBrowserContext")["browserContextId"])

    def open(self, url: str, script: str = "", person: str | None = None) -> Tab:
        """Open a tab, in front of all others; a script runs before those of each page of it."""
        whose = {} if person is None else {"browserContextId": person}
        target = self.call("Target.createTarget", url="about:blank", **whose)["targetId"]
        tab = Tab(self, target)
        self.tabs[tab.session] = tab
        tab.call("Network.enable")
        tab.call("Page.enable")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.call("Page.navigate", url=url)
        return tab


class Tab:
    """A tab of the browser.

    Attributes:
        frames: what came over its WebSockets since somebody cleared it; `look` brings it up to now.
    """

    def __init__(self, browser: Chromium, target: str) -> None:
        self._browser = browser
        self._target = target
        self.frames: list[str] = []
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session: str = attached["sessionId"]

    def call(self, method: str, **params: Any) -> Any:
        return self._browser.call(method, self.session, **params)

    def look(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return done["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true, in a page that may still be loading."""
        end = time.monotonic() + seconds
        while not self.look(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.02)

    def show(self) -> None:
        """Bring it in front of the others."""
        self._browser.call("Target.activateTarget", targetId=self._target)
        self.until("!document.hidden")

    def press(self, label: str) -> None:
        """Press the button that has a label."""
        buttons = "[...document.querySelectorAll('button')]"
        self.look(f"{buttons}.find(each => each.innerText.trim() == {label!r}).click()")

    def reload(self) -> None:
        self.call("Page.reload")

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Run a browser, or skip the test where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(
            [
                *(program, "--headless=new", "--no-sandbox", "--remote-debugging-port=0"),
                *(f"--user-data-dir={profile}", "about:blank"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            said = (re.search(r"ws://\S+", line) for line in process.stderr)
            url = next(found[0] for found in said if found)
            with connect(url, max_size=None, ping_interval=None) as link:
                yield Chromium(link)
        finally:
            process.terminate()
            process.stderr.read()
