"""Reading and writing tar, against the standard library's tarfile."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import Corrupt, InvalidInput, KistError, Unsupported
from kist.image import tar as t
from kist.image.tar import Entry, TarReader
from kist.image.tarwriter import TarWriter


class Dribble:
    """A stream that gives a few bytes at a time, as pipes and sockets do."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._step) if size >= 0 else self._step)


def read(data: bytes, step: int = 1 << 30) -> list[tuple[Entry, bytes]]:
    reader = TarReader(Dribble(data, step))
    return [(entry, b"".join(map(bytes, reader.chunks()))) for entry in reader]


def write(entries: list[tuple[Entry, bytes]]) -> bytes:
    target = io.BytesIO()
    writer = TarWriter(target.write)
    for entry, data in entries:
        writer.add(entry)
        writer.data(data)
        writer.pad(len(data))
    writer.close()
    return target.getvalue()


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300).filter(
    lambda name: not name.endswith("/")
)
ids = st.integers(0, (1 << 32) - 2)
times = st.integers(-(1 << 35), 1 << 35)


@given(
    members=st.lists(st.tuples(names, st.binary(max_size=1500), ids, ids, times, st.integers(0, 0o7777)), max_size=5),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    step=st.sampled_from([1 << 20, 700, 512, 100]),
)
def test_what_tarfile_writes_is_read(members, form, step, tar, entry):
    made = [
        entry(name, data, uid=uid, gid=gid, mtime=mtime, mode=mode) for name, data, uid, gid, mtime, mode in members
    ]
    found = read(tar(*made, form=form), step)
    assert [(e.name.decode(), data, e.uid, e.gid, e.mtime // 10**9, e.mode) for e, data in found] == [
        (name, data, uid, gid, mtime, mode) for name, data, uid, gid, mtime, mode in members
    ]


@given(
    members=st.lists(
        st.tuples(
            names,
            st.binary(max_size=1500),
            ids,
            times,
            st.dictionaries(st.sampled_from(["user.a", "security.capability", "user.b c"]), st.binary(max_size=50)),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_by_tarfile_and_by_us(members):
    entries = [
        (Entry(name.encode(), t.REGULAR, 0o640, uid, 7, len(data), when * 10**9, b"", (0, 0), xattrs), data)
        for name, data, uid, when, xattrs in members
    ]
    written = write(entries)
    assert len(written) % 10240 == 0
    with tarfile.open(fileobj=io.BytesIO(written)) as archive:
        found = [(m.name, archive.extractfile(m).read(), m.uid, int(m.mtime)) for m in archive]
    assert found == [(name, data, uid, when) for name, data, uid, when, _ in members]
    assert read(written) == entries


@given(noise=st.binary(min_size=1, max_size=3000))
def test_any_bytes_are_read_or_refused_with_an_error_of_ours(noise):
    with contextlib.suppress(KistError):
        read(noise)
        assert not any(noise[:512])


@given(at=st.integers(0, 2047), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_is_read_or_refused_with_an_error_of_ours(at, bit, tar, entry):
    data = bytearray(tar(entry("a/b", b"x" * 600), entry("c", kind=tarfile.SYMTYPE, link="a/b")))
    data[at] ^= 1 << bit
    with contextlib.suppress(KistError):
        assert len(read(bytes(data))) <= 2


def test_every_kind_is_told(tar, entry):
    kinds = {
        "file": (tarfile.REGTYPE, t.REGULAR),
        "dir": (tarfile.DIRTYPE, t.DIRECTORY),
        "hard": (tarfile.LNKTYPE, t.HARD_LINK),
        "soft": (tarfile.SYMTYPE, t.SYMBOLIC_LINK),
        "char": (tarfile.CHRTYPE, t.CHARACTER),
        "block": (tarfile.BLKTYPE, t.BLOCK_DEVICE),
        "fifo": (tarfile.FIFOTYPE, t.FIFO),
        "old": (tarfile.AREGTYPE, t.REGULAR),
        "contiguous": (tarfile.CONTTYPE, t.REGULAR),
    }
    made = [entry(name, None, kind=kind, link="file", device=(1, 3)) for name, (kind, _) in kinds.items()]
    found = {e.name.decode().rstrip("/"): e for e, _ in read(tar(*made))}
    assert {name: found[name].kind for name in kinds} == {name: kind for name, (_, kind) in kinds.items()}
    assert found["char"].device == (1, 3)
    assert found["soft"].link == b"file"


def test_fractions_of_seconds_and_attributes_come_from_extended_headers(tar, entry):
    pax = {"mtime": "1700000000.25", "SCHILY.xattr.user.note": "hello"}
    ((found, _),) = read(tar(entry("a", pax=pax)))
    assert found.mtime == 1_700_000_000_250_000_000
    assert found.xattrs == {"user.note": b"hello"}


def test_the_size_of_a_link_is_not_content(tar, entry):
    info, _ = entry("link", kind=tarfile.LNKTYPE, link="a")
    block = info.tobuf(tarfile.USTAR_FORMAT)
    sized = bytearray(block)
    sized[124:136] = b"00000001000\0"
    sized[148:156] = b"        "
    sized[148:156] = b"%06o\0 " % sum(sized)
    after = tar(entry("after", "x"))
    assert [e.name for e, _ in read(bytes(sized) + after)] == [b"link", b"after"]


@pytest.mark.parametrize("cut", [1, 511, 513, 1023, 1100])
def test_a_cut_archive_is_corrupt_and_the_member_is_named(cut, tar, entry):
    data = tar(entry("some/file", b"x" * 1000))
    with pytest.raises(Corrupt, match="cut short"):
        read(data[:cut])


def test_an_archive_without_its_end_mark_is_whole(tar, entry):
    assert len(read(tar(entry("a", b"x" * 512))[:1024])) == 1


def test_an_archive_without_what_fills_its_last_block_is_whole_but_where_an_end_mark_must_be(tar, entry):
    data = tar(entry("a", b"x" * 1000), entry("b", b"y" * 100))[: 2 * 512 + 1024 + 100]
    assert [content for _, content in read(data)] == [b"x" * 1000, b"y" * 100]
    with pytest.raises(Corrupt, match="cut short"):
        list(TarReader(io.BytesIO(data), end_mark=True))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda _tar, _entry: b"not a tar at all".ljust(512, b"!"), Corrupt, "checksum"),
        (lambda tar, entry: tar(entry("big", kind=b"S"), form=tarfile.GNU_FORMAT), Unsupported, "'big'.*sparse"),
        (lambda tar, entry: tar(entry("s", pax={"GNU.sparse.major": "1"})), Unsupported, "sparse"),
        (lambda tar, entry: tar(entry("m", kind=b"M")), Unsupported, "type 'M'"),
        (lambda tar, entry: tar(entry("a", uid=-1), form=tarfile.GNU_FORMAT), InvalidInput, "'a'.*owner"),
        (lambda tar, entry: tar(entry("a", pax={"uid": "many"})), Corrupt, "number"),
        (lambda tar, entry: tar(entry("a", pax={"path": "a\0b"})), Corrupt, "zero byte"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(make, error, text, tar, entry):
    with pytest.raises(error, match=text):
        read(make(tar, entry))


@pytest.mark.parametrize("record", [b"7 path", b"99 path=x\n", b"0 path=x\n", b"x path=x\n", b"9 path=xx"])
def test_a_malformed_extended_header_is_corrupt(record):
    header = Entry(b"h", b"x", 0o644, 0, 0, len(record), 0, b"", (0, 0), {})
    with pytest.raises(Corrupt, match="extended header"):
        read(write([(header, record)]))


def test_an_extended_header_has_a_limit():
    header = Entry(b"h", b"x", 0o644, 0, 0, 2 << 20, 0, b"", (0, 0), {})
    with pytest.raises(Corrupt, match="extended header of"):
        read(write([(header, bytes(2 << 20))]))


def test_one_member_has_so_many_extended_headers_at_most() -> None:
    """Each may have a megabyte, and all would be kept."""
    record = b"11 path=aa\n"
    header = Entry(b"h", b"x", 0o644, 0, 0, len(record), 0, b"", (0, 0), {})
    member = Entry(b"f", t.REGULAR, 0o644, 0, 0, 0, 0, b"", (0, 0), {})
    assert [found.name for found, _ in read(write([*[(header, record)] * 15, (member, b"")]))] == [b"aa"]
    with pytest.raises(Corrupt, match="more than 16 extended headers"):
        read(write([(header, record)] * 17))
