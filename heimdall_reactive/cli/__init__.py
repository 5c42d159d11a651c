"""The console script: `connect`, `watch`, `send` and all its other commands."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from heimdall_reactive.base.exceptions import ConfigurationError

from .arguments import parse
from .dialing import SECRETS
from .output import CommandError, Output, UsageError

__all__ = ["main"]

# The commands tell in their own words what the library logs; without any handler Python would
# write the warnings to the terminal.
_silence: Final = logging.NullHandler()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console script and return its exit code.

    Args:
        argv: the arguments without the program's name; `sys.argv` where None.

    Returns:
        0 done, 1 failed, 2 wrong usage, 3 in doubt (`send`, `connect`), 130 or 143 where `demo`
        or `send` was interrupted.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    logging.getLogger("heimdall_reactive").addHandler(_silence)
    out = Output(_secrets(arguments))
    code: int | None = 130
    try:
        options = parse(arguments)
        code = options.interrupted
        return int(options.run(options, out))
    except UsageError as error:
        out.error(str(error))
        return 2
    except (CommandError, ConfigurationError) as error:  # an endpoint or option that cannot work
        out.error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130 if code is None else code
    except SystemExit as ended:  # argparse, after --help and --version
        return int(ended.code or 0)


def _secrets(arguments: Sequence[str]) -> list[str]:
    """Return the secrets among the arguments, wherever they stand: no error may quote them."""
    given = [value for name, value in pairwise(arguments) if name in SECRETS]
    for item in arguments:
        name, _, value = item.partition("=")
        given += [value] if name in SECRETS else [item[2:]] if item.startswith("-H") else []
    # Of a login the password alone, of a header its value.
    return [part for value in given for part in (value, value.partition(":")[2].strip()) if part]
