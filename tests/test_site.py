"""The documentation site: it builds strictly, has every page and every public name, and is whole.

The text of the pages is the matter of `test_docs.py`.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import heimdall_reactive
from tests.test_surface import STORE

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGES = ("bindings", "dataflow", "devserver", "recording", "testing", "transports")
NEEDED = ("mkdocs", "material", "mkdocstrings_handlers.python")


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


needs_mkdocs = pytest.mark.skipif(
    not all(map(is_there, NEEDED)), reason="pip install 'heimdall-reactive[docs]'"
)


def build(folder: Path) -> None:
    """Build the site with every warning as an error, and with no way to another host."""
    nowhere = "http://127.0.0.1:9"  # the port of discard: nobody listens
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {**os.environ, **dict.fromkeys(names, nowhere), "NO_MKDOCS_2_WARNING": "1"}
    environment.pop("HEIMDALL_PYODIDE_WHEELS", None)  # tests/browser builds a site with the demo
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


class Page(HTMLParser):
    """What a built page loads, and the pages that its navigation leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.navigation: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        is_link = tag == "link" and values.get("rel") not in ("canonical", "prev", "next")
        if is_link or tag == "use":
            self.loads.append(values.get("href", ""))
        elif tag != "a":
            self.loads += [values[name] for name in ("src", "srcset", "data") if name in values]
        if tag == "a" and "md-nav__link" in values.get("class", ""):
            self.navigation.add(values.get("href", "").partition("#")[0])


def documented(site: Path) -> set[str]:
    """Return the names in the inventory that the reference brings along."""
    data = (site / "objects.inv").read_bytes()
    body = data.split(b"zlib.\n", 1)[1]
    return {line.split(" ", 1)[0] for line in zlib.decompress(body).decode().splitlines()}


def public_names() -> list[tuple[str, str]]:
    """Return module and name of whatever is public, read without importing any framework."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = ROOT / "heimdall_reactive"
    extras = (*project["optional-dependencies"], "tk")  # what an adapter is named after
    modules = [*PACKAGES, "testing.plugin", *extras]
    modules += [f"{name}.{extra}" for name in PACKAGES for extra in extras]
    files = {}
    for module in modules:
        path = package / module.replace(".", "/")
        files[f"heimdall_reactive.{module}"] = (
            path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        )
    files["heimdall_reactive"] = package / "__init__.py"
    files["heimdall_reactive_pytest"] = ROOT / "heimdall_reactive_pytest.py"
    return [
        (module, name) for module, file in files.items() if file.is_file() for name in all_of(file)
    ]


def all_of(file: Path) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def loaded(name: str) -> Any:
    """Return a script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_the_index(folder: Path) -> set[str]:
    """Every link of the index leads to an anchor; return the names it has."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="([\w-]+\.html)#(heimdall_reactive[\w.]*)"', page))
    texts = {name: (folder / name).read_text(encoding="utf-8") for name, _ in links}
    for name, anchor in sorted(links):
        assert f'id="{anchor}"' in texts[name], f"the index leads to {name}#{anchor}"
    return {anchor for _, anchor in links}


def check_the_pages(site: Path) -> None:
    """Every page has its way from the home page, and loads nothing from elsewhere."""
    reachable = Page((site / "index.html").read_text(encoding="utf-8")).navigation
    for source in sorted(DOCS.rglob("*.md")):
        page = source.relative_to(DOCS).with_suffix(".html").as_posix()
        assert page == "index.html" or page in reachable, f"{page} is not in the navigation"
    for path in sorted(site.rglob("*.html")):
        for url in Page(path.read_text(encoding="utf-8")).loads:
            assert url.startswith("data:") or not re.match(r"(\w+:)?//", url), f"{path.name}: {url}"
    for path in sorted(site.rglob("*.css")):
        foreign = re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text("utf-8"))
        assert foreign is None, f"{path.name}: {foreign}"


@needs_mkdocs
@pytest.mark.timeout(120)  # 4 seconds on an idle machine, 20 on a busy one
def test_the_site_is_built_strictly_and_is_whole(tmp_path: Path) -> None:
    build(tmp_path)
    check_the_pages(tmp_path)
    found, indexed = documented(tmp_path), check_the_index(tmp_path / "reference")
    assert len(public_names()) > 150
    for module, name in public_names():
        names = {f"{module}.{name}", f"{module}.{name}.{name}"}  # a function in a file of its name
        assert names & found, f"{module}.{name} is in no page of docs/reference"
        assert names & indexed, f"{module}.{name} is not in the index"
    for name in sorted(STORE):
        assert f"heimdall_reactive.WebSocketStore.{name}" in indexed, f"store.{name}"
    demo = (tmp_path / "run-it-here.html").read_text(encoding="utf-8")
    assert "The demo is not part of this build of the site" in demo
    assert not (tmp_path / "pyodide").exists()
    index = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"] for entry in index["docs"]}
    assert any(place.startswith("tutorial") for place in places)
    assert "reference/store.html#heimdall_reactive.WebSocketStore.select" in places


def test_the_table_of_messages_has_the_fields_of_the_models() -> None:
    text = (DOCS / "reference" / "messages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 15
    for model, tag, cell in rows:
        fields = dict(getattr(heimdall_reactive, model).model_fields)
        assert fields.pop("type").default == tag
        assert re.findall(r"`(\w+)`(\??)", cell) == [
            (name, "" if field.is_required() else "?") for name, field in fields.items()
        ]


def test_the_comparison_has_the_figures_of_the_benchmarks() -> None:
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    block = text.split("<!-- receive, 0.1 KB -->", 1)[1].split("<!-- end -->", 1)[0]
    rows = re.findall(r"^\| (.+) \| ([\d.]+) \|$", block, re.MULTILINE)
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    entries = results["cases"]["receive"]["entries"]
    assert len(rows) == 8
    for name, figure in rows:
        assert figure == f"{entries[name]['0.1 KB']['median']:.3g}", name


def test_the_drawings_are_drawn_and_name_what_exists() -> None:
    module = loaded("_draw")
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "heimdall_reactive").rglob("*.py")
    )
    page = (DOCS / "lifecycle.md").read_text(encoding="utf-8")
    assert f"{module.BEGIN}\n{module.table()}\n{module.END}" in page, "run docs/_draw.py"
    for name, draw in module.PICTURES.items():
        drawn = draw()
        assert (DOCS / "images" / name).read_text(encoding="utf-8") == drawn, "run docs/_draw.py"
        texts = " ".join(re.findall(r">([^<]+)</text>", drawn))
        for owner, member in re.findall(r"\b([A-Z]\w+)\.(\w+)", texts):
            assert re.search(rf"^class {owner}\b", source, re.MULTILINE), owner
            assert re.search(rf"^    def {member}\b", source, re.MULTILINE), member


def test_each_example_of_a_protocol_has_its_page() -> None:
    module = loaded("_protocols")
    for path, text in module.pages().items():
        assert path.read_text(encoding="utf-8") == text, "run docs/_protocols.py"
    examples = {path.stem for path in (ROOT / "examples" / "protocols").glob("*.py")}
    assert set(module.rows()) == examples - {"__init__", "order_book"}


@needs_mkdocs
def test_what_the_reference_derives_from_the_code_is_current() -> None:
    for path, text in loaded("_reference").pages().items():
        assert path.read_text(encoding="utf-8") == text, "run docs/_reference.py"
