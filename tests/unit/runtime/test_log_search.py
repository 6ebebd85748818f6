"""A log is searched by time: what is asked for comes, whatever the clock did, and little else is read for it."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.errors import InvalidInput
from kist.runtime import logwriter
from kist.runtime.logformat import Run, runs, stamp
from kist.runtime.loggrep import Grep
from kist.runtime.logreader import LogReader
from kist.runtime.logwriter import UNORDERED, LogWriter

_SECOND = 1_000_000_000
_START = 1_767_225_600 * _SECOND
_LINES = 4_000
_LINES_IN_ALL = 32_000_000 // 230


class Clock:
    """Stands in for the machine's clock, which no test can set back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = _START
        monkeypatch.setattr(logwriter.time, "time_ns", lambda: self.now)


def found(path: Path, since: int = 0, until: int = 0) -> list[tuple[int, bytes]]:
    with LogReader(str(path), since=since, until=until) as reader:
        return [(record.time, record.data) for run in reader.runs() for record in run.records()]


def bytes_read() -> int:
    """What this process has read so far, as the kernel counts it (proc(5), /proc/pid/io)."""
    with open("/proc/self/io", encoding="ascii") as file:
        return int(file.readline().removeprefix("rchar:"))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "packed"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 MB in eight files, a line a millisecond."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock(monkeypatch)
        path = tmp_path_factory.mktemp("large") / "log"
        writer = LogWriter(str(path), 4_000_000, 9, compress=request.param)
        filler = random.Random(3).randbytes(90).hex().encode()
        for number in range(_LINES_IN_ALL):
            clock.now += 1_000_000
            writer.write("stdout", b"%08d " % number + filler + b"\n")
        writer.close()
    return path


@pytest.mark.parametrize(
    ("since", "until", "tail", "most"),
    [
        (-2, 0, None, 4 << 20),
        (130, 131, None, 4 << 20),
        (0, 1, None, 5 << 20),
        (0, 0, 10, 1 << 20),
        (0, 0, 2_000, 3 << 19),
    ],
)
def test_little_is_read_for_a_part_of_a_large_log(
    large: Path, since: int, until: int, tail: int | None, most: int
) -> None:
    last = _LINES_IN_ALL
    begin = last + since * 1000 if since < 0 else since * 1000
    before = bytes_read()
    with LogReader(
        str(large),
        since=_START + begin * 1_000_000 if since else 0,
        until=_START + until * _SECOND if until else 0,
        tail=tail,
    ) as reader:
        numbers = [int(text[:8]) + 1 for run in reader.runs() for text in run.texts()]
    read = bytes_read() - before
    print(f"{read:,} bytes read for {len(numbers):,} lines of a log of 32 MB")
    lowest = last - tail + 1 if tail else max(begin, 1)
    assert numbers == list(range(lowest, (until * 1000 if until else last) + 1))
    assert read < most


