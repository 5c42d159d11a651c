"""Frames to messages and back, and what the errors say of either."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, runtime_checkable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from heimdall_reactive.base.exceptions import ConfigurationError, EncodeError, InvalidMessage
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.messages import (
    AccountBanned,
    ForceLogout,
    Pong,
    RolesUpdated,
    ServerMessage,
)
from heimdall_reactive.connecting.codec import Codec, InvalidUtf8, encode

CANARY = "s3cret-canary"
default: Codec[Any] = Codec()


def typed(message_type: Any) -> Codec[Any]:
    return Codec(message_type)


class A(BaseModel):
    type: Literal["a"]
    number: int


class Special(A):
    more: int = 0


class B(BaseModel):
    type: Literal["b"]
    text: str


Raw = TypeAliasType("Raw", str | bytes)  # `type Raw = str | bytes` of Python 3.12
Message = TypeAliasType("Message", A | B)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int


class Picky(BaseModel):
    """Its own validator raises what the text says, and quotes it."""

    text: str

    @field_validator("text")
    @classmethod
    def refuse(cls, text: str) -> str:
        match text.split()[0]:
            case "value":
                raise ValueError(text)
            case "custom":
                raise PydanticCustomError("custom", "no {text}", {"text": text})
            case "key":
                raise KeyError(text)
        return text


def refusal(codec: Codec[Any], data: bytes, text: bool = True) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        codec.decode(data, text)
    error = caught.value
    assert error.size == len(data)
    assert error.__context__ is None  # it would keep the payload alive
    assert str(error).isprintable()
    assert len(str(error)) < 400
    return error


# Encode


class Inner(BaseModel):
    at: datetime


class Outer(BaseModel):
    inner: Inner
    some_name: Annotated[int, Field(alias="someName")]


@dataclasses.dataclass
class Data:
    x: int


THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "frame"),
    [
        ("text", Frame(b"text", True)),
        ("", Frame(b"", True)),
        ("\u00e9\U0001f600", Frame("\u00e9\U0001f600".encode(), True)),
        (b"\xff", Frame(b"\xff", False)),
        (bytearray(b"ab"), Frame(b"ab", False)),
        (memoryview(b"abcd")[::2], Frame(b"ac", False)),
        ({"type": "ping"}, Frame(b'{"type":"ping"}', True)),
        ([1, 2.5, True, None, "NaN Infinity"], Frame(b'[1,2.5,true,null,"NaN Infinity"]', True)),
        (None, Frame(b"null", True)),
        (0, Frame(b"0", True)),
        (Pong(), Frame(b'{"type":"Pong"}', True)),
        (
            Outer.model_validate({"inner": {"at": THEN}, "someName": 1}),
            Frame(b'{"inner":{"at":"2026-01-02T03:04:05Z"},"someName":1}', True),
        ),
        ({"at": THEN, "m": [Data(1)]}, Frame(b'{"at":"2026-01-02T03:04:05Z","m":[{"x":1}]}', True)),
    ],
)
def test_values_go_out_as_documented(value: Any, frame: Frame) -> None:
    assert encode(value) == frame
    assert type(encode(value).data) is bytes


def test_a_heimdall_message_goes_out_by_alias() -> None:
    frame = encode(RolesUpdated(user_id="u1", timestamp=THEN, roles=["r"]))
    assert json.loads(frame.data) == {
        "type": "rolesUpdated", "timestamp": "2026-01-02T03:04:05Z", "userId": "u1", "roles": ["r"],
    }  # fmt: skip


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


circle: list[Any] = [CANARY]
circle.append(circle)


class Odd:
    def __repr__(self) -> str:
        return CANARY


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        {CANARY: float("inf")},
        [CANARY, -float("inf")],
        Odd(),
        {"a": Odd()},
        {"a": lambda: CANARY},
        CANARY + "\ud800",
        {CANARY: "\ud800"},
        {CANARY: b"\xff"},
        circle,
        deep(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused_without_quoting_it(value: Any) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(value)
    error = caught.value
    assert isinstance(error, TypeError)
    assert f"a value of type {type(value).__name__} has no JSON form" in str(error)
    assert "send str, bytes, a pydantic model or plain JSON values" in str(error)
    assert CANARY not in repr(error)
    assert error.__context__ is None


# Decode, no type given

BANNED = {"type": "accountBanned", "userId": "u1", "timestamp": "2026-01-02T03:04:05Z"}


def test_heimdall_messages_become_models() -> None:
    whole = BANNED | {"isPermanent": True, "more": 1}
    message = default.decode(json.dumps(whole).encode(), True)
    assert isinstance(message, AccountBanned)
    assert (message.is_permanent, message.model_extra) == (True, {"more": 1})
    assert default.decode(bytearray(b'{"type":"Pong"}'), True) == Pong()


@pytest.mark.parametrize(
    "text", ['{"type":"other","x":1}', '{"type":1}', '{"x":1}', "[1]", "1", '"a"', "null", "true"]
)
def test_other_json_comes_as_it_is(text: str) -> None:
    assert default.decode(text.encode(), True) == json.loads(text)


def test_binary_frames_are_bytes() -> None:
    message = default.decode(bytearray(b'{"type":"Pong"}'), False)
    assert message == b'{"type":"Pong"}'
    assert type(message) is bytes


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BANNED, "isPermanent: Field required"),
        (BANNED | {"isPermanent": "maybe"}, "isPermanent: Input should be a valid boolean"),
        (BANNED | {"isPermanent": True, "userId": None}, "userId: Input should be a valid string"),
        (BANNED | {"isPermanent": True, "timestamp": CANARY}, "timestamp: datetime_from_date_pars"),
    ],
)
def test_a_known_type_with_a_bad_body_says_where(body: dict[str, Any], reason: str) -> None:
    error = refusal(default, json.dumps(body).encode())
    assert error.reason.startswith(reason)
    assert error.kind == "accountBanned"
    assert CANARY not in str(error)


@pytest.mark.parametrize("text", ["", "{", "{'a':1}", CANARY, '{"a":1}x', "\ufeff{}", "NaN", "01"])
@pytest.mark.parametrize("codec", [default, typed(A | B), typed(Any)])
def test_what_is_not_json_says_so(codec: Codec[Any], text: str) -> None:
    error = refusal(codec, text.encode())
    assert (error.reason, error.kind) == ("not JSON", None)
    assert CANARY not in str(error)


@pytest.mark.parametrize("text", ['{"a":NaN}', "[Infinity]", "[-Infinity]", '{"a":"\\ud800"}'])
@pytest.mark.parametrize("codec", [default, typed(Any)])
def test_what_only_some_parsers_take_for_json_is_not(codec: Codec[Any], text: str) -> None:
    assert refusal(codec, text.encode()).reason == "not JSON"


@pytest.mark.parametrize("codec", [default, typed(Any)])
def test_texts_that_name_those_are_json(codec: Codec[Any]) -> None:
    assert codec.decode(b'["NaN", "Infinity"]', True) == ["NaN", "Infinity"]


@pytest.mark.parametrize(
    "data", [b"\xff", b'{"a":"\xff"}', b'"\xed\xa0\x80"', b'{"type":"Pong"}\xc0']
)
@pytest.mark.parametrize("codec", [default, typed(A | B), typed(str), typed(bytes | str)])
def test_a_text_frame_that_is_no_utf8_is_told_apart(codec: Codec[Any], data: bytes) -> None:
    error = refusal(codec, data)
    assert isinstance(error, InvalidUtf8)
    assert (error.reason, error.kind) == ("not UTF-8", None)


@pytest.mark.parametrize("codec", [default, typed(A | B), typed(dict[str, Any])])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(codec: Codec[Any], opening: bytes) -> None:
    assert refusal(codec, opening * 100_000).reason in ("nested too deeply", "not JSON")


def test_deep_nesting_says_so() -> None:
    assert refusal(default, b"[" * 100_000).reason == "nested too deeply"


# Decode, a type given


@pytest.mark.parametrize(
    ("codec", "data", "text", "message"),
    [
        (typed(A | B), b'{"type":"b","text":"t"}', True, B(type="b", text="t")),
        (
            typed(Annotated[A | B, Field(discriminator="type")]),
            b'{"type":"a","number":"1"}', True, A(type="a", number=1),
        ),
        (typed(str | bytes), b"{not json", True, "{not json"),
        (typed(str | bytes), b"\xff", False, b"\xff"),
        (typed(str), b"text", True, "text"),
        (typed(bytes), b"\xff", False, b"\xff"),
        (typed(Raw), b"{not json", True, "{not json"),
        (typed(Raw), b"\xff", False, b"\xff"),
        (typed(NewType("Line", str)), b"{not json", True, "{not json"),
        (typed(Message), b'{"type":"a","number":1}', True, A(type="a", number=1)),
        (typed(dict[str, Any]), b'{"a":[1]}', True, {"a": [1]}),
        (typed(dict[str, str]), b'{"a":"b"}', True, {"a": "b"}),
        (typed(list[str]), b'["a"]', True, ["a"]),
        (typed(A | bytes), b'{"type":"a","number":1}', True, A(type="a", number=1)),
        (typed(A | bytes), b"\xff", False, b"\xff"),
        (typed(Any), b'{"type":"Pong"}', True, {"type": "Pong"}),
        (typed(Any), b"\xff", False, b"\xff"),
        (typed(int), b"1", True, 1),
    ],
)  # fmt: skip
def test_a_type_decides(codec: Codec[Any], data: bytes, text: bool, message: Any) -> None:
    decoded = codec.decode(bytearray(data), text)
    assert decoded == message
    assert type(decoded) is type(message)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        (typed(str), False),
        (typed(bytes), True),
        (typed(A | B), False),
        (typed(dict[str, Any]), False),
    ],
)
def test_a_frame_of_the_wrong_sort_is_refused(codec: Codec[Any], text: bool) -> None:
    error = refusal(codec, CANARY.encode(), text)
    assert CANARY not in str(error)
    assert error.kind is None


@pytest.mark.parametrize(
    ("message_type", "body", "reason"),
    [
        (A, {"type": "a", "number": CANARY}, "number: Input should be a valid integer, unable"),
        (A | B, {"type": "b"}, "A.type: literal_error"),
        (
            Annotated[A | B, Field(discriminator="type")],
            {"type": "b", "text": 1}, "b.text: Input should be a valid string",
        ),
        (Annotated[A | B, Field(discriminator="type")], {"type": CANARY}, "union_tag_invalid"),
        (list[int], [1, CANARY], "1: Input should be a valid integer"),
        # Keys come from the payload where the schema does not name them.
        (Strict, {"number": 1, CANARY: 1}, "*: extra_forbidden"),
        (dict[str, int], {CANARY: "x"}, "*: Input should be a valid integer"),
        (dict[int, int], {CANARY: 1}, "*.*: Input should be a valid integer"),
        (Picky, {"text": f"value {CANARY}"}, "text: value_error"),
        (Picky, {"text": f"custom {CANARY}"}, "text: custom"),
        (Picky, {"text": f"key {CANARY}"}, "a validator raised KeyError"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what_without_the_payload(
    message_type: Any, body: Any, reason: str
) -> None:
    codec = typed(message_type)
    error = refusal(codec, json.dumps(body).encode())
    assert error.reason.startswith(reason)
    assert CANARY not in error.reason


def test_the_kind_is_bounded_and_forges_no_log_line() -> None:
    evil = "a\n\x1b[2J\u202e\ud7ff" + "x" * 1000
    error = refusal(typed(A), json.dumps({"type": evil}).encode())
    assert error.kind is not None
    assert error.kind.startswith("a??[2J?")
    assert len(error.kind) == 40


class Sized(Protocol):
    size: int


@pytest.mark.parametrize(
    ("codec", "made", "not_made"),
    [
        (default, [RolesUpdated, Pong, BaseModel, dict, Mapping, object, bytes, int | A], [A, set]),
        (typed(Any), [dict, list, str, int, float, bool, type(None), bytes], [A, RolesUpdated]),
        (typed(A), [A, BaseModel, Special, runtime_checkable(Sized)], [B, dict, str]),
        (typed(A | B), [A, B], [RolesUpdated]),
        (typed(str | bytes), [str, bytes], [A, dict]),
        (typed(Raw), [str, bytes], [A, dict]),
        (typed(Message), [A, B], [RolesUpdated]),
        (typed(dict[str, int]), [dict, A], []),
        (typed(Annotated[A, Field()]), [A, B], []),
    ],
)  # fmt: skip
def test_it_is_known_which_classes_a_message_is_surely_not_of(
    codec: Codec[Any], made: list[Any], not_made: list[Any]
) -> None:
    assert [kind for kind in made if not codec.makes(kind)] == []
    assert [kind for kind in not_made if codec.makes(kind)] == []


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes that of typing, too")
def test_a_type_that_is_refused_for_a_reason_names_it() -> None:
    class Trade(TypedDict):
        price: int

    with pytest.raises(ConfigurationError, match=r"Trade'>: Please use `typing_extensions\.Typed"):
        typed(Trade)


def test_a_picky_type_takes_what_it_likes() -> None:
    assert typed(Picky).decode(b'{"text":"fine"}', True) == Picky(text="fine")


def test_an_error_after_another_keeps_its_words() -> None:
    codec = typed(A)
    reasons = {refusal(codec, b'{"type":"a"}').reason for _ in range(2)}
    assert reasons == {"number: Field required"}


# Properties

CODECS: list[Codec[Any]] = [
    default, typed(A | B), typed(str | bytes), typed(Any), typed(dict[str, Any]), typed(Picky),
]  # fmt: skip
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(st.characters(codec="utf-8"))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from(CODECS), st.booleans(), st.data())
def test_nothing_but_invalid_message_is_ever_raised(
    codec: Codec[Any], text: bool, data: st.DataObject
) -> None:
    kinds = st.sampled_from(["accountBanned", "Message", "a", "b", "x"])
    known = st.builds(lambda kind, body: {"type": kind} | body, kinds, st.dictionaries(
        st.sampled_from(["userId", "timestamp", "number", "text", "data"]), plain))  # fmt: skip
    payload = data.draw(st.binary() | (plain | known).map(lambda value: json.dumps(value).encode()))
    try:
        codec.decode(payload, text)
    except InvalidMessage as raised:
        error: InvalidMessage | None = raised
    else:
        error = None
    if error is not None:
        assert str(error).isprintable()
        assert (len(error.reason) <= 200, error.size) == (True, len(payload))


@given(plain.filter(lambda value: not isinstance(value, str)))
def test_json_survives_the_way_out_and_in(value: Any) -> None:
    frame = encode(value)
    assert frame.text
    assert typed(Any).decode(frame.data, True) == value


@given(st.text(st.characters(codec="utf-8")), st.binary())
def test_text_and_bytes_survive_the_way_out_and_in(text: str, data: bytes) -> None:
    codec = typed(str | bytes)
    assert codec.decode(*encode(text)) == text
    assert codec.decode(*encode(data)) == data


def test_a_heimdall_message_survives_the_way_out_and_in() -> None:
    message = ForceLogout(user_id="u1", timestamp=THEN)
    assert default.decode(*encode(message)) == message


@pytest.mark.parametrize("hidden", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_refused_also_behind_a_later_key_of_the_same_name(hidden: str) -> None:
    text = (
        f'{{"type":"rolesUpdated","userId":{hidden},"userId":"u","roles":[],'
        '"timestamp":"2026-11-23T12:00:00Z"}'
    )
    with pytest.raises(InvalidMessage):
        Codec().decode(text.encode(), True)


class Trade(BaseModel):
    price: Decimal
    levels: list[tuple[Decimal, Decimal]] = []
    at: datetime | None = None
    factor: float = 0.0
    count: int = 0
    more: Any = None


EXACT = ["0.1000000000000000055", "1.10", "100", "-0.00", "1e2", "123456789012345678901234567890.5"]


@pytest.mark.parametrize("number", EXACT)
@pytest.mark.parametrize("message_type", [Decimal, Decimal | None, str | Decimal])
def test_a_decimal_has_the_digits_of_the_frame(message_type: Any, number: str) -> None:
    message = typed(message_type).decode(number.encode(), True)
    assert (type(message), str(message)) == (Decimal, str(Decimal(number)))


@pytest.mark.parametrize("number", EXACT)
@pytest.mark.parametrize("message_type", [Trade, list[Trade] | Trade])
def test_the_decimals_of_a_model_have_the_digits_of_the_frame(
    message_type: Any, number: str
) -> None:
    text = f'{{"price": {number}, "levels": [[{number}, 1.0]]}}'
    trade = typed(message_type).decode(text.encode(), True)
    assert [str(trade.price), str(trade.levels[0][0])] == [str(Decimal(number))] * 2
    assert str(trade.levels[0][1]) == "1.0"


def test_what_is_not_a_decimal_is_read_as_without_one() -> None:
    text = b'{"price": 1, "at": 1732900000.5, "factor": 1.10, "count": 2.0, "more": [1.10]}'
    trade = typed(Trade).decode(text, True)
    assert trade.at == datetime.fromtimestamp(1732900000.5, UTC)
    assert (trade.factor, trade.count, trade.more) == (1.1, 2, [1.1])
    assert isinstance(trade.more[0], float)
    assert (repr(trade.more), json.dumps(trade.more)) == ("[1.1]", "[1.1]")


@pytest.mark.parametrize(
    "text",
    ['{"price": NaN}', '{"price": -Infinity}', '{"price": 1.1', '{"price": 01.1}', '{"price": 1.}'],
)
def test_a_decimal_is_a_json_number(text: str) -> None:
    assert refusal(typed(Trade), text.encode()).reason == "not JSON"


def test_an_integer_is_not_computed_from_a_huge_exponent() -> None:
    text = b'{"price": 1, "count": 1e999999999}'
    assert refusal(typed(Trade), text).reason == "count: finite_number"


class StrictTrade(BaseModel):
    model_config = ConfigDict(strict=True)
    price: Decimal
    at: datetime


def test_a_strict_type_takes_from_json_what_it_took_before() -> None:
    text = b'{"price": 1.5, "at": "2026-01-01T00:00:00Z"}'
    assert typed(StrictTrade).decode(text, True).price == Decimal("1.5")


def test_a_decimal_goes_out_with_its_digits() -> None:
    trade = Trade(price=Decimal("0.1000000000000000055"), levels=[(Decimal("1.10"), Decimal(2))])
    for value in (trade, {"price": trade.price, "levels": trade.levels}):
        data = encode(value).data
        assert b'"price":"0.1000000000000000055","levels":[["1.10","2"]]' in data
        assert typed(Trade).decode(data, True) == trade


# The quick way, and the careful one


class Kind(BaseModel):
    """An alias, a default, a name beside an alias: what a quick way might get wrong."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    type: Literal["kind", "sort"] = "kind"
    user_id: Annotated[int, Field(alias="userId")] = 0
    at: datetime | None = None


