"""Recordings: what a store went through as JSON lines, and a store that goes through it again."""

from __future__ import annotations

from .replay import replay
from .writing import Recorder, record

__all__ = ["Recorder", "record", "replay"]
