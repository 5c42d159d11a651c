"""Imports point down, siblings do not know each other, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "heimdall_reactive"

FLOORS: list[set[str]] = [
    {
        "starting",
        "wake_up",
        "exact",
        "extras",
        "tagged",
        "forking",
        "frames",
        "hidden",
        "printable",
    },
    {"exceptions"},
    {"glance"},
    {"masking", "access_token"},
    {"messages", "endpoints", "headers", "rules", "receipt", "stats", "loop_thread"},
    {"session_protocol", "checks"},
    {"browser_limits"},
    {"options"},
    {"state", "retry", "codec", "outbox", "buffers", "hops"},
    {"lines"},
    {"bus", "runtime", "providers", "heartbeat", "suspend", "page_life", "listener", "journal"},
    {"heimdall", "tokens", "timers", "transports", "events", "pace"},
    {"answers"},
    {"conversation", "effects", "phases", "proofs"},
    {
        "steps",
        "source",
        "waiting",
        "lifecycle",
        "session",
        "expiry",
        "streams",
        "consumers",
        "scheduler",
    },
    {"envelopes", "handshake", "renewing", "sessions", "token_refresh"},
    {"machine"},
    {"subjects", "history", "iterators", "sampling"},
    {"values"},
    {"publisher", "readable", "channels", "requests"},
    {"views"},
    {"holding"},
    {"consumer_api"},
    {"marbles"},
    {"connection", "devserver", "testing"},
    {"send_path"},
    {"core"},
    {"store", "sharing"},
    {"hook"},
    {"client", "recording", "otel"},
    {"__init__"},
    {"bindings", "dataflow"},
    {"dashboard"},
    {"cli", "pytest_plugin"},
    {"__main__"},
]
# The folders of the core, each a few floors of the list above; what a later one holds, an earlier
# one does not import.
FOLDERS = ["base", "reactive", "transports", "protocols", "connecting", "consuming"]
# Files that stand on another floor than the folder they are in.
APART: dict[tuple[str, ...], str] = {
    ("testing", "plugin"): "pytest_plugin",
    ("testing", "marbles"): "marbles",
}
FOREIGN = {
    "websockets": {"transports", "devserver", "testing"},
    "reactivex": {
        "source",
        "subjects",
        "history",
        "sampling",
        "otel",
        "waiting",
        "streams",
        "consumers",
        "scheduler",
        "iterators",
        "views",
        "consumer_api",
        "readable",
        "core",
        "channels",
        "requests",
        "store",
        "sharing",
        "client",
        "marbles",
        "bindings",
        "dataflow",
        "dashboard",
        "cli",
    },
    "pydantic": {
        "messages",
        "access_token",
        "codec",
        "hidden",
        "channels",
        "tokens",
        "token_refresh",
        "connection",
        "conversation",
        "session",
        "store",
        "recording",
        "devserver",
        "cli",
        "testing",
        "dataflow",
        "dashboard",
    },
    "pydantic_core": {"codec", "tokens", "heartbeat", "session_protocol", "dataflow"},
    "pytest": {"pytest_plugin"},
    "_pytest": set(),
    "rich": {"cli"},
    "prompt_toolkit": {"cli"},
    "shtab": {"cli"},
    "opentelemetry": {"otel"},
    "nats": {"dataflow"},
    "pyspark": {"dataflow"},
    "pyarrow": {"dataflow"},
    "typing_extensions": {"codec", "hook", "client", "store", "recording", "dataflow", "bindings"},
}


# The adapters: what each of these files imports, and no other file of its folder does.
ADAPTERS: dict[str, set[str]] = {
    "bindings/textual.py": {"textual"},
    "bindings/nicegui.py": {"nicegui"},
    "bindings/reacton.py": {"reacton"},
    "bindings/qt_compat.py": {"PySide6", "PyQt6", "shiboken6"},
    "bindings/tk.py": {"tkinter"},
    "bindings/traitlets.py": {"traitlets"},
    "bindings/param.py": {"param"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return place(path.relative_to(PACKAGE).with_suffix("").parts)


def place(parts: tuple[str, ...]) -> str:
    """Return where a module stands: its own name in the core's folders, else its folder's."""
    folder, *inner = parts
    own = inner[0] if inner and folder in FOLDERS and folder != "transports" else folder
    return APART.get(parts[:2], own)


def imports(path: Path) -> set[tuple[str, ...]]:
    """Return what a file imports, as absolute dotted parts."""
    found: set[tuple[str, ...]] = set()
    inside = ("heimdall_reactive", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            found |= {(*module, alias.name) for alias in node.names}
    return found


def floor(name: str) -> int:
    return next(n for n, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    names = {p.stem for p in PACKAGE.iterdir()}
    for parts in imports(path):
        if (
            parts[0] != "heimdall_reactive" or len(parts) < 2 or here == "__init__"
        ):  # the public names
            continue
        there = place(parts[1:]) if parts[1] in names else "__init__"
        allowed = there == here or floor(there) < floor(here)
        assert allowed, f"{here} imports {there}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_folders_of_the_core_stand_on_each_other(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    if folder in FOLDERS:
        allowed = {*FOLDERS[: FOLDERS.index(folder) + 1]}
        used = {parts[1] for parts in imports(path) if parts[0] == "heimdall_reactive"}
        assert used <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_foreign_libraries_stay_in_their_rooms(path: Path) -> None:
    for parts in imports(path):
        if parts[0] in FOREIGN:
            assert room(path) in FOREIGN[parts[0]], f"{path.name} imports {parts[0]}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_an_assert_does_no_work_that_optimized_python_would_leave_out(path: Path) -> None:
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Assert):
            for part in ast.walk(statement):
                assert not isinstance(part, (ast.Await, ast.NamedExpr, ast.Yield)), path.name
                if isinstance(part, ast.Call):
                    assert ast.unparse(part.func) == "isinstance", f"{path.name}:{part.lineno}"


def test_every_room_has_a_floor() -> None:
    rooms = {room(path) for path in modules()}
    assert rooms == set().union(*FLOORS) & rooms


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_framework_has_one_adapter(path: Path) -> None:
    mine = ADAPTERS.get(path.relative_to(PACKAGE).as_posix(), set())
    others = set().union(*ADAPTERS.values()) - mine
    if path.relative_to(PACKAGE).parts[0] == "dashboard":
        others -= {"nicegui"}
    assert not {parts[0] for parts in imports(path)} & others


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_tasks_are_made_in_one_place(path: Path) -> None:
    if path.name == "starting.py":
        return
    makers = {"create_task", "ensure_future", "TaskGroup", "eager_task_factory"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            assert name not in makers, f"line {node.lineno} of {path.name}: use start_task()"
        if isinstance(node, ast.Call):
            made = ast.unparse(node.func)
            assert made != "asyncio.Task", f"line {node.lineno} of {path.name}: use start_task()"


def test_each_class_name_is_used_once() -> None:
    names = [
        node.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


# What a program that does by hand what a store does needs of the three dependencies.
BY_USE = """
from pydantic import BaseModel, TypeAdapter
from reactivex.subject import BehaviorSubject
from websockets.asyncio.client import connect
"""
# What `import heimdall_reactive` leaves for later: models take longest of all to build.
LATER = {
    *("base.messages", "client", "transports.websockets_dial", "otel", "recording", "testing"),
    *("devserver", "bindings", "dataflow", "dashboard", "cli"),
}
MODELS = {"heimdall_reactive.base.messages", "pydantic.main", "pydantic.types"}


def imported(*programs: str) -> list[set[str]]:
    """Return what is imported after each of some programs, in one process."""
    shown = "\nimport sys\nprint(*sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", shown.join(programs) + shown], cwd=PACKAGE.parent,
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_an_import_loads_nothing_foreign_but_what_the_dependencies_do() -> None:
    by_use, all_of_it = imported(BY_USE, "import heimdall_reactive")
    loaded = all_of_it - by_use
    assert {name for name in loaded if name.split(".")[0] != "heimdall_reactive"} == set()
    assert {f"heimdall_reactive.{name}" for name in LATER} & loaded == set()
    (alone,) = imported("import heimdall_reactive")
    assert alone & MODELS == set()


PLAIN = """
from typing import Any
from heimdall_reactive import use_websocket
with use_websocket("ws://127.0.0.1:9", message_type=Any, immediate=False) as store:
    store.messages.subscribe(print)
    store.send({"type": "ping"})
"""


def test_a_store_of_plain_json_builds_no_models() -> None:
    by_use, plain = imported(BY_USE, PLAIN)
    assert {name for name in plain - by_use if name.split(".")[0] != "heimdall_reactive"} == set()
    (alone,) = imported(PLAIN)
    assert alone & MODELS == set()
