"""The session protocol of a command, and messages as they are written and shown."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from heimdall_reactive import SessionProtocol
from heimdall_reactive.base.exceptions import EncodeError
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.protocols.heimdall import HeimdallProtocol

from .output import UsageError

__all__ = ["given_protocol", "payload_of", "text_of"]

NAMED: Final[dict[str, Callable[[], SessionProtocol]]] = {"heimdall": HeimdallProtocol}


def given_protocol(options: argparse.Namespace) -> SessionProtocol | None:
    """Return the protocol that `--protocol` names: an object, or a class or function that makes it.

    Raises:
        UsageError: there is none of that name, or it needs arguments.
    """
    name: str | None = options.protocol
    if name is None:
        return None
    if name in NAMED:
        return NAMED[name]()
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


def payload_of(written: str | bytes, options: argparse.Namespace) -> Any:
    """Return the message that was written: text, with `--binary` or `--hex` bytes, or JSON.

    Raises:
        UsageError: it is not what the options say.
    """
    data = written.encode("utf-8", "surrogateescape") if isinstance(written, str) else written
    if options.binary:
        return data
    try:
        if options.hex:
            return bytes.fromhex(data.decode("ascii"))
        text = data.decode("utf-8")
        return text if options.protocol is None else json.loads(text)
    except UnicodeDecodeError:
        what = "hexadecimal digits" if options.hex else "UTF-8 text; --binary sends it as bytes"
        raise UsageError(f"the message is not {what}") from None
    except ValueError:
        what = "hexadecimal digits" if options.hex else "JSON"
        why = "" if options.hex else "with --protocol a message is JSON, a text in quotes; "
        raise UsageError(f"{why}{written!r:.80} is not {what}") from None


def text_of(message: Any) -> str | bytes:
    """Return a message as it is shown: text and bytes as they are, all else as JSON."""
    if isinstance(message, (str, bytes)):
        return message
    try:
        return encode(message).data.decode()
    except EncodeError:
        return repr(message)
