#!/usr/bin/env bash
# An observer of RxPY 6.1.0 that raises takes the value from the observers behind it, and raises into
# on_next(), in whoever emits; it stays subscribed, and does so again with the next value. RxJS 7.8.2,
# from the same family, gives each observer each value, and reports the error from a turn of its own.
# Seen: RxPY: before 1 2, behind nothing, 2 raised in the emitter;
#   RxJS: before 1 2, behind 1 2, 0 raised in the emitter, 2 reported later
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q reactivex==6.1.0
npm install --silent --no-audit --no-fund rxjs@7.8.2 >/dev/null
cat >emit.py <<'PY'
from reactivex import Subject


def fail(value):
    raise ValueError(value)


subject, before, behind, raised = Subject(), [], [], 0
subject.subscribe(before.append)
subject.subscribe(fail)
subject.subscribe(behind.append)
for number in (1, 2):
    try:
        subject.on_next(number)
    except ValueError:
        raised += 1
shown = [" ".join(map(str, each)) or "nothing" for each in (before, behind)]
print(f"before {shown[0]}, behind {shown[1]}, {raised} raised in the emitter")
PY
cat >emit.cjs <<'JS'
const { Subject } = require("rxjs");
const subject = new Subject(), before = [], behind = [];
let raised = 0, later = 0;
process.on("uncaughtException", () => { later += 1; });
subject.subscribe((value) => before.push(value));
subject.subscribe((value) => { throw new Error(value); });
subject.subscribe((value) => behind.push(value));
for (const number of [1, 2]) try { subject.next(number); } catch { raised += 1; }
setTimeout(() => {
  const shown = [before, behind].map((each) => each.join(" ") || "nothing");
  console.log(`before ${shown[0]}, behind ${shown[1]}, ${raised} raised in the emitter, ${later} reported later`);
}, 200);
JS
python=$(venv/bin/python emit.py)
javascript=$(node emit.cjs)
echo "RxPY: $python; RxJS: $javascript"
test "$python" = "before 1 2, behind nothing, 2 raised in the emitter"
test "$javascript" = "before 1 2, behind 1 2, 0 raised in the emitter, 2 reported later"
