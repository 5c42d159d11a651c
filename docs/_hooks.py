"""What the pages need to be a site: they are written to be read in the repository, too.

A link that leads out of `docs/` becomes one to a copy of the file within the site, because a site
that is read offline has no repository beside it. A fence such as `python examples/x.py` gets the
file as its title. A drawing is put into the page, so that it takes the colours of the scheme.
"""

from __future__ import annotations

import io
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from heimdall_reactive.cli import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "heimdall_reactive"
# These have a page of their own in the site.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n.*?^```$", re.MULTILINE | re.DOTALL)
INFO = re.compile(r"^```(?P<language>\w+) (?P<rest>[^\n{=]+)$", re.MULTILINE)
LINK = re.compile(r"(?P<label>!?\[[^\]]*\])\((?P<target>[^)\s#]+)(?P<heading>#[^)\s]*)?\)")
# GitHub wants a bar within a table escaped, also in code; here the backslash would be shown.
BARS = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
MODULES = re.compile(r"^::: (?P<package>[\w.]+)\.\*$", re.MULTILINE)
DRAWING = re.compile(
    r'<p><img alt="(?P<alt>[^"]*)" src="[^"]*images/(?P<name>way-\w+\.svg)" ?/?></p>'
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the patterns of the navigation by the pages they stand for."""
    config.nav = list(_expanded(config.nav or [], set(_named(config.nav or []))))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog, what `--help` says, and a copy of each file that a page links to."""
    files.append(File.generated(config, "changelog.md", abs_src_path=str(ROOT / "CHANGELOG.md")))
    files.append(File.generated(config, "reference/command-line.md", content=_command_line()))
    linked = {path for page in DOCS.rglob("*.md") for path in _linked(page)}
    for path in sorted(linked):
        if path not in PAGES and not path.endswith(".md") and (ROOT / path).is_file():
            source = str(ROOT / path)
            files.append(File.generated(config, f"files/{path}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links and the fences of a page such that the site understands them."""
    source = page.file.src_uri
    parts = []
    end = 0
    for fence in FENCE.finditer(markdown):
        parts += [_prose(markdown[end : fence.start()], source), _code(fence[0])]
        end = fence.end()
    return "".join([*parts, _prose(markdown[end:], source)])


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the drawings into the page."""

    def drawn(match: re.Match[str]) -> str:
        svg = (DOCS / "images" / match["name"]).read_text(encoding="utf-8")
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{match["alt"]}" ', 1)
        return f'<div class="drawing">{svg}</div>'

    return DRAWING.sub(drawn, html)


def public_modules(package: str) -> list[str]:
    """Return the public modules of a package: those that bear the name of an extra, and `tk`.

    An extra is what such a module needs; `tk` needs Python's own tkinter and has none.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = ROOT / package.replace(".", "/")
    names = sorted({*project["optional-dependencies"], "tk"})
    return [
        f"{package}.{name}"
        for name in names
        if (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
    ]


def _expanded(items: list[Any], named: set[str]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, str) and "*" in item:
            found = {path.relative_to(DOCS).as_posix() for path in DOCS.glob(item)} - named
            named |= found
            yield from sorted(found)
        elif isinstance(item, dict) and isinstance(pages := next(iter(item.values())), list):
            if inner := list(_expanded(pages, named)):
                yield {next(iter(item)): inner}
        else:
            yield item


def _named(items: list[Any]) -> Iterator[str]:
    for item in items:
        if isinstance(item, str):
            yield item
        else:
            for value in item.values():
                yield from _named(value if isinstance(value, list) else [value])


def _command_line() -> str:
    """Return a page of what the console script says about itself and its commands."""
    overview = _help()
    commands = re.findall(r"^ {4}([a-z]+)\b", overview, re.MULTILINE)
    texts = [f"## {command}\n\n```text\n{_help(command)}```" for command in commands]
    return "\n\n".join(["# Command line", f"```text\n{overview}```", *texts, ""])


def _help(*command: str) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed), mock.patch.dict(os.environ, COLUMNS="78"):
        main([*command, "--help"])
    return printed.getvalue()


def _linked(page: Path) -> Iterator[str]:
    """Yield the files outside `docs/` that a page links to, as paths from the project's top."""
    for match in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path = _outside(match["target"], page.relative_to(DOCS).as_posix())
        if path is not None:
            yield path


def _outside(target: str, source: str) -> str | None:
    if "://" in target or target.startswith("mailto:"):
        return None
    path = os.path.normpath(os.path.join("docs", os.path.dirname(source), target))  # noqa: PTH118, PTH120
    return None if path.startswith("docs" + os.sep) else Path(path).as_posix()


def _prose(text: str, source: str) -> str:
    text = MODULES.sub(lambda match: _modules(match["package"]), text)
    text = BARS.sub(lambda match: match[0].replace("\\|", "|"), text)
    return LINK.sub(lambda match: _relinked(match, source), text)


def _modules(package: str) -> str:
    options = "    options: {filters: public}"  # what is in `__all__`
    parts = []
    for module in public_modules(package):
        # The reference takes a name for the file of that name; the function in it is asked for.
        functions = [f"::: {module}.{name}.{name}" for name in _namesakes(module)]
        parts += [f"::: {module}\n{options}", *functions]
    return "\n\n".join(parts)


def _namesakes(module: str) -> list[str]:
    """Return the names a package offers that are files in it, too."""
    folder = ROOT / module.replace(".", "/")
    if not folder.is_dir():
        return []
    public = re.findall(
        r'^    "(\w+)",$', (folder / "__init__.py").read_text("utf-8"), re.MULTILINE
    )
    return [name for name in public if (folder / f"{name}.py").is_file()]


def _relinked(match: re.Match[str], source: str) -> str:
    path = _outside(match["target"], source)
    if path is None:
        return match[0]
    if path not in PAGES and (path.endswith(".md") or not (ROOT / path).is_file()):
        return match["label"].strip("![]")  # a folder: nothing in the site to lead to
    here = os.path.dirname(source) or "."  # noqa: PTH120
    return f"{match['label']}({os.path.relpath(PAGES.get(path, f'files/{path}'), here)})"


def _code(fence: str) -> str:
    def titled(match: re.Match[str]) -> str:
        is_file = "/" in match["rest"] or "." in match["rest"]
        return f"```{match['language']}" + (f' title="{match["rest"]}"' if is_file else "")

    return INFO.sub(titled, fence, count=1)
