"""What ``kist load`` shows of Docker's stream."""

from typing import Any

from kist.cli.commands import load


def progress(layer: str, current: int) -> dict[str, Any]:
    return {"status": "Loading layer", "id": layer, "progressDetail": {"current": current, "total": 10}}


def test_layers_are_steps_that_come_one_after_the_other():
    loaded: list[str] = []
    lines = [
        progress("a", 1), progress("a", 10), progress("b", 5),
        {"stream": "Loaded image: x:1\n"}, {"stream": "Loaded image ID: sha256:00\n"},
    ]  # fmt: skip
    events = list(load._events(iter(lines), loaded))
    assert [(event["type"].removeprefix("step-"), event["id"]) for event in events] == [
        ("started", "a"), ("progress", "a"), ("progress", "a"), ("finished", "a"),
        ("started", "b"), ("progress", "b"), ("finished", "b"),
    ]  # fmt: skip
    assert [(event["done"], event["total"]) for event in events if event["type"] == "step-progress"] == [
        (1, 10), (10, 10), (5, 10),
    ]  # fmt: skip
    assert loaded == ["Loaded image: x:1", "Loaded image ID: sha256:00"]


def test_where_all_is_here_nothing_is_shown():
    loaded: list[str] = []
    assert list(load._events(iter([{"stream": "Loaded image: x:1\n"}]), loaded)) == []
    assert loaded == ["Loaded image: x:1"]
