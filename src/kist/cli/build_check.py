"""``kist build --check``: what the rules find in a Dockerfile, for people and for programs."""

import sys
from contextlib import contextmanager

from kist.cli import values
from kist.cli.option import Option
from kist.errors import KistError, ParseError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.spec.build import BuildOptions
    from kist.spec.dockerfile.checks.finding import CheckReport, Finding
    from kist.spec.platform import Platform

    Words = Callable[[str, str], str]
    Find = Callable[[str, str], str]
    Source = tuple[str, str, bytes | None]

_MOST_LINES = 8
_BOLD, _YELLOW, _DIM, _CARET = "1", "1;33", "2", "1;33"

OPTIONS = (
    Option("--check", "Hold the Dockerfile against rules, and build nothing", group="Checks"),
    Option("--format", "Of what --check finds: text or json", "FORMAT", parse=values.choice("text", "json"),
           group="Checks"),
)  # fmt: skip


def run(
    context: "Context", arguments: "Arguments", directory: str, options: "BuildOptions", text: "bytes | None"
) -> int:
    """Tell what is found; 1 where that is something, as with Docker, or where the file cannot be read.

    Args:
        context: writes, and knows whether an engine runs that can tell of base images.
        arguments: those of the command.
        directory: the build's context.
        options: of the build.
        text: the Dockerfile, where it is none of the directory's.
    """
    from kist.client.checking import check, read_dockerfile  # noqa: PLC0415 - for --check alone

    is_json = arguments.get("format", "text") == "json"
    name, data = ("Dockerfile", text) if text is not None else read_dockerfile(directory, options.dockerfile)
    try:
        report = check(
            directory,
            options,
            text=data,
            name=name,
            environment=lambda image: _environment(context, image),
            base_platform=lambda image, wanted: _platform(context, image, wanted),
        )
    except ParseError as error:
        if is_json:
            context.say(_dumps({"warnings": [], "sources": [_source(name, data)], "buildError": _build_error(error)}))
        else:
            context.fail(error)
        return 1
    if is_json:
        context.say(_dumps(_as_json(report, data)))
    else:
        sys.stdout.write("".join(_told(report, data, _painter(context))))
    return 1 if report.findings else 0


@contextmanager
def source(context: "Context", arguments: "Arguments", find: "Find", *, is_remote: bool) -> "Iterator[Source]":
    """What is checked: a directory, the Dockerfile's path in it, and its text where it is none of the directory's.

    Args:
        context: knows the engine, which fetches what is at a URL.
        arguments: those of the command.
        find: finds the Dockerfile of a directory of this machine.
        is_remote: the context is a URL.

    Raises:
        KistError: there is no such thing.
    """
    import tempfile  # noqa: PLC0415 - for --check alone

    from kist.client import check_texts  # noqa: PLC0415 - the same
    from kist.client.packing import is_archive  # noqa: PLC0415 - the same
    from kist.client.upload import begin_of  # noqa: PLC0415 - the same

    place, file = arguments.operands[0], arguments.text("file")
    with tempfile.TemporaryDirectory(prefix="kist-check-") as empty:
        if is_remote:
            if file == "-":
                raise Unsupported("-f - goes with a directory, and the context is a URL", hint="check a directory")
            yield empty, check_texts.fetched(context.wire, place, file or "Dockerfile", empty), None
        elif place == "-":
            begin = begin_of(0)
            if is_archive(begin):
                check_texts.from_archive(begin, 0, file or "Dockerfile", empty)
                yield empty, file or "Dockerfile", None
            else:
                yield empty, "Dockerfile", begin + sys.stdin.buffer.read()
        elif file == "-":
            yield place, "Dockerfile", sys.stdin.buffer.read()
        else:
            yield place, find(place, file), None


def _environment(context: "Context", name: str) -> "tuple[str, ...] | None":
    """Of an image that is here."""
    found = _inspected(context, name)
    return None if found is None else tuple((found.get("Config") or {}).get("Env") or ())