@pytest.mark.parametrize("max_bytes", [3 * UNORDERED, UNORDERED // 2])
@pytest.mark.parametrize("compress", [False, True])
def test_a_clock_that_jumps_hides_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int, compress: bool
) -> None:
    clock, chance = Clock(monkeypatch), random.Random(5)
    writer = LogWriter(str(tmp_path / "log"), max_bytes, 99, compress=compress)
    times = []
    for number in range(_LINES):
        clock.now += chance.randrange(1, 15_000_000)
        if chance.random() < 0.004:
            clock.now += chance.randrange(-100, 100) * _SECOND
        times.append(clock.now)
        writer.write("stdout", b"%d " % number + b"x" * 500 + b"\n")
    writer.close()
    everything = found(tmp_path / "log")
    assert [int(data.split()[0]) for _, data in everything] == list(range(_LINES)), "their order is that of printing"
    # A few wide windows and many narrow ones, so that there are many edges and little to compare.
    for width in [_LINES] * 6 + [80] * 60:
        first = chance.randrange(len(times))
        since, until = sorted(chance.choice(times[first : first + width]) + chance.randrange(-2, 3) for _ in range(2))
        assert found(tmp_path / "log", since, until) == [each for each in everything if since <= each[0] <= until]
        if width == _LINES:
            assert found(tmp_path / "log", since) == [each for each in everything if each[0] >= since]


def test_a_clock_that_jumps_to_and_fro_costs_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    writer = LogWriter(str(tmp_path / "log"), 64 << 20, 8)
    for number in range(1000):
        clock.now += _SECOND if number % 2 else -_SECOND
        writer.write("stdout", b"%d\n" % number)
    writer.close()
    assert os.listdir(tmp_path) == ["log"]


@settings(deadline=None)
@given(
    records=st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), st.binary(max_size=9)
        ),
        max_size=40,
    )
)
def test_runs_are_the_records_in_their_order(records: list[tuple[int, str, str, bytes]]) -> None:
    plain = [(second, stream, tag, text.replace(b"\n", b"")) for second, stream, tag, text in records]
    heads = [stamp(_START + second) + f" {stream} {tag} ".encode() for second, stream, tag, _ in plain]
    block = b"".join(head + text + b"\n" for head, (_, _, _, text) in zip(heads, plain, strict=True))
    assert [(run.head, text) for run in runs(block) for text in run.texts()] == [
        (head, text) for head, (_, _, _, text) in zip(heads, plain, strict=True)
    ]


def test_text_that_looks_like_a_head_is_text() -> None:
    head = stamp(_START) + b" stdout F "
    block = head + b"a" + head + b"b\n" + head + head + b"\n"
    (run,) = runs(block)
    assert run.texts() == [b"a" + head + b"b", head]
    assert run.joined() == b"a" + head + b"b\n" + head + b"\n"


def test_what_is_no_record_is_left_out() -> None:
    head = stamp(_START) + b" stdout F "
    block = b"rubbish\n\n" + head + b"text\n" + b"more rubbish, as long as the head of a record is\n"
    assert [run.texts() for run in runs(block)] == [[b"text"]]


# grep

_HEAD = stamp(_START) + b" stdout F "
_PART = stamp(_START) + b" stdout P "


def matched(pattern: str, *lines: Run, ignore_case: bool = False) -> list[bytes]:
    grep = Grep(pattern, ignore_case=ignore_case)
    return [run.joined() for run in (*grep.select(lines), *grep.rest())]


def test_lines_that_match_stay_and_the_others_go() -> None:
    body = (b"\n" + _HEAD).join([b"one", b"two", b"three", b"TWO"]) + b"\n"
    assert matched("t[wh]", Run(_HEAD, body)) == [b"two\nthree\n"]
    assert matched("two", Run(_HEAD, body)) == [b"two\n"]
    assert matched("two", Run(_HEAD, body), ignore_case=True) == [b"two\nTWO\n"]
    assert matched("^.{3}$", Run(_HEAD, body)) == [b"one\ntwo\nTWO\n"]
    assert matched("four", Run(_HEAD, body)) == []


def test_a_pattern_is_matched_in_text_and_in_what_is_none() -> None:
    assert matched("^f.r$", Run(_HEAD, "für\n".encode())) == ["für\n".encode()]
    assert matched("x", Run(_HEAD, b"\xff\x00x\n")) == [b"\xff\x00x\n"]


def test_a_line_in_parts_is_matched_as_one() -> None:
    parts = [Run(_PART, b"begin"[:5] + b"\n"), Run(_PART, b"middle\n"), Run(_HEAD, b"end\n"), Run(_HEAD, b"next\n")]
    assert matched("nmid.*eend", *parts) == [b"beginmiddleend\n"]
    assert matched("next", *parts) == [b"next\n"]
    assert matched("ginm", *parts[:2]) == [b"beginmiddle"], "the output ended there"


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", "(?P<x"])
def test_a_malformed_pattern_is_pointed_at(pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"invalid pattern for grep: (.|\n)*\^"):
        Grep(pattern)