class Rewritten(BaseModel):
    type: Literal["rewritten"]

    @model_validator(mode="before")
    @classmethod
    def rewrite(cls, value: Any) -> Any:
        return {"type": "rewritten"} if isinstance(value, dict) else value


class Forgiving(BaseModel):
    type: Annotated[Literal["forgiving"], Field(default="forgiving", validate_default=True)]


def carefully(codec: Codec[Any]) -> Codec[Any]:
    """Return a codec of the same type without its quick way."""
    careful = copy.copy(codec)
    careful._quick = None
    return careful


QUICK: dict[str, Codec[Any]] = {
    "Heimdall": default,
    "server": typed(ServerMessage),
    "union": typed(A | B | Kind),
    "bytes": typed(A | B | bytes),
    "left to right": typed(Annotated[A | B, Field(union_mode="left_to_right")]),
    "forgiving": typed(Forgiving | B | str),
    "discriminated": typed(Annotated[A | B, Field(discriminator="type")]),
    "rewritten": typed(A | Rewritten),
    "same": typed(A | Kind | Literal["a"]),
    "one": typed(Kind),
}


def fate_of(codec: Codec[Any], data: bytes) -> Any:
    """Return all that can be seen of what becomes of a text."""
    try:
        message = codec.decode(data, True)
    except InvalidMessage as error:
        return type(error), error.reason, error.kind, error.size
    if isinstance(message, BaseModel):
        extra = repr(message.__pydantic_extra__)  # repr: 1, 1.0 and True are equal
        return type(message), repr(message.__dict__), message.model_fields_set, extra
    return type(message), repr(message)


