"""What a label says became of a message."""

from __future__ import annotations

import pytest

from heimdall_reactive import Status
from heimdall_reactive.bindings import Fate
from heimdall_reactive.testing import ScriptedPeer
from tests.support import record
from tests.virtual import loop, steady_store_of


@pytest.mark.heimdall_virtual_time
async def test_a_message_is_sending_then_sent_then_delivered_or_in_doubt() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service) as store:
        fate = Fate()
        words = record(fate)
        fate.follow(store.send(1))
        await store.wait_connected()
        await loop().idle()
        assert words == ["", "sending", "sent", "delivered"]
        service.links[0].silence()
        older = store.send(2)
        fate.follow(older)
        fate.follow(store.send(3))
        await loop().idle()
        words.clear()
        service.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert words == ["in doubt"]  # of the newest alone
        assert older.state == "in_doubt"
