"""The log: what goes in comes out, in any pieces, across files, and never beyond its bounds."""

import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.runtime import logwriter
from kist.runtime.logreader import LogReader, Position, parse, timestamp
from kist.runtime.logwriter import LogWriter

STREAMS = st.sampled_from(["stdout", "stderr"])


def written(path: Path, pieces: list[tuple[str, bytes]], *, max_bytes: int = 1 << 30, max_files: int = 8) -> LogReader:
    writer = LogWriter(str(path), max_bytes, max_files)
    for stream, data in pieces:
        writer.write(stream, data)
    writer.close()
    assert writer.dropped == 0
    return LogReader(str(path))


def text_of(reader: LogReader, stream: str, position: Position | None = None) -> bytes:
    records = [parse(line) for _, line in reader.lines(position)]
    return b"".join(record.data for record in records if record.stream == stream)


@settings(deadline=None)
@given(
    pieces=st.lists(
        st.tuples(STREAMS, st.binary(max_size=60) | st.lists(st.just(b"\n"), max_size=5).map(b"".join)), max_size=30
    )
)
def test_any_bytes_in_any_pieces_come_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, bytes]]
) -> None:
    reader = written(tmp_path_factory.mktemp("log") / "log", pieces)
    for stream in ("stdout", "stderr"):
        assert text_of(reader, stream) == b"".join(data for name, data in pieces if name == stream)


@pytest.mark.parametrize("length", [logwriter.MAX_LINE - 1, logwriter.MAX_LINE, logwriter.MAX_LINE + 1, 100_000])
@pytest.mark.parametrize("chunk", [1000, 1 << 14, 1 << 16])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_is_kept_in_parts_that_join_again(
    tmp_path: Path, length: int, chunk: int, end: bytes
) -> None:
    text = os.urandom(length).replace(b"\n", b"x") + end
    pieces = [("stdout", text[start : start + chunk]) for start in range(0, len(text), chunk)]
    reader = written(tmp_path / "log", pieces)
    assert text_of(reader, "stdout") == text
    assert all(len(line) < logwriter.MAX_LINE + chunk + 100 for _, line in reader.lines())


def test_times_are_nanoseconds_of_the_epoch_and_grow(tmp_path: Path) -> None:
    assert timestamp(b"2026-02-28T23:59:59.000000007Z stdout F x\n") == 1772323199_000000007
    reader = written(tmp_path / "log", [("stdout", b"a\n"), ("stderr", b"b\n")])
    first, second = (parse(line).time for _, line in reader.lines())
    assert 1_700_000_000_000_000_000 < first <= second


