"""Recordings: the events of a store as JSON lines, and a store that repeats them."""

from __future__ import annotations

from .replay import replay
from .writing import Recorder, record

__all__ = ["Recorder", "record", "replay"]
