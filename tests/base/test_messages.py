"""The wire's words: what comes, what it becomes, and what goes out again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from heimdall_reactive.base import messages as m
from heimdall_reactive.base.messages import WireModel

AT = "2026-01-02T03:04:05Z"
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = {"timestamp": AT, "userId": "u1"}

# (model, whole wire JSON, names of optional fields)
SERVER: list[tuple[type[WireModel], dict[str, Any], set[str]]] = [
    (m.AccountDeleted, USER | {"type": "accountDeleted", "reason": "r"}, {"reason"}),
    (
        m.AccountBanned,
        USER | {"type": "accountBanned", "reason": "r", "expiresAt": AT, "isPermanent": False},
        {"reason", "expiresAt"},
    ),
    (
        m.SessionRevoked,
        USER | {"type": "sessionRevoked", "sessionId": "s1", "reason": "r"},
        {"sessionId", "reason"},
    ),
    (m.ForceLogout, USER | {"type": "forceLogout", "reason": "r"}, {"reason"}),
    (m.RolesUpdated, USER | {"type": "rolesUpdated", "roles": ["a", "b"]}, set()),
    (m.PermissionsUpdated, USER | {"type": "permissionsUpdated", "permissions": ["p"]}, set()),
    (
        m.RolePermissionsChanged,
        {"timestamp": AT, "type": "rolePermissionsChanged", "roleId": "r1", "roleName": "mod"},
        set(),
    ),
    (
        m.EmailLinkVerified,
        USER | {"type": "emailLinkVerified", "email": "a@b.c", "platformAccountId": "p1"},
        set(),
    ),
    (
        m.EmailChangeVerified,
        USER | {"type": "emailChangeVerified", "oldEmail": "a@b.c", "newEmail": "d@e.f"},
        set(),
    ),
]
CONTROL: list[tuple[type[WireModel], dict[str, Any], Any]] = [
    (m.Subscribe, {"type": "Subscribe", "channel": "public"}, m.ClientMessage),
    (m.Unsubscribe, {"type": "Unsubscribe", "channel": "user:u1"}, m.ClientMessage),
    (m.Ping, {"type": "Ping"}, m.ClientMessage),
    (m.Pong, {"type": "Pong"}, m.ControlMessage),
    (m.ChannelMessage, {"type": "Message", "channel": "gps", "data": "{}"}, m.ControlMessage),
    (m.ErrorMessage, {"type": "Error", "message": "no"}, m.ControlMessage),
]
server: TypeAdapter[Any] = TypeAdapter(m.ServerMessage)


def wire(model: WireModel) -> Any:
    return json.loads(model.model_dump_json(by_alias=True))


@pytest.mark.parametrize(("model", "whole", "optional"), SERVER)
def test_a_server_message_comes_and_goes_unchanged(
    model: type[WireModel], whole: dict[str, Any], optional: set[str]
) -> None:
    message = server.validate_json(json.dumps(whole))
    assert type(message) is model
    assert vars(message)["timestamp"] == THEN
    assert wire(message) == whole
    assert {to_camel(name) for name in model.model_fields} == set(whole)
    assert hasattr(message, "user_id") is ("userId" in whole)


@pytest.mark.parametrize(("model", "whole", "optional"), SERVER)
def test_optional_fields_may_be_missing_or_null_and_others_not(
    model: type[WireModel], whole: dict[str, Any], optional: set[str]
) -> None:
    for name in whole:
        less = {key: value for key, value in whole.items() if key != name}
        if name in optional:
            for body in (less, whole | {name: None}):
                assert wire(server.validate_python(body)) == whole | {name: None}
        else:
            with pytest.raises(ValidationError):
                server.validate_python(less)
            if name != "type":
                with pytest.raises(ValidationError):
                    model.model_validate(whole | {name: None})


@pytest.mark.parametrize(("model", "whole", "optional"), SERVER)
def test_a_server_message_is_frozen_and_keeps_what_it_does_not_know(
    model: type[WireModel], whole: dict[str, Any], optional: set[str]
) -> None:
    message = model.model_validate(whole | {"newField": {"deep": [1]}})
    assert message.model_extra == {"newField": {"deep": [1]}}
    assert wire(message) == whole | {"newField": {"deep": [1]}}
    with pytest.raises(ValidationError):
        message.timestamp = THEN  # type: ignore[attr-defined]


def test_python_names_work_too() -> None:
    banned = m.AccountBanned(user_id="u1", timestamp=THEN, is_permanent=True)
    assert (banned.type, banned.reason, banned.expires_at) == ("accountBanned", None, None)
    assert wire(banned) == USER | {
        "type": "accountBanned", "reason": None, "expiresAt": None, "isPermanent": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "then"),
    [
        (AT, THEN),
        ("2026-01-02T03:04:05", THEN),
        ("2026-01-02 03:04:05.000", THEN),
        ("2026-01-02T05:04:05+02:00", THEN),
        ("2026-01-02T03:04:05.123456Z", THEN + timedelta(microseconds=123456)),
    ],
)
def test_timestamps_are_aware_also_from_naive_text(text: str, then: datetime) -> None:
    banned = m.AccountBanned.model_validate(
        {"timestamp": text, "expiresAt": text, "userId": "u1", "isPermanent": False}
    )
    assert banned.timestamp == banned.expires_at == then
    assert banned.timestamp.utcoffset() is not None


def test_errors_of_a_message_do_not_quote_it() -> None:
    with pytest.raises(ValidationError) as caught:
        m.ForceLogout.model_validate({"timestamp": "CANARY", "userId": ["CANARY"]})
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(("model", "whole", "union"), CONTROL)
def test_a_control_message_comes_and_goes_unchanged(
    model: type[WireModel], whole: dict[str, Any], union: Any
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(union)
    message = adapter.validate_json(json.dumps(whole))
    assert type(message) is model
    assert wire(message) == whole


def test_the_unions_hold_what_they_are_named_for() -> None:
    groups = (m.UserStatusMessage, m.PermissionMessage, m.AccountLinkMessage)
    assert [len(get_args(group)) for group in groups] == [4, 3, 2]
    nine = [model for group in groups for model in get_args(group)]
    assert nine == [model for model, _, _ in SERVER]
    assert set(get_args(get_args(m.ServerMessage)[0])) == set(nine)
    assert set(m.SESSION_ENDING) == set(get_args(m.UserStatusMessage))


def test_a_type_that_nobody_knows_is_no_server_message() -> None:
    with pytest.raises(ValidationError):
        server.validate_python(USER | {"type": "other"})


texts = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.datetimes(
    min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)
)


@st.composite
def server_messages(draw: st.DrawFn) -> Any:
    model, whole, optional = draw(st.sampled_from(SERVER))
    body: dict[str, Any] = {}
    for name, sample in whole.items():
        values: st.SearchStrategy[Any] = texts
        if name in ("timestamp", "expiresAt"):
            values = times
        elif isinstance(sample, bool):
            values = st.booleans()
        elif isinstance(sample, list):
            values = st.lists(texts, max_size=3)
        elif name == "type":
            values = st.just(sample)
        body[name] = draw(st.none() | values if name in optional else values)
    return model.model_validate(body)


@given(server_messages())
def test_every_message_survives_the_wire(message: WireModel) -> None:
    assert server.validate_json(message.model_dump_json(by_alias=True)) == message


@pytest.mark.parametrize("row", [*SERVER, *CONTROL], ids=lambda row: row[0].__name__)
def test_a_model_that_is_made_here_says_its_type(row: Any) -> None:
    model, body = row[0], row[1]
    assert model.model_fields["type"].default == body["type"]
