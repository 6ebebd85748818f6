"""``script/api-coverage``: the page that says of each operation of the definition what Kist's engine does with it."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from definition.bodies import READ, REFUSED, SILENT, fields_of
from definition.document import Definition, Operation, load
from definition.reading import read_by
from kist.api.routes import ROUTES, absent
from kist.api.routing import Handler, Router
from kist.errors import Unsupported
from kist.spec.docker.builds import read_build

REASONS = Path(__file__).with_name("reasons.txt")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api-coverage.md"
HAS, NO_SWARM, LACKS = "has", "503 outside a swarm", "lacks"
GAP = "**gap**"

_HEAD = """# The Engine API, operation by operation

Every operation of the definition ({version}, `tests/definition/engine-api.json`) and what Kist's engine does with it.
This page is made from the definition and the routes by `script/api-coverage`; a test holds it to them. Which parameters
a route reads is found in its source; which fields of a body, by sending each with a value that it cannot have.

**has**: it is answered as Docker answers it. **503 outside a swarm**: what a Docker Engine that is in no swarm answers.
**lacks**: it answers with an error that says why. What is not read is listed below each table: **refused** with 501 by
name where it would change what happens, **no effect** where it is taken and nothing comes of it. {gap} marks what has
no reason.

{counts}
"""


@dataclass(frozen=True)
class Row:
    """One operation.

    Attributes:
        operation: of the definition.
        status: ``HAS``, ``NO_SWARM`` or ``LACKS``.
        parts: each parameter and each field of the body, and what becomes of it.
        own: parameters that the definition does not have.
    """

    operation: Operation
    status: str
    parts: dict[str, str]
    own: tuple[str, ...]


class Reasons:
    """Why something is not read: lines of ``OPERATION PART: reason``, with ``*`` as in names of files."""

    def __init__(self, text: str) -> None:
        self._lines = [_read_reason(line) for line in text.splitlines() if line and not line.startswith("#")]
        self._used: set[tuple[str, str]] = set()

    def find(self, operation: str, part: str) -> str:
        """The reason; the first line that fits gives it, and where there is none it is a gap."""
        for wanted, parts, reason in self._lines:
            if fnmatchcase(operation, wanted) and fnmatchcase(part, parts.replace("[]", "[[]]")):
                self._used.add((wanted, parts))
                return reason
        return GAP

    def unused(self) -> list[str]:
        """Lines that no part needs any more."""
        return [f"{wanted} {parts}" for wanted, parts, _ in self._lines if (wanted, parts) not in self._used]


def _read_reason(line: str) -> tuple[str, str, str]:
    what, _, reason = line.partition(": ")
    operation, part = what.split()
    return operation, part, reason


def rows(definition: Definition) -> Iterator[Row]:
    """All operations, in the definition's order."""
    router = Router(ROUTES)
    for operation in definition:
        found = router.find(operation.method, re.sub(r"\{\w+\}", "x", operation.path))
        handler = found[0].handler if found else None
        status = _status(handler)
        yield (
            Row(operation, status, *_parts(definition, operation, handler))
            if handler and status == HAS
            else Row(operation, status, {}, ())
        )


def _status(handler: Handler | None) -> str:
    if handler is absent._no_swarm:
        return NO_SWARM
    return LACKS if handler is None or _only_refuses(handler) else HAS


def _only_refuses(handler: Handler) -> bool:
    """Whether a handler only says that it is not done, whatever it looks at before."""
    function = ast.parse(textwrap.dedent(inspect.getsource(handler))).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    answers = any(isinstance(each, ast.Return) for each in ast.walk(function))
    return isinstance(function.body[-1], ast.Raise) and not answers


def _parts(definition: Definition, operation: Operation, handler: Handler) -> tuple[dict[str, str], tuple[str, ...]]:
    read = read_by(handler)
    query = [each["name"] for each in operation.parameters("query")]
    parts = {name: _query_part(operation, name) if name in read.query else SILENT for name in query}
    for each in operation.parameters("header"):
        parts[each["name"]] = READ if each["name"].lower() in read.words else SILENT
    return parts | fields_of(definition, operation), tuple(sorted(read.query.difference(query)))


def _query_part(operation: Operation, name: str) -> str:
    """What becomes of a parameter that is looked at: a build's may be looked at to be refused."""
    if operation.name != "ImageBuild":
        return READ
    try:
        read_build(lambda each: '["x"]' if each == name else "", lambda _: ())
    except Unsupported:
        return REFUSED
    except Exception:  # noqa: BLE001 - what is malformed is read
        return READ
    return READ


def page(definition: Definition, reasons: Reasons) -> str:
    """The whole page."""
    found = list(rows(definition))
    counts = [f"{sum(row.status == status for row in found)} {status}" for status in (HAS, NO_SWARM, LACKS)]
    text = f"Of {len(found)} operations: {', '.join(counts)}."
    written = [_HEAD.format(version=definition.version, counts=text, gap=GAP)]
    tags = dict.fromkeys(row.operation.tag for row in found)
    written += ["\n".join(_section(tag, [row for row in found if row.operation.tag == tag], reasons)) for tag in tags]
    return "\n".join(written)


def _section(tag: str, found: list[Row], reasons: Reasons) -> Iterator[str]:
    yield from [
        f"## {tag}",
        "",
        "| operation | | parameters | fields | Kist's own parameters |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        fields = len(row.parts) - len(row.operation.parameters("query")) - len(row.operation.parameters("header"))
        cells = [_count(row, slice(len(row.parts) - fields)), _count(row, slice(len(row.parts) - fields, None))]
        cells.append(", ".join(f"`{name}`" for name in row.own))
        yield f"| `{row.operation}` | {row.status} | {' | '.join(cells)} |"
    yield ""
    unread = [line for row in found for line in _unread(row, reasons)]
    if unread:
        yield from ["| not read | | why |", "|---|---|---|", *unread, ""]


def _count(row: Row, which: slice) -> str:
    chosen = list(row.parts.values())[which] if row.status == HAS else []
    return f"{chosen.count(READ)} of {len(chosen)}" if chosen else ""


def _unread(row: Row, reasons: Reasons) -> Iterator[str]:
    """A line for all that is not read in one way and for one reason; an object stands for what is in it."""
    told: dict[str, str] = {}
    lines: dict[tuple[str, str], list[str]] = {}
    for part, what in row.parts.items():
        if what == READ or any(told.get(above) == what for above in _above(part)):
            continue
        told[part] = what
        lines.setdefault((what, reasons.find(row.operation.name, part)), []).append(f"`{part}`")
    for (what, reason), parts in lines.items():
        yield f"| `{row.operation.name}`: {', '.join(parts)} | {what} | {reason} |"


def _above(part: str) -> Iterable[str]:
    """The objects that a field is in: ``A[].B.C`` is in ``A[].B`` and in ``A``."""
    words = part.split(".")
    return (".".join(words[:count]).removesuffix("[]") for count in range(1, len(words)))


def make() -> tuple[str, list[str]]:
    """The page as it is to be, and lines of the reasons that it does not need."""
    reasons = Reasons(REASONS.read_text(encoding="utf-8"))
    return page(load(), reasons), reasons.unused()


if __name__ == "__main__":
    PAGE.write_text(make()[0], encoding="utf-8")
