"""Make every picture of the documentation: `python -m examples.screenshots [NAME ...]`."""

import subprocess
import sys
from typing import Final

NAMES: Final = (
    "textual", "nicegui", "reacton", "qt", "tk", "traitlets", "param", "dashboard", "demo",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Run each in a process of its own; return how many failed."""
    failed = 0
    for name in names or NAMES:
        print(name, flush=True)
        done = subprocess.run([sys.executable, "-m", f"examples.screenshots.{name}"], check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
