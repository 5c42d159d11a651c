"""What the import of a module says where the library of its extra is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

MODULES: Final = {
    "bindings.nicegui": ("nicegui", "nicegui"),
    "bindings.param": ("param", "param"),
    "bindings.reacton": ("reacton", "reacton"),
    "bindings.textual": ("textual", "textual"),
    "bindings.traitlets": ("traitlets", "traitlets"),
    "dashboard": ("uvicorn", "dashboard"),
    "otel": ("opentelemetry", "otel"),
}


@pytest.mark.parametrize("module", MODULES)
def test_a_missing_library_is_named_with_what_installs_it(module: str) -> None:
    library, extra = MODULES[module]
    without = f"import sys; sys.modules[{library!r}] = None; import heimdall_reactive.{module}"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ModuleNotFoundError: ")
    assert library in said
    # From Python 3.15 on a guess may follow, "Did you mean".
    assert f": pip install 'heimdall-reactive[{extra}]'" in said