def _platform(context: "Context", name: str, wanted: "Platform") -> "Platform | None":
    """The platform of the image that a name has here for a wanted one, or has at all."""
    from kist.spec.platform import Platform  # noqa: PLC0415 - for --check alone

    found = _inspected(context, name)
    if found is None:
        return None
    here = Platform(found["Architecture"], found["Os"], found.get("Variant") or "")
    if (here.os, here.architecture) == (wanted.os, wanted.architecture) or not _inspected(context, name, wanted):
        return here
    return wanted


def _inspected(context: "Context", name: str, platform: "Platform | None" = None) -> "dict[str, Any] | None":
    """An image of an engine that runs on this machine; none is started for it. None where it is not known."""
    from kist.client.start import connect  # noqa: PLC0415 - for --check alone
    from kist.client.wire import Wire  # noqa: PLC0415 - the same

    query = [] if platform is None else [("platform", str(platform))]
    try:
        endpoint = context.endpoint()
        if not endpoint.socket:
            return None
        wire = Wire(endpoint, lambda place: connect(place, may_start=False))
        found: dict[str, Any] = wire.call("GET", f"/images/{name}/json", query)
    except KistError:
        return None
    return found


def _painter(context: "Context") -> "Words":
    if context.colour(1):
        return lambda code, text: f"\x1b[{code}m{text}\x1b[0m"
    return lambda _, text: text


def _told(report: "CheckReport", data: bytes, paint: "Words") -> "Iterator[str]":
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
    for finding in report.findings:
        yield from _finding(report.name, finding, lines, paint)
    for note in report.notes:
        yield f"{paint(_DIM, 'not checked:')} {_shown(note)}\n" if "not known" in note else f"note: {_shown(note)}\n"
    count = len(report.findings)
    summary = "1 warning has been found!" if count == 1 else f"{count} warnings have been found!"
    yield paint(_BOLD, f"Check complete, {summary if count else 'no warnings found.'}") + "\n"


def _finding(name: str, finding: "Finding", lines: list[str], paint: "Words") -> "Iterator[str]":
    """The rule, what is there, and the lines of the instruction with a caret under the place."""
    yield f"{paint(_YELLOW, 'WARNING:')} {paint(_BOLD, finding.rule)}\n{_shown(finding.message)}\n"
    yield f"{paint(_DIM, f'{name}:{finding.line}')}\n"
    begin = max(finding.first, finding.line - _MOST_LINES // 2)
    end = min(max(finding.last, finding.line), begin + _MOST_LINES - 1)
    width = len(str(end))
    bar = paint(_DIM, "|")
    for number in range(begin, end + 1):
        yield f" {number:>{width}} {bar} {_shown(lines[number - 1])}".rstrip() + "\n"
        if number == finding.line:
            yield f" {' ' * width} {bar} {' ' * (finding.column - 1)}{paint(_CARET, '^')}\n"
    if end < finding.last:
        yield f" {' ' * width} {bar} …\n"
    yield "\n"


def _shown(text: str) -> str:
    """Without what a terminal would obey; one character for one, so that the caret stays under its place."""
    return "".join(char if char.isprintable() else " " if char in "\t\r" else "\ufffd" for char in text)


def _as_json(report: "CheckReport", data: bytes) -> "dict[str, Any]":
    """In BuildKit's form (its request ``frontend.lint``), and what was not looked at."""
    warnings = [
        {
            "ruleName": finding.rule,
            "description": finding.description,
            "detail": finding.message,
            "location": {"ranges": [_range(finding.line, max(finding.last, finding.line), finding.column)]},
        }
        for finding in report.findings
    ]
    return {"warnings": warnings, "sources": [_source(report.name, data)], "notes": list(report.notes)}


def _range(first: int, last: int, column: int) -> "dict[str, Any]":
    return {"start": {"line": first, "character": column - 1}, "end": {"line": last}}


def _source(name: str, data: bytes) -> "dict[str, Any]":
    import base64  # noqa: PLC0415 - for --format json

    return {"filename": name, "language": "Dockerfile", "data": base64.b64encode(data).decode()}


def _build_error(error: ParseError) -> "dict[str, Any]":
    ranges = [_range(error.line, error.line, error.column)] if error.line else []
    return {"message": error.message, "location": {"ranges": ranges}}


def _dumps(value: "dict[str, Any]") -> str:
    import json  # noqa: PLC0415 - for --format json

    return json.dumps(value, indent=2, ensure_ascii=False)
