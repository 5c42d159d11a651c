"""The examples as their users run them, and that the pages say what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .nats_server import BINARY, MISSING

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "docs" / "dataflow"

pytestmark = [pytest.mark.leaky, pytest.mark.timeout(60)]


def run(module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    return subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


def shown(page: str, before: str) -> str:
    """Return the output that a page shows right after a sentence."""
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.search(
        rf"{re.escape(before)}\n\n```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None, before
    return found[1]


@pytest.mark.parametrize("name", ["windows", "joins", "sessions", "alerts"])
def test_a_pipeline_prints_what_its_page_shows(name: str) -> None:
    done = run(f"examples.pipelines.{name}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown("pipelines.md", f"`python -m examples.pipelines.{name}` prints:")
    assert done.stderr == ""


def test_three_readers_in_two_processes_share_one_socket() -> None:
    pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")
    if BINARY is None:
        pytest.skip(MISSING)
    done = run("examples.dataflow.many_readers")
    assert done.returncode == 0, done.stderr
    wanted = shown("use_log.md", "It prints, with the readers in any order:")
    assert sorted(done.stdout.splitlines()) == sorted(wanted.splitlines())
    assert done.stderr == ""


def test_each_promise_rests_on_tests_that_exist() -> None:
    named = re.findall(r"`(test_\w+)`", (PAGES / "index.md").read_text(encoding="utf-8"))
    files = sorted((ROOT / "tests" / "dataflow").glob("test_*.py"))
    there = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert len(named) > 10
    for name in named:
        assert re.search(rf"^(?:async )?def {name}\(", there, re.MULTILINE), name


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_nothing_is_promised_that_a_socket_can_not_hold(page: Path) -> None:
    text = page.read_text(encoding="utf-8").lower().replace("-", " ")
    for paragraph in re.split(r"\n\s*\n", text):
        for line in paragraph.splitlines() if paragraph.startswith("|") else [paragraph]:
            assert not ("exactly once" in line and "websocket" in line), line
