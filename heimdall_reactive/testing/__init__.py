"""The fault kit: virtual time, a scripted peer without sockets, and real ones that misbehave."""

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
from .frames import RawFrame, build_close, build_frame
from .marbles import LoopTestScheduler, MarbleRecord, expect_marbles, record_marbles
from .peer import SocketPeer
from .proxy import FaultProxy
from .relay import Passage
from .scripted import DialRecord, ScriptedPeer
from .scripted_link import Link
from .socket_link import SocketLink
from .socket_steps import EndlessHeader, Handshake, SocketDial, SocketStep
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
    "EndlessHeader",
    "Fails",
    "Fault",
    "FaultProxy",
    "FlipBit",
    "Garbage",
    "Handshake",
    "Hang",
    "HttpAnswer",
    "Link",
    "LoopTestScheduler",
    "MarbleRecord",
    "MuteClose",
    "NoAnswer",
    "Passage",
    "RawFrame",
    "Refuse",
    "RefuseConnection",
    "Reset",
    "ScriptedPeer",
    "SocketDial",
    "SocketLink",
    "SocketPeer",
    "SocketStep",
    "Stall",
    "Step",
    "Trickle",
    "Unreachable",
    "VirtualTimeLoop",
    "build_close",
    "build_frame",
    "expect_marbles",
    "record_marbles",
    "redirect",
    "run",
]
