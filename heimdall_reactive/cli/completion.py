"""`completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse
from typing import Final

from .output import CommandError, Output

__all__ = ["SHELLS", "completion"]

SHELLS: Final = ("bash", "zsh", "fish")
FILES: Final = ("FILE", "PATH")  # how the help calls what a shell completes by the files there are


async def completion(options: argparse.Namespace, out: Output) -> int:
    """Print the script for a shell.

    Raises:
        CommandError: the library that writes it is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise CommandError("completion needs shtab: pip install 'heimdall-reactive[cli]'") from None
    for command in options.commands.values():
        for action in command._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE
    out.line(shtab.complete(options.parser, options.shell))
    return 0
