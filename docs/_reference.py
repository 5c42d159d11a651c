"""Write what the reference derives from the code: `python docs/_reference.py` does.

The table of the options comes from `StoreOptions` and its checks, the values of a store from the
docstring of its class, and the index from each `__all__`. The code is read, not imported, where a
module needs a framework. The programs of the cookbook come whole from their files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import griffe

DOCS: Final = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from _hooks import public_modules  # noqa: E402

from heimdall_reactive import StoreOptions  # noqa: E402
from heimdall_reactive.base.options import CHECKS, OptionsDict  # noqa: E402

PACKAGE: Final = "heimdall_reactive"
PARTS: Final = (
    "testing",
    "testing.plugin",
    "devserver",
    "recording",
    "transports",
    "bindings",
    "dataflow",
)
# An option of a group, and what the group is called: its options follow in the class.
GROUPS: Final = {
    "access_token": "Token and user",
    "auto_reconnect": "Reconnection",
    "heartbeat": "Start, and the application's own ping",
    "outbox_limit": "Sends that wait",
    "additional_headers": "Opening handshake, TLS and proxy",
    "family": "Addresses and sockets",
    "compression": "Time limits and sizes",
    "channel_protocol": "Protocol and sharing",
}
UNITS: Final = {"seconds": "s", "bytes": "bytes", "sends": "sends", "failures": "failures"}
UNCHECKED: Final = {"additional_headers": "a mapping, (name, value) pairs, a provider, or None"}
# These are not fields of StoreOptions: `use_websocket` takes them itself.
OWN: Final = """\
| `endpoint` | required | a str | | a path under `ws_config.ws_url`, or a full `ws://` or `wss://` URL |
| `message_type` | Heimdall's messages | any type pydantic can validate | | what the messages are; [Types](../typing.md) says what follows from it |
| `loop` | `"auto"` | `"auto"`, `"thread"` or an event loop | | where the store runs: see [Sync and async](../sync-and-async.md) |
| `key` | `None` | a str, or None | | name of the store in the process: a store with the same key replaces its predecessor |"""  # noqa: E501
HEAD: Final = "| option | default | takes | unit | meaning |\n|---|---|---|---|---|"


def described(text: str) -> dict[str, str]:
    """Return the attributes that a class's docstring describes, each in one line."""
    docstring = griffe.Docstring(text, lineno=1)
    for section in docstring.parse("google", warn_unknown_params=False, warnings=False):
        if section.kind is griffe.DocstringSectionKind.attributes:
            return {item.name: item.description for item in section.value}
    raise ValueError("no attributes are described")


def cell(text: str) -> str:
    """Return a text for a cell of a table: one line, a capital first, no full stop."""
    text = " ".join(text.split()).removesuffix(".")
    return (text[:1].upper() + text[1:]).replace("|", "\\|")


def options() -> str:
    """Return the tables of the options."""
    meanings = described(StoreOptions.__doc__ or "")
    lines = ["## Where, and what kind of messages", "", HEAD, OWN]
    for option in fields(StoreOptions):
        name = option.name
        if name in GROUPS:
            lines += ["", f"## {GROUPS[name]}", "", HEAD]
        takes = UNCHECKED[name] if name in UNCHECKED else CHECKS[name][1]
        unit = UNITS.get(re.split(r"\W", meanings[name], maxsplit=1)[0], "")
        anchored = f'<span id="{name}"></span>`{name}`'
        cells = (anchored, shown(option.default), cell(takes), unit, cell(meanings[name]))
        lines.append(f"| {' | '.join(cells)} |")
    assert set(OptionsDict.__annotations__) == set(meanings)
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Return a default as one would write it."""
    if isinstance(value, int) and value >= 2**20:
        return f"`{value // 2**20} * 2**20`"
    if isinstance(value, str | int | float | None):
        return f"`{value!r}`".replace("'", '"')
    return "Heimdall's words"  # `channel_protocol`


def values() -> str:
    """Return a heading for each subject and command of a store, with an anchor as methods have."""
    package: Any = griffe.load(PACKAGE, search_paths=[str(DOCS.parent)])
    store = package["store.WebSocketStore"]
    readable = package["reactive.readable.Readable"]
    lines = []
    for name, meaning in described(store.docstring.value).items():
        owner = next(each for each in (store, readable) if name in each.members)
        annotation = owner.members[name].annotation or "Journal"
        anchor = f"{PACKAGE}.WebSocketStore.{name}"
        text = f"`{annotation}`: {' '.join(meaning.split())}"
        lines += [f"### store.{name} {{ #{anchor} }}", "", text, ""]
    return "\n".join(lines).rstrip()


def names() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each public module with its names, and the first line of what is said of each."""
    package: Any = griffe.load(PACKAGE, search_paths=[str(DOCS.parent)])
    plugin = griffe.load(f"{PACKAGE}_pytest", search_paths=[str(DOCS.parent)])
    paths = [PACKAGE, *(f"{PACKAGE}.{part}" for part in PARTS)]
    for part in ("", ".bindings", ".dataflow"):
        paths += public_modules(PACKAGE + part)
    for path in dict.fromkeys(paths):
        module = package if path == PACKAGE else package[path.removeprefix(f"{PACKAGE}.")]
        exports = sorted((str(name) for name in module.exports or ()), key=str.lower)
        if exports:
            yield path, [reference(module, name) for name in exports]
    yield plugin.path, [reference(plugin, name) for name in sorted(map(str, plugin.exports or ()))]


