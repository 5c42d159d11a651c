"""Write a page for each example of a protocol: `python docs/_protocols.py` does.

What a page says is in the file of the example, and in its row of the table in `protocols.md`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parent
EXAMPLES: Final = DOCS.parent / "examples" / "protocols"
ROW: Final = re.compile(
    r"^\| \[(?P<name>[^]]+)\]\(protocols/(?P<file>\w+)\.md\) \| (?P<needed>[^|]+) \| "
    r"(?P<lines>[^|]+) \| (?P<against>[^|]+) \|$",
    re.MULTILINE,
)


def rows() -> dict[str, re.Match[str]]:
    """Return the rows of the table, by the names of the files."""
    text = (DOCS / "protocols.md").read_text(encoding="utf-8")
    return {row["file"]: row for row in ROW.finditer(text)}


def page(row: re.Match[str]) -> str:
    """Return the page of an example."""
    file = row["file"]
    text = (EXAMPLES / f"{file}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    about, _, notes = (ast.get_docstring(tree) or "").partition("\n\n")
    source = re.search(r"^Source: (.+)$", notes, re.MULTILINE)
    lines = text.splitlines()
    first = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    program = next(node for node in tree.body if isinstance(node, ast.If))
    code = "\n".join(lines[first.lineno - 1 : program.lineno - 1]).rstrip()
    use = "\n".join(lines[program.lineno - 1 :]).rstrip()
    parts = [
        f"# {row['name'][0].upper()}{row['name'][1:]}",
        f"{' '.join(about.split())}",
        f"- What it needed: {row['needed']}.",
        f"- Run against: {row['against']}.",
        *([f"- The protocol: <{source[1]}>"] if source and source[1].startswith("http") else []),
    ]
    intro = "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:])
    fence = f"```python examples/protocols/{file}.py"
    return (
        f"{intro}\n\n## The protocol\n\n{fence}\n{code}\n```\n\n"
        f"## A program\n\n{fence}\n{use}\n```\n\n"
        f"The whole file is `examples/protocols/{file}.py`, and its test, with a drop in the "
        f"middle, is `tests/protocols/test_{file}.py`. "
        "[Services with logins and ids](../protocols.md) explains the methods.\n"
    )


def pages() -> dict[Path, str]:
    """Return all pages by their files."""
    return {DOCS / "protocols" / f"{file}.md": page(row) for file, row in rows().items()}


if __name__ == "__main__":
    (DOCS / "protocols").mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
