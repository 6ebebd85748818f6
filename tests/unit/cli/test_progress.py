"""Progress in plain lines, and what of a command's output a terminal may see."""

from typing import Any

import pytest

from kist.cli.context import Context
from kist.cli.progress.plain import PlainProgress
from kist.cli.progress.quiet import QuietProgress
from kist.cli.progress.steps import Step, clean, seconds
from kist.spec.json import to_builtins
from kist.spec.progress import Event, StepFinished, StepOutput, StepProgress, StepStarted, Warned
from screen import COLUMNS, shown

BUILD: list[Event] = [
    StepStarted("a", "FROM x", 1, 3),
    StepFinished("a", 0.0, cached=True),
    StepStarted("b", "RUN make", 2, 3),
    StepOutput("b", "stdout", "cc -c a"),
    StepOutput("b", "stdout", ".c\nlast words"),
    StepFinished("b", 1.24),
    StepStarted("c", "fetch"),
    StepProgress("c", 10, 100, "bytes"),
    StepProgress("c", 60, 100, "bytes"),
    StepProgress("c", 61, 100, "bytes"),
    Warned("careful"),
    StepFinished("c", 0.1, error="no luck"),
]


def plain(event: Event) -> dict[str, Any]:
    """The event as it comes over the socket."""
    found: dict[str, Any] = to_builtins(event)
    return found


def without_times(text: str) -> list[str]:
    """The time since a step's begin is the only number with two decimals behind a step's mark."""
    lines = []
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) > 2 and words[1].replace(".", "").isdigit() and "." in words[1]:
            words[1] = "T"
        lines.append(" ".join(words))
    return lines


def test_long_lines_are_cut_and_steps_are_closed(capsys: pytest.CaptureFixture[str]) -> None:
    long = "RUN echo " + "x" * 5000
    failed = f"The command '/bin/sh -c {long}' returned a non-zero code: 7"
    events: list[Event] = [
        StepStarted("a", long, 1, 3),
        StepStarted("b", "RUN two", 2, 3),
        StepStarted("c", "RUN three", 3, 3),
        StepFinished("a", 1.0, error=failed),
        StepFinished("b", 1.0, error="cancelled", cancelled=True),
    ]
    show = PlainProgress(Context({"NO_COLOR": "1"}))
    for event in events:
        show(plain(event))
    show.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    first, *middle, failure, cancelled, closed = capsys.readouterr().err.splitlines()
    assert first.startswith("#1 [1/3] RUN echo xxx")
    assert len(middle) == 2
    assert failure.startswith("#1 ERROR: The command '/bin/sh -c RUN echo xxx")
    assert failure.endswith("' returned a non-zero code: 7")
    assert all(len(line) < 180 for line in (first, failure))
    assert [cancelled, closed] == ["#2 CANCELED", "#3 CANCELED"]


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(Context({"NO_COLOR": "1"})) as show:
        for event in BUILD:
            show(plain(event))
    out, err = capsys.readouterr()
    assert out == ""
    assert without_times(err) == [
        "#1 [1/3] FROM x",
        "#1 CACHED",
        "#2 [2/3] RUN make",
        "#2 T cc -c a.c",
        "#2 T last words",
        "#2 DONE 1.2s",
        "#3 fetch",
        "#3 60B / 100B",
        "warning: careful",
        "#3 ERROR: no luck",
    ]


def test_quiet_until_something_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with QuietProgress(Context({"NO_COLOR": "1"})) as show:
        checked = Warned("FromAsCasing: … (line 1)", rule="FromAsCasing")
        for event in (*BUILD[:6], checked, StepStarted("d", "RUN x", 3, 3), StepOutput("d", "stderr", "bad\nworse")):
            show(plain(event))
        assert capsys.readouterr().err == ""
        show(plain(StepFinished("d", 0.1, error="it failed")))
    assert capsys.readouterr().err.splitlines() == ["[3/3] RUN x", "bad", "worse"]


def test_live_output_of_a_failed_step_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from kist.cli.progress.live import LiveProgress

    with LiveProgress(Context({"NO_COLOR": "1", "TERM": "xterm"})) as show:
        show(plain(StepStarted("d", "RUN [x]", 3, 3)))
        show(plain(StepOutput("d", "stdout", "".join(f"line {n}\n" for n in range(20)))))
        show(plain(StepProgress("d", 1, 2, "packages")))
        show(plain(StepFinished("d", 0.1, error="it failed")))
    err = capsys.readouterr().err
    assert "RUN [x]" in err
    assert all(f"line {n}" in err for n in range(20))


def test_what_is_told_and_what_moves_do_not_come_between_one_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takes away the other, by the height that it had: on a terminal nothing but what is told remains."""
    from kist.cli.progress import live

    monkeypatch.setattr(live, "_INTERVAL", 0.0005)
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", str(COLUMNS)), ("LINES", "50")):
        monkeypatch.setenv(name, value)
    with live.LiveProgress(Context({"NO_COLOR": "1", "TERM": "xterm"})) as show:
        for number in range(60):
            show(plain(StepStarted(f"{number}", f"RUN {number}", number + 1, 60)))
            show(plain(StepOutput(f"{number}", "stdout", "".join(f"line {n}\n" for n in range(number % 6)))))
            if number % 3 == 2:  # up to three at a time
                for ended in range(number - 2, number + 1):
                    show(plain(StepFinished(f"{ended}", 1.0)))
    said = capsys.readouterr().err.replace("\n", "\r\n")  # as a terminal's driver does
    rows = [line for line in shown(said.encode()) if line]
    assert [row.split()[:4] for row in rows] == [["✓", f"[{n + 1}/60]", "RUN", f"{n}"] for n in range(60)]


@pytest.mark.parametrize(
    ("line", "shown_as"),
    [("10%\r50%\r100%", "100%"), ("done\r", "done"), ("\x1b[31mred\x1b[0m", "red"), ("\x1b[2J\x1b[1;1Hx", "x"),
     ("a\x07b", "a b"), ("\x1b]0;title\x07x", "0;title x"), ("tab\there", "tab here"), ("", "")],
)  # fmt: skip
def test_what_a_command_prints_cannot_drive_the_terminal(line: str, shown_as: str) -> None:
    assert clean(line) == shown_as


def test_streams_keep_their_own_open_lines() -> None:
    step = Step(1, plain(StepStarted("a", "t")), 0.0)
    assert step.print(plain(StepOutput("a", "stdout", "out"))) == []
    assert step.print(plain(StepOutput("a", "stderr", "err\n"))) == ["err"]
    assert step.print(plain(StepOutput("a", "stdout", "put\n"))) == ["output"]


def test_times() -> None:
    assert [seconds(0.04), seconds(99.94), seconds(125.7)] == ["0.0s", "99.9s", "2m 5s"]