def reference(module: Any, name: str) -> tuple[str, str]:
    """Return what the site knows a name by, and its first line."""
    identifier, found = f"{module.path}.{name}", module.members[name]
    found = found.final_target if found.is_alias else found
    if found.is_module:  # a function in a file of its name
        identifier, found = f"{identifier}.{name}", found.members[name]
    return identifier, first(found)


def first(found: Any) -> str:
    """Return the first paragraph of what is said of a name."""
    if found.docstring is None and found.is_attribute:  # a union, or an object
        return (
            f"`{found.value}`"
            if "|" in str(found.value)
            else f"A `{found.annotation or found.value}`"
        )
    return found.docstring.value.partition("\n\n")[0] if found.docstring else ""


def members() -> list[tuple[str, str]]:
    """Return the members of a store, and the first line of what is said of each."""
    package: Any = griffe.load(PACKAGE, search_paths=[str(DOCS.parent)])
    store = package["store.WebSocketStore"]
    texts = described(store.docstring.value)
    found = {name: text.partition(";")[0] for name, text in texts.items()}
    for name, member in store.all_members.items():
        if not name.startswith("_") and name not in found and member.docstring:
            found[name] = first(member)
    return sorted(found.items())


def index() -> str:
    """Return the tables of all names, with links that the site resolves, or fails."""
    lines = ["## What a store has", "", "| name | meaning |", "|---|---|"]
    for name, about in members():
        link = f"[`store.{name}`][{PACKAGE}.WebSocketStore.{name}]"
        lines.append(f"| {link} | {cell(about)} |")
    for path, listed in names():
        lines += ["", f"## {path}", "", "| name | meaning |", "|---|---|"]
        for identifier, about in listed:
            lines.append(f"| [`{identifier.rpartition('.')[2]}`][{identifier}] | {cell(about)} |")
    return "\n".join(lines)


BEGIN: Final = "<!-- made by docs/_reference.py -->\n"
END: Final = "\n<!-- end -->"
FILE: Final = re.compile(r"^```python (?P<file>\S+)\n.*?^```$", re.MULTILINE | re.DOTALL)
MADE: Final = {"options.md": options, "store.md": values, "index.md": index}


def pages() -> dict[Path, str]:
    """Return the pages with what is made in place, by their files."""
    result = {}
    for name, make in MADE.items():
        path = DOCS / "reference" / name
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        result[path] = f"{before}{BEGIN}\n{make()}\n{END}{rest.partition(END)[2]}"
    book = DOCS / "cookbook.md"
    result[book] = FILE.sub(whole, book.read_text(encoding="utf-8"))
    return result


def whole(fence: re.Match[str]) -> str:
    """Return the fence of a file with all of the file in it."""
    text = (DOCS.parent / fence["file"]).read_text(encoding="utf-8")
    return f"```python {fence['file']}\n{text}```"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
