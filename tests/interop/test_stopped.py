"""What pings cannot tell: a program that is stopped has a host, or a proxy, that acknowledges."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import Heartbeat, WaitTimeout

from .catalogue import CATALOGUE
from .observing import LIMIT, Stage

PINGS: dict[str, Any] = {"ping_interval": 0.2, "ping_timeout": 0.3}
BEATS = {**PINGS, "heartbeat": Heartbeat(message="beat", interval=0.2, timeout=2.0, reply="beat")}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a peer has taken")
@pytest.mark.parametrize("name", ["`websockets`", "nginx in front of uvicorn"])
async def test_a_program_that_hangs_is_found_by_a_heartbeat_only(name: str, tmp_path: Path) -> None:
    stage = Stage(CATALOGUE[name], tmp_path)
    await stage.start()
    try:
        async with stage.store("echo", **PINGS) as pinging, stage.store("echo", **BEATS) as beating:
            for store in (pinging, beating):
                assert await stage.speech.echo(store, "before")
            stage.parts[-1].tell(signal.SIGSTOP)
            state = await beating.wait_for(lambda state: not state.is_connected, LIMIT)
            assert state.close is not None
            assert state.close.reason == "heartbeat timeout"
            with pytest.raises(WaitTimeout):  # three times the timeout
                await pinging.wait_for(lambda state: not state.is_connected, 1.0)
            stage.parts[-1].tell(signal.SIGCONT)
            assert await stage.speech.echo(pinging, "after")
            assert pinging.state.value.session == 1
            await beating.wait_for(lambda state: state.session == 2, LIMIT)
    finally:
        await stage.clear()
