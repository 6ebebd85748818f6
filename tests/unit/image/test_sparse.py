"""Sparse files in archives (GNU's format 1.0): written so that tar and Python read them, read back with their holes."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.errors import Corrupt, Unsupported
from kist.image import tar
from kist.image.layers import unpack
from kist.image.nodes import write_segments
from kist.image.pack import Packer
from kist.image.tar import Entry, TarReader
from kist.image.tarwriter import TarWriter

KILO = 1024


def packed(directory: Path) -> bytes:
    made = io.BytesIO()
    packer = Packer(made.write, sparse=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        packer.directory(descriptor, b"./")
        packer.close()
    finally:
        os.close(descriptor)
    return made.getvalue()


def sparse_file(path: Path, parts: dict[int, bytes], size: int) -> None:
    with path.open("wb") as file:
        for begin, data in parts.items():
            file.seek(begin)
            file.write(data)
        file.truncate(size)


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        ({}, 1 << 20),
        ({0: b"begin"}, 1 << 20),
        ({(1 << 20) - 3: b"end"}, 1 << 20),
        ({256 * KILO: b"x" * 5000, 700 * KILO: b"y"}, (1 << 20) + 1),
        ({number * 64 * KILO: b"part" for number in range(100)}, 8 << 20),
    ],
)
def test_holes_survive_the_way(tmp_path: Path, parts: dict[int, bytes], size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    name = "n" * 120  # too long for a plain header
    sparse_file(source / name, parts, size)
    (source / "plain").write_bytes(b"plain")
    archive = packed(source)
    assert len(archive) < size
    unpack(io.BytesIO(archive), str(target), devices=False, sparse=True)
    assert (target / name).read_bytes() == (source / name).read_bytes()
    assert (target / "plain").read_bytes() == b"plain"
    assert (target / name).stat().st_blocks <= (source / name).stat().st_blocks
    with tarfile.open(fileobj=io.BytesIO(archive)) as other:
        found = other.extractfile(f"./{name}")
        assert found is not None
        assert found.read() == (source / name).read_bytes()


def test_who_does_not_ask_for_them_gets_none(tmp_path: Path) -> None:
    sparse_file(tmp_path / "file", {}, 1 << 20)
    with pytest.raises(Unsupported, match="sparse"):
        list(TarReader(io.BytesIO(packed(tmp_path))))


def archive_of(text: bytes, size: int, stored: int, kind: bytes = tar.REGULAR) -> bytes:
    made = io.BytesIO()
    writer = TarWriter(made.write)
    entry = Entry(b"file", kind, 0o644, 0, 0, size, 0, b"", (0, 0), {})
    writer.add_sparse(entry, [])
    writer.close()
    # The map of none is a block with "0\n": another one is put in its place.
    whole = made.getvalue()
    place = whole.index(b"0\n" + bytes(510))
    header = whole[place - 512 : place]
    content = text + bytes(-len(text) % 512) + b"c" * stored
    changed = header[:124] + b"%011o\0" % len(content) + header[136:]
    changed = changed[:148] + b"        " + changed[156:]
    changed = changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]
    return whole[: place - 512] + changed + content + bytes(-len(content) % 512) + bytes(1024)


def test_a_map_that_is_right() -> None:
    reader = TarReader(io.BytesIO(archive_of(b"2\n0\n3\n100\n4\n", 200, 7)), sparse=True)
    (entry,) = [found for found in reader if list(reader.chunks())]
    assert (entry.size, entry.segments) == (200, ((0, 3), (100, 4)))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (b"1\n0\n", 0),  # cut short
        (b"1\n0\n8\n", 7),
        (b"2\n100\n4\n0\n3\n", 7),  # out of order
        (b"2\n0\n4\n3\n3\n", 7),  # one over the other
        (b"1\n199\n2\n", 2),  # beyond the end
        (b"1\n-1\n2\n", 2),
        (b"1\n0\n-2\n", 0),
        (b"x\n", 0),
        (b"99999999999\n", 0),
        (b"1" * (8 << 20), 0),  # which would take minutes, were the line put together block by block
        (b"", 0),
    ],
)
def test_maps_that_cannot_be(text: bytes, stored: int) -> None:
    with pytest.raises(Corrupt, match="sparse"):
        list(TarReader(io.BytesIO(archive_of(text, 200, stored)), sparse=True))


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.tuples(st.integers(1, 50), st.binary(min_size=1, max_size=40)), max_size=6),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_segments_are_written_whatever_the_pieces_they_come_in(
    gaps: list[tuple[int, bytes]], sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, segments, content = b"", [], b""
    for gap, data in gaps:
        whole += bytes(gap)
        segments.append((len(whole), len(data)))
        whole += data
        content += data
    whole += bytes(3)

    def pieces() -> list[memoryview]:
        found, at = [], 0
        while at < len(content):
            size = sizes[len(found) % len(sizes)]
            found.append(memoryview(content[at : at + size]))
            at += size
        return found

    path = tmp_path_factory.getbasetemp() / "segments"
    entry = Entry(b"x", tar.REGULAR, 0, 0, 0, len(whole), 0, b"", (0, 0), {}, tuple(segments))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_segments(file, entry, pieces())
    finally:
        os.close(file)
    assert path.read_bytes() == whole
