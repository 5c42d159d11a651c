#!/usr/bin/env bash
# An observer behind observe_on() of RxPY 6.1.0 that raises once gets nothing any more: no value, no error
# and no completion, while it stays subscribed and each further value is kept in memory. Without
# observe_on() the next value reaches it. RxJS 7.8.2, from the same family, goes on in both.
# Seen: RxPY: plain 1 3 completed; observe_on 1, with 1000 values kept; RxJS: observeOn 1 3 completed
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q reactivex==6.1.0
npm install --silent --no-audit --no-fund rxjs@7.8.2 >/dev/null
cat >look.py <<'PY'
import asyncio
import gc

from reactivex import Subject
from reactivex import operators as ops
from reactivex.observer.observeonobserver import ObserveOnObserver
from reactivex.scheduler.eventloop import AsyncIOScheduler


async def look(*operators):
    subject, seen, raised = Subject(), [], []

    def take(value):
        if value == 2:
            raise ValueError(value)
        if value <= 3:
            seen.append(str(value))

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context["exception"]))
    subject.pipe(*operators).subscribe(take, lambda error: seen.append("error"), lambda: seen.append("completed"))
    for value in range(1, 1003):
        try:
            subject.on_next(value)
        except ValueError as error:
            raised.append(error)
        if value == 2:  # it is delivered before the rest is emitted
            await asyncio.sleep(0.5)
    for _ in range(2000):
        await asyncio.sleep(0)
    kept = sum(len(each.queue) for each in gc.get_objects() if isinstance(each, ObserveOnObserver))
    subscribed = len(subject.observers)
    subject.on_completed()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(raised) == 1, raised
    return " ".join(seen), kept, subscribed


async def main():
    plain = await look()
    hopped = await look(ops.observe_on(AsyncIOScheduler(asyncio.get_running_loop())))
    print(f"RxPY: plain {plain[0]}; observe_on {hopped[0]}, with {hopped[1]} values kept")
    return (plain, hopped) != (("1 3 completed", 0, 1), ("1", 1000, 1))


raise SystemExit(asyncio.run(main()))
PY
cat >look.cjs <<'JS'
const { Subject, observeOn, asapScheduler } = require("rxjs");
const subject = new Subject(), seen = [];
process.on("uncaughtException", () => {});
subject.pipe(observeOn(asapScheduler)).subscribe({
  next: (value) => { if (value === 2) throw new Error(value); if (value <= 3) seen.push(value); },
  error: () => seen.push("error"),
  complete: () => seen.push("completed"),
});
for (let value = 1; value < 1003; value++) subject.next(value);
subject.complete();
setTimeout(() => console.log(seen.join(" ")), 500);
JS
venv/bin/python look.py
javascript=$(node look.cjs)
echo "RxJS: observeOn $javascript"
test "$javascript" = "1 3 completed"