AT = ("timestamp", '"2026-01-02T03:04:05Z"')
USER = ("userId", '"u\\u00e91"')
MESSAGES: dict[str, list[tuple[str, str]]] = {
    "rolesUpdated": [AT, USER, ("roles", '["r", "s"]')],
    "accountBanned": [USER, AT, ("isPermanent", "true"), ("expiresAt", "null")],
    "rolePermissionsChanged": [AT, ("roleId", '"1"'), ("roleName", '"Infinity"')],
    "Pong": [],
    "Message": [("channel", '"c"'), ("data", '"{}"')],
    "a": [("number", "1")],
    "b": [("text", '"t"')],
    "kind": [("userId", "1"), ("at", AT[1])],
    "sort": [("user_id", "1")],
    "rewritten": [("number", "1")],
    "forgiving": [("text", '"t"')],
    "nobody": [USER],
    "rolesXpdated": [AT, USER],
    "roles\\u0055pdated": [AT, USER, ("roles", "[]")],
    "NaN": [],
    "": [],
}
keys = st.sampled_from([
    "type", "userId", "user_id", "timestamp", "roles", "isPermanent", "is_permanent", "expiresAt",
    "roleId", "role_id", "number", "text", "at", "more", "Type", "\\u0074ype", "", "data", "reason",
])  # fmt: skip
scalars = st.sampled_from([
    "0", "-0", "1", "1.0", "-0.0", "1e400", "9223372036854775808", "1" * 400, "1" * 5000, "true",
    "false", "null", "NaN", "Infinity", "-Infinity", "01", "1.5", "'x'", "tru", '"yes"', '"1"',
    "1767322800", "1767322800.25", '"1767322800"', '"2026-01-02"', '"2026-01-02T03:04:05"',
    '"2026-01-02T03:04:05.1234567+02:00"', '"0000-00-00"', '"x"', '"Infinity"', '"NaN"', '""',
    '"\\ud83d\\ude00"', '"\\ud800"', '"a\\u00e9\\n"', "[]", '["r"]', '["r", 1]', "{}", "[" * 250,
])  # fmt: skip
kinds = st.sampled_from([f'"{kind}"' for kind in MESSAGES])
values = st.recursive(
    scalars | kinds | kinds.map(lambda kind: f'{{"type":{kind}}}'),
    lambda inner: st.lists(inner, min_size=1, max_size=2).map(lambda each: f"[{','.join(each)}]"),
    max_leaves=3,
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Make messages, whole or with keys that come twice, wrong values and damage."""
    kind = draw(st.sampled_from(list(MESSAGES)))
    fields = [("type", f'"{kind}"'), *MESSAGES[kind]]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(fields) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                fields[at] = (fields[at][0], draw(values))
            case 1 | 2:
                fields.insert(draw(st.integers(0, len(fields))), (draw(keys), draw(values)))
            case 3:
                fields.insert(draw(st.integers(0, len(fields))), fields[at])
            case 4:
                fields = draw(st.permutations(fields))
            case _ if len(fields) > 1:
                del fields[at]
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(fields)))
        fields[at:at] = [(f"filler{number}", "0") for number in range(30)]
    space = draw(st.sampled_from(["", " ", "\n\t "]))
    text = f",{space}".join(f'"{key}":{space}{value}' for key, value in fields)
    data = f"{{{text}}}".encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(data)))
        damage = draw(st.sampled_from([b"", b"\xff", b",", b'"', b"\x00", b"\xef\xbb\xbf"]))
        data = data[:at] + damage + data[at + draw(st.integers(0, 2)) :]
    return data


@pytest.mark.parametrize("name", QUICK)
@given(data=texts())
def test_the_quick_way_makes_of_a_text_what_the_careful_one_does(name: str, data: bytes) -> None:
    assert fate_of(QUICK[name], data) == fate_of(carefully(QUICK[name]), data)
