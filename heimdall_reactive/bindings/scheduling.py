"""`HopScheduler`: an RxPY scheduler on a UI's thread, from any thread.

RxPY's own fail across threads: `QtScheduler` goes silent for good, `TkinterScheduler` blocks the
emitter for a second and raises into it (RxPY #551, #359, #245).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from reactivex import abc, typing
from reactivex.disposable import CompositeDisposable, SingleAssignmentDisposable
from reactivex.scheduler import TimeoutScheduler

from heimdall_reactive.base.masking import told
from heimdall_reactive.consuming.hops import Hop
from heimdall_reactive.consuming.scheduler import ReportingScheduler

__all__ = ["HopScheduler"]

S = TypeVar("S")

logger: Final = logging.getLogger("heimdall_reactive")


class HopScheduler(ReportingScheduler):
    """Runs actions where a hop leads; times are kept by RxPY's `TimeoutScheduler`.

    What was disposed of does not run. What an action raises is logged, without its text, as some
    frameworks end the application of it. Where the peer is gone, actions are forgotten: a
    closed window must not raise into whoever emits.

    Args:
        hop: runs a function soon on the peer.
    """

    def __init__(self, hop: Hop) -> None:
        super().__init__(_log)
        self._hop = hop

    def schedule_relative(
        self,
        duetime: typing.RelativeTime,
        action: typing.ScheduledAction[S],
        state: S | None = None,
    ) -> abc.DisposableBase:
        """Run an action after a time in seconds."""
        inner = SingleAssignmentDisposable()
        run = self._guarded(action, state, inner)
        if self.to_seconds(duetime) <= 0:
            self._post(run)
            return inner

        def due(*_: object) -> None:
            self._post(run)

        timer = TimeoutScheduler.singleton().schedule_relative(duetime, due)
        return CompositeDisposable(timer, inner)

    def _post(self, call: Callable[[], None]) -> None:
        try:
            self._hop(call)
        except Exception:  # a loop that was closed, a window that is gone
            return


def _log(error: BaseException) -> None:
    logger.error("an action on a user interface raised %s", told(error))
