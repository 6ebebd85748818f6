"""The reduced definition, and which of its operations a request is."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from definition.reduce import PLACE

Schema = Mapping[str, Any]
_VERSION = re.compile(r"/v\d[0-9.]*(?=/)")
_REFERENCE = "#/definitions/"


@dataclass(frozen=True)
class Operation:
    """One method on one path.

    Attributes:
        method: in capitals.
        path: with its fields in braces.
        value: the operation's object of the definition.
    """

    method: str
    path: str
    value: Schema

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        return str(self.value["operationId"])

    @property
    def tag(self) -> str:
        return str(self.value["tags"][0])

    def parameters(self, place: str) -> list[Schema]:
        """Those in ``query``, ``header``, ``path`` or ``body``."""
        return [each for each in self.value.get("parameters", ()) if each["in"] == place]

    @property
    def body(self) -> Schema | None:
        """The schema of a JSON body; None where there is none, or where it is bytes."""
        schemas = [each["schema"] for each in self.parameters("body")]
        return schemas[0] if schemas and schemas[0].get("format") != "binary" else None


class Definition:
    """The whole of it."""

    def __init__(self, value: Schema) -> None:
        self.version: str = value["info"]["version"]
        self.schemas: Mapping[str, Schema] = value["definitions"]
        self.produces: list[str] = value["produces"]
        self.operations = tuple(
            Operation(method.upper(), path, operation)
            for path, methods in value["paths"].items()
            for method, operation in methods.items()
        )
        # What has fewer fields first: /images/json is no image of that name.
        exact_first = sorted(self.operations, key=lambda operation: operation.path.count("{"))
        self._patterns = [(each, _pattern(each.path)) for each in exact_first]

    def resolve(self, schema: Schema) -> Schema:
        """What a reference stands for; the schema itself where it is none."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].removeprefix(_REFERENCE)]
        return schema

    def fields(self, schema: Schema) -> dict[str, Schema]:
        """The properties of an object, those of its ``allOf`` too."""
        schema = self.resolve(schema)
        found: dict[str, Schema] = {}
        for part in schema.get("allOf", ()):
            found |= self.fields(part)
        return {**found, **schema.get("properties", {})}

    def find(self, method: str, target: str) -> Operation | None:
        """The operation of a request; None for what the definition does not have.

        Args:
            method: of HTTP.
            target: as it was sent: with or without a version, with its query.
        """
        path = _VERSION.sub("", target.partition("?")[0], count=1)
        for operation, pattern in self._patterns:
            if operation.method == method and pattern.fullmatch(path):
                return operation
        return None

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)


def _pattern(path: str) -> re.Pattern[str]:
    """Names of images have slashes, others have none."""
    field = ".+" if path.startswith(("/images/", "/distribution/", "/plugins/")) else "[^/]+"
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join(field if part.startswith("{") else re.escape(part) for part in parts))


@functools.cache
def load() -> Definition:
    """The definition that the project is measured by."""
    return Definition(json.loads(PLACE.read_text(encoding="utf-8")))
