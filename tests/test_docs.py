"""The documents are true: their programs run and print what they say, their links and names exist.

A fenced `python` block is executed; the blocks of one page share a namespace. A `text` block right
after it is exactly what it prints. `HEIMDALL_WS_URL` names a server, and `token` is valid there.
Behind `ws://localhost:8765` is a server that sends back what it gets, here on another port.
A block `python examples/x.py` is a piece of that file, word for word; it has tests of its own.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from subprocess import PIPE
from types import CoroutineType
from typing import Any, NamedTuple

import pytest

import heimdall_reactive
from heimdall_reactive import Status, WebSocketStore, create_websocket, ws_config
from heimdall_reactive.base.options import OptionsDict
from heimdall_reactive.devserver import DevServer, serve_in_thread

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

ECHO = "ws://localhost:8765"
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TEN_LINES = "python ten-lines"  # the README's first program, which runs until Ctrl-C
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """One fenced block, with the line of its fence and the output that is claimed for it."""

    line: int
    info: str
    body: str
    output: str | None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page; output belongs to the block it directly follows."""
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    result = []
    for index, match in enumerate(found):
        after = found[index + 1] if index + 1 < len(found) else None
        output = None
        if after and after["info"] == "text" and not text[match.end() : after.start()].strip():
            output = after["body"]
        line = text.count("\n", 0, match.start()) + 1
        result.append(Block(line, match["info"], match["body"], output))
    return result


def run_page(page: Path, namespace: dict[str, Any]) -> int:
    """Execute the Python blocks of a page in order; return how many there are."""
    programs = [block for block in blocks(page) if block.info == "python"]
    with asyncio.Runner() as runner:
        for block in programs:
            printed = io.StringIO()
            with redirect_stdout(printed):
                run_block(block, page, namespace, runner)
            if block.output is not None:
                assert printed.getvalue() == block.output, f"{page.name}:{block.line}"
    return len(programs)


def run_block(block: Block, page: Path, namespace: dict[str, Any], runner: asyncio.Runner) -> None:
    """Execute a block, in an event loop only where it awaits: the store's loop depends on it."""
    body = block.body.replace(ECHO, namespace.get("echo", ECHO))
    source = "\n" * block.line + body  # so that tracebacks name the page's own lines
    code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = eval(code, namespace)
    if isinstance(outcome, CoroutineType):
        runner.run(outcome)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DevServer]:
    with serve_in_thread() as running:
        monkeypatch.setenv("HEIMDALL_WS_URL", running.url)
        yield running
        ws_config.ws_url = None


@pytest.fixture
def echo() -> Iterator[str]:
    with serve_in_thread(echo=True, require_token=False) as running:
        yield running.url


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_programs_of_a_page_run_and_print_what_it_says(
    page: Path, server: DevServer, echo: str
) -> None:
    namespace = {"__name__": "__main__", "token": server.issue("reader"), "echo": echo}
    count = run_page(page, namespace)
    if page.name in (
        "tutorial.md",
        "sync-and-async.md",
        "errors.md",
        "consumers.md",
        "reliability.md",
        "testing.md",
        "sharing.md",
        "observability.md",
        "recording.md",
    ):
        assert count > 2


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a page: their rows without the heading, with what is in backticks."""
    found = re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]
        for body in found
    ]


def defined(file: Path) -> set[str]:
    """Return the functions and methods of a file, as `name` and `Class.name`."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        names |= {f"{before}{part.name}" for part in inner if isinstance(part, ast.FunctionDef)}
    return names


