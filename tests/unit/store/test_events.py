"""The event log: numbered, bounded, told once, read on from any place."""

import pytest

from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.event import SystemEvent
from kist.spec.image import ContainerConfig
from kist.store import Store, events


def event(action: str, actor: str = "a", time: int = 1, **attributes: str) -> SystemEvent:
    return SystemEvent("container", action, actor, time, attributes)


def actions(found: tuple[SystemEvent, ...]) -> list[str]:
    return [each.action for each in found]


def test_a_reader_goes_on_after_the_last_number_it_saw(store: Store) -> None:
    log = store.events
    assert log.last() == 0
    log.append(event("create", name="x", image="i"))
    [first] = log.after(0)
    assert (first.attributes, first.number) == ({"name": "x", "image": "i"}, log.last())
    log.append(event("start"))
    log.append(event("die"))
    assert actions(log.after(first.number)) == ["start", "die"]
    assert actions(log.after(first.number, limit=1)) == ["start"]
    assert log.after(log.last()) == ()


def test_what_is_told_late_has_its_own_time_and_a_later_number(store: Store) -> None:
    store.events.append(event("start", time=500))
    store.events.append(event("die", time=400))
    assert actions(store.events.after(0)) == ["start", "die"]
    assert actions(store.events.after(0, since=450)) == ["start"]


def test_the_same_event_from_two_engines_is_kept_once(store: Store) -> None:
    assert store.events.append(event("exec_die", time=7), once=True)
    assert not store.events.append(event("exec_die", time=7), once=True)
    assert store.events.append(event("exec_die", time=8), once=True)
    assert store.events.append(event("oom", time=8), once=True)
    assert len(store.events.after(0)) == 3


def test_an_end_is_told_once_by_whatever_engine(store: Store) -> None:
    image = Digest("sha256:" + "0" * 64)
    options = ContainerOptions(image="x")
    store.records.add_container(Container("c" * 64, "name", image, 0, options, ContainerConfig(), ()))
    end = event("die", "c" * 64, 99)
    with Store(store.root) as other:
        assert store.events.append_end(end, 99)
        assert not other.events.append_end(end, 99)
        assert other.events.append_end(event("die", "c" * 64, 200), 200)
    assert not store.events.append_end(event("die", "gone", 5), 5), "a container without a record has no end to tell"
    assert [each.time for each in store.events.after(0)] == [99, 200]


def test_the_log_is_bounded_by_number_and_by_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST", 300)
    now = 1_000_000_000
    monkeypatch.setattr(events.time, "time_ns", lambda: events.OLDEST_NS + now)
    store.events.append(event("old", time=now - 1))
    store.events.append(event("young", time=now))
    for _ in range(254):
        store.events.append(event("more", time=now))
    assert actions(store.events.after(0, limit=2)) == ["young", "more"]
    for _ in range(512):
        store.events.append(event("more", time=now))
    kept = store.events.after(0, limit=5000)
    assert len(kept) == 300
    assert kept[-1].number == store.events.last() == 768
