"""What a child process by `fork()` does with the stores, locks and threads it inherits."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakSet

__all__ = ["INHERITED", "disown_in_child", "keep", "run_in_child"]

INHERITED: Final = "this store belongs to the parent process; make one after the fork"

C = TypeVar("C", bound=Callable[[], None])


class Disownable(Protocol):
    """What belongs to the process that has made it: locks, threads and sockets do."""

    def _disown(self) -> None:
        """Give up in a child process what the parent goes on with.

        Only the thread that forks is left, and other threads may have held any lock. So locks are
        made again. No code of the program is run: it runs in the parent.
        """


_modules: Final[list[Callable[[], None]]] = []
_things: Final[WeakSet[Disownable]] = WeakSet()
_kept: Final[list[Any]] = []


def run_in_child(renew: C) -> C:
    """Call a function in every child process, before anything is disowned; a decorator."""
    _modules.append(renew)
    return renew


def disown_in_child(thing: Disownable) -> None:
    """Have a thing disowned in every child process."""
    _things.add(thing)


def keep(thing: object) -> None:
    """Keep what is the parent's: its finalisers would close what the parent works with."""
    _kept.append(thing)


def _begin_child() -> None:
    for renew in _modules:
        renew()
    for thing in tuple(_things):
        thing._disown()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no `fork()`
    os.register_at_fork(after_in_child=_begin_child)
