"""Unions of models whose texts tell which member they are: one is validated in place of all."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["tagged"]

SCALARS: Final = frozenset(("bytes", "str", "int", "float", "bool"))  # no JSON object is of these


def tagged(schema: Any) -> Any:
    """Return the schema of a union that is dispatched on a field, for one that tries its members.

    It makes the same message of a text, or none where the union may still make one: each member
    is a plain model and has the same field, whose literal no other member takes. Members that are
    not objects are left out. None for any other schema.
    """
    definitions = schema.get("definitions", []) if schema["type"] == "definitions" else []
    union = schema["schema"] if definitions else schema
    if union["type"] != "union":
        return None
    known = {each.get("ref"): each for each in definitions}
    models = []
    for choice in union["choices"]:
        if isinstance(choice, tuple):  # with a label
            return None
        kind = choice["type"]
        model = known.get(choice["schema_ref"]) if kind == "definition-ref" else choice
        if kind not in SCALARS:
            models.append((choice, model or {}))
    key = next(iter(_literals(models[0][1])), None) if models else None
    if key is None:
        return None
    choices: dict[str, Any] = {}
    for choice, model in models:
        words = _literals(model).get(key, [])
        if not words or not choices.keys().isdisjoint(words):
            return None
        choices |= dict.fromkeys(words, choice)
    found = {"type": "tagged-union", "choices": choices, "discriminator": key}
    return {**schema, "schema": found} if definitions else found


def _literals(model: Any) -> dict[str, list[str]]:
    """Return the words of each field of a plain model that takes nothing but words."""
    fields = model.get("schema", {})
    # Validators around the fields may change what they get.
    if model.get("type") != "model" or fields.get("type") != "model-fields":
        return {}
    found = {}
    for name, field in fields["fields"].items():
        inner = field["schema"]
        if inner["type"] == "default" and inner.get("on_error", "raise") == "raise":
            inner = inner["schema"]
        words = inner.get("expected", [])
        if (
            inner["type"] == "literal"
            and field.get("validation_alias", name) == name
            and all(type(word) is str for word in words)
        ):
            found[name] = words
    return found
