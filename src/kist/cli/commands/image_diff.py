"""``kist image diff``."""

from kist.cli import values
from kist.cli.common import image_path
from kist.cli.option import Command, Option
from kist.cli.table import one_line
from kist.cli.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_MARKS = {"added": ("+", "\x1b[32m"), "removed": ("-", "\x1b[31m"), "changed": ("~", "\x1b[33m")}


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what is different, packages first."""
    first, second = arguments.operands
    packages, files = arguments.flag("packages"), arguments.flag("files")
    both = packages == files  # none of them asked for is both
    query: list[tuple[str, str | int | None]] = [
        ("with", second),
        ("packages", int(packages or both)),
        ("files", int(files or both)),
    ]
    found = context.wire.call("GET", f"/kist{image_path(first, 'difference')}", query)
    if arguments.text("format") == "json":
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this form only

        context.say(dumps(found))
        return 0
    lines = [*_packages(found, _Paint(context)), *_files(found, _Paint(context))]
    context.write_text("".join(f"{line}\n" for line in lines))
    if not lines:
        what = "packages" if packages and not both else "files" if files and not both else "packages or files"
        context.note(f"{first} and {second}: no {what} are different")
    return 0


class _Paint:
    def __init__(self, context: "Context") -> None:
        self._colour = context.colour(1)

    def __call__(self, kind: str, text: str) -> str:
        mark, colour = _MARKS[kind]
        return f"{colour}{mark} {text}\x1b[0m" if self._colour else f"{mark} {text}"

    def heading(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colour else text


def _packages(found: "dict[str, Any]", paint: _Paint) -> "list[str]":
    if found.get("added") is None:
        return []
    lines = [paint("added", f"{_name(each)} {one_line(each['version'])}") for each in found["added"]]
    lines += [paint("removed", f"{_name(each)} {one_line(each['version'])}") for each in found["removed"]]
    for each in found["changed"]:
        versions = f"{one_line(each['before']['version'])} → {one_line(each['after']['version'])}"
        older = "  (older)" if each["direction"] == "older" else ""
        lines.append(paint("changed", f"{_name(each['before'])} {versions}{older}"))
    counts = ", ".join(f"{len(found[kind])} {kind}" for kind in ("added", "removed", "changed"))
    return [paint.heading(f"Packages: {counts}"), *lines] if lines else []


def _name(package: "dict[str, Any]") -> str:
    return f"{package['type']} {one_line(package['name'])}"


def _files(found: "dict[str, Any]", paint: _Paint) -> "list[str]":
    files = found.get("files")
    if not files:
        return []
    lines = []
    for each in files:
        kind, before, after = each["kind"], each.get("before", 0), each.get("after", 0)
        sizes = size(after) if kind == "added" else size(before) if kind == "removed" else ""
        if kind == "changed":
            sizes = ", ".join(each["what"]) + (f", {size(before)} → {size(after)}" if before != after else "")
        lines.append(paint(kind, f"{one_line(each['path'])}  ({sizes})"))
    counts = ", ".join(f"{sum(each['kind'] == kind for each in files)} {kind}" for kind in _MARKS)
    return [paint.heading(f"Files: {counts}"), *lines]


COMMAND = Command(
    "image diff",
    run,
    "IMAGE IMAGE",
    least=2,
    most=2,
    options=(
        Option("--packages", "Packages only"),
        Option("--files", "Files only"),
        Option("--format", "text or json (default: text)", "FORM", parse=values.choice("text", "json")),
    ),
    about="What the second image has that the first has not (+), what it lacks (-), and what is not the same (~): "
    "packages with their versions, and files by type, content, mode and owner. Times are no difference.",
    examples=("kist image diff --packages plotter:1 plotter:2",),
)
