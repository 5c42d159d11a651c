"""Stores composed into dataflow: a durable log behind the socket, and an engine behind the log."""

from .records import Record, channel_of, subject

__all__ = ["Record", "channel_of", "subject"]