def test_the_design_names_files_and_functions_that_exist() -> None:
    where, _, layers, *_ = tables((ROOT / "docs" / "design.md").read_text(encoding="utf-8"))
    package = ROOT / "heimdall_reactive"
    assert len(where) >= 5
    for _, files, names in where:
        found = [defined(package / file) for file in re.findall(r"`([^`]+)`", files)]
        wanted = set(re.findall(r"`([^`]+)`", names))
        assert wanted <= set().union(*found)
        assert all(wanted & each for each in found), "each file is named for one of the functions"
    modules = {path.stem for path in package.rglob("*.py")}
    for _, cell, _ in layers:
        for name in re.findall(r"`([^`]+)`", cell):
            assert name in modules or (package / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pieces_of_a_file_are_in_that_file(page: Path) -> None:
    for block in blocks(page):
        language, _, file = block.info.partition(" ")
        if language == "python" and file and block.info != TEN_LINES:
            text = (ROOT / file).read_text(encoding="utf-8")
            depths = [textwrap.indent(block.body, " " * depth) for depth in (0, 4, 8, 12)]
            assert any(piece in text for piece in depths), f"{page.name}:{block.line}"


def test_a_page_that_claims_another_output_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(await value())\n```\n\n```text\n2\n```\n")

    async def value() -> int:
        return 1

    with pytest.raises(AssertionError, match=r"page\.md:1"):
        run_page(page, {"value": value})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        target, _, heading = match["target"].partition("#")
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {match['target']}"
        if heading and file.suffix == ".md":  # of a picture it says for which scheme
            assert heading in headings(file), f"{page.name} links to {match['target']}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_member_that_is_named_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    with create_websocket("/v1/ws", immediate=False) as client:
        owners = {"store": client.socket, "client": client, "ws_config": ws_config}
        for owner, member in re.findall(r"`(store|client|ws_config)\.(?!py\b)(\w+)", text):
            assert hasattr(owners[owner], member), f"{page.name} names {owner}.{member}"


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows below a heading's table head, cell by cell."""
    section = page.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_readme_translates_the_whole_original_interface_to_names_that_exist() -> None:
    rows = table(README, "From TypeScript to Python")
    originals = " ".join(row[0] for row in rows)
    for name in (
        "useWebSocket", "isConnected", "lastMessage", "send", "connect", "disconnect",
        "accessToken", "autoReconnect", "reconnectDelay", "maxReconnectAttempts", "immediate",
        "wsConfig.wsUrl", "createWebSocket", "onOpen", "onMessage", "onError", "onClose",
        "socket", "close", "isOpen",
    ):  # fmt: skip
        assert f"`{name}" in originals, name
    options = {*OptionsDict.__annotations__, *inspect.signature(create_websocket).parameters}
    named = re.findall(r"`(\w+)=", " ".join(row[1] for row in rows))
    assert {"access_token", "on_close"} <= set(named) <= options


def test_the_ten_lines_of_the_readme_print_what_comes_and_survive_a_drop(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(README) if block.info == TEN_LINES]
    with serve_in_thread(echo=True, require_token=False) as server:
        program = tmp_path / "ten_lines.py"
        program.write_text(block.body.replace("ws://localhost:3000", server.url))
        command = [sys.executable, "-u", str(program)]
        with subprocess.Popen(command, stdout=PIPE, text=True) as run:
            assert run.stdout is not None
            shown = list[str]()
            try:
                while shown[-1:] != ["hello\n"]:
                    shown.append(run.stdout.readline())
                    assert shown[-1], "it has ended"
                server.drop()
                shown += [run.stdout.readline() for _ in range(2)]
                run.send_signal(signal.SIGINT)
                shown += run.communicate(timeout=20)[0].splitlines(keepends=True)
            finally:
                run.kill()
    up, down = "connected\n", "not connected\n"
    assert shown[-5:] == [up, "hello\n", down, up, down]
    assert shown[:-5] in ([], [down])  # it may be connected before it is observed
    assert run.returncode == 0


@pytest.mark.parametrize("purpose", ["demo", "test"])
def test_the_readme_has_one_line_for_a_fresh_machine(purpose: str) -> None:
    (block,) = [block for block in blocks(README) if block.info == f"sh {purpose}"]
    (line,) = block.body.splitlines()
    assert line.startswith("python3 -m venv .venv && ")
    extra = re.search(r"'\.\[(\w+)\]'", line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra is not None
    assert extra[1] in project["optional-dependencies"]
    program = line.rpartition(".venv/bin/")[2].split()[0]
    assert program in {*project["scripts"], "pytest"}


def test_the_version_is_one_and_the_changelog_has_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["version"] == heimdall_reactive.__version__
    assert "## [Unreleased]" in changelog
    assert heimdall_reactive.__version__ in changelog


def test_the_glossary_is_sorted_and_has_each_word_once() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)[1:]
    assert len(words) == len(set(words))
    assert [word.lower() for word in words] == sorted(word.lower() for word in words)
    assert {
        "frame", "message", "session", "attempt", "delay", "outbox", "receipt", "bus", "subject",
        "State", "Command", "Stream", "wire", "dial", "store", "endpoint", "state", "status",
    } <= set(words)  # fmt: skip
    for status in Status:
        assert f"`{status}`" in page


def test_the_errors_page_has_the_whole_tree() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in table_of_errors()}
    for name in heimdall_reactive.__all__:
        member = getattr(heimdall_reactive, name)
        if inspect.isclass(member) and issubclass(member, heimdall_reactive.HeimdallError):
            builtins = {base.__name__ for base in member.__mro__ if base.__module__ == "builtins"}
            also = builtins - {"Exception", "BaseException", "object", "OSError"}
            assert listed.pop(name) in (also or {""}), name
    assert not listed


def table_of_errors() -> list[list[str]]:
    return table(ROOT / "docs" / "errors.md", "The tree")


stripped = pytest.mark.skipif(sys.flags.optimize > 1, reason="python -OO has no docstrings")


@stripped
def test_every_public_name_says_what_it_is() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "heimdall_reactive").rglob("*.py")
    )
    for name in heimdall_reactive.__all__:
        member = getattr(heimdall_reactive, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert inspect.getdoc(member), name
        else:  # an alias or an instance: a docstring below it, or that of its class
            documented = re.search(rf'^{name}\b[^"]*?\n"""', source, re.MULTILINE)
            assert documented or type(member).__doc__, name


@stripped
def test_the_members_of_a_store_say_what_they_are() -> None:
    documented = inspect.getdoc(WebSocketStore) or ""
    for name, member in vars(WebSocketStore).items():
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
    for name in ("is_connected", "last_message", "send", "connect", "disconnect", "state"):
        assert f"{name}: " in documented


def test_the_supported_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    groups = {"always": project["dependencies"], **project["optional-dependencies"]}
    table = ["| extra | needs |", "|---|---|"]
    for name, needs in groups.items():
        if name not in ("docs", "bench", "test", "full", "dev"):
            table.append(f"| {name} | {', '.join(f'`{need}`' for need in needs)} |")
    begin, end = "<!-- dependencies -->\n", "\n<!-- /dependencies -->"
    assert text.partition(begin)[2].partition(end)[0] == "\n".join(table)
    for classifier in project["classifiers"]:
        if version := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier):
            assert f"\n| {version[1]} |" in text


def test_each_finding_has_a_row_and_explains_a_decision() -> None:
    scripts = {path.name for path in (ROOT / "findings").glob("*.sh")}
    rows = re.findall(
        r"^\| `([^`]+)` \|", (ROOT / "findings" / "README.md").read_text(), re.MULTILINE
    )
    linked = re.findall(r"\(\.\./findings/([^)]+)\)", (ROOT / "docs" / "findings.md").read_text())
    assert sorted(rows) == sorted(scripts) == sorted(linked)
