"""What the wire makes of violations and legal oddities of the protocol.

The rows have the numbers of the Autobahn Testsuite's cases, as far as it has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.testing import Accept
from heimdall_reactive.testing.frames import CLOSE
from tests.faults.stage import RESTING
from tests.socket_peer import Handshake, SocketPeer, build_close, build_frame
from tests.socket_peer.frames import BINARY, CONTINUATION, PING, PONG, TEXT
from tests.support import record, run

LIMIT = 1000  # bytes of a message
GREETING = "Hello-µ@ßöäüàá-UTF-8!!".encode()
TWO_HALVES = (GREETING[:12], GREETING[12:])  # cut within ß
SURROGATE = b"\xed\xa0\x80"


class Case(NamedTuple):
    """What a server sends, and what must come of it.

    Attributes:
        name: begins with the number of the Autobahn case.
        data: bytes; a last text and a close frame of 1000 follow them.
        messages: what is delivered before the last text.
        code: of the client's close frame; where it is 1000, the last text is delivered too.
        extension: what the server answers about compression.
    """

    name: str
    data: bytes
    messages: Sequence[str | bytes] = ()
    code: int = 1000
    extension: str | None = None


class Outcome(NamedTuple):
    """What a transport made of a case."""

    messages: list[str | bytes]
    errors: list[str]
    sent: int | None
    pongs: list[bytes]
    close: tuple[int, str]


def text(payload: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    return build_frame(TEXT, payload, fin, rsv)


def more(payload: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    return build_frame(CONTINUATION, payload, fin, rsv)


def bad(name: str, *frames: bytes, code: int = 1002, messages: Sequence[str | bytes] = ()) -> Case:
    return Case(name, b"".join(frames), messages, code)


def good(name: str, *frames: bytes, messages: Sequence[str | bytes] = ()) -> Case:
    return Case(name, b"".join(frames), messages)


def closing(number: str, code: int, legal: bool) -> Case:
    """Return the case of a close code; what is legal is answered in kind."""
    return Case(f"{number} close {code}", build_close(code), (), code if legal else 1002)


def deflated(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\0\0\xff\xff")


FRAMES = [
    good("1.1.1 empty text", text(), messages=[""]),
    good("1.1.2 125 bytes", text(b"*" * 125), messages=["*" * 125]),
    good("1.1.3 126 bytes", text(b"*" * 126), messages=["*" * 126]),
    good("1.2.1 empty binary", build_frame(BINARY), messages=[b""]),
    good("1.2.3 126 bytes of binary", build_frame(BINARY, b"\xfe" * 126), messages=[b"\xfe" * 126]),
    good("2.1 empty ping", build_frame(PING)),
    good("2.4 ping of 125 bytes", build_frame(PING, b"\xfe" * 125)),
    bad("2.5 ping of 126 bytes", build_frame(PING, b"\xfe" * 126)),
    good("2.7 pong nobody asked for", build_frame(PONG)),
    good("2.10 ten pings", *(build_frame(PING, b"%d" % n) for n in range(10))),
    bad("3.1 reserved bits 1", text(b"x", rsv=1)),
    bad("3.2 reserved bits 2 behind a text", text(b"a"), text(b"x", rsv=2), build_frame(PING),
        messages=["a"]),
    bad("3.4 reserved bits 4 behind a text", text(b"a"), text(b"x", rsv=4), messages=["a"]),
    bad("3.5 reserved bits 5 in binary", build_frame(BINARY, b"x", rsv=5)),
    bad("3.6 reserved bits 6 in a ping", build_frame(PING, b"x", rsv=6)),
    bad("3.7 reserved bits 7 in a close", build_frame(CLOSE, rsv=7)),
    *(bad(f"4.1 opcode {n}", build_frame(n, b"x")) for n in range(3, 8)),
    bad("4.1.3 opcode 5 behind a text", text(b"a"), build_frame(5), build_frame(PING),
        messages=["a"]),
    *(bad(f"4.2 opcode {n}", build_frame(n)) for n in range(11, 16)),
    bad("masked text", build_frame(TEXT, b"x", masked=True)),
]  # fmt: skip

FRAGMENTS = [
    bad("5.1 ping in two", build_frame(PING, b"a", fin=False), more(b"b")),
    bad("5.2 pong in two", build_frame(PONG, b"a", fin=False), more(b"b")),
    good("5.3 text in two", text(b"a", fin=False), more(b"b"), messages=["ab"]),
    good("5.6 ping within", text(b"a", fin=False), build_frame(PING, b"p"), more(b"b"),
         messages=["ab"]),
    bad("5.9 continuation of nothing", more(b"a"), text(b"x")),
    bad("5.12 open continuation of nothing", more(b"a", fin=False), text(b"x")),
    bad("5.15 continuation behind the last", text(b"a", fin=False), more(b"b"), more(b"c"),
        messages=["ab"]),
    bad("5.18 text within", text(b"a", fin=False), text(b"b")),
    bad("5.18 binary within", text(b"a", fin=False), build_frame(BINARY, b"b")),
    good("5.19 pings within five", text(b"1", fin=False), more(b"2", fin=False),
         build_frame(PING, b"p"), more(b"3", fin=False), more(b"4", fin=False),
         build_frame(PING, b"q"), more(b"5"), messages=["12345"]),
    good("binary in three", build_frame(BINARY, b"1", fin=False), more(fin=False), more(b"3"),
         messages=[b"13"]),
    good("6.1.2 empty fragments", text(fin=False), more(fin=False), more(), messages=[""]),
    bad("7.1.5 close within", text(b"a", fin=False), build_close(1000), code=1002),
]  # fmt: skip

UTF8 = [
    good("6.2.1 whole", text(GREETING), messages=[GREETING.decode()]),
    good("6.2.2 cut within a character", text(TWO_HALVES[0], fin=False), more(TWO_HALVES[1]),
         messages=[GREETING.decode()]),
    good("6.2.3 byte by byte", text(fin=False), *(more(bytes((b,)), fin=False) for b in GREETING),
         more(), messages=[GREETING.decode()]),
    bad("6.3.1 surrogate", text(GREETING + SURROGATE + b"edited"), code=1007),
    bad("6.3.2 surrogate byte by byte", text(fin=False),
        *(more(bytes((b,)), fin=False) for b in SURROGATE), more(), code=1007),
    bad("6.4.1 beyond Unicode in fragments", text(b"\xf4", fin=False), more(b"\x90\x80\x80"),
        code=1007),
    bad("6.6 unfinished character", text(b"a\xe2\x82"), code=1007),
    good("6.9 highest of Unicode", text(b"\xf4\x8f\xbf\xbf"), messages=["\U0010ffff"]),
    bad("6.10 beyond Unicode", text(b"\xf4\x90\x80\x80"), code=1007),
    bad("6.12 stray continuation bytes", text(b"\x80\xbf"), code=1007),
    bad("6.18 overlong", text(b"\xc0\xaf"), code=1007),
    bad("behind a good one", text(b"a"), text(b"\xff"), text(b"b"), messages=["a"], code=1007),
]  # fmt: skip

CLOSES = [
    Case("7.1.2 two closes", build_close(1000) * 2),
    Case("7.1.3 ping behind a close", build_close(1000) + build_frame(PING)),
    Case("7.1.4 text behind a close", build_close(1000) + text(b"x")),
    Case("7.3.1 close without a code", build_close(None), code=1005),
    bad("7.3.2 close of one byte", build_frame(CLOSE, b"a")),
    Case("7.3.4 close with a reason", build_close(1000, "Hello World!")),
    Case("7.3.5 reason of 123 bytes", build_close(1000, "*" * 123)),
    bad("7.3.6 reason of 124 bytes", build_close(1000, "*" * 124)),
    bad("7.5.1 reason not UTF-8", build_close(1000, GREETING + SURROGATE), code=1007),
    *(closing("7.7", n, True) for n in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011)),
    *(closing("7.7", n, True) for n in (1012, 1013, 1014, 3000, 3999, 4000, 4999)),
    *(closing("7.9", n, False) for n in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999)),
    *(closing("7.13", n, False) for n in (5000, 65535)),
]

LIMITS = [
    good("9.1 below the limit", text(b"*" * (LIMIT - 1)), messages=["*" * (LIMIT - 1)]),
    good("9.1 at the limit", text(b"*" * LIMIT), messages=["*" * LIMIT]),
    bad("9.1 above the limit", text(b"*" * (LIMIT + 1)), code=1009),
    bad("9.2 binary above the limit", build_frame(BINARY, b"*" * (LIMIT + 1)), code=1009),
    bad("9.2 announced above the limit", build_frame(BINARY, length=1 << 40), code=1009),
    good("9.3 fragments at the limit", text(b"*" * 999, fin=False), more(b"*"),
         messages=["*" * LIMIT]),
    bad("9.3 fragments above the limit", text(b"*" * 999, fin=False), more(b"**"), code=1009),
    good("9.4 4096 fragments", text(fin=False), *[more(fin=False)] * 4094, more(b"x"),
         messages=["x"]),
    bad("9.4 4097 fragments", text(fin=False), *[more(fin=False)] * 4095, more(), code=1009),
]  # fmt: skip

DEFLATE = "permessage-deflate"
HELLO = deflated(b"Hello")
COMPRESSED = [
    Case("12 compressed", text(HELLO, rsv=4), ["Hello"], 1000, DEFLATE),
    Case("12 compressed binary", build_frame(BINARY, HELLO, rsv=4), [b"Hello"], 1000, DEFLATE),
    Case("12 not compressed", text(b"Hello"), ["Hello"], 1000, DEFLATE),
    Case("12 empty", text(b"\0", rsv=4), [""], 1000, DEFLATE),
    Case("12 in fragments", text(HELLO[:3], False, 4) + more(HELLO[3:]), ["Hello"], 1000, DEFLATE),
    Case("12 ping within", text(HELLO[:3], False, 4) + build_frame(PING, b"p") + more(HELLO[3:]),
         ["Hello"], 1000, DEFLATE),
    Case("12 the same context twice", text(HELLO, rsv=4) + text(b"\xf2\x00\x11\x00\x00", rsv=4),
         ["Hello", "Hello"], 1000, DEFLATE),
    Case("12 not UTF-8", text(deflated(b"\xff"), rsv=4), [], 1007, DEFLATE),
    Case("12 no deflate", text(b"\xff\xff", rsv=4), [], 1002, DEFLATE),
    Case("12 bit in a continuation", text(HELLO[:3], False, 4) + more(HELLO[3:], rsv=4), [], 1002,
         DEFLATE),
    Case("12 bit in a ping", build_frame(PING, rsv=4), [], 1002, DEFLATE),
    Case("12 another bit", text(HELLO, rsv=6), [], 1002, DEFLATE),
    Case("12 inflates to the limit", text(deflated(b"*" * LIMIT), rsv=4), ["*" * LIMIT], 1000,
         DEFLATE),
    Case("12 inflates above it", text(deflated(b"*" * (LIMIT + 1)), rsv=4), [], 1009, DEFLATE),
    Case("13 without a context", text(HELLO, rsv=4) * 2, ["Hello"] * 2, 1000,
         DEFLATE + "; server_no_context_takeover; client_max_window_bits=9"),
]  # fmt: skip

CASES = [*FRAMES, *FRAGMENTS, *UTF8, *CLOSES, *LIMITS, *COMPRESSED]
LENIENT = pytest.mark.xfail(
    int(version("websockets").split(".")[0]) < 17,
    reason="websockets 16 accepts the bit of compression in a continuation",
)
MARKS = {"12 bit in a continuation": LENIENT}


async def outcome(case: Case) -> Outcome:
    """Let a server send a case to a store; tell all that came of it."""
    headers = [("Sec-WebSocket-Extensions", case.extension)] if case.extension else []
    step = Handshake(headers=headers) if headers else Accept()
    async with (
        SocketPeer(step) as peer,
        use_websocket(
            peer.url, message_type=str | bytes, auto_reconnect=False,
            max_size=LIMIT, ping_interval=None, close_timeout=60.0,
        ) as store,
    ):  # fmt: skip
        messages, errors = record(store.messages), record(store.errors)
        link = await peer.accepted(8)
        await store.wait_connected(8)
        link.raw(case.data + text(b"last") + build_close(1000, "done"))
        state = await store.wait_for(lambda state: state.status in RESTING, 8)
        await link.ended(8)
        pongs = [frame.payload for frame in link.frames if frame.opcode == PONG]
        assert state.close is not None
        close = (state.close.code, state.close.who)
        names = [type(error).__name__ for error in errors]
        return Outcome(messages, names, link.close_code, pongs, close)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=MARKS.get(case.name, ())) for case in CASES]
)
async def test_a_case_comes_to_what_the_suite_wants(case: Case) -> None:
    seen = await outcome(case)
    goes_on = case.code == 1000 and case not in CLOSES
    assert seen.messages == [*case.messages, *(["last"] if goes_on else [])]
    assert seen.sent == case.code


def test_pings_are_answered_in_order_and_only_before_the_end() -> None:
    pings = b"".join(build_frame(PING, b"%d" % n) for n in range(3))

    async def main() -> None:
        seen = await outcome(Case("", pings + build_close(1000) + pings))
        assert seen.pongs == [b"0", b"1", b"2"]

    run(main)
