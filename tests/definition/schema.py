"""JSON against a schema of the definition (the part of JSON Schema that Swagger 2.0 has); differences have a place."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from definition.document import Definition, Schema

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class Difference(NamedTuple):
    """One place where a value is not as its schema says.

    Attributes:
        place: ``State.Health.Log[].End``; elements of arrays and values of maps have no names of their own.
        what: ``unknown``, ``missing``, ``null``, ``type``, ``enum``, ``size``.
        detail: in words.
    """

    place: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.place or 'the value'}: {self.what}: {self.detail}"


def compare(definition: Definition, schema: Schema, value: Any, place: str = "") -> Iterator[Difference]:
    """What is otherwise in a value than in its schema."""
    schema = definition.resolve(schema)
    if value is None:
        if not _may_be_null(schema):
            yield Difference(place, "null", f"is null, and is {schema.get('type', 'an object')}")
        return
    kind = _kind(definition, schema)
    if kind and not _is_of(value, kind):
        yield Difference(place, "type", f"is {value!r:.60}, and is {kind}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Difference(place, "enum", f"is {value!r:.60}, and is one of {schema['enum']}")
    yield from _compare_size(schema, value, place)
    if kind == "array":
        for each in value:
            yield from compare(definition, schema.get("items", {}), each, f"{place}[]")
    if kind == "object":
        yield from _compare_object(definition, schema, value, place)


def _kind(definition: Definition, schema: Schema) -> str:
    """The type that a schema names, or one of those that it is made of (``allOf``); empty where all will do."""
    if "type" in schema or "properties" in schema:
        return str(schema.get("type", "object"))
    kinds = (_kind(definition, definition.resolve(part)) for part in schema.get("allOf", ()))
    return next(filter(None, kinds), "")


def _may_be_null(schema: Schema) -> bool:
    return bool(schema.get("x-nullable"))


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])


def _compare_size(schema: Schema, value: Any, place: str) -> Iterator[Difference]:
    if isinstance(value, int | float):
        low, high, size = schema.get("minimum"), schema.get("maximum"), value
    elif isinstance(value, list):
        low, high, size = schema.get("minItems"), schema.get("maxItems"), len(value)
    elif isinstance(value, str):
        low, high, size = schema.get("minLength"), schema.get("maxLength"), len(value)
    else:
        return
    if (low is not None and size < low) or (high is not None and size > high):
        yield Difference(place, "size", f"is {value!r:.60}, and is from {low} to {high}")


def _compare_object(definition: Definition, schema: Schema, value: dict[str, Any], place: str) -> Iterator[Difference]:
    known = definition.fields(schema)
    others = schema.get("additionalProperties")
    for name in _required(definition, schema):
        if name not in value:
            yield Difference(_below(place, name), "missing", "is required")
    for name, each in value.items():
        if name in known:
            yield from compare(definition, known[name], each, _below(place, name))
        elif isinstance(others, dict):
            yield from compare(definition, others, each, _below(place, "*"))
        elif known and not others:
            yield Difference(_below(place, name), "unknown", f"is not in the definition (it was {each!r:.60})")


def _required(definition: Definition, schema: Schema) -> Iterator[str]:
    yield from schema.get("required", ())
    for part in schema.get("allOf", ()):
        yield from _required(definition, definition.resolve(part))


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
