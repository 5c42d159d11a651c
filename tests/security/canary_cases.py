"""Ways to give a canary token, and faults whose answers echo it."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from heimdall_reactive.testing import CloseWith, Cut, Garbage, HttpAnswer, NoAnswer, Reset, redirect
from tests.socket_peer import EndlessHeader, Handshake, build_frame

from .canary import CANARY, FORMS

TEXT = 1


def sync_provider() -> str:
    return CANARY


async def async_provider() -> SecretStr:
    return SecretStr(CANARY)


def raising_provider() -> str:
    raise PermissionError(f"no token like {CANARY}")


async def raising_async_provider() -> str:
    raise PermissionError(f"no token like {CANARY}")


async def headers_provider() -> dict[str, str]:
    return {"X-Api-Key": CANARY}


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "header": ("/", {"access_token": CANARY}),
    "secret": ("/", {"access_token": SecretStr(CANARY)}),
    "provider": ("/", {"access_token": sync_provider}),
    "async provider": ("/", {"access_token": async_provider}),
    "subprotocol": ("/", {"access_token": CANARY, "token_placement": "subprotocol"}),
    "first message": ("/", {"access_token": CANARY, "token_placement": "first_message"}),
    "query by option": ("/", {"access_token": CANARY, "token_placement": "unsafe_query"}),
    "query of the URL": (f"/?access_token={CANARY}", {}),
    "password of the URL": ("ada", {}),
    "user of the URL": ("user", {}),
    "X-Api-Key": ("/", {"additional_headers": {"X-Api-Key": CANARY}}),
    "Cookie": ("/", {"additional_headers": [("Cookie", f"lang=en; session={CANARY}")]}),
    "headers provider": ("/", {"additional_headers": headers_provider}),
}
NEVER_SENT: dict[str, dict[str, Any]] = {
    "raising": {"access_token": raising_provider},
    "raising async": {"access_token": raising_async_provider},
    "raising headers": {"additional_headers": raising_async_provider},
    "line break": {"access_token": f"{CANARY}\r\nX-Evil: 1"},
    "line break of a provider": {"access_token": lambda: f"{CANARY}\n"},
    "line break in a header": {"additional_headers": lambda: {"X-Api-Key": f"{CANARY}\r\n"}},
    "not ASCII": {"access_token": f"{CANARY}\u202e"},
    "no subprotocol": {"access_token": f"{CANARY}/=", "token_placement": "subprotocol"},
    "bytes of a provider": {"access_token": CANARY.encode},
}


def raw(status_line: str, *headers: str) -> Garbage:
    lines = "\r\n".join([status_line, *headers, "", ""])
    return Garbage(lines.encode(), when="handshake")


ECHO = CANARY.encode()
LOUD = (("X-Echo", CANARY), ("Set-Cookie", f"session={CANARY}"), ("Retry-After", CANARY))
HTTP = {
    f"http {status}": HttpAnswer(status, LOUD, ECHO)
    for status in (200, 400, 401, 403, 404, 407, 408, 426, 429, 500, 503)
}
FAULTS: dict[str, Any] = {
    **HTTP,
    "reason phrase": raw(f"HTTP/1.1 401 {CANARY}", "Content-Length: 0"),
    "status line": raw(f"HTTP/1.1 {CANARY}"),
    "header name": raw("HTTP/1.1 401 No", f"{CANARY}\x00: 1"),
    "garbage": Garbage(b"GET /" + ECHO + b" HTTP/1.1\r\nAuthorization: " + ECHO, when="handshake"),
    "long header": raw("HTTP/1.1 401 No", "X-Echo: " + CANARY * 1000),
    "reset in the handshake": Reset(handshake=True),
    "cut in the handshake": Cut(handshake=True),
    "no answer": NoAnswer(),
    "endless header": EndlessHeader(),
    "redirect, same origin": redirect(f"/login?token={CANARY}"),
    "redirect, login": redirect(f"//ada:{CANARY}@127.0.0.1:1/"),
    "redirect, other origin": redirect(f"ws://localhost:1/{CANARY}"),
    "redirect, no WebSocket": redirect(f"http://127.0.0.1/?access_token={CANARY}"),
    "redirect, no URL": redirect(f"ws://[{CANARY}"),
    "wrong accept": Handshake(accept=CANARY),
    "wrong subprotocol": Handshake(subprotocol=f"other.{CANARY}"),
    "wrong extension": Handshake(headers=[("Sec-WebSocket-Extensions", CANARY)]),
    "reset": Reset(),
    "cut": Cut(),
    "close": CloseWith(1008, f"bad token {CANARY}"),
    "close with a piece": CloseWith(4401, f"no {CANARY[:14]}"),
    "close with other forms": CloseWith(1011, " ".join((*FORMS[2:],))[:120]),
    "close, held open": CloseWith(1001, CANARY, hold=True),
    "close of no code": CloseWith(4999, b"\xff" + ECHO),
    "frame garbage": Garbage(ECHO),
    "reserved opcode": Garbage(build_frame(3, ECHO)),
    "not UTF-8": Garbage(build_frame(TEXT, ECHO + b"\xff")),
    "cut frame": Garbage(build_frame(TEXT, ECHO, length=500)),
    "too big": Garbage(build_frame(TEXT, ECHO, length=2**40)),
    "long ping": Garbage(build_frame(9, ECHO * 10)),
}
# Only a timeout ends these; it must leave a loaded machine the time to send its request.
SILENT = ("no answer", "endless header", "cut frame")
