#!/usr/bin/env bash
# Textual 8.2.8 on Python 3.12 or newer sets asyncio's eager task factory in run_async(), and not
# in run_test(): code whose tasks begin inside create_task() passes its tests and fails in the app.
# Seen: run_async: eager True; run_test: eager False
set -euo pipefail
python=${PYTHON:-python3.12}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q textual==8.2.8
"$work/venv/bin/python" - <<'PY'
import asyncio
from textual.app import App


class Probe(App[bool]):
    def on_mount(self) -> None:
        begun = []

        async def work() -> None:
            begun.append(True)

        task = asyncio.create_task(work())
        self.eager = bool(begun)  # ran before create_task() returned
        self.exit(self.eager)
        del task


async def as_a_test() -> bool:
    probe = Probe()
    async with probe.run_test() as pilot:
        await pilot.pause()
    return probe.eager


test = asyncio.run(as_a_test())  # each on an event loop of its own
run = asyncio.run(Probe().run_async(headless=True))
print(f"run_async: eager {run}; run_test: eager {test}")
raise SystemExit((run, test) != (True, False))
PY
