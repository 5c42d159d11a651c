"""Stores bound to user interfaces: neutral ways, and an adapter for each framework.

`bind` pushes the newest value into a setter and `bind_batch` lists of values, `latest_by` and
`window` keep tables and series for them, `external_store` is what hooks need, `values` is an async
iterator. `badge` says how the connection is, `message_line` what came, `Fate` what became of a
send. The adapters are modules of their own, each with the framework of that name as its extra:
`textual`, `nicegui`, `reacton`, `qt`, `tk`, `traitlets`, `param`.
"""

from heimdall_reactive.connecting.lines import message_line

from .async_values import values
from .badge import Badge, badge, badge_of
from .binding import Binding, bind, bind_batch
from .fate import Fate
from .scheduling import HopScheduler
from .scope import UiScope
from .series import Series, Window, window
from .snapshots import ExternalStore, external_store
from .tables import Changes, LatestBy, latest_by

__all__ = [
    "Badge",
    "Binding",
    "Changes",
    "ExternalStore",
    "Fate",
    "HopScheduler",
    "LatestBy",
    "Series",
    "UiScope",
    "Window",
    "badge",
    "badge_of",
    "bind",
    "bind_batch",
    "external_store",
    "latest_by",
    "message_line",
    "values",
    "window",
]
