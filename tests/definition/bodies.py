"""Which fields of a JSON body a route reads, found out by sending each with a value of a type that it cannot have.

What is read is refused as malformed (400) and named; what is not done is refused as that (501); what is taken in
silence has no effect. The readers are pure, so no engine is needed.
"""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from definition.document import Definition, Operation, Schema
from kist.api.routes import commit
from kist.errors import InvalidInput, Unsupported
from kist.spec.docker import create, execs, networks, resources, volumes
from kist.spec.image import ContainerConfig

Reader = Callable[[Mapping[str, Any]], object]

READ, REFUSED, SILENT = "read", "refused", "no effect"
_DEEPEST = 5


def _read_commit(body: Mapping[str, Any]) -> object:
    container: Any = SimpleNamespace(config=ContainerConfig())
    return commit._config(container, dict(body), [])


READERS: Mapping[str, tuple[Reader, Mapping[str, Any]]] = {
    "ContainerCreate": (create.read_create, {"Image": "busybox"}),
    "ContainerUpdate": (resources.read_update, {}),
    "ContainerExec": (execs.read_exec, {"Cmd": ["true"]}),
    "ExecStart": (execs.read_exec_start, {}),
    "ImageCommit": (_read_commit, {}),
    "NetworkCreate": (networks.read_create, {"Name": "net"}),
    "NetworkConnect": (lambda body: networks.read_connect(body, "net"), {"Container": "box"}),
    "NetworkDisconnect": (networks.read_disconnect, {"Container": "box"}),
    "VolumeCreate": (volumes.read_create, {}),
}
"""For each operation with a body its reader, and the least that it takes."""

# What must stand beside a field for it to be looked at, by the place of their object.
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "HostConfig.Mounts[]": {"Type": "bind", "Source": "/a", "Target": "/b"},
    "HostConfig.Devices[]": {"PathOnHost": "/dev/null"},
    "HostConfig.RestartPolicy": {"Name": "on-failure"},
    "HostConfig.LogConfig": {"Type": "json-file"},
    "RestartPolicy": {"Name": "on-failure"},
    "Healthcheck": {"Test": ["NONE"]},
}
# The options of a mount are of its type.
_MOUNTS: Mapping[str, Mapping[str, Any]] = {
    "VolumeOptions": {"Type": "volume", "Source": "a", "Target": "/b"},
    "TmpfsOptions": {"Type": "tmpfs", "Target": "/b"},
    "ImageOptions": {"Type": "image", "Source": "a", "Target": "/b"},
}


class Misread(Exception):
    """A reader refuses a body for another reason than the field that was to be refused."""


def fields_of(definition: Definition, operation: Operation) -> dict[str, str]:
    """Each field of an operation's body, by its place, and what becomes of it; empty without a JSON body."""
    if operation.body is None or operation.name not in READERS:
        return {}
    read, least = READERS[operation.name]
    read(least)  # nothing else than the field is refused
    return {place: _try(read, least, place, schema) for place, schema in _places(definition, operation.body, "", 0)}


def _places(definition: Definition, schema: Schema, place: str, depth: int) -> Iterator[tuple[str, Schema]]:
    for name, each in definition.fields(schema).items():
        below = f"{place}.{name}" if place else name
        inner = definition.resolve(each)
        yield below, inner
        if depth < _DEEPEST:
            yield from _inside(definition, inner, below, depth + 1)


def _inside(definition: Definition, schema: Schema, place: str, depth: int) -> Iterator[tuple[str, Schema]]:
    """What is in an object, in the objects of an array and in those of a map."""
    while schema.get("type") == "array" and "items" in schema:
        schema, place = definition.resolve(schema["items"]), f"{place}[]"
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        yield from _inside(definition, definition.resolve(others), f"{place}.*", depth)
    yield from _places(definition, schema, place, depth)


def _try(read: Reader, least: Mapping[str, Any], place: str, schema: Schema) -> str:
    wrong: object = "\N{SNOWMAN}" if schema.get("type") in {"integer", "number", "boolean", "object"} else 7
    try:
        read(_with(least, place, "", wrong))
    except Unsupported:
        return REFUSED
    except InvalidInput as error:
        named = [part for part in place.replace("[]", "").split(".") if part != "*"][-2:]
        if not any(part in f"{error} {error.hint}" for part in named):
            raise Misread(f"{place}: {error}") from error
        return READ
    return SILENT


def _with(body: Mapping[str, Any], rest: str, above: str, wrong: object) -> dict[str, Any]:
    """A body with a value at a place, and what must stand beside it."""
    name, _, below = rest.partition(".")
    key = name.replace("[]", "")
    here = f"{above}.{name}" if above else name
    value = wrong if not below else _with(_beside(here, below), below, here, wrong)
    for _ in range(name.count("[]")):
        value = [value]
    return {**body, ("80/tcp" if key == "*" else key): value}


def _beside(here: str, below: str) -> Mapping[str, Any]:
    kind = _MOUNTS.get(below.partition(".")[0]) if here == "HostConfig.Mounts[]" else None
    return kind or _BESIDE.get(here, {})
