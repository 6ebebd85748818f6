"""What ``--verify`` has found, as lines for people; of the event's plain JSON, as the command line has it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_WHERE = {"first": ("-", "only in the first build"), "again": ("+", "only in the second build")}


def verdict(event: "Mapping[str, Any]") -> "list[str]":
    """The lines of a ``Verified``: each step that differs, and below it its files."""
    layers, differing = event["layers"], event["differing"]
    if not differing:
        return [f"reproducible: {_count(layers, 'layer')} the same in two builds"]
    lines = [f"not reproducible: {len(differing)} of {_count(layers, 'layer')} differ between two builds"]
    for step in differing:
        lines += ["", f"{step['place']}  {step['title']}"]
        for file in step["files"]:
            lines += _lines(file)
        if step["more"]:
            lines.append(f"  … and {_count(step['more'], 'more file')}")
    return lines


def _lines(file: "Mapping[str, Any]") -> "Iterator[str]":
    if file["where"] in _WHERE:
        mark, words = _WHERE[file["where"]]
        yield f"  {mark} {file['path']}  {words}"
        return
    heads = [each.partition("\n")[0] for each in file["how"]]
    yield f"  ~ {file['path']}  {', '.join(heads)}"
    for each in file["how"]:
        sides = each.split("\n")[1:]
        for name, text in zip(("first", "second"), sides, strict=False):
            yield f"      {name:<6}  {text}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
