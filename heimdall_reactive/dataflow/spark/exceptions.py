"""What ends a read or a write of a Spark job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from heimdall_reactive.base.exceptions import HeimdallError

__all__ = ["DataLost", "LogUnavailable", "PeerUnavailable", "RecordRejected", "reason_first"]


class DataLost(HeimdallError):
    """The log has no longer what the job would read next."""


class LogUnavailable(HeimdallError):
    """The log did not answer in time; on a cluster Spark tries the task again."""


class PeerUnavailable(HeimdallError):
    """The peer took or acknowledged nothing in time; on a cluster Spark tries the task again."""


class RecordRejected(HeimdallError):
    """A record that is not of the model, in mode `FAILFAST`."""


@contextmanager
def reason_first() -> Iterator[None]:
    """Have Spark show why a call failed in the first line, before the traceback.

    Spark prints a traceback and what it was caused by; the cause stands first, here without one.
    """
    try:
        yield
    except HeimdallError as error:
        raise copy(error) from error.with_traceback(None)
