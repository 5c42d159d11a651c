"""`record` and `replay`: what an endpoint sent, kept in a file and shown again."""

from __future__ import annotations

import argparse
from typing import Any

from heimdall_reactive import WebSocketStore
from heimdall_reactive.base.exceptions import ConfigurationError, RecordingError
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.recording import record as recording_of
from heimdall_reactive.recording import replay as replay_of

from .dialing import Message, lasting_store
from .output import CommandError, Output
from .show import show_all
from .watch import follow, has_ended

__all__ = ["record", "replay"]


async def record(options: argparse.Namespace, out: Output) -> int:
    """Print what an endpoint sends, as `watch` does, and record it.

    Raises:
        CommandError: the store gave up, or the file cannot be written.
    """
    async with lasting_store(options) as store:
        try:
            recorder = recording_of(store, options.file)
        except RecordingError as error:
            raise CommandError(str(error)) from None
        try:
            await follow(store, options, show_all(options, out), _has_ended)
        finally:
            await recorder.aclose()
    if recorder.error is not None:
        raise CommandError(str(recorder.error))
    return 0


async def replay(options: argparse.Namespace, out: Output) -> int:
    """Print what was recorded, in the recorded order and time.

    Raises:
        CommandError: the file cannot be read, or a line of it.
    """
    speed = None if options.instant else options.speed
    try:
        store: WebSocketStore[Message] = replay_of(options.file, speed, message_type=Message)
    except (RecordingError, ConfigurationError) as error:
        raise CommandError(str(error)) from None
    async with store:
        await follow(store, options, show_all(options, out), _is_bad)
    return 0


def _has_ended(event: Any) -> bool:
    """Tell that of a recording: there is nothing to watch any more, or it has failed."""
    return isinstance(event, RecordingError) or has_ended(event)


def _is_bad(event: Any) -> bool:
    """Tell nothing of the recorded ends: only a bad line is the end of a replay."""
    error = event.error if isinstance(event, ConnectionState) else None
    if isinstance(error, RecordingError):
        raise CommandError(str(error))
    return False
