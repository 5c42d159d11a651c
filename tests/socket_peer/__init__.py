"""The twin of `ScriptedPeer` on 127.0.0.1: a server that follows a script, frame by frame."""

from __future__ import annotations

from heimdall_reactive.testing.frames import build_close, build_frame

from .frames import RawFrame
from .link import SocketLink
from .peer import SocketPeer
from .steps import EndlessHeader, Handshake, SocketDial, SocketStep

__all__ = [
    "EndlessHeader",
    "Handshake",
    "RawFrame",
    "SocketDial",
    "SocketLink",
    "SocketPeer",
    "SocketStep",
    "build_close",
    "build_frame",
]
