"""Make the wheel for browsers: the library without what a page cannot use, half as large.

    python -m examples.browser.wheel dist

Its platform tag is Pyodide's, so an index may have it beside the ordinary wheel: `micropip` takes
it, and no other installer does. What it leaves out says so in one line when it is imported.
Docstrings stay where the reference shows them, comments go, lines keep their numbers.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import sys
import tokenize
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["files", "make"]

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGE: Final = "heimdall_reactive"
TAG: Final = "py3-none-pyemscripten_2026_0_wasm32"
# What needs processes, listening sockets, a desktop, or a library that no page has.
LEFT_OUT: Final = (
    "cli", "dashboard", "dataflow", "devserver",
    "bindings/nicegui", "bindings/qt", "bindings/textual", "bindings/tk",
    "testing/plugin", "transports/websockets_dial",
)  # fmt: skip
# Only what is left out asks for these.
LEFT_OUT_SILENTLY: Final = (
    "__main__", "bindings/qt_compat", "testing/scripted_server", "testing/scripted_wire",
    "transports/addresses", "transports/answer", "transports/failures",
    "transports/inflating", "transports/pinging", "transports/proxies", "transports/reading",
    "transports/splitting", "transports/websockets_wire", "transports/writing",
)  # fmt: skip
STUB: Final = (
    'raise ImportError("{module} is left out of the wheel for browsers, as a page cannot use it; '
    'if yours can, install {whole} by its URL", name=__name__)\n'
)
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the same files make the same bytes


def make(folder: Path) -> Path:
    """Write the wheel.

    Args:
        folder: where to; it is made.

    Returns:
        The file.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    release = f"{project['name'].replace('-', '_')}-{project['version']}"
    content = {**files(f"{release}-py3-none-any.whl"), **_told(project, f"{release}.dist-info")}
    content[f"{release}.dist-info/RECORD"] = _record(content, f"{release}.dist-info/RECORD")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{release}-{TAG}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return wheel


def files(whole: str) -> dict[str, bytes]:
    """Return the files of the library, by their paths in the wheel.

    Args:
        whole: the file name of the ordinary wheel, for the words about what is left out.
    """
    public = _public()
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*")):
        name = path.relative_to(ROOT / PACKAGE).as_posix()
        if path.suffix not in (".py", ".typed") or _under(name, LEFT_OUT + LEFT_OUT_SILENTLY):
            continue
        data = path.read_bytes()
        slim = _slim(data.decode(), public).encode() if path.suffix == ".py" else data
        found[f"{PACKAGE}/{name}"] = slim
    for name in LEFT_OUT:
        module = f"{PACKAGE}/{name}"
        is_folder = (ROOT / module).is_dir()
        stub = STUB.format(module=module.replace("/", "."), whole=whole)
        found[f"{module}/__init__.py" if is_folder else f"{module}.py"] = stub.encode()
    return found


def _under(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == f"{part}.py" or name.startswith(f"{part}/") for part in parts)


def _public() -> set[str]:
    """Return the names that a package of the library offers, and those they inherit from."""
    names: set[str] = set()
    bases: dict[str, list[str]] = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        offers = path.name == "__init__.py" or path.parent.name == "bindings"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).partition("[")[0] for base in node.bases]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names |= set(ast.literal_eval(node.value)) if offers else set()
    waiting = list(names)
    while waiting:
        more = set(bases.get(waiting.pop(), ())) - names
        names |= more
        waiting += more
    return names


def _slim(source: str, public: set[str]) -> str:
    """Blank the comments, and the docstrings that no reference shows: `help()` has the others."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    tree = ast.parse(source)
    for node in _hidden(tree, public):
        text = node.body[0]
        if isinstance(text, ast.Expr) and ast.get_docstring(node, clean=False) is not None:
            lines[text.lineno - 1] = f"{' ' * text.col_offset}''\n"
            for number in range(text.lineno, text.end_lineno or text.lineno):
                lines[number] = "\n"
    return "".join(lines)


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _hidden(node: Documented, public: set[str], shown: bool = False) -> Iterator[Documented]:
    if not shown and node.body:
        yield node
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            is_open = not inner.name.startswith("_") or inner.name == "__call__"
            yield from _hidden(inner, public, inner.name in public or (shown and is_open))


def _told(project: dict[str, Any], folder: str) -> dict[str, bytes]:
    """Return what installers ask for."""
    metadata = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {each}" for each in project["dependencies"]),
        "Description-Content-Type: text/markdown",
        "",
        "The wheel for browsers: without what a page cannot use.",
    ]
    wheel = ["Wheel-Version: 1.0", "Generator: heimdall_reactive", "Root-Is-Purelib: true"]
    return {
        f"{folder}/METADATA": "\n".join([*metadata, ""]).encode(),
        f"{folder}/WHEEL": "\n".join([*wheel, f"Tag: {TAG}", ""]).encode(),
        f"{folder}/licenses/LICENSE": (ROOT / "LICENSE").read_bytes(),
    }


def _record(content: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()


if __name__ == "__main__":
    made = make(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    print(made, f"{made.stat().st_size:,} bytes")