@settings(deadline=None, max_examples=30)
@given(
    lines=st.lists(st.integers(0, 300), min_size=1, max_size=120),
    max_bytes=st.integers(200, 2000),
    max_files=st.integers(1, 4),
)
def test_rotation_keeps_the_end_of_the_output_within_the_bound(
    tmp_path_factory: pytest.TempPathFactory, lines: list[int], max_bytes: int, max_files: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    pieces = [("stdout", b"%d:" % number + b"x" * length + b"\n") for number, length in enumerate(lines)]
    reader = written(path, pieces, max_bytes=max_bytes, max_files=max_files)
    files = glob.glob(f"{path}*")
    assert len(files) <= max_files
    assert sum(map(os.path.getsize, files)) <= max_files * max(max_bytes, 400)
    kept = text_of(reader, "stdout")
    assert b"".join(data for _, data in pieces).endswith(kept)
    assert kept


def test_a_writer_goes_on_where_another_ended(tmp_path: Path) -> None:
    written(tmp_path / "log", [("stdout", b"first\n")])
    assert text_of(written(tmp_path / "log", [("stdout", b"second\n")]), "stdout") == b"first\nsecond\n"


@pytest.mark.parametrize("count", [0, 1, 2, 7, 39, 40, 41, 1000])
@pytest.mark.parametrize("max_bytes", [300, 1 << 20])
def test_the_tail_is_the_last_records_across_files(tmp_path: Path, count: int, max_bytes: int) -> None:
    texts = [b"line %d\n" % number for number in range(40)]
    reader = written(tmp_path / "log", [("stdout", text) for text in texts], max_bytes=max_bytes, max_files=99)
    expected = b"".join(texts[-count:] if count else [])
    assert text_of(reader, "stdout", reader.tail(count)) == expected


def test_the_tail_of_a_large_file_is_found_over_blocks(tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % number for number in range(60_000))
    reader = written(tmp_path / "log", [("stdout", text)])
    assert os.path.getsize(tmp_path / "log") > 2 << 20
    assert text_of(reader, "stdout", reader.tail(50_000)) == b"".join(b"%d\n" % n for n in range(10_000, 60_000))


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    reader = LogReader(str(tmp_path / "none"))
    assert list(reader.lines()) == []
    assert reader.tail(5) == reader.end() == Position()


def test_a_position_holds_over_rotation(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 300, 99)
    reader = LogReader(str(tmp_path / "log"))
    position: Position | None = None
    seen = b""
    for number in range(60):
        writer.write("stdout", b"line %d\n" % number)
        if number % 7 == 0:
            for reached, line in reader.lines(position):
                seen += parse(line).data
                position = reached
    writer.close()
    assert seen + text_of(reader, "stdout", position) == b"".join(b"line %d\n" % n for n in range(60))


def test_the_end_is_a_position(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 1 << 20, 2)
    reader = LogReader(str(tmp_path / "log"))
    writer.write("stdout", b"old\n")
    position = reader.end()
    writer.write("stdout", b"new\n")
    writer.close()
    assert text_of(reader, "stdout", position) == b"new\n"


def test_rotation_while_a_reader_is_under_way_loses_and_doubles_nothing(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 300, 99)
    reader = LogReader(str(tmp_path / "log"))
    for number in range(30):
        writer.write("stdout", b"%d\n" % number)
    seen = []
    position: Position | None = None
    for number, (at, line) in enumerate(reader.lines()):
        seen.append(int(parse(line).data))
        position = at
        writer.write("stdout", b"%d\n" % (30 + number))
    seen += [int(parse(line).data) for _, line in reader.lines(position)]
    writer.close()
    assert seen == list(range(len(seen)))
    assert len(seen) >= 60


def test_a_gap_in_the_numbers_of_a_rotation_under_way_hides_nothing(tmp_path: Path) -> None:
    reader = written(
        tmp_path / "log", [("stdout", b"%d\n" % number) for number in range(40)], max_bytes=400, max_files=99
    )
    assert (tmp_path / "log.3").exists()
    before = text_of(reader, "stdout")
    for number in range(len(glob.glob(f"{tmp_path}/log.*")), 1, -1):
        (tmp_path / f"log.{number}").rename(tmp_path / f"log.{number + 1}")
        assert text_of(reader, "stdout") == before


def test_a_position_in_a_file_that_is_gone_never_cuts_a_record(tmp_path: Path) -> None:
    reader = written(tmp_path / "log", [("stdout", b"one\ntwo\n")])
    inode = (tmp_path / "log").stat().st_ino
    assert text_of(reader, "stdout", Position(inode, 17)) == b"one\ntwo\n"
    assert text_of(reader, "stdout", Position(inode, 1 << 20)) == b"one\ntwo\n"


def test_a_record_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    reader = written(tmp_path / "log", [("stdout", b"whole\n")])
    with (tmp_path / "log").open("ab") as file:
        file.write(b"2026-01-01T00:00:00.000000000Z stdout F hal")
        file.flush()
        *_, (position, _line) = reader.lines()
        assert text_of(reader, "stdout") == b"whole\n"
        file.write(b"f\n")
    assert text_of(reader, "stdout", position) == b"half\n"


def test_a_directory_that_was_removed_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    writer = LogWriter(str(tmp_path / "gone" / "log"), 100, 3)
    writer.write("stdout", b"kept\n")
    (tmp_path / "gone" / "log").unlink()
    (tmp_path / "gone").rmdir()
    for _ in range(10):
        writer.write("stdout", b"x" * 60 + b"\n")
    writer.close()
    assert writer.dropped == 10


_FULL_DISK = """
import glob, os, sys
from kist.kernel import mounts, namespaces
from kist.runtime.logreader import LogReader, parse
from kist.runtime.logwriter import LogWriter
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
directory, options, max_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
mounts.mount("tmpfs", directory, "tmpfs", 0, options)
writer = LogWriter(directory + "/log", max_bytes, 4)
for number in range(3000):
    writer.write("stdout", b"line %d " % number + b"x" * 50 + b"\\n")
assert writer.dropped > 0, "the disk was never full"
before = writer.dropped
kept = [parse(line).data for _, line in LogReader(directory + "/log").lines()]
assert len(kept) > 10 and all(data.startswith(b"line ") and data.endswith(b"x\\n") for data in kept), kept
mounts.mount(None, directory, None, mounts.MS_REMOUNT, "size=10m,nr_inodes=100")
writer.write("stdout", b"room again\\n")
writer.close()
assert writer.dropped == before
assert [parse(line).data for _, line in LogReader(directory + "/log").lines()] == [*kept, b"room again\\n"]
print(sorted(os.listdir(directory)))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
@pytest.mark.parametrize(
    ("options", "max_bytes", "files"),
    [("size=64k", 1 << 20, ["log"]), ("size=10m,nr_inodes=3", 20_000, ["log", "log.1"])],
)
def test_a_full_disk_costs_lines_and_no_others(tmp_path: Path, options: str, max_bytes: int, files: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path), options, str(max_bytes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(files) <= set(eval(done.stdout))
    assert not os.listdir(tmp_path), "the mount was seen outside"
