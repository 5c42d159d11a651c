"""A live table and a live plot in Streamlit: `streamlit run examples/live/streamlit_app.py`."""

# mypy: disable-error-code="untyped-decorator"

import time
from contextlib import ExitStack
from pathlib import Path

import streamlit as st

from examples.live.feed import Market, Tick, feed
from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge_of

view = st.components.v2.component(
    "market", js=(Path(__file__).parent / "market.js").read_text(), isolate_styles=False
)


@st.cache_resource
def the_feed() -> tuple[str, ExitStack]:
    """Start the feed once; it ends with the stack, which Streamlit keeps."""
    stack = ExitStack()
    _, url = stack.enter_context(feed())
    return url, stack


@st.cache_resource
def the_market() -> Market:
    """Return what all tabs share; an edit of this function makes another one."""
    url, _ = the_feed()
    return Market(use_websocket(url, message_type=Tick, loop="thread", key="the market"))


@st.fragment(run_every=0.1)
def page() -> None:
    """Look ten times a second, in each tab."""
    live = the_market()
    shown = badge_of(live.store.state.value, time.time())
    state = {"status": shown.text, "tone": shown.tone}
    texts = {"rows": live.rows_text.value, "minute": live.minute_text.value}
    view(data=state | texts, key="market")


st.set_page_config("Market", layout="wide")
page()
