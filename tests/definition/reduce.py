"""``script/definition YAML``: the definition without its prose, one line for each operation and each schema.

What is left are the facts of the interface: paths, parameters, status codes, fields and their types.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PLACE = Path(__file__).with_name("engine-api.json")
# Words of Swagger 2.0 that say something about the interface; x-nullable is what Go's null is called there.
_KEPT = frozenset({
    "$ref", "additionalProperties", "allOf", "collectionFormat", "consumes", "default", "enum", "format", "headers",
    "in", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "name", "operationId",
    "parameters", "pattern", "produces", "properties", "required", "responses", "schema", "tags", "type", "x-nullable",
})  # fmt: skip
_TABLES = frozenset({"headers", "properties", "responses"})
"""Their keys are names of the interface's own."""


def reduce_schema(found: Any) -> Any:
    """An object of the definition without what is said to people."""
    if isinstance(found, list):
        return [reduce_schema(each) for each in found]
    if not isinstance(found, Mapping):
        return found
    kept: dict[str, Any] = {}
    for key, value in found.items():
        if key in _TABLES:
            kept[key] = {str(name): reduce_schema(each) for name, each in value.items()}
        elif key in _KEPT:
            kept[key] = reduce_schema(value)
    return kept


def reduce_definition(text: str) -> dict[str, Any]:
    """The whole of it, from the YAML's text."""
    found = yaml.safe_load(text)
    return {
        "swagger": found["swagger"],
        "info": {"title": found["info"]["title"], "version": found["info"]["version"]},
        "basePath": found["basePath"],
        "consumes": found["consumes"],
        "produces": found["produces"],
        "paths": {
            path: {method: reduce_schema(operation) for method, operation in methods.items()}
            for path, methods in found["paths"].items()
        },
        "definitions": {name: reduce_schema(schema) for name, schema in found["definitions"].items()},
    }


def write_definition(found: Mapping[str, Any]) -> str:
    """JSON with one line for each operation and each schema, so that a newer definition shows what it changes."""
    lines = []
    for key, value in found.items():
        if key not in {"paths", "definitions"}:
            lines.append(f'"{key}": {_line(value)}')
            continue
        entries = [f"{_line(name)}: {_entry(each, key)}" for name, each in value.items()]
        lines.append(f'"{key}": {{\n' + ",\n".join(entries) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _entry(value: Mapping[str, Any], key: str) -> str:
    if key == "definitions":
        return _line(value)
    return "{\n" + ",\n".join(f"  {_line(method)}: {_line(each)}" for method, each in value.items()) + "\n}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    source = Path(sys.argv[1]).read_text(encoding="utf-8")
    PLACE.write_text(write_definition(reduce_definition(source)), encoding="utf-8")
