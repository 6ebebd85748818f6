"""Events of which a reader hears some."""

from pathlib import Path

from kist.engine.events import Events, SomeEvents
from kist.spec.event import Mark
from kist.store import Store


def test_a_reader_hears_of_its_own_and_passes_over_the_rest_once(tmp_path: Path) -> None:
    with Store(str(tmp_path)) as store:
        events = Events(store.events)
        for number in range(1200):
            mark = Mark(0, {"ci": "1"}) if number % 400 == 0 else Mark(7, {"other": "1"})
            events.note("container", f"act{number}", "id", {"ci": "1"}, mark=mark)
        looked_at = []

        def hears(event: object) -> bool:
            looked_at.append(event)
            return event.labels.get("ci") == "1"  # type: ignore[attr-defined,no-any-return]

        some = SomeEvents(events, hears)
        heard, number = [], 0
        while found := some.after(number):
            heard += [each.action for each in found]
            number = found[-1].number
        assert heard == ["act0", "act400", "act800"]
        assert some.after(number) == ()
        assert len(looked_at) == 1200
        events.note("container", "later", "id", mark=Mark(0, {"ci": "1"}))
        assert [each.action for each in some.after(number)] == ["later"]


def test_whose_an_object_was_is_kept_with_its_events(tmp_path: Path) -> None:
    with Store(str(tmp_path)) as store:
        events = Events(store.events)
        events.note("volume", "create", "v", mark=Mark(1 << 33, {"a": "b"}))
        events.note("volume", "create", "w")
        marked, plain = events.after(0)
        assert (marked.owner, marked.labels) == (1 << 33, {"a": "b"})
        assert (plain.owner, plain.labels) == (0, {})


def test_what_clients_write_is_bounded_in_an_event(tmp_path: Path) -> None:
    """Thirty thousand events of three mebibytes would fill a disk."""
    labels = {f"label{number}": "x" * 10_000 for number in range(100)}
    with Store(str(tmp_path)) as store:
        events = Events(store.events)
        events.note("container", "exec_start: " + "y" * 3_000_000, "c", {**labels, "name": "web"}, mark=Mark(5, labels))
        events.note("container", "start", "c", {"a": "b", "image": "i", "name": "web"}, mark=Mark(5, {"a": "b"}))
        large, usual = events.after(0)
    assert large.action == "exec_start: " + "y" * (4096 - 12) + "…"
    assert large.attributes["name"] == "web"
    assert sum(map(len, large.attributes.values())) <= 64 << 10
    assert (large.owner, large.labels) == (5, {})
    assert [*usual.attributes] == ["a", "image", "name"]
    assert usual.labels == {"a": "b"}
