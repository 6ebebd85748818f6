"""``top``: which columns ps's words stand for, and how they are filled."""

import os

import pytest

from kist.engine.top import clock, columns_of, parse_ps, table
from kist.errors import InvalidInput


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
        ("-e -f", "UID PID PPID C STIME TTY TIME CMD"),
        ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-o pid,cmd", "PID CMD"),
        ("-opid,cmd", "PID CMD"),
        ("-eo pid -o etime,args", "PID ELAPSED COMMAND"),
        ("-e -o user,pid,comm", "USER PID COMMAND"),
    ],
)
def test_the_usual_columns(arguments: str, titles: str) -> None:
    found = columns_of(arguments)
    assert found is not None
    assert [title for title, _ in found] == titles.split()


@pytest.mark.parametrize("arguments", ["-o pid,wchan", "--forest -ef", "-o pid=X", "-L", "-o"])
def test_what_only_ps_knows(arguments: str) -> None:
    assert columns_of(arguments) is None


def test_this_process() -> None:
    _, [[pid, name, user]] = table([os.getpid()], "-o pid,comm,uid")
    assert (pid, user) == (str(os.getpid()), str(os.geteuid()))
    with open("/proc/self/comm", encoding="utf-8") as file:
        assert name == file.read().strip()


def test_a_process_that_has_ended_is_left_out() -> None:
    assert table([2**22 + 5], "-ef")[1] == []


def test_columns_without_the_pid_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Couldn't find PID field"):
        table([os.getpid()], "-o comm")


def test_what_ps_printed_is_filtered_by_pid() -> None:
    text = "  PID  PPID COMMAND\n    1     0 init of all\n   23     1 sh -c a b\n"
    assert parse_ps(text, frozenset({23})) == (["PID", "PPID", "COMMAND"], [["23", "1", "sh -c a b"]])
    with pytest.raises(InvalidInput, match="PID field"):
        parse_ps("COMMAND\nx\n", frozenset({1}))


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00:00"), (3661.9, "01:01:01"), (90061, "1-01:01:01")])
def test_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
