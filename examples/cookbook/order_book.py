"""Keep an order book from a snapshot and numbered changes, and ask again where one is missing."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from heimdall_reactive import use_websocket


class Snapshot(BaseModel):
    type: Literal["snapshot"]
    seq: int
    bids: dict[str, int]


class Change(BaseModel):
    type: Literal["change"]
    seq: int
    price: str
    size: int  # 0: nobody bids this price any more


Message = Annotated[Snapshot | Change, Field(discriminator="type")]
bids: dict[str, int] = {}
seq: int | None = None  # None: wait for a snapshot

with use_websocket(
    "ws://localhost:8765/book", message_type=Message, max_reconnect_attempts=None
) as store:
    try:
        for message in store.iterate(overflow="block"):  # a dropped change would be a hole, too
            if isinstance(message, Snapshot):
                bids, seq = dict(message.bids), message.seq
                print("snapshot", bids, flush=True)
            elif seq is not None and message.seq == seq + 1:
                bids[message.price], seq = message.size, message.seq
                bids = {price: size for price, size in bids.items() if size}
            elif seq is not None:
                print(f"hole: {message.seq} after {seq}", flush=True)
                seq = None
                store.reconnect()  # this server sends a snapshot when a connection opens
    except KeyboardInterrupt:
        print("best bid:", max(bids, default="none"))
