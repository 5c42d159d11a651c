"""The wheel for browsers: half as large, whole where a page can use it, and plain where not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

import heimdall_reactive
from examples.browser.wheel import LEFT_OUT, PACKAGE, ROOT, TAG, make
from tests.protocols.programs import MODULES, program

HERE: Final = Path(__file__).parent
WHEELS: Final = "HEIMDALL_PYODIDE_WHEELS"
# Prints, as JSON, what importing each module of the wheel raises.
IMPORT_ALL: Final = """
import importlib, json, pkgutil
import heimdall_reactive
said = {}
path, prefix = heimdall_reactive.__path__, "heimdall_reactive."
for found in list(pkgutil.walk_packages(path, prefix, lambda _: None)):
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        said[found.name] = str(error)
said["file"] = heimdall_reactive.__file__
json.dumps(said)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("wheel"))


def ordinary() -> int:
    """Return the bytes of the package as an ordinary wheel has it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (ROOT / PACKAGE).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                archive.write(path, path.relative_to(ROOT))
    return len(packed.getvalue())


def test_it_is_less_than_half_as_large(wheel: Path) -> None:
    assert wheel.stat().st_size < ordinary() / 2


def test_two_wheels_of_the_same_files_are_the_same(wheel: Path, tmp_path: Path) -> None:
    assert make(tmp_path).read_bytes() == wheel.read_bytes()


def test_its_lines_have_their_numbers_and_public_names_their_docstrings(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        slim = archive.read(f"{PACKAGE}/hook.py").decode()
    whole = (ROOT / PACKAGE / "hook.py").read_text(encoding="utf-8")
    assert len(slim.splitlines()) == len(whole.splitlines())
    place = whole.splitlines().index("    from typing_extensions import TypeForm, Unpack")
    assert slim.splitlines()[place] == whole.splitlines()[place]
    assert "Return a store for a WebSocket" in slim
    assert '"""The hook' not in slim


def test_what_is_left_out_says_so_in_one_line(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    names = [f"{PACKAGE}.{name.replace('/', '.')}" for name in LEFT_OUT]
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
for name in {names!r}:
    try:
        __import__(name)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    release = f"heimdall_reactive-{heimdall_reactive.__version__}"
    assert done.stdout.splitlines() == [
        f"{name} is left out of the wheel for browsers, as a page cannot use it; "
        f"if yours can, install {release}-py3-none-any.whl by its URL"
        for name in names
    ]


def in_pyodide(folder: Path, script: str) -> Any:
    """Return what `wheels.mjs` prints for a program, with all wheels of a folder installed."""
    node = program("node", "nodejs")
    done = subprocess.run(
        [node, "--no-warnings", HERE / "wheels.mjs", MODULES, folder, script],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_it_is_what_micropip_takes_and_all_of_it_can_be_imported(
    wheel: Path, tmp_path: Path
) -> None:
    wheels = os.environ.get(WHEELS)
    if wheels is None or not (MODULES / "pyodide").is_dir():
        pytest.skip(f"the npm package pyodide or {WHEELS} is missing")
    for each in (*Path(wheels).glob("*.whl"), wheel):
        (tmp_path / each.name).write_bytes(each.read_bytes())
    release = wheel.name.removesuffix(f"-{TAG}.whl")
    with zipfile.ZipFile(tmp_path / f"{release}-py3-none-any.whl", "w"):
        pass  # the ordinary one, which is not even looked at
    said = in_pyodide(tmp_path, IMPORT_ALL)
    assert said.pop("file").startswith("/lib/python3.14/site-packages/")
    left_out = {name for name, text in said.items() if "is left out of the wheel" in text}
    assert left_out == {f"{PACKAGE}.{name.replace('/', '.')}" for name in LEFT_OUT}
    need_extras = {"otel", "bindings.param", "bindings.reacton", "bindings.traitlets"}
    assert set(said) - left_out <= {f"{PACKAGE}.{name}" for name in need_extras}
