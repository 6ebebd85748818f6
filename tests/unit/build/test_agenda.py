"""Which steps may begin."""

from hypothesis import given
from hypothesis import strategies as st

from kist.build.agenda import Agenda
from kist.build.plan import Configure, Step


def step(name: str, *requires: str) -> Step:
    return Step(name, name, Configure(), "Dockerfile:1", requires=requires)


def taken(agenda: Agenda) -> list[str]:
    return [step.id for step in agenda.take()]


def test_steps_that_need_nothing_of_one_another_begin_together() -> None:
    agenda = Agenda([step("a"), step("a1", "a"), step("b"), step("b1", "b"), step("end", "a1", "b1")])
    assert taken(agenda) == ["a", "b"]
    assert taken(agenda) == []
    agenda.finish("b")
    assert taken(agenda) == ["b1"]
    agenda.finish("a")
    agenda.finish("b1")
    assert agenda.under_way == 0
    assert taken(agenda) == ["a1"]
    assert agenda.under_way == 1
    agenda.finish("a1")
    assert taken(agenda) == ["end"]


@given(st.data())
def test_each_step_is_given_once_and_after_what_it_requires(data: st.DataObject) -> None:
    names = [str(number) for number in range(data.draw(st.integers(1, 12)))]
    steps = [
        step(name, *data.draw(st.lists(st.sampled_from(names[:place]), unique=True) if place else st.just([])))
        for place, name in enumerate(names)
    ]
    agenda, done, running = Agenda(steps), set[str](), list[str]()
    while ready := [*agenda.take()] or running:
        for each in ready if isinstance(ready[0], Step) else ():
            assert set(each.requires) <= done
            running.append(each.id)
        assert agenda.under_way == len(running)
        done.add(last := running.pop(data.draw(st.integers(0, len(running) - 1))))
        agenda.finish(last)
    assert sorted(done) == sorted(names)
