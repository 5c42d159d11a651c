"""What a store does in a page: run there by `harness.mjs`, asked for by the tests beside."""

from __future__ import annotations

import json
from importlib import import_module

__all__ = ["run"]


async def run(name: str, url: str) -> str:
    """Return what a scenario found, as JSON.

    Args:
        name: its module and its function, such as `wire.typed`.
        url: the server's.
    """
    module, _, function = name.partition(".")
    return json.dumps(await getattr(import_module(f"scenarios.{module}"), function)(url))
