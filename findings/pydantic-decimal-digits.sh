#!/usr/bin/env bash
# A Decimal field of pydantic 2.14.4 loses digits of a JSON number, without an error: the number is
# a float first, also in strict mode. A number without a point keeps all of its digits, and so does
# a string. msgspec 0.23.0 keeps the digits of all three.
# Seen: pydantic: 12345678901.123457 from 12345678901.12345678; strict: 12345678901.123457;
#   an integer of 20 digits: exact; a string: exact; msgspec: 12345678901.12345678
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pydantic==2.14.4 msgspec==0.23.0
"$work/venv/bin/python" - <<'PY'
from decimal import Decimal

import msgspec
from pydantic import BaseModel


class Tick(BaseModel):
    price: Decimal


class Exact(msgspec.Struct):
    price: Decimal


def read(text, **options):
    return Tick.model_validate_json(f'{{"price": {text}}}', **options).price


def same(text):
    return "exact" if read(text) == Decimal(text.strip('"')) else str(read(text))


PRICE = "12345678901.12345678"
message = f'{{"price": {PRICE}}}'
seen = [
    f"pydantic: {read(PRICE)} from {PRICE}",
    f"strict: {read(PRICE, strict=True)}",
    f"an integer of 20 digits: {same('12345678901123456789')}",
    f"a string: {same(chr(34) + PRICE + chr(34))}",
    f"msgspec: {msgspec.json.decode(message.encode(), type=Exact).price}",
]
print("; ".join(seen))
expected = [
    "pydantic: 12345678901.123457 from 12345678901.12345678",
    "strict: 12345678901.123457",
    "an integer of 20 digits: exact",
    "a string: exact",
    "msgspec: 12345678901.12345678",
]
raise SystemExit(seen != expected)
PY
