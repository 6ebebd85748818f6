"""Each way in which answers may differ from the definition is one in which the definition does not have them.

A newer definition (``script/definition``) may have what an older one lacked: then the line has to go.
"""

from collections.abc import Iterator

import pytest

from definition.deviations import KNOWN, NEVER, Deviation
from definition.document import Definition, Operation, Schema, load

_DEEPEST = 8
_STATUSES = ("400", "403", "404", "409", "413", "501", "503", "101")


def differences(definition: Definition, operation: Operation) -> Iterator[str]:
    """All that the definition leaves open for an operation's answers to differ in, as ``judge`` calls it."""
    responses = operation.value["responses"]
    yield from (f"status {status}" for status in _STATUSES if status not in responses)
    for response in responses.values():
        if schema := response.get("schema"):
            yield "body"
            yield from _of(definition, schema, "", 0)


def _of(definition: Definition, schema: Schema, place: str, depth: int) -> Iterator[str]:
    schema = definition.resolve(schema)
    if not schema.get("x-nullable"):
        yield f"null {place}".strip()
    if depth > _DEEPEST:
        return
    if "items" in schema:
        yield from _of(definition, schema["items"], f"{place}[]", depth + 1)
    for name in schema.get("required", ()):
        yield f"missing {_below(place, name)}"
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _of(definition, schema["additionalProperties"], _below(place, "*"), depth + 1)
    for part in schema.get("allOf", ()):
        yield from _of(definition, part, place, depth + 1)
    for name, each in definition.fields(schema).items():
        yield f"known {_below(place, name)}"
        yield from _of(definition, each, _below(place, name), depth + 1)


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def is_needed(deviation: Deviation, definition: Definition) -> bool:
    """Whether the definition still has it otherwise, in what its newest version says."""
    about = [each for each in definition if deviation.fits(each.name, deviation.kinds.replace("*", "x"))]
    if deviation.kinds.startswith("unknown "):
        wanted = deviation._replace(kinds=deviation.kinds.replace("unknown ", "known ", 1))
        return bool(about) and not any(
            wanted.fits(each.name, place) for each in about for place in differences(definition, each)
        )
    return any(deviation.fits(each.name, kind) for each in about for kind in differences(definition, each))


@pytest.mark.parametrize("deviation", [each for each in KNOWN if each.before == NEVER], ids=lambda each: each[:2])
def test_a_deviation_that_the_definition_has_no_longer_is_none(deviation: Deviation) -> None:
    assert is_needed(deviation, load()), "take the line out of tests/definition/deviations.py"


@pytest.mark.parametrize(
    "deviation",
    [
        Deviation("NoSuchOperation", "status 400", ""),
        Deviation("NoSuchOperation", "unknown X", ""),
        Deviation("ContainerStart", "status 404", ""),
        Deviation("ContainerInspect", "unknown State.Pid", ""),
        Deviation("ContainerInspect", "unknown *Pid", ""),
        Deviation("SystemInfo", "null NoSuchField", ""),
        Deviation("SystemInfo", "missing Containers", ""),
    ],
    ids=lambda each: each[:2],
)
def test_one_that_is_not_needed_is_noticed(deviation: Deviation) -> None:
    assert not is_needed(deviation, load())


def test_no_deviation_is_written_twice() -> None:
    assert len({each[:2] for each in KNOWN}) == len(KNOWN)
