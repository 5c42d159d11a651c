"""The words of CONTRIBUTING's style table are used, in pages, comments, docstrings and messages.

A phrase is looked for as whole words, and not behind `there`. In code only comments and strings are
read, in pages everything but code. `codespell` looks for common misspellings in all files.
"""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
FOLDERS = (
    "docs", "heimdall_reactive", "examples", "tests", "benchmarks", "findings", "notebooks",
    ".github",
)  # fmt: skip
KINDS = {".md", ".py", ".ipynb", ".sh", ".yml"}
CODE = re.compile(r"^```.*?^```$|``.+?``|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMENTS = re.compile(r"^[^#\n]*", re.MULTILINE)
STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def phrases() -> dict[str, str]:
    """Return what the table of CONTRIBUTING has: a phrase, and what to write in its place."""
    table = CONTRIBUTING.read_text(encoding="utf-8").partition("| not | but |\n|---|---|\n")[2]
    rows = [line.strip("|").split("|") for line in table.partition("\n\n")[0].splitlines()]
    found = {}
    for left, good in rows:
        words, bracket, allowed = left.partition("(not ")
        for word in words.split(","):
            found[f"{word.strip()} {bracket}{allowed}".strip()] = good.strip()
    return found


def pattern(phrase: str) -> str:
    """Return the expression of a phrase; `(not Y or Z)` names the words that may follow it."""
    phrase, _, allowed = phrase.partition(" (not ")
    words = f"(?i:{phrase[0]})" + re.escape(phrase[1:]).replace(r"\ ", r"\s+")
    ahead = f"(?!\\s+(?:{allowed.rstrip(')').replace(' or ', '|')})\\b)" if allowed else ""
    return rf"(?<![Tt]here\s)\b{words}\b{ahead}"


PHRASES = phrases()
FOUND = re.compile("|".join(f"({pattern(phrase)})" for phrase in PHRASES))


def files() -> Iterator[Path]:
    """Yield the files that people read."""
    yield from ROOT.glob("*.md")
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in KINDS and "node_modules" not in path.parts:
                yield path


def blank(text: str) -> str:
    """Return as many lines of nothing."""
    return "\n" * text.count("\n")


def prose(path: Path) -> str:
    """Return what is English in a file, on the lines on which it is there."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            if path == CONTRIBUTING:
                head, table, rest = text.partition("| not | but |\n")
                words, end, rest = rest.partition("\n\n")
                text = head + blank(table + words + end) + rest
            return CODE.sub(lambda code: blank(code[0]), text)
        case ".py":
            return prose_of_code(text)
        case ".ipynb":
            cells = json.loads(text)["cells"]
            return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return COMMENTS.sub("", text)


def prose_of_code(text: str) -> str:
    """Return the comments and strings of a program."""
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or token.type in STRINGS:
            for number, line in enumerate(token.string.splitlines(), token.start[0]):
                lines[number] += " " + re.sub(r"`[^`]+`", "", line)
    return "\n".join(lines[1:])


def wrong(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each phrase of the table, and what to write in its place."""
    for match in FOUND.finditer(text):
        phrase = list(PHRASES)[(match.lastindex or 1) - 1]
        yield text.count("\n", 0, match.start()) + 1, f"{match[0]!r}: write {PHRASES[phrase]}"


def test_the_words_of_the_style_table_are_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in files()
        if path != Path(__file__)
        for line, what in wrong(prose(path))
    ]
    assert not found, "\n" + "\n".join(found)


def test_a_phrase_of_the_table_is_found_over_the_end_of_a_line_and_not_in_code() -> None:
    assert len(PHRASES) > 20
    assert list(wrong("it waits for\never")) == [(1, "'for\\never': write forever")]
    assert not list(wrong(prose_of_code("anew = `anew`\n")))
    assert [line for line, _ in wrong(prose_of_code('a = 1\nb = "anew"  # anew\n'))] == [2, 2]
    assert [line for line, _ in wrong("it is no page; it is no longer one")] == [1]
    assert not list(wrong("there is no page"))


@pytest.mark.skipif(not importlib.util.find_spec("codespell_lib"), reason="codespell is missing")
def test_nothing_is_misspelled() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "codespell_lib"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
