"""The pytest plugin, in real runs of a user's test files."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from heimdall_reactive import ConfigurationError, ws_config
from heimdall_reactive.devserver import DevServer
from heimdall_reactive.testing import ScriptedPeer
from heimdall_reactive.testing.plugin import StoreFactory

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
LIMIT = 120  # seconds a user's run may take on a busy machine


def user_run(
    pytester: pytest.Pytester, source: str, *args: str, strict: bool = True
) -> pytest.RunResult:
    """Run a user's test file in a process of its own, with warnings as errors."""
    pytester.makepyfile(source)
    options = ["-q", "-p", "no:cacheprovider", *(["-W", "error", "--strict-markers"] * strict)]
    options += ["-W", "ignore:assertions not in test modules"] * (not __debug__)
    return pytester.runpytest_subprocess(*options, *args, timeout=LIMIT)


def test_it_is_an_entry_point_so_that_nobody_has_to_name_it() -> None:
    (point,) = [p for p in entry_points(group="pytest11") if p.name == "heimdall_reactive"]
    assert point.value == "heimdall_reactive_pytest"


def test_the_core_does_not_need_pytest() -> None:
    program = (
        "import sys, heimdall_reactive.cli, heimdall_reactive.testing\n"
        "sys.exit('pytest' in sys.modules or '_pytest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_fixtures_and_marker_in_a_users_tests(pytester: pytest.Pytester) -> None:
    result = user_run(
        pytester,
        """
        import asyncio
        import os

        import pytest

        from heimdall_reactive import Status, ws_config
        from heimdall_reactive.devserver import DEMO_USER

        seen = []

        def test_a_store_is_connected_to_the_server(heimdall_server, heimdall_store):
            seen.append(heimdall_server)
            assert ws_config.ws_url == os.environ["HEIMDALL_WS_URL"] == heimdall_server.url
            store = heimdall_store()
            assert store.connected
            (peer,) = heimdall_server.connections
            assert (peer.path, peer.user_id) == ("/v1/ws/updates", DEMO_USER)

        def test_the_server_is_fresh_and_the_address_is_restored(heimdall_server):
            assert heimdall_server not in seen
            assert not heimdall_server.dials

        def test_the_address_is_restored():
            assert "HEIMDALL_WS_URL" not in os.environ
            assert ws_config.ws_url == "ws://localhost:3000"

        def test_it_heals(heimdall_server, heimdall_store):
            store = heimdall_store("/v1/ws/user", reconnect_delay=0)
            heimdall_server.drop()
            again = store.wait_for(lambda state: state.session == 2 and state.connected_at)
            assert again.result(5).status is Status.CONNECTED

        def test_several_stores(heimdall_server, heimdall_store):
            stores = [heimdall_store(), heimdall_store("/v1/ws")]
            assert len(heimdall_server.connections) == 2
            stores[0].close()

        def test_on_a_real_loop(heimdall_store):
            async def main():
                async with await heimdall_store.connect() as store:
                    assert store.connected
            asyncio.run(main())

        @pytest.mark.heimdall_virtual_time(timeout=7200)
        async def test_hours(heimdall_store, heimdall_peer):
            loop = asyncio.get_running_loop()
            store = await heimdall_store.connect(reconnect_delay=3600, stable_after=0)
            heimdall_peer.link.drop()
            await heimdall_peer.accepted()
            await heimdall_peer.accepted()
            await store.wait_connected()
            assert 3600 <= loop.time() < 1.2 * 3600 + 1

        @pytest.mark.heimdall_virtual_time(timeout=10)
        @pytest.mark.parametrize("seconds", [1, 9])
        async def test_parameters(seconds, tmp_path):
            await asyncio.sleep(seconds)

        class TestOfAClass:
            @pytest.mark.heimdall_virtual_time
            async def test_method(self, heimdall_peer):
                assert not heimdall_peer.dials
        """,
    )
    result.assert_outcomes(passed=10)


def test_the_test_file_of_the_documentation_passes(pytester: pytest.Pytester) -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## With pytest\n")[1].split("\n## ")[0]
    (source,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    earlier = "import asyncio\nimport reactivex.operators as ops\n"
    user_run(pytester, earlier + source).assert_outcomes(passed=2)


def test_what_a_test_leaves_behind_fails_it(pytester: pytest.Pytester) -> None:
    result = user_run(
        pytester,
        """
        import asyncio

        import pytest

        from heimdall_reactive import HandshakeRefused, use_websocket
        from heimdall_reactive.devserver import DEMO_TOKEN

        left = []

        @pytest.fixture
        def clean_up():
            yield
            left.pop().close()

        def test_a_client_of_its_own(clean_up, heimdall_server):
            store = use_websocket("/v1/ws", access_token=DEMO_TOKEN)
            store.wait_connected().result(5)
            left.append(store)

        def test_a_store_on_a_loop_that_ended(heimdall_store):
            async def main():
                await heimdall_store.connect()
            asyncio.run(main())

        @pytest.mark.heimdall_virtual_time(timeout=10)
        async def test_too_long():
            await asyncio.sleep(11)

        @pytest.mark.heimdall_virtual_time
        async def test_a_task():
            left.append(asyncio.ensure_future(asyncio.sleep(3600)))

        @pytest.mark.heimdall_virtual_time
        def test_no_coroutine():
            pass

        def test_a_refused_store(heimdall_store):
            with pytest.raises(HandshakeRefused):
                heimdall_store(access_token="wrong")

        def test_after_all_that(heimdall_store):
            assert heimdall_store().connected
        """,
        strict=False,
    )
    result.assert_outcomes(passed=4, failed=3, errors=2)
    for line in (
        "*left connected: /v1/ws of demo; close the stores of the test*",
        "*left open: <WebSocketStore *>; use `async with`*",
        "*not done at 10 virtual seconds*",
        "*tasks left*",
        "*heimdall_virtual_time is for coroutines*",
    ):
        result.stdout.fnmatch_lines([line])  # in any order: another plugin may shuffle the tests


def test_the_server_takes_options_from_a_fixture(pytester: pytest.Pytester) -> None:
    result = user_run(
        pytester,
        """
        import pytest

        @pytest.fixture
        def heimdall_server_options():
            return {"echo": True, "require_token": False}

        def test_echo(heimdall_store, heimdall_server):
            store = heimdall_store(access_token=None)
            seen = []
            store.messages.subscribe(seen.append)
            store.send({"celsius": 31}).result(5)
            sent = heimdall_server.call(heimdall_server.wait_for_message(lambda text: True))
            assert "celsius" in sent
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_run_without_our_fixtures_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import inspect

        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                return True  # another plugin's way with coroutines
        """
    )
    result = user_run(
        pytester,
        """
        import sys
        import threading

        def test_nothing_runs():
            assert threading.enumerate() == [threading.main_thread()]

        def test_nothing_is_imported():
            assert "heimdall_reactive_pytest" in sys.modules
            assert not {"heimdall_reactive", "websockets", "reactivex", "pydantic"} & {*sys.modules}

        async def test_of_another_plugin():
            raise AssertionError("not called by us")
        """,
    )
    result.assert_outcomes(passed=3)


def test_what_another_plugin_puts_around_a_coroutine_is_not_in_the_way(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        import asyncio
        import functools
        import inspect

        def pytest_collection_modifyitems(items):
            for item in items:
                item.obj = synchronized(item.obj)

        def synchronized(test):  # as the auto mode of pytest-asyncio does
            @functools.wraps(test)
            def call(**arguments):
                asyncio.run(test(**arguments))

            return call
        """
    )
    result = user_run(
        pytester,
        """
        import asyncio
        import functools

        import pytest

        def decorated(test):
            @functools.wraps(test)
            async def around(**arguments):
                calls.append(test)
                await test(**arguments)

            return around

        calls = []

        @pytest.mark.heimdall_virtual_time
        @decorated
        async def test_ours(heimdall_peer):
            await asyncio.sleep(60)
            assert calls

        async def test_theirs():
            await asyncio.sleep(0)
        """,
    )
    result.assert_outcomes(passed=2)


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    result = user_run(pytester, "def test_a(heimdall_peer): pass", "-p", "no:heimdall_reactive")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'heimdall_peer' not found*"])


def test_an_own_address_is_restored(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(ws_config, "_ws_url", "ws://own:1")
    server: DevServer = request.getfixturevalue("heimdall_server")
    assert ws_config.ws_url == server.url == os.environ["HEIMDALL_WS_URL"]


def test_a_running_loop_is_not_blocked(heimdall_store: StoreFactory) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="await heimdall_store"):
            heimdall_store()

    asyncio.run(main())


@pytest.mark.heimdall_virtual_time
async def test_it_works_in_our_own_suite(
    heimdall_store: StoreFactory, heimdall_peer: ScriptedPeer
) -> None:
    store = await heimdall_store.connect()
    link = await heimdall_peer.accepted()
    store.send("hello")
    assert await link.receive() == "hello"
