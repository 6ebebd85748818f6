"""One request and its answer, judged by the definition: the status, the content type, the body."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from definition import deviations
from definition.document import Definition, Operation, Schema
from definition.schema import compare
from kist.api.call import VALUE_TYPE
from kist.spec.docker.progress import EVENTS_TYPE

_JSON = "application/json"
_STREAMS = frozenset({"application/jsonl", "application/x-ndjson", "application/json-seq"})


@dataclass(frozen=True)
class Exchange:
    """What went to and fro. The bodies are whole, or None where nobody has kept them.

    Attributes:
        method, target: of the request's first line.
        accept: what the client takes.
        status, headers, body: of the answer; names of headers are in small letters.
    """

    method: str
    target: str
    accept: str
    status: int
    headers: Mapping[str, str]
    body: bytes | None


def judge(definition: Definition, exchange: Exchange) -> Iterator[str]:
    """What is otherwise than the definition says and nobody has said why; nothing for what the definition lacks."""
    operation = definition.find(exchange.method, exchange.target)
    if operation is None or VALUE_TYPE in exchange.accept or EVENTS_TYPE in exchange.accept:
        return
    for kind, detail in _differences(definition, operation, exchange):
        if not deviations.known(operation, kind, exchange.target):
            yield f"{operation}: {kind}: {detail} ({exchange.target}, {exchange.status})"


def _differences(definition: Definition, operation: Operation, exchange: Exchange) -> Iterator[tuple[str, str]]:
    declared = operation.value["responses"].get(str(exchange.status))
    if declared is None:
        yield f"status {exchange.status}", f"{exchange.body or b''!r:.200}"
        if exchange.status < 400:
            return
        declared = {"schema": {"$ref": "#/definitions/ErrorResponse"}}
    if exchange.status in {101, 204, 304} or exchange.method == "HEAD":
        if exchange.body:
            yield "body", f"there is one: {exchange.body!r:.60}"
        return
    schema = definition.resolve(declared.get("schema", {}))
    kind = exchange.headers.get("content-type", "")
    yield from _compare_kind(definition, operation, exchange, schema, kind)
    if schema.get("format") != "binary" and kind.startswith((_JSON, *_STREAMS)) and exchange.body is not None:
        yield from _compare_body(definition, schema, exchange.body)


def _compare_kind(
    definition: Definition, operation: Operation, exchange: Exchange, schema: Schema, kind: str
) -> Iterator[tuple[str, str]]:
    """An error is JSON whatever an operation produces; an answer without a body is of no kind."""
    kinds = [_JSON] if exchange.status >= 400 else operation.value.get("produces", definition.produces)
    if kind and not kind.startswith(tuple(kinds)):
        yield f"kind {kind}", f"is none of {', '.join(kinds)}"
    if not kind and (schema or exchange.body):
        yield "kind", "there is none"


def _compare_body(definition: Definition, schema: Schema, body: bytes) -> Iterator[tuple[str, str]]:
    try:
        values = list(_values(body.decode()))
    except ValueError as error:
        yield "body", f"is no JSON: {error}: {body!r:.100}"
        return
    if schema and not values:
        yield "body", "there is none"
    for value in values:
        for each in compare(definition, schema, value) if schema else ():
            yield f"{each.what} {each.place}".strip(), each.detail


def _values(text: str) -> Iterator[Any]:
    """The JSON values of a body: one, or those of a stream one after the other."""
    decoder, place = json.JSONDecoder(), 0
    space = re.compile(r"\s*")
    while (place := _end(space, text, place)) < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return found.end() if found else place
