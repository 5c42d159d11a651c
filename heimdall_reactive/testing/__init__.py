"""The fault kit: virtual time, a scripted peer without sockets, and real ones that misbehave."""

from __future__ import annotations

from .scripted import DialRecord, ScriptedPeer
from .scripted_link import Link
from .steps import Accept, BadCertificate, Fails, Hang, Refuse, Step, Unreachable
from .virtual import Deadlock, VirtualTimeLoop, run

__all__ = [
    "Accept",
    "BadCertificate",
    "Deadlock",
    "DialRecord",
    "Fails",
    "Hang",
    "Link",
    "Refuse",
    "ScriptedPeer",
    "Step",
    "Unreachable",
    "VirtualTimeLoop",
    "run",
]
