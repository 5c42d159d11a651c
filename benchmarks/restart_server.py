"""A development server in a process of its own: says its URL, and takes commands line by line."""

from __future__ import annotations

import sys

from heimdall_reactive.devserver import serve_in_thread

from .machine import raise_descriptor_limit

__all__ = ["main"]


def main() -> None:
    """Serve until the standard input ends."""
    raise_descriptor_limit(int(sys.argv[1]))
    with serve_in_thread(require_token=False, compression=None, history=10) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            server.run(line.strip())


if __name__ == "__main__":
    main()
