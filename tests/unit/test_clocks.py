"""A clock that jumps: durations are measured by the clocks that only go forward."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kist"
_WALL = {"time", "time_ns"}
# Ages and dates that outlive the process, so no other clock can tell them.
_MAY = {
    "store/records.py": "leases and the build cache's last use are dates on disk",
    "engine/events.py": "a client says until which date it wants events",
    "store/events.py": "old events are told by their dates",
    "kernel/processes.py": "a process's date is told from its age",
    "kernel/leftovers.py": "a cgroup's age is told by its date",
}


def _reads_wall_clock(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _WALL
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
    )


def measured(text: str) -> Iterator[int]:
    """Lines where the time of day is subtracted from, added to or compared."""
    if "time.time" not in text:
        return  # most do not, and to parse them all takes seconds
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        else:
            continue
        if any(_reads_wall_clock(part) for part in parts):
            yield node.lineno


def test_no_process_that_runs_containers_measures_by_the_time_of_day() -> None:
    found = []
    for package in ("runtime", "kernel", "engine", "store", "network"):
        for path in sorted((SOURCE / package).rglob("*.py")):
            name = str(path.relative_to(SOURCE))
            if name not in _MAY:
                found += [f"{name}:{line}" for line in measured(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_look_sees_what_it_looks_for() -> None:
    assert list(measured("deadline = time.time() + 5")) == [1]
    assert list(measured("if time.time_ns() > end: pass")) == [1]
    assert list(measured("stamp = time.time_ns()")) == []
