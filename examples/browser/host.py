"""Make a folder that a static server needs for Python in a page: Pyodide, and wheels beside it.

    python -m examples.browser.host build/pyodide NODE_MODULES WHEELS

NODE_MODULES has the npm package `pyodide`, WHEELS is what `pip download` made. The wheel for
browsers is added. `loadPackage("heimdall-reactive")` then asks no other host for anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path
from shutil import copy
from typing import Any, Final

from .wheel import make as make_wheel

__all__ = ["make"]

FILES: Final = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")


def make(folder: Path, modules: Path, wheels: Path) -> None:
    """Write the folder.

    Args:
        folder: where to; it is made.
        modules: the `node_modules` with `pyodide` in it.
        wheels: a folder of wheels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        copy(modules / "pyodide" / name, folder)
    found = [Path(copy(wheel, folder)) for wheel in sorted(wheels.glob("*.whl"))]
    packages = {each["name"]: each for each in map(_entry, [*found, make_wheel(folder)])}
    for each in packages.values():
        each["depends"] = [name for name in each["depends"] if name in packages]
    theirs = json.loads((modules / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    lock = {"info": theirs["info"], "packages": packages}
    (folder / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")


def _entry(wheel: Path) -> dict[str, Any]:
    """Return what the lock file of Pyodide says about a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        told = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = BytesParser().parsebytes(archive.read(told))
    needs = metadata.get_all("Requires-Dist") or []
    here = [each for each in needs if "extra ==" not in each]
    tops = {name.split("/")[0].removesuffix(".py") for name in names if name.endswith(".py")}
    return {
        "name": _normal(metadata["Name"]),
        "version": metadata["Version"],
        "file_name": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "depends": [_normal(re.split(r"[^\w.-]", each)[0]) for each in here],
        "imports": sorted(tops),
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:4]))
