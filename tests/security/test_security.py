"""Where a token may be seen, and the whole list: T1 to T6 of the list in docs/security.md."""

from __future__ import annotations

import logging.config
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from heimdall_reactive import (
    ConfigurationError,
    ConnectionState,
    Status,
    StoreOptions,
    TokenError,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.connecting.providers import ProviderCalls
from heimdall_reactive.connecting.tokens import ask_token
from heimdall_reactive.testing import HttpAnswer
from heimdall_reactive.transports.websockets_dial import wire_logger
from tests.peers import quick
from tests.socket_peer import SocketPeer
from tests.support import run

from .canary import CANARY, FORMS, listening, search

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


async def end_of(store: WebSocketStore[Any]) -> ConnectionState:
    state: ConnectionState = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
    return state


def test_every_requirement_has_a_row_and_every_test_of_a_row_exists() -> None:
    rows = re.findall(r"^\| (T\d+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == [f"T{n}" for n in range(1, 26)]
    source = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE))
    named = {test for _, row in rows for test in re.findall(r"`(test_\w+)`", row)}
    assert named <= defined
    assert {test for test in defined if re.match(r"test_t\d\d_", test)} <= named
    for name, row in rows:
        assert f"`test_t{int(name[1:]):02}_" in row, name


# T1 to T6: where the token may be seen


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    names = ("", ".wire", ".devserver", ".devserver.wire")
    loggers = [logging.getLogger(f"heimdall_reactive{name}") for name in names]
    before = [(each, each.level, each.disabled) for each in loggers]
    yield
    for each, level, disabled in before:
        each.setLevel(level)
        each.disabled = disabled


@pytest.mark.usefixtures("logging_as_it_was")
def test_t01_no_configuration_of_the_logs_brings_the_headers_to_light() -> None:
    """`dictConfig` resets the levels below a logger that it is given."""
    levels = {"heimdall_reactive": {"level": "DEBUG"}}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": levels})
    assert wire_logger.isEnabledFor(logging.DEBUG)  # the level is gone indeed
    with listening():

        async def main() -> None:
            async with SocketPeer() as peer, quick(peer.url, access_token=CANARY) as store:
                await store.wait_connected(8)

        run(main)


@pytest.mark.parametrize("placement", ["header", "subprotocol", "first_message", "unsafe_query"])
async def test_t02_no_object_of_a_store_shows_the_token(placement: Any) -> None:
    async with SocketPeer() as peer:
        url = peer.url.replace("ws://", "ws://ada:pass@") if placement != "header" else peer.url
        async with quick(url, access_token=CANARY, token_placement=placement) as store:
            await store.wait_connected(8)
            search(store)
        search(store)


async def test_t03_an_error_comes_without_its_frames_and_causes() -> None:
    step = HttpAnswer(401, body=CANARY.encode())
    async with SocketPeer(step) as peer, quick(peer.url, access_token=CANARY) as store:
        error = (await end_of(store)).error
        assert error is not None
        assert (error.__cause__, error.__context__, error.__traceback__) == (None,) * 3


def test_t03_what_a_peer_says_is_kept_without_the_token_and_its_pieces() -> None:
    mask = Mask([CANARY, "ab", "short"])
    assert mask(f"no {CANARY}, ab!") == "no ***, ab!"
    assert mask(f"{CANARY[2:12]} and {CANARY[-8:]}") == "*** and ***"
    assert mask("too short, sho") == "too ***, sho"
    assert mask(" ".join(FORMS[:4])) == "*** *** *** ***"
    assert mask("a plain reason") == "a plain reason"
    assert Mask()("reason") == "reason"


async def test_t04_the_token_is_in_no_url_but_by_an_unsafe_name() -> None:
    async with SocketPeer() as peer:
        for placement in ("header", "subprotocol", "first_message", "unsafe_query"):
            options: Any = {"token_placement": placement}
            async with quick(peer.url, access_token=CANARY, **options) as store:
                await store.wait_connected(8)
        found = [CANARY in dial.path for dial in peer.dials]
        assert found == [False, False, False, True]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40) | st.text("\r\n\x00\x7f ~azAZ09", min_size=1, max_size=9))
def test_t05_a_token_is_visible_ascii_or_an_error_that_does_not_quote_it(text: str) -> None:
    async def main() -> None:
        if re.fullmatch("[!-~]+", text):
            assert await ask_token(lambda: text, 5, ProviderCalls()) == SecretStr(text)
            return
        with pytest.raises(TokenError) as caught:
            await ask_token(lambda: text, 5, ProviderCalls())
        with pytest.raises(TokenError) as other:
            await ask_token(lambda: "\x7f" * len(text), 5, ProviderCalls())
        assert str(caught.value) == str(other.value)  # so that none of it can be in there

    run(main)


def test_t05_a_provider_that_can_not_be_called_is_a_token_error() -> None:
    async def needs_more(user: str) -> str:
        return user

    provider: Any = needs_more
    with pytest.raises(TokenError, match="raised TypeError"):
        run(lambda: ask_token(provider, 5, ProviderCalls()))


def test_t06_options_are_not_pickled_and_a_wrong_token_is_not_quoted() -> None:
    options = StoreOptions(access_token=CANARY, additional_headers={"X-Api-Key": CANARY})
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(options)
    assert CANARY not in f"{options!r} {options} {options.access_token!r}"
    wrong: Any = CANARY.encode()
    with pytest.raises(ConfigurationError) as caught:
        use_websocket("/", access_token=wrong)
    assert CANARY not in str(caught.value)
