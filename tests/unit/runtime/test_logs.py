"""The log: what goes in comes out, in any pieces, across files, and never beyond its bounds."""

import glob
import gzip
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.runtime import logwriter
from kist.runtime.logformat import HEAD, Run, nanoseconds, runs, stamp
from kist.runtime.logreader import LogReader
from kist.runtime.logwriter import LogWriter

STREAMS = st.sampled_from(["stdout", "stderr"])


def written(
    path: Path,
    pieces: list[tuple[str, bytes]],
    *,
    max_bytes: int = 1 << 30,
    max_files: int = 8,
    compress: bool = False,
) -> Path:
    writer = LogWriter(str(path), max_bytes, max_files, compress=compress)
    for stream, data in pieces:
        writer.write(stream, data)
    writer.close()
    assert writer.dropped == 0
    return path


def read(path: Path, **query: Any) -> list[Run]:
    with LogReader(str(path), **query) as reader:
        return list(reader.runs())


def text(found: Iterable[Run], stream: str = "stdout") -> bytes:
    return b"".join(run.joined() for run in found if run.stream == stream)


def texts(found: Iterable[Run]) -> list[bytes]:
    return [text for run in found for text in run.texts()]


@settings(deadline=None)
@given(
    pieces=st.lists(
        st.tuples(STREAMS, st.binary(max_size=60) | st.lists(st.just(b"\n"), max_size=5).map(b"".join)), max_size=30
    )
)
def test_any_bytes_in_any_pieces_come_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, bytes]]
) -> None:
    path = written(tmp_path_factory.mktemp("log") / "log", pieces)
    for stream in ("stdout", "stderr"):
        assert text(read(path), stream) == b"".join(data for name, data in pieces if name == stream)


@pytest.mark.parametrize("length", [logwriter.MAX_LINE - 1, logwriter.MAX_LINE, logwriter.MAX_LINE + 1, 100_000])
@pytest.mark.parametrize("chunk", [1000, 1 << 14, 1 << 16])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_is_kept_in_parts_that_join_again(
    tmp_path: Path, length: int, chunk: int, end: bytes
) -> None:
    printed = os.urandom(length).replace(b"\n", b"x") + end
    pieces = [("stdout", printed[start : start + chunk]) for start in range(0, len(printed), chunk)]
    found = read(written(tmp_path / "log", pieces))
    assert text(found) == printed
    assert all(len(piece) < logwriter.MAX_LINE + chunk + 100 for piece in texts(found))


def test_times_are_nanoseconds_of_the_epoch_and_grow(tmp_path: Path) -> None:
    assert nanoseconds(b"2026-02-28T23:59:59.000000007Z stdout F x\n") == 1772323199_000000007
    assert stamp(1772323199_000000007) == b"2026-02-28T23:59:59.000000007Z"
    path = written(tmp_path / "log", [("stdout", b"a\n"), ("stderr", b"b\n")])
    first, second = (record.time for run in read(path) for record in run.records())
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
    written(path, pieces, max_bytes=max_bytes, max_files=max_files)
    files = glob.glob(f"{path}*")
    assert len(files) <= max_files
    assert sum(map(os.path.getsize, files)) <= max_files * max(max_bytes, 400)
    kept = text(read(path))
    assert b"".join(data for _, data in pieces).endswith(kept)
    assert kept


def test_a_writer_goes_on_where_another_ended(tmp_path: Path) -> None:
    written(tmp_path / "log", [("stdout", b"first\n")])
    assert text(read(written(tmp_path / "log", [("stdout", b"second\n")]))) == b"first\nsecond\n"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 39, 40, 41, 1000])
@pytest.mark.parametrize("max_bytes", [300, 1 << 20])
def test_the_tail_is_the_last_records_across_files(tmp_path: Path, count: int, max_bytes: int, compress: bool) -> None:
    lines = [b"line %d\n" % number for number in range(40)]
    pieces = [("stdout", line) for line in lines]
    written(tmp_path / "log", pieces, max_bytes=max_bytes, max_files=99, compress=compress)
    assert bool(glob.glob(f"{tmp_path}/log.*.gz")) == (compress and max_bytes == 300)
    assert text(read(tmp_path / "log", tail=count)) == b"".join(lines[-count:] if count else [])


