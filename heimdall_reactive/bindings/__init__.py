"""Stores bound to user interfaces: three neutral ways, and an adapter for each framework.

`bind` pushes values into a setter, `external_store` is what hooks need, `values` is an async
iterator. The adapters are modules of their own, each with the framework of that name as its extra:
`textual`, `nicegui`, `reacton`, `qt`, `tk`, `traitlets`, `param`.
"""

from .async_values import values
from .badge import Badge, badge, badge_of
from .binding import Binding, bind
from .scheduling import HopScheduler
from .scope import UiScope
from .snapshots import ExternalStore, external_store

__all__ = [
    "Badge",
    "Binding",
    "ExternalStore",
    "HopScheduler",
    "UiScope",
    "badge",
    "badge_of",
    "bind",
    "external_store",
    "values",
]
