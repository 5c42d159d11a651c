"""The two ends of a link over `websockets`: the server, and how a store reaches it in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.datastructures import Headers
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.transports import Wire
from heimdall_reactive.transports.websockets_dial import Dialler, open_wire

from .scripted_link import DATA, Connect
from .scripted_transport import MemoryTransport
from .scripted_wire import ScriptedWire
from .steps import Step

__all__ = ["SocketServer", "dial"]

LOGGER: Final = logging.Logger("heimdall_reactive.testing", logging.WARNING)


class SocketServer:
    """Speaks for the peer, in bytes; see `LinkServer`."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._protocol = ServerProtocol(max_size=None, logger=LOGGER)

    @property
    def opening(self) -> bool:
        """See `LinkServer`."""
        return self._protocol.state is State.CONNECTING

    @property
    def opened(self) -> bool:
        """See `LinkServer`."""
        return self._protocol.state is State.OPEN

    def is_message(self, unit: Any) -> bool:
        """See `LinkServer`."""
        return not self.opening and unit[0] & 0xF in DATA

    def take(self, unit: Any) -> Iterator[tuple[int, bytes]]:
        """See `LinkServer`."""
        self._protocol.receive_data(unit)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._respond(event))
            else:
                assert isinstance(event, WebSocketFrame)
                yield event.opcode, bytes(event.data)

    def answers(self) -> list[Any]:
        """See `LinkServer`."""
        return list(self._protocol.data_to_send())

    def unit(self, opcode: int, payload: bytes) -> Any:
        """See `LinkServer`."""
        return WebSocketFrame(Opcode(opcode), payload).serialize(mask=False)

    def _respond(self, request: Request) -> Response:
        if (refusal := self._step.refusal()) is None:
            return self._protocol.accept(request)
        return Response(refusal[0], "Refused", Headers(refusal[1]))


async def dial(
    step: Step,
    connect: Connect,
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
) -> Wire:
    """Reach a peer over the default transport, see `Dial`."""
    dialler = partial(_Dialler, step, connect)
    return await open_wire(ScriptedWire, url, headers, subprotocols, options, dialler)


class _Dialler(Dialler):
    """Reaches a peer in memory where the default transport opens a socket."""

    def __init__(self, step: Step, connect: Connect, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._step = step
        self._connect = connect

    async def open_tcp_connection(self) -> ClientConnection:
        await self._step.reach()
        wire = self.make_wire(parse_uri(self.uri))
        assert isinstance(wire, ScriptedWire)

        def socket(take: Callable[[Any], None], ended: Callable[[], None]) -> MemoryTransport:
            return MemoryTransport(wire, take, ended)

        self._connect(SocketServer(self._step), socket).wire = wire
        return wire

    create_connection = open_tcp_connection
