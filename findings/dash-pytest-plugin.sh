#!/usr/bin/env bash
# Where Dash 4.4.1 is installed, pytest 9.2.0 does not start when warnings are errors: Dash's plugin,
# which pytest loads by itself, uses hooks of an old style. No test has to import Dash.
# Seen: with Dash: exit code 3, PytestRemovedIn10Warning; with -p no:dash: exit code 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q dash==4.4.1 pytest==9.2.0
echo "def test_nothing(): pass" >"$work/test_nothing.py"
cd "$work"
run() { "$work/venv/bin/python" -m pytest -q -W error test_nothing.py "$@" >"$work/out" 2>&1 && code=0 || code=$?; }
run
warning=$(grep -o "PytestRemovedIn10Warning" "$work/out" | head -1 || true)
seen="with Dash: exit code $code, $warning"
run -p no:dash
seen="$seen; with -p no:dash: exit code $code"
echo "$seen"
test "$seen" = "with Dash: exit code 3, PytestRemovedIn10Warning; with -p no:dash: exit code 0"
