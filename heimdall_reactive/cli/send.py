"""`send`: one message, and perhaps its reply."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from typing import Any, Final

from heimdall_reactive import Receipt, WebSocketStore
from heimdall_reactive.base.exceptions import ConnectTimeout, HeimdallError
from heimdall_reactive.base.session_protocol import overrides
from heimdall_reactive.base.state import ConnectionState, Status

from .dialing import store_of
from .output import CommandError, Output
from .protocols import given_protocol, payload_of, text_of

__all__ = ["send"]

PROOF: Final = 3.0  # seconds for the pong behind it, which a server that is busy sends late
IN_DOUBT: Final = 3  # the exit code


async def send(options: argparse.Namespace, out: Output) -> int:
    """Send a message in a single attempt, and print its reply, or whether it was delivered.

    Returns:
        The exit code: 3 where the message was written, and nothing proves that the server has it.

    Raises:
        CommandError: it was not sent, or no reply received.
        UsageError: there is no such protocol, or it is not sent such a message.
    """
    protocol = given_protocol(options)
    message = payload_of(_given(options.message), options)
    asks = options.wait_reply and protocol is not None and overrides(protocol, "correlate")
    store = store_of(
        options,
        {
            "protocol": protocol,
            "auto_reconnect": False,
            "max_reconnect_attempts": 0,
            "open_timeout": options.timeout,
            "close_timeout": min(options.timeout, 10.0),
        },
    )
    receipt: Receipt | None = None
    async with store:
        try:
            async with asyncio.timeout(options.timeout):
                await store.wait_connected()
                if asks:
                    reply = await store.request(message, timeout=options.timeout)
                else:
                    receipt, reply = await _exchange(store, message, options.wait_reply)
        except (ConnectTimeout, TimeoutError):
            raise CommandError(_late(store.state.value, options.timeout)) from None
        except HeimdallError as error:
            raise CommandError(str(error)) from None
        if reply is None and receipt is not None:
            with suppress(HeimdallError):  # the closing handshake may bring the proof, too
                await receipt.delivered(min(PROOF, options.timeout))
    if receipt is None or reply is not None:
        out.message(text_of(reply))
    elif receipt.state == "delivered":
        out.line("delivered")
    else:
        out.line("in doubt: it was written, but nothing proves that the server has it")
        return IN_DOUBT
    return 0


async def _exchange(
    store: WebSocketStore[Any], message: Any, wait_reply: bool
) -> tuple[Receipt, Any]:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(reply: Any) -> None:
        if not answer.done():
            answer.set_result(reply)

    def look(state: ConnectionState) -> None:
        if not state.is_connected and not answer.done():
            answer.set_exception(_lost(state))

    # Before the send: a reply may come before anything else gets its turn.
    with store.messages.subscribe(take):
        receipt = await store.send(message)
        if not wait_reply:
            return receipt, None
        with store.state.subscribe(look):
            return receipt, await answer


def _lost(state: ConnectionState) -> CommandError:
    why = f": {state.error}" if state.error else ""
    if not why and state.close is not None:
        why = f": the connection ended with code {state.close.code}"
    return CommandError(f"no reply received{why}")


def _late(state: ConnectionState, seconds: float) -> str:
    if state.status is Status.CONNECTED:
        return f"no reply received within {seconds:g} s"
    return f"no connection within {seconds:g} s"


def _given(text: str) -> str | bytes:
    return sys.stdin.buffer.read() if text == "-" else text
