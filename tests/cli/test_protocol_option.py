"""`--protocol` and `--channel`: a login, ids and channels at a terminal, in another process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from heimdall_reactive.cli import main
from heimdall_reactive.devserver import DEMO_TOKEN, serve_in_thread
from tests.peers import peer
from tests.support import errors_in, run

ROOT = Path(__file__).parents[2]
HOME = ["--protocol", "examples.protocols.home_assistant:HomeAssistant"]
TOKEN = "long-lived"
LIMIT = 60


class Home:
    """Asks for a login, answers commands, and sends an event for each session; then it drops."""

    def __init__(self, drops: int = 0) -> None:
        self.drops, self.sessions = drops, 0
        self.commands: list[Any] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.send('{"type": "auth_required"}')
        if json.loads(await socket.recv()) != {"type": "auth", "access_token": TOKEN}:
            await socket.send('{"type": "auth_invalid"}')
            return
        await socket.send('{"type": "auth_ok"}')
        self.sessions += 1
        with suppress(ConnectionClosed):
            async for text in socket:
                await self.handle(socket, json.loads(text))

    async def handle(self, socket: ServerConnection, command: Any) -> None:
        self.commands.append(command)
        good = command.get("event_type") != "secret"
        answer = {"id": command["id"], "type": "result", "success": good, "result": "done"}
        await socket.send(json.dumps(answer))
        if command["type"] == "subscribe_events" and good:
            event = {"data": {"session": self.sessions, "text": "a\x1bb"}}
            await socket.send(json.dumps({"id": command["id"], "type": "event", "event": event}))
            if self.sessions <= self.drops:
                await (await socket.ping())
                socket.transport.abort()


def program(*arguments: str, folder: Path = ROOT) -> tuple[int, str, str]:
    """Run the console script as an installed one runs: the folder is not where modules are."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "heimdall_reactive", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout.decode(), errors_in(done.stderr)


def against(home: Home, *arguments: str, folder: Path = ROOT) -> tuple[int, str, str]:
    """Run it against a server of this process; `URL` stands for its URL."""

    async def play() -> tuple[int, str, str]:
        async with peer(home) as url:
            given = [url if each == "URL" else each for each in arguments]
            return await asyncio.to_thread(program, *given, folder=folder)

    return run(play, 2 * LIMIT)


def test_watch_logs_in_and_prints_a_channel_over_a_drop() -> None:
    home = Home(drops=1)
    options = ["--channel", "state_changed", "--token", TOKEN, "--count", "2"]
    code, out, err = against(home, "watch", "URL", *HOME, *options)
    assert (code, err) == (0, "")
    events = [line[14:] for line in out.splitlines() if "state_changed: " in line]
    assert events == [
        f'state_changed: {{"data":{{"session":{n},"text":"a\\u001bb"}}}}' for n in (1, 2)
    ]
    assert "connected, session 2" in out
    assert TOKEN not in out


def test_watch_prints_a_channel_as_json() -> None:
    options = ["--channel", "state_changed", "--token", TOKEN, "--count", "1", "--json"]
    code, out, err = against(Home(), "watch", "URL", *HOME, *options)
    assert (code, err) == (0, "")
    record = json.loads(out.splitlines()[-1])
    del record["time"]
    data = {"data": {"session": 1, "text": "a\x1bb"}}
    told = {"event": "message", "channel": "state_changed", "format": "json", "data": data}
    assert record == told


def test_watch_without_a_channel_prints_the_messages_of_the_protocol() -> None:
    class Greeting(Home):
        async def handle(self, socket: ServerConnection, command: Any) -> None:
            raise AssertionError(command)

        async def __call__(self, socket: ServerConnection) -> None:
            await socket.send('{"type": "auth_required"}')
            await socket.recv()
            await socket.send('{"type": "auth_ok"}')
            await socket.send('{"type": "note"}')
            await socket.wait_closed()

    arguments = ["watch", "URL", *HOME, "--token", TOKEN, "--count", "1"]
    code, out, err = against(Greeting(), *arguments)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1][14:] == '{"type":"note"}'


def test_a_channel_that_fails_ends_watch() -> None:
    arguments = ["watch", "URL", *HOME, "--channel", "secret", "--token", TOKEN]
    code, out, err = against(Home(), *arguments)
    assert code == 1
    assert "-- secret failed: Home Assistant refused 'secret'" in out
    assert "error: the channel 'secret' failed" in err


def test_send_logs_in_and_prints_the_answer_with_its_id() -> None:
    home = Home()
    message = '{"type": "get_config"}'
    code, out, err = against(home, "send", "URL", message, *HOME, "--token", TOKEN, "--wait-reply")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"id": 1, "type": "result", "success": True, "result": "done"}
    code, out, err = against(home, "send", "URL", message, *HOME, "--token", TOKEN)
    assert (code, out, err) == (0, "delivered\n", "")
    assert home.commands == [{"id": 1, "type": "get_config"}] * 2


def test_a_login_that_is_refused_is_told() -> None:
    code, out, err = against(Home(), "send", "URL", "{}", *HOME, "--token", "w-r-o-n-g")
    assert (code, out) == (1, "")
    assert "refused the access token" in err
    assert "w-r-o-n-g" not in err


def test_record_takes_a_protocol(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    arguments = ["record", "URL", str(path), *HOME, "--token", TOKEN, "--seconds", "0.5"]
    code, out, err = against(Home(), *arguments)
    assert (code, err) == (0, "")
    assert "connected, session 1" in out
    assert TOKEN not in path.read_text()


def test_a_protocol_of_the_current_folder_may_be_an_object_or_a_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from examples.protocols.home_assistant import HomeAssistant\n"
        "ready = HomeAssistant()\n"
        "def made(): return HomeAssistant()\n"
    )
    for name in ("mine:ready", "mine:made"):
        arguments = ["send", "URL", '{"type": "ping"}', "--protocol", name, "--token", TOKEN]
        code, _, err = against(Home(), *arguments, folder=tmp_path)
        assert (code, err) == (0, "")


def test_watch_prints_a_channel_of_heimdalls_own() -> None:
    with serve_in_thread() as server:
        url = f"{server.url}/v1/ws/user"
        watching = subprocess.Popen(
            [sys.executable, "-m", "heimdall_reactive", "watch", url, "--token", DEMO_TOKEN,
             "--channel", "gps", "--count", "1"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            server.call(server.wait_for_message(lambda message: "Subscribe" in str(message)))
            server.publish("gps", {"n": 1})
            out, _ = watching.communicate(timeout=LIMIT)
        finally:
            watching.kill()
            watching.communicate()
    assert out.splitlines()[-1][14:] == 'gps: {"n":1}'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "/x", "--protocol", "nothing"], "'nothing' is not MODULE:NAME"),
        (["watch", "/x", "--protocol", "no_such_module:It"], "No module named 'no_such_module'"),
        (["watch", "/x", "--protocol", "json:nothing"], "has no attribute 'nothing'"),
        (["watch", "/x", "--protocol", "json:JSONDecoder"], "makes a JSONDecoder, not a Session"),
        (["watch", "/x", "--protocol", "examples.protocols.gateway:Gateway"], "missing 1 required"),
        (["send", "/x", "no JSON", *HOME], "with --protocol a message is JSON"),
    ],
)
def test_what_is_not_a_protocol_is_wrong_usage(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
