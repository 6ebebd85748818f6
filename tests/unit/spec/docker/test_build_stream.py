"""The classic builder's stream of a build whose steps ran side by side."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from kist.spec.docker.build_stream import BuildStream
from kist.spec.progress import Event, Failed, Finished, StepFinished, StepOutput, StepProgress, StepStarted, Warned


def told(events: Sequence[Event]) -> str:
    """All text of the stream."""
    stream = BuildStream()
    return "".join(line.get("stream", line.get("error", "")) for event in events for line in stream(event))


def started(number: int) -> StepStarted:
    return StepStarted(str(number), f"RUN {number}", number, 3)


def says(number: int, text: str) -> StepOutput:
    return StepOutput(str(number), "stdout", text)


def finished(number: int, error: str = "", *, cancelled: bool = False) -> StepFinished:
    return StepFinished(str(number), 1.0, error=error, cancelled=cancelled)


def test_steps_pass_in_the_order_of_the_plan() -> None:
    events = [started(1), started(2), says(2, "b"), says(1, "a"), finished(2), started(3), says(3, "c"), finished(1)]
    assert told(events) == "Step 1/3 : RUN 1\naStep 2/3 : RUN 2\nbStep 3/3 : RUN 3\nc"


def test_the_step_whose_turn_it_is_speaks_at_once() -> None:
    assert told([started(1), started(2), says(1, "a")]) == "Step 1/3 : RUN 1\na"
    assert told([started(1), started(2), says(2, "b"), finished(1)]).endswith("Step 2/3 : RUN 2\nb")
    assert told([started(1), started(2), finished(1), says(2, "b")]).endswith("Step 2/3 : RUN 2\nb")


@given(st.permutations(range(9)))
def test_whatever_the_order_all_is_told_step_by_step(order: list[int]) -> None:
    """Nine events of three steps in any order that keeps each step's own."""
    of_step = {number: [started(number), says(number, f"{number}\n"), finished(number)] for number in (1, 2, 3)}
    events: list[Event] = [of_step[place % 3 + 1].pop(0) for place in order]
    assert told(events) == "".join(f"Step {number}/3 : RUN {number}\n{number}\n" for number in (1, 2, 3))


def test_the_cause_of_a_failure_is_told_last() -> None:
    events = [
        started(1), says(1, "a\n"), started(2), started(3), says(3, "c\n"), says(2, "b\n"), finished(2, "why"),
        finished(1, "cancelled", cancelled=True), finished(3, "cancelled", cancelled=True), Failed("KistError", "why"),
    ]  # fmt: skip
    assert told(events) == "Step 1/3 : RUN 1\na\nStep 3/3 : RUN 3\nc\nStep 2/3 : RUN 2\nb\nwhy"


def test_what_is_held_of_a_step_is_bounded() -> None:
    part = "x" * 1000
    events = [started(1), started(2), *(says(2, part) for _ in range(3000)), says(2, "the end\n"), finished(1)]
    text = told(events)
    assert len(text) < 1_100_000
    assert "characters of output are left out]\n" in text
    assert text.endswith("the end\n")


def test_what_is_of_no_step_passes_at_once() -> None:
    assert told([started(1), started(2), Warned("w")]).endswith("[Warning] w\n")
    assert told([started(1), StepProgress("1", 5, 0, "seconds"), finished(1), Finished("sha256:abc")]).endswith(
        "Successfully built abc\n"
    )
