from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from websockets import connect

from benchmarks import live, live_left, receipts, report
from benchmarks.__main__ import CASES, PAGES, main
from benchmarks.measuring import Case, Result, Skipped, Step, median, ratio, run, spread
from benchmarks.payloads import payload
from benchmarks.peer import command, running
from benchmarks.receiving import Clock
from benchmarks.targets import KEPT, Cell, judge, regressions
from benchmarks.tls import client_context
from heimdall_reactive import Receipt

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
DOCUMENT: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))


def case(*steps: Step) -> Case:
    return Case("receive", "A case", "µs", "size", steps)


def results(**seconds: list[float]) -> dict[str, Any]:
    entries = {
        name.replace("_", " "): {"0.1 KB": {"rounds": rounds}} for name, rounds in seconds.items()
    }
    entries["raw websockets + json.loads"] = entries.pop("raw")
    return {"receive": {"entries": entries}}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_figures_of_a_page_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert report.refresh(text, DOCUMENT) == text
    assert report.MARK.search(text)


def test_the_figures_of_the_log_are_those_of_its_results() -> None:
    page = ROOT / "docs" / "dataflow" / "performance.md"
    document = json.loads((ROOT / "benchmarks" / "dataflow.json").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    assert report.refresh(text, document) == text
    marked = {found["name"] for found in report.MARK.finditer(text)}
    assert marked == {"about", "log targets", *document["cases"]}


def test_the_figures_of_the_live_pages_are_those_of_their_results() -> None:
    document = json.loads(live.RESULTS.read_text(encoding="utf-8"))
    text = live.PAGE.read_text(encoding="utf-8")
    assert report.refresh(text, document) == text
    marked = {found["name"] for found in report.MARK.finditer(text)}
    assert marked == {"about", *document["cases"]}
    assert set(document["cases"]["live"]["entries"]) == set(live.WAYS)
    assert set(document["cases"]["live left"]["entries"]) == set(live_left.steps())


def test_the_results_have_every_case_with_rounds_versions_and_machine() -> None:
    assert set(DOCUMENT["cases"]) == set(CASES)
    assert DOCUMENT["versions"]["websockets"]
    assert DOCUMENT["machine"]["summary"]
    for measured in DOCUMENT["cases"].values():
        for columns in measured["entries"].values():
            for cell in columns.values():
                values = [value for value in cell["rounds"] if value is not None]
                assert cell["median"] == pytest.approx(median(values), rel=1e-3)


def test_a_round_has_every_rival_once_forwards_and_backwards_by_turns() -> None:
    order: list[str] = []

    def step(name: str) -> Step:
        def measure() -> Mapping[str, float]:
            order.append(name)
            return {"0.1 KB": float(len(order))}

        return Step(name, measure)

    result = run(case(step("a"), step("b")), 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert result.values["a"] == {"0.1 KB": [1.0, 4.0, 5.0]}


def test_what_fails_is_noted_and_left_out_and_the_others_go_on() -> None:
    tries: list[str] = []

    def breaks() -> Mapping[str, float]:
        tries.append("breaks")
        raise OSError("gone")

    def absent() -> Mapping[str, float]:
        tries.append("absent")
        raise Skipped("not here")

    result = run(case(Step("a", breaks), Step("b", absent), Step("c", lambda: {"x": 1.0})), 4)
    assert tries.count("breaks") == 2
    assert tries.count("absent") == 1
    assert result.values == {"c": {"x": [1.0] * 4}}
    assert "b: skipped (not here)" in result.notes


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ratio([2.0, 40.0, 9.0], [1.0, 10.0, 3.0]) == 3.0
    assert ratio([2.0, None], [None, 1.0]) is None
    assert median([3.0, None, 1.0, 2.0]) == 2.0
    assert spread([1.0]) == 0.0
    assert spread([1.0, 2.0, 3.0]) == 0.5


def test_a_target_is_met_by_what_it_shows_and_a_quick_run_has_a_margin() -> None:
    before = results(store=[2.0, 2.0], raw=[4.0, 4.0])
    verdict = judge(before, KEPT)[0]
    assert verdict.target.below == Cell("receive", "store", "0.1 KB")
    assert verdict.measured == 2.0
    assert verdict.met
    assert regressions(results(store=[2.0], raw=[2.6]), before) == []
    (found,) = regressions(results(store=[2.0], raw=[2.0]), before)
    assert "at least 1.20 is wanted" in found


def test_the_command_measures_a_case_and_writes_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    assert main(["--case", "state", "--rounds", "1", "--out", str(out)]) == 0
    written = report.load(out)
    assert set(written["cases"]["state"]["entries"]["a message from the wire"]) == {"0", "1", "100"}
    assert "## Targets" in capsys.readouterr().out


def test_the_quick_command_asserts_no_times_where_nothing_is_committed(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.json")
    assert main(["--quick", "--case", "fan-out", "--rounds", "1", "--out", missing]) == 0


def test_the_table_of_receipts_is_the_measured_one_and_true() -> None:
    found = json.loads((ROOT / "benchmarks" / "receipts.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert receipts.table(found["cases"]) in page
    assert not [name for name, counts in found["cases"].items() if receipts.untrue(name, counts)]


def test_a_receipt_that_says_more_than_was_so_is_found() -> None:
    receipt = Receipt()
    receipt.settle("delivered")
    counts = receipts.judge([receipt], [])
    assert receipts.untrue("kill", counts)
    assert not receipts.untrue("kill", receipts.judge([receipt], [(1, 0)]))
    assert receipts.untrue("kill", receipts.judge([receipt], [(1, 0), (2, 0)]))


def test_a_run_of_some_cases_keeps_the_others_and_notes_what_differs(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    measured = Result(case(Step("store", lambda: {"x": 1.0})), {"store": {"x": [1.0]}})
    other = Result(Case("send", "Sends", "µs", "size", ()), {"store": {"x": [2.0]}})
    report.save(out, [measured, other], 1)
    document = report.load(out)
    document |= {"date": "2026-01-01", "versions": {**document["versions"], "pydantic": "1.0"}}
    out.write_text(json.dumps(document), encoding="utf-8")
    document = report.save(out, [measured], 3, whole=False)
    assert document["date"] == "2026-01-01"
    assert document["rounds"] == 1
    assert document["cases"]["send"] == other.to_json()
    apart = document["cases"]["receive"]
    assert apart["rounds"] == 3
    assert list(apart["versions"]) == ["pydantic"]
    page = report.refresh("<!-- receive -->\n<!-- end -->\n", document)
    assert f"Measured on {apart['date']}, rounds: 3, pydantic " in page
    document = report.save(out, [measured], 3)
    assert list(document["cases"]) == ["receive"]
    assert document["cases"]["receive"] == measured.to_json()


@pytest.mark.parametrize("path", ["", "/packed", "/context"])
@pytest.mark.parametrize("secure", [False, True])
async def test_what_the_peer_sends_is_what_was_ordered(path: str, secure: bool) -> None:
    text = payload(100)
    with running() as urls:
        url = (urls.secure if secure else urls.plain) + path
        async with connect(url, ssl=client_context(url)) as ws:
            await ws.send(command("flood", payload=text, count=2000))
            messages = [await ws.recv() for _ in range(2000)]
    users = [f"u{1000 + n % 64}" if path else "u1017" for n in range(2000)]
    assert messages == [text.replace("u1017", user) for user in users]


async def test_the_peer_begins_with_all_that_are_ready_when_told() -> None:
    with running() as urls:
        async with (
            connect(urls.plain) as one,
            connect(urls.plain) as two,
            connect(urls.plain) as go,
        ):
            await go.send(command("go", count=2))
            for ws in (one, two):
                await ws.send(command("ready", payload="a", times=3, count=1, binary=True))
                await (await ws.ping())
            assert [await ws.recv() for ws in (one, two)] == [b"aaa", b"aaa"]


def test_the_longest_gap_of_the_loop_is_that_within_the_flood() -> None:
    async def main() -> Clock:
        clock = Clock(10, lambda: None, watch=True)
        for number in range(10):
            clock(number)
            if number == 4:
                await asyncio.sleep(0.005)
                time.sleep(0.05)  # noqa: ASYNC251 - the loop is to be kept from its work
                await asyncio.sleep(0.005)
        return clock

    clock = asyncio.run(main())
    assert clock.seconds > 0.005
    assert clock.gap >= 0.05
