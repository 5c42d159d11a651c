"""The live dashboard: connections, messages and faults in a browser, with NiceGUI.

A `Board` has the stores and what is known of them, one for all tabs; `serving` shows it. Started
by `heimdall-reactive dashboard`.

Way of a message: a store tells the board's feed, which keeps the newest of each kind; four times
a second the board ticks, and every tab that shows something newer draws it.
"""

from heimdall_reactive.base.extras import of_extra

from .board import Board, BoardConnection
from .embedded import Embedded, embedded_board
from .feed import Line, MessageFeed
from .meter import Meter

with of_extra("dashboard"):
    from .serving import serving

__all__ = [
    "Board",
    "BoardConnection",
    "Embedded",
    "Line",
    "MessageFeed",
    "Meter",
    "embedded_board",
    "serving",
]
