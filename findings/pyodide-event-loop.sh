#!/usr/bin/env bash
# The event loop of Pyodide 314.0.7 (Python 3.14.2) refuses a timer in the past, which asyncio's own
# loops run at once. time.CLOCK_BOOTTIME is there, and time.clock_gettime() cannot read it.
# Seen: call_later(-0.001): ValueError; clock_gettime(CLOCK_BOOTTIME): OSError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund pyodide@314.0.7 >/dev/null
cat >loop.mjs <<'JS'
import { loadPyodide } from "pyodide";
const python = await loadPyodide();
python.runPython(`
import asyncio, time

def outcome(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "accepted"

loop = asyncio.get_event_loop_policy().get_event_loop()
late = outcome(lambda: loop.call_later(-0.001, print))
clock = outcome(lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
print(f"call_later(-0.001): {late}; clock_gettime(CLOCK_BOOTTIME): {clock}")
`);
JS
seen=$(node loop.mjs 2>/dev/null)
echo "$seen"
test "$seen" = "call_later(-0.001): ValueError; clock_gettime(CLOCK_BOOTTIME): OSError"
