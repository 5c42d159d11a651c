"""What ends a read or a write of a Spark job."""

from __future__ import annotations

from heimdall_reactive.base.exceptions import HeimdallError

__all__ = ["DataLost", "LogUnavailable", "PeerUnavailable", "RecordRejected"]


class DataLost(HeimdallError):
    """The log has no longer what the job would read next."""


class LogUnavailable(HeimdallError):
    """The log did not answer in time; Spark tries the task again."""


class PeerUnavailable(HeimdallError):
    """The peer took or acknowledged nothing in time; Spark tries the task again."""


class RecordRejected(HeimdallError):
    """A record that is not of the model, in mode `FAILFAST`."""
