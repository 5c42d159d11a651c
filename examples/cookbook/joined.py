"""Join two feeds: each trade with the newest quote of its symbol."""

from pydantic import BaseModel

from heimdall_reactive import use_websocket


class Trade(BaseModel):
    symbol: str
    price: float


class Quote(BaseModel):
    symbol: str
    bid: float
    ask: float


newest: dict[str, Quote] = {}

with (
    use_websocket(
        "ws://localhost:8765/quotes", message_type=Quote, max_reconnect_attempts=None
    ) as quotes,
    use_websocket(
        "ws://localhost:8765/trades", message_type=Trade, max_reconnect_attempts=None
    ) as trades,
):
    quotes.messages.subscribe(lambda quote: newest.update({quote.symbol: quote}))
    try:
        for trade in trades.iterate():
            quote = newest.get(trade.symbol)
            if quote is None or not quotes.connected:
                print(trade.symbol, trade.price, "no quote", flush=True)
            else:
                side = "bought" if trade.price >= quote.ask else "sold"
                print(trade.symbol, trade.price, side, quote.bid, quote.ask, flush=True)
    except KeyboardInterrupt:
        print("bye")
