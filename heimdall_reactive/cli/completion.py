"""`completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from .output import CommandError, Output

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh", "fish")


async def completion(options: argparse.Namespace, out: Output) -> int:
    """Print the script for a shell.

    Raises:
        CommandError: the library that writes it is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise CommandError("completion needs shtab: pip install 'heimdall-reactive[cli]'") from None
    out.line(shtab.complete(options.parser, options.shell))
    return 0
