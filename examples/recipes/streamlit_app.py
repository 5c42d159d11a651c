"""Streamlit: `streamlit run examples/recipes/streamlit_app.py`."""

import time
from typing import Any

import streamlit as st

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge_of, message_line


@st.cache_resource
def the_store() -> WebSocketStore[Any]:
    """Return the one store of the server; scripts run again, a resource does not until edited."""
    return use_websocket("/v1/ws", loop="thread", key="the store", max_reconnect_attempts=None)


@st.fragment(run_every=0.5)
def live() -> None:
    """Look twice a second. There is nothing to unsubscribe: a look has no observer."""
    store = the_store()
    shown = badge_of(store.state.value, time.time())
    # A badge reads Markdown, and the text may quote the server: that goes into a plain one.
    st.badge(shown.status, color="green" if shown.online else "orange")
    st.text(shown.text)
    st.text(message_line(store.last_message.value))


live()
if text := st.chat_input("say something", disabled=not the_store().connected):
    the_store().send({"text": text})
