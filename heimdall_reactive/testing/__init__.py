"""The kit for your own tests: virtual time, a scripted peer in memory, and a proxy with faults."""

from __future__ import annotations

from .faults import (
    BlackHole,
    CloseWith,
    Cut,
    Delay,
    DropSyn,
    Fault,
    FlipBit,
    Garbage,
    HttpAnswer,
    MuteClose,
    NoAnswer,
    RefuseConnection,
    Reset,
    Stall,
    Trickle,
    redirect,
)
from .marbles import LoopTestScheduler, MarbleRecord, expect_marbles, record_marbles
from .proxy import FaultProxy
from .relay import Passage
from .scripted import DialRecord, ScriptedPeer
from .scripted_link import Link
from .steps import Accept, BadCertificate, Fails, Hang, Refuse, Step, Unreachable
from .virtual import Deadlock, VirtualTimeLoop, run

__all__ = [
    "Accept",
    "BadCertificate",
    "BlackHole",
    "CloseWith",
    "Cut",
    "Deadlock",
    "Delay",
    "DialRecord",
    "DropSyn",
    "Fails",
    "Fault",
    "FaultProxy",
    "FlipBit",
    "Garbage",
    "Hang",
    "HttpAnswer",
    "Link",
    "LoopTestScheduler",
    "MarbleRecord",
    "MuteClose",
    "NoAnswer",
    "Passage",
    "Refuse",
    "RefuseConnection",
    "Reset",
    "ScriptedPeer",
    "Stall",
    "Step",
    "Trickle",
    "Unreachable",
    "VirtualTimeLoop",
    "expect_marbles",
    "record_marbles",
    "redirect",
    "run",
]