@pytest.mark.parametrize("compress", [False, True])
def test_the_tail_of_a_large_file_is_found_over_blocks_and_files(tmp_path: Path, compress: bool) -> None:
    pieces = [("stdout", b"".join(b"%d\n" % n for n in range(start, start + 1000))) for start in range(0, 60_000, 1000)]
    written(tmp_path / "log", pieces, max_bytes=1 << 20, compress=compress)
    assert len(glob.glob(f"{tmp_path}/log*")) >= 3
    assert text(read(tmp_path / "log", tail=50_000)) == b"".join(b"%d\n" % n for n in range(10_000, 60_000))


@pytest.mark.parametrize("compress", [False, True])
def test_one_piece_of_output_may_fill_many_files(tmp_path: Path, compress: bool) -> None:
    pieces = [("stdout", b"y\n" * 3000), ("stderr", b"y\n" * 3000), ("stdout", b"end\n")]
    path = written(tmp_path / "log", pieces, max_bytes=2000, max_files=999, compress=compress)
    assert len(glob.glob(f"{path}*")) > 120
    found = read(path)
    assert text(found) == b"y\n" * 3000 + b"end\n"
    assert text(found, "stderr") == b"y\n" * 3000
    assert text(read(path, tail=2000)) + text(read(path, tail=2000), "stderr") == b"end\n" + b"y\n" * 1999


def test_packed_files_are_gzip_for_everybody(tmp_path: Path) -> None:
    pieces = [("stdout", b"%d " % n + b"x" * 500 + b"\n") for n in range(5000)]
    written(tmp_path / "log", pieces, max_bytes=1 << 20, max_files=9, compress=True)
    packed = sorted(glob.glob(f"{tmp_path}/log.*.gz"))
    assert packed
    whole = b"".join(gzip.decompress(Path(name).read_bytes()) for name in reversed(packed))
    for name in (f"{tmp_path}/log.1", f"{tmp_path}/log"):
        if os.path.exists(name):
            whole += Path(name).read_bytes()
    assert b"".join(run.joined() for run in runs(whole)) == b"".join(data for _, data in pieces)
    assert text(read(tmp_path / "log")) == b"".join(data for _, data in pieces)


def test_a_log_that_is_not_there_is_empty_until_it_is(tmp_path: Path) -> None:
    with LogReader(str(tmp_path / "log"), tail=0) as reader:
        assert list(reader.runs()) == []
        written(tmp_path / "log", [("stdout", b"first\n")])
        assert text(reader.runs()) == b"first\n"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("every", [1, 7, 23])
def test_a_follower_through_rotations_loses_and_doubles_nothing(tmp_path: Path, every: int, compress: bool) -> None:
    writer = LogWriter(str(tmp_path / "log"), 300, 9, compress=compress)
    seen = []
    with LogReader(str(tmp_path / "log")) as reader:
        for number in range(3000):
            writer.write("stdout", b"%d\n" % number)
            if number % every == 0:
                seen += [int(line) for line in texts(reader.runs())]
        writer.close()
        seen += [int(line) for line in texts(reader.runs())]
    assert seen == list(range(3000))


def test_a_file_that_is_gone_is_read_to_its_end_by_who_had_come_to_it(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 300, 2)
    writer.write("stdout", b"0\n1\n2\n")
    with LogReader(str(tmp_path / "log")) as reader:
        block = reader.blocks()
        assert next(block).count(b"\n") == 3
        for number in range(3, 40):
            writer.write("stdout", b"%d\n" % number)
        lines = [line for part in reader.blocks() for line in texts(runs(part))]
    writer.close()
    told = [line for line in lines if line.startswith(b"kist: lines may be missing here")]
    rest = [int(line) for line in lines if line not in told]
    assert len(told) == 1
    assert rest[:2] == [3, 4], "what was in the file that it held"
    assert rest == sorted(set(rest))
    assert rest[-1] == 39


