"""A kernel of Jupyter, and what its cells print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["Cell", "kernel"]


@contextmanager
def kernel() -> Iterator[Cell]:
    """Start a kernel of Jupyter; skip where there is none."""
    manager = pytest.importorskip("jupyter_client.manager", reason="pip install ipykernel")
    pytest.importorskip("ipykernel", reason="pip install ipykernel")
    running, client = manager.start_new_kernel(kernel_name="python3")
    try:
        yield Cell(client)
    finally:
        client.stop_channels()
        running.shutdown_kernel(now=True)


class Cell:
    """One client of a kernel."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> str:
        """Return what a cell prints, once the kernel is idle again."""
        asked, printed = self._client.execute(code), ""
        while True:
            message = self._client.get_iopub_msg(timeout=20)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", content
            if kind == "stream":
                printed += content["text"]
            elif kind == "status" and content["execution_state"] == "idle":
                return printed.strip()

    def update(self, comm: str) -> Any:
        """Return the next state that a widget sends."""
        while True:
            message = self._client.get_iopub_msg(timeout=20)
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm:
                return message["content"]["data"]["state"]
