"""Which lines of the answer to an upgrade are parsed."""

from __future__ import annotations

import pytest

from heimdall_reactive.transports.answer import AnswerReader

SWITCH = [b"HTTP/1.1 101 Switching Protocols\r\n", b"Upgrade: websocket\r\n", b"\r\n"]
EMPTY = b"Content-Length: 0\r\n\r\n"


def read(lines: list[bytes]) -> list[bytes]:
    answer = AnswerReader()
    return [read for line in lines if (read := answer.read(line))]


def test_an_answer_that_switches_protocols_is_read_as_it_is() -> None:
    lines = [*SWITCH[:2], b"Content-Length: 5\r\n", SWITCH[2]]
    assert read(lines) == lines


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints", b"199 Whatever"])
def test_interim_answers_are_skipped(status: bytes) -> None:
    interim = [b"HTTP/1.1 " + status + b"\r\n", b"Link: </a.css>\r\n", b"\r\n"]
    assert read([*interim, *interim, *SWITCH]) == SWITCH


@pytest.mark.parametrize("announced", [b"Content-Length: 5", b"transfer-encoding : chunked"])
def test_a_refusal_has_no_body(announced: bytes) -> None:
    status, after = b"HTTP/1.1 503 No\r\n", b"Retry-After: 1\r\n"
    assert read([status, announced + b"\r\n", after, b"\r\n"]) == [status, after, EMPTY]
    assert read([status, after, b"\n"]) == [status, after, EMPTY.replace(b"\r\n\r\n", b"\r\n\n")]


def test_what_is_not_http_is_left_to_the_parser() -> None:
    lines = [b"SSH-2.0\r\n", b"Content-Length: 5\r\n", b"\r\n"]
    assert read(lines) == lines
