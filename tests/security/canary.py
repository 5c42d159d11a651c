"""A canary token: what hears it, and the search through everything that can be reached."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import logging
import pickle
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from heimdall_reactive import ConnectionState, StoreOptions, WebSocketStore
from heimdall_reactive.base.hidden import Hidden
from heimdall_reactive.base.masking import Mask

CANARY = "s3cret~canary~7b1f9e"
FORMS = (
    CANARY,
    CANARY[:12],
    quote(CANARY, safe="~").replace("~", "%7E"),
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    base64.b64encode(b"ada:" + CANARY.encode()).decode().rstrip("="),
    base64.b64encode(CANARY.encode() + b":").decode(),
)
SEALED = (SecretStr, Hidden, Mask, StoreOptions)  # they hold the token, and must not show it
OURS = ("heimdall_reactive", "websockets", "concurrent")


class Heard:
    """All that was said while a test ran: logs, streams, warnings, and orphaned errors."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.objects: list[Any] = []

    def check(self) -> None:
        for text in self.texts:
            refuse(text, "heard")
        Search().look(self.objects, "seen")
        for value in self.objects:
            refuse(pickled(value), f"the pickle of {value!r}")


class _Ear(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.DEBUG)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.texts += [record.getMessage(), repr(vars(record))]
        # When it debugs, asyncio logs what its own `write(data)` met: that frame holds the bytes.
        self._heard.texts += formatted(record.exc_info, capture_locals=record.name != "asyncio")


def formatted(info: Any, capture_locals: bool = True) -> list[str]:
    """Format an error as tools do that show the locals of every frame."""
    error = info[1] if isinstance(info, tuple) else info
    if error is None:
        return []
    told = traceback.TracebackException.from_exception(error, capture_locals=capture_locals)
    return [*told.format(), repr(error), str(error), *traceback.format_exception(error)]


@contextlib.contextmanager
def listening() -> Iterator[Heard]:
    """Hear all logs from DEBUG on, streams, warnings and every hook of last resort."""
    heard, root = Heard(), logging.getLogger()
    ear, level = _Ear(heard), root.level
    hooks = threading.excepthook, sys.unraisablehook
    out, err = io.StringIO(), io.StringIO()
    threading.excepthook = lambda args: heard.texts.extend(formatted(args.exc_value))
    sys.unraisablehook = lambda args: heard.texts.extend(formatted(args.exc_value))
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            yield heard
    finally:
        root.removeHandler(ear)
        root.setLevel(level)
        threading.excepthook, sys.unraisablehook = hooks
    heard.texts += [out.getvalue(), err.getvalue(), *(str(warning.message) for warning in warned)]
    heard.check()


def talkative(heard: Heard) -> None:
    """Let the running loop log every callback with its arguments, and report orphaned errors."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0

    def handle(_: object, context: Mapping[str, Any]) -> None:
        heard.texts += [repr(context), *formatted(context.get("exception"))]

    loop.set_exception_handler(handle)


def refuse(text: str, where: str) -> None:
    """Fail where a text has the canary in any form."""
    for form in FORMS:
        if form in text:
            at = text.index(form)
            raise AssertionError(f"the canary is in {where}: ...{text[max(0, at - 200) : at + 40]}")


class Search:
    """Walks through all that can be reached from an object, frames of tracebacks included."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # so that no identity is used twice

    def look(self, value: Any, where: str) -> None:
        if id(value) in self._seen or len(where) > 2000:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if isinstance(value, (bytes, bytearray)):
            refuse(bytes(value).decode("latin-1"), where)
            return
        refuse(value if isinstance(value, str) else f"{value!r} {value!s}", where)
        if isinstance(value, (*SEALED, str, type)):
            return
        for name, part in self._parts(value):
            self.look(part, f"{where}.{name}")

    def _parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping):
            yield from ((str(key), part) for key, part in value.items())
        elif isinstance(value, (list, tuple, set, frozenset)):
            yield from ((str(n), part) for n, part in enumerate(value))
        elif isinstance(value, TracebackType):
            yield from (("frame", value.tb_frame), ("next", value.tb_next))
        elif isinstance(value, FrameType):
            if not value.f_code.co_filename.startswith(__file__.rpartition("/security/")[0]):
                yield from value.f_locals.items()
        elif isinstance(value, BaseException):
            for name in ("args", "__cause__", "__context__", "__traceback__", "__notes__"):
                yield name, getattr(value, name, None)
            yield from vars(value).items()
            yield "formatted", formatted(value)
        elif type(value).__module__.startswith(OURS):
            yield from _fields(value)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            name = f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name
            if hasattr(value, name):
                yield name, getattr(value, name)


def watch(store: WebSocketStore[Any], heard: Heard) -> None:
    """Keep all that a store tells, to be searched at the end."""
    for source in (store.state, store.errors, store.transitions, store.gaps):
        source.subscribe(heard.objects.append)


def search(store: WebSocketStore[Any]) -> None:
    """Search a store, from its public values to its last private part."""
    look = Search().look
    look(store, "store")
    look(store.stats, "stats")
    refuse(pickled(store.stats), "the pickle of the stats")
    assert pickled(store) == ""


def pickled(value: Any) -> str:
    """Return a pickle as text; empty where a value refuses."""
    try:
        data = pickle.dumps(value)
    except (TypeError, AttributeError, pickle.PicklingError):
        return ""
    if isinstance(value, (ConnectionState, Exception)):
        assert repr(pickle.loads(data)) == repr(value)  # and comes back as what it was
    return data.decode("latin-1")
