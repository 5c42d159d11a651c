"""JSON-RPC 2.0: calls with ids, notifications both ways, and batches.

Source: https://www.jsonrpc.org/specification
Run: python -m examples.protocols.json_rpc wss://HOST/rpc METHOD [PARAMETER ...]
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket


class Call(NamedTuple):
    """A method to call: with parameters by position or by name, and an id of this session."""

    method: str
    params: Sequence[Any] | dict[str, Any] = ()
    number: int = 0


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Call):
        value = {"id": value.number, "method": value.method, "params": value.params}
    return {"jsonrpc": "2.0", **value}


def _match(envelope: Any) -> tuple[str, Any] | None:
    told = isinstance(envelope, dict) and "method" in envelope and "id" not in envelope
    return (envelope["method"], envelope.get("params")) if told else None


class JsonRpc(SessionProtocol):
    """`await store.request(Call("add", [1, 2]))` returns the answer, with `result` or `error`.

    A dict is sent as it is: `store.send({"method": "log", "params": [...]})` is a notification,
    `{"id": ..., "result": ...}` answers a call of the server's. A list of both is a batch, and its
    answer the list of answers. `store.channel("tick")` has the parameters of the notifications.
    """

    acknowledges = True  # a call, or a batch, is delivered when its answer comes

    def __init__(self) -> None:
        self.channels = ChannelProtocol(
            subscribe=lambda name: (),  # notifications come without being asked for
            unsubscribe=lambda name: (),
            match=_match,
            json_text=False,
        )

    def decode(self, data: str | bytes, session: ProtocolSession) -> list[Any]:
        """Return what the server calls one by one; the answers to a batch stay together."""
        (value,) = super().decode(data, session)
        if not isinstance(value, list):
            return [value]
        answers = [each for each in value if "method" not in each]
        return [each for each in value if "method" in each] + ([answers] if answers else [])

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Hide answers: they are for requests. An error without an id is nobody's, and shown."""
        is_answer = isinstance(envelope, list) or "method" not in envelope
        return None if is_answer and self.correlate(envelope) is not None else envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number a call, or those of a batch."""
        if isinstance(value, list):
            return [self.prepare(each, session) for each in value]
        return value._replace(number=session.next_id()) if isinstance(value, Call) else value

    def encode(self, value: Any) -> Sequence[str]:
        """Send nothing for a channel."""
        return [to_json(_plain(value)).decode()] if value else []

    def correlate(self, value: Any) -> Hashable | None:
        """Return the id of a call or an answer; those of a batch have all their ids."""
        if isinstance(value, list):
            return frozenset(map(self.correlate, value)) - {None} or None
        if isinstance(value, Call):
            return value.number
        number: Hashable = value.get("id") if value and "method" not in value else None
        return number


if __name__ == "__main__":
    url, method, *params = sys.argv[1:]
    with use_websocket(url, protocol=JsonRpc(), message_type=Any) as store:
        store.messages.subscribe(print)
        print(store.request(Call(method, params)).result())
