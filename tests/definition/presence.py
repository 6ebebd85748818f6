"""Which fields of a schema an answer has, and which it could have had."""

from collections.abc import Iterator
from typing import Any

from definition.document import Definition, Schema

_DEEPEST = 8


def present(definition: Definition, schema: Schema, value: Any, place: str = "") -> Iterator[str]:
    """The places of a value's fields that the schema knows; those of an array's elements are one."""
    schema = definition.resolve(schema)
    if isinstance(value, list):
        for each in value:
            yield from present(definition, schema.get("items", {}), each, f"{place}[]")
    if not isinstance(value, dict):
        return
    known, others = definition.fields(schema), schema.get("additionalProperties")
    for name, each in value.items():
        if name in known:
            below = f"{place}.{name}".lstrip(".")
            yield below
            yield from present(definition, known[name], each, below)
        elif isinstance(others, dict):
            yield from present(definition, others, each, f"{place}.*".lstrip("."))


def absent(definition: Definition, schema: Schema, found: set[str], place: str = "", depth: int = 0) -> Iterator[str]:
    """The places that the schema has and ``found`` has not; not what would be in something absent or empty."""
    schema = definition.resolve(schema)
    if depth > _DEEPEST or not any(each.startswith(place) for each in found):
        return
    if schema.get("type") == "array":
        yield from absent(definition, schema["items"], found, f"{place}[]", depth + 1)
    elif any(each != place for each in found if each.startswith(place)):
        yield from _absent_fields(definition, schema, found, place, depth)


def _absent_fields(definition: Definition, schema: Schema, found: set[str], place: str, depth: int) -> Iterator[str]:
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        yield from absent(definition, others, found, f"{place}.*".lstrip("."), depth + 1)
    for name, each in definition.fields(schema).items():
        below = f"{place}.{name}".lstrip(".")
        if below not in found:
            yield below
        else:
            yield from absent(definition, each, found, below, depth + 1)
