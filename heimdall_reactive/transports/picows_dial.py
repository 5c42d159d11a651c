"""Dial as the default transport does, for a wire whose frames `picows` cuts."""

from __future__ import annotations

from collections.abc import Sequence

from heimdall_reactive.base.options import StoreOptions

from . import Wire
from .picows_wire import PicowsWire
from .websockets_dial import open_wire

__all__ = ["dial"]


async def dial(
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
) -> Wire:
    """Open a connection, see `Dial`."""
    return await open_wire(PicowsWire, url, headers, subprotocols, options)
