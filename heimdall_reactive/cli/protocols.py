"""The session protocol of a command, and how it is shown what comes."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from heimdall_reactive import SessionProtocol
from heimdall_reactive.base.exceptions import EncodeError
from heimdall_reactive.connecting.codec import encode

from .output import UsageError

__all__ = ["given_protocol", "text_of"]


def given_protocol(options: argparse.Namespace) -> SessionProtocol | None:
    """Return the protocol that `--protocol` names: an object, or a class or function that makes it.

    Raises:
        UsageError: there is none of that name, or it needs arguments.
    """
    name: str | None = options.protocol
    if name is None:
        return None
    module, _, path = name.partition(":")
    if not module or not path:
        raise UsageError(f"{name!r} is not MODULE:NAME, such as my_protocols:HomeAssistant")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a console script does not find what is in the current folder
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        protocol = found if isinstance(found, SessionProtocol) else found()
    except Exception as error:  # also what the module itself raises
        raise UsageError(f"cannot use the protocol {name!r}: {error}") from None
    if not isinstance(protocol, SessionProtocol):
        raise UsageError(f"{name!r} makes a {type(protocol).__name__}, not a SessionProtocol")
    return protocol


def text_of(message: Any) -> str | bytes:
    """Return a message as it is shown: text and bytes as they are, all else as JSON."""
    if isinstance(message, (str, bytes)):
        return message
    try:
        return encode(message).data.decode()
    except EncodeError:
        return repr(message)
