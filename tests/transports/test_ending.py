"""How a wire ended: the peer's close frame, ours, or the socket."""

from __future__ import annotations

import pytest

from heimdall_reactive import CloseInfo
from heimdall_reactive.transports.ending import cut_reason, tell_end

THEIRS, OURS, NORMAL = (4000, "theirs"), (1011, "sent"), (1000, "bye")
GONE = "the socket ended"


@pytest.mark.parametrize(
    ("rcvd", "sent", "answered", "ours", "lost", "end"),
    [
        (THEIRS, None, False, "", False, CloseInfo(4000, "theirs", "server")),
        (THEIRS, THEIRS, True, "", False, CloseInfo(4000, "theirs", "server")),
        ((1001, "a\nb" + "c" * 200), None, False, "", False,
         CloseInfo(1001, "a?b" + "c" * 120, "server")),
        (THEIRS, OURS, False, "", False, CloseInfo(1011, "sent", "client")),
        (THEIRS, OURS, False, "why\n", False, CloseInfo(1011, "why?", "client")),
        (NORMAL, NORMAL, False, "", False, CloseInfo(1000, "bye", "client")),
        (None, OURS, False, "", False, CloseInfo(1011, "sent", "client")),
        (None, OURS, False, "x" * 200, False, CloseInfo(1011, "x" * 123, "client")),
        (None, OURS, False, "no pong", True, CloseInfo(1006, "no pong", "network")),
        (None, NORMAL, False, "", False, CloseInfo(1006, GONE, "network")),
        (None, None, False, "", False, CloseInfo(1006, GONE, "network")),
    ],
)  # fmt: skip
def test_the_first_close_frame_says_who_ended_it_and_else_the_network_did(
    rcvd: tuple[int, str] | None,
    sent: tuple[int, str] | None,
    answered: bool,
    ours: str,
    lost: bool,
    end: CloseInfo,
) -> None:
    assert tell_end(rcvd, sent, answered, ours, GONE, lost) == end


def test_a_reason_is_cut_to_what_a_close_frame_takes_and_not_within_a_character() -> None:
    assert cut_reason("x" * 123) == "x" * 123
    assert cut_reason("x" * 124) == "x" * 123
    assert cut_reason("x" * 122 + "\u00e9") == "x" * 122
