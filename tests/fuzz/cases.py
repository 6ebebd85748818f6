"""Requests: what schemathesis makes of the definition, brought nearer to what a client could mean.

Of what is random all over, most is refused at the first field. So a request often names what there is, and a body is
often a right one with a few fields of the random one in it, or with values that mean something.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core import NotSet
from schemathesis.generation import GenerationMode

from definition.document import Definition, Operation
from definition.reduce import PLACE
from fuzz.hints import BODIES, DOCKERFILES, QUERIES, VALUES
from fuzz.world import World, context

_LONGEST_STOP = 1


@dataclass
class Request:
    """One that can be sent, and be made smaller.

    Attributes:
        operation: of the definition.
        path: percent-encoded, without its query.
        query: names and values.
        headers: of the request's own.
        body: what is sent as JSON; None for nothing, or where ``raw`` is sent.
        raw: bytes that are sent as they are.
    """

    operation: Operation
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query, doseq=True)}" if self.query else self.path

    @property
    def data(self) -> bytes | None:
        if self.raw is not None:
            return self.raw
        return None if self.body is None else json.dumps(self.body).encode("utf-8", "surrogatepass")

    def smaller(self) -> Iterator["Request"]:
        """The same with one thing less, for each thing that could be left out."""
        for name in self.query:
            yield self._with(query={key: value for key, value in self.query.items() if key != name})
        for name in self.headers:
            yield self._with(headers={key: value for key, value in self.headers.items() if key != name})
        yield from (self._with(body=body) for body in _smaller(self.body))

    def _with(self, **changed: Any) -> "Request":
        return Request(**{**vars(self), **changed})

    def __str__(self) -> str:
        data = self.data or b""
        shown = data.decode(errors="replace") if len(data) < 4000 else f"{data[:4000]!r}…"
        return f"{self.operation.method} {self.target} {self.headers or ''} {shown}".rstrip()


def _smaller(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield {key: other for key, other in value.items() if key != name}
            yield from ({**value, name: less} for less in _smaller(each))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield [*value[:index], *value[index + 1 :]]
            yield from ([*value[:index], less, *value[index + 1 :]] for less in _smaller(each))


class Cases:
    """Makes requests for one world."""

    def __init__(self, world: World, definition: Definition) -> None:
        self._world = world
        self._definition = definition
        self._chance = world.chance
        self._operations = {str(each): each for each in definition}
        text = PLACE.read_text("utf-8").replace("application/x-tar", "application/octet-stream")  # it knows no tars
        loaded = schemathesis.openapi.from_dict(json.loads(text) | {"host": "localhost"})
        found = [each.ok() for each in loaded.get_all_operations()]  # type: ignore[union-attr]  # none is an Err
        self._schemas = {made.label: made for made in found if made is not None}

    def some(self, label: str, count: int) -> list[Request]:
        """So many requests for an operation (``GET /info``), or fewer where there are no more."""
        mode = GenerationMode.NEGATIVE if self._often(0.25) else GenerationMode.POSITIVE
        try:
            found = self._collect(label, count, mode)
        except Unsatisfiable:  # there is nothing that could be wrong
            found = self._collect(label, count, GenerationMode.POSITIVE)
        return [self._request(label, case) for case in found]

    def _collect(self, label: str, count: int, mode: GenerationMode) -> list[Any]:
        found: list[Any] = []

        @seed(self._chance.randrange(1 << 32))
        @settings(
            max_examples=count, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(self._schemas[label].as_strategy(generation_mode=mode))
        def collect(case: Any) -> None:
            found.append(case)

        collect()
        return found

    def _request(self, label: str, case: Any) -> Request:
        operation = self._operations[label]
        request = Request(operation, operation.path)
        for name, value in (case.path_parameters or {}).items():
            request.path = request.path.replace(f"{{{name}}}", self._field(operation, str(value)))
        if not (operation.name in BODIES and self._often(0.5)):  # what is wrong there keeps bodies from being looked at
            request.query = self._bounded({str(name): _word(value) for name, value in dict(case.query or {}).items()})
        request.headers = {name: value for name, value in dict(case.headers or {}).items() if _is_header(name, value)}
        if isinstance(case.body, NotSet):
            return request
        if isinstance(case.body, bytes) or hasattr(case.body, "data"):
            request.raw = self._bytes(operation, bytes(getattr(case.body, "data", case.body)))
        else:
            request.body = self._body(operation, case.body)
        if case.media_type:
            request.headers.setdefault("Content-Type", case.media_type)
        return request

    def _often(self, share: float) -> bool:
        return self._chance.random() < share

    def _field(self, operation: Operation, value: str) -> str:
        known = self._world.ids.get(operation.path.split("/")[1], [])
        if known and self._often(0.85):
            return quote(self._chance.choice(known), safe=":")
        return value if "%" in value else quote(value, safe="")

    def _bounded(self, query: dict[str, Any]) -> dict[str, Any]:
        """What would take long by intention takes no longer than a second."""
        if "t" in query and isinstance(query["t"], str) and query["t"].lstrip("-+").isdigit():
            query["t"] = str(min(max(int(query["t"]), 0), _LONGEST_STOP))
        for name, values in QUERIES.items():
            if name in query and self._often(0.5):
                query[name] = self._chance.choice(values)
        return query

    def _bytes(self, operation: Operation, data: bytes) -> bytes:
        if self._often(0.4):
            return data
        files = {"Dockerfile": self._chance.choice(DOCKERFILES), "a/b": b"x" * self._chance.randrange(5000)}
        made = context(files)
        if operation.name == "ImageLoad" or self._often(0.1):
            made = made[: self._chance.randrange(len(made))]
        return gzip.compress(made) if self._often(0.2) else made

    def _body(self, operation: Operation, body: Any) -> Any:
        base = BODIES.get(operation.name)
        if base is None or not isinstance(body, dict) or self._often(0.2):
            return self._meaningful(body)
        assert operation.body is not None
        known = self._definition.fields(operation.body)
        some = self._few(body, known)
        if "HostConfig" in known and self._often(0.7):
            host = self._definition.fields(known["HostConfig"])
            given = body.get("HostConfig")
            some["HostConfig"] = self._few(given if isinstance(given, dict) else {}, host)
        return self._meaningful(self._filled(base) | some)

    def _few(self, table: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        """A few fields of a random object, seldom unknown ones, and a few that could be meant."""
        names = [name for name in table if name in known or self._often(0.1)]
        chosen = self._chance.sample(names, min(len(names), self._chance.choice((0, 0, 1, 2))))
        meant = [name for name in VALUES if name in known]
        return {name: table[name] for name in chosen} | {
            name: self._meant(name)
            for name in self._chance.sample(meant, min(len(meant), self._chance.choice((0, 1, 2, 3))))
        }

    def _filled(self, base: Mapping[str, Any]) -> dict[str, Any]:
        runs = "fuzz-runs" if self._often(0.5) else self._chance.choice(self._world.ids["containers"])
        return {name: runs if value == "CONTAINER" else value for name, value in base.items()}

    def _meaningful(self, value: Any, name: str = "") -> Any:
        """The same, and here and there a value that could be meant."""
        if isinstance(value, dict):
            return {key: self._meaningful(each, key) for key, each in value.items()}
        if name in VALUES and self._often(0.6):
            return self._meant(name)
        if isinstance(value, list):
            return [self._meaningful(each) for each in value]
        return value

    def _meant(self, name: str) -> Any:
        found = json.dumps(self._chance.choice(VALUES[name]))
        return json.loads(found.replace("SCRATCH", str(self._world.scratch)))


def _word(value: Any) -> Any:
    if isinstance(value, list):
        return [_word(each) for each in value]
    return value if isinstance(value, str) else json.dumps(value)


def _is_header(name: object, value: object) -> bool:
    """Whether it can be sent at all: the rest is no HTTP."""
    return (
        f"{name}{value}".isprintable()
        and f"{name}{value}".isascii()
        and bool(str(name).strip())
        and ":" not in str(name)
    )