def test_rotation_while_a_reader_is_under_way_loses_and_doubles_nothing(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 300, 99)
    for number in range(30):
        writer.write("stdout", b"%d\n" % number)
    seen = []
    with LogReader(str(tmp_path / "log")) as reader:
        for number, run in enumerate(reader.runs()):
            seen += [int(line) for line in run.texts()]
            writer.write("stdout", b"%d\n" % (30 + number))
        seen += [int(line) for line in texts(reader.runs())]
    writer.close()
    assert seen == list(range(len(seen)))
    assert len(seen) >= 60


def test_a_log_that_is_removed_before_it_is_read_is_read_all_the_same(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 1 << 20, 2)
    with LogReader(str(tmp_path / "log"), outlives=True) as reader:
        assert text(list(reader.runs())) == b""
        writer.write("stdout", b"last words\n")
        writer.close()
        for path in tmp_path.iterdir():
            path.unlink()
        assert text(list(reader.runs())) == b"last words\n"
        assert text(list(reader.runs())) == b""


def test_a_gap_in_the_numbers_of_a_rotation_under_way_hides_nothing(tmp_path: Path) -> None:
    pieces = [("stdout", b"%d\n" % number) for number in range(40)]
    path = written(tmp_path / "log", pieces, max_bytes=400, max_files=99)
    assert (tmp_path / "log.3").exists()
    before = text(read(path))
    for number in range(len(glob.glob(f"{tmp_path}/log.*")), 1, -1):
        (tmp_path / f"log.{number}").rename(tmp_path / f"log.{number + 1}")
        assert text(read(path)) == before


def test_a_record_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [("stdout", b"whole\n")])
    with path.open("ab") as file, LogReader(str(path)) as reader:
        file.write(b"2026-01-01T00:00:00.000000000Z stdout F hal")
        file.flush()
        assert text(reader.runs()) == b"whole\n"
        file.write(b"f\n")
        file.flush()
        assert text(reader.runs()) == b"half\n"


@pytest.mark.parametrize("torn", [5, HEAD - 1, HEAD, HEAD + 1, HEAD + 3])
def test_what_a_killed_writer_left_in_the_middle_of_a_record_is_mended(tmp_path: Path, torn: int) -> None:
    path = written(tmp_path / "log", [("stdout", b"whole\n")])
    with path.open("ab") as file:
        file.write(b"2026-01-01T00:00:00.000000000Z stdout F half a line\n"[:torn])
    written(path, [("stdout", b"next\n")])
    left = b"half a line"[: max(0, torn - HEAD)]
    assert texts(read(path)) == [b"whole", *([left] if left else []), b"next"]


def test_a_writer_packs_what_an_earlier_one_left_unpacked(tmp_path: Path) -> None:
    pieces = [("stdout", b"%d " % number + b"x" * 100 + b"\n") for number in range(60)]
    for start in range(0, 60, 20):
        written(tmp_path / "log", pieces[start : start + 20], max_bytes=2500, max_files=99, compress=True)
    assert text(read(tmp_path / "log")) == b"".join(data for _, data in pieces)
    assert len(glob.glob(f"{tmp_path}/log.*.gz")) >= 1
    assert not glob.glob(f"{tmp_path}/*.new")


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
from kist.runtime.logreader import LogReader
from kist.runtime.logwriter import LogWriter
def texts():
    with LogReader(directory + "/log") as reader:
        return [text for run in reader.runs() for text in run.texts()]
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
directory, options, max_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
mounts.mount("tmpfs", directory, "tmpfs", 0, options)
writer = LogWriter(directory + "/log", max_bytes, 4)
for number in range(3000):
    writer.write("stdout", b"line %d " % number + b"x" * 50 + b"\\n")
assert writer.dropped > 0, "the disk was never full"
before = writer.dropped
kept = texts()
assert len(kept) > 10 and all(data.startswith(b"line ") and data.endswith(b"x") for data in kept), kept[-3:]
assert len(kept) + before == 3000, (len(kept), before)
mounts.mount(None, directory, None, mounts.MS_REMOUNT, "size=10m,nr_inodes=100")
writer.write("stdout", b"room again\\n")
writer.close()
assert writer.dropped == before
told = b"kist: %d lines are not in this log: No space left on device" % before
assert texts() == [*kept, told, b"room again"], texts()[-3:]
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
