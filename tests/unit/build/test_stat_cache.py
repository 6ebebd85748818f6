"""Digests of files that are kept from build to build."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.build import stat_cache
from kist.build.contents import digest, known_digest
from kist.build.selection import Selected
from kist.build.stat_cache import StatCache
from kist.build.tree import Tree
from kist.errors import InvalidInput
from kist.kernel import marks
from kist.store import Store
from kist.store.directories import takes_file_of

LONG_AGO = 1_600_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store")) as store:
        yield store


class Directory:
    """A context, and which of its files a build reads."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.store = store
        root.mkdir()

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def name_of(self, status: os.stat_result) -> str:
        """The name of a file by what stat(2) tells of it."""
        [found] = [file for file in self.root.rglob("*") if file.lstat().st_ino == status.st_ino]
        return str(found.relative_to(self.root))

    def build(self, *names: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
        """The identity of the files as a build finds it, and the names of those that were read for it."""
        known, read = StatCache.of(self.store, str(self.root)), list[str]()
        with monkeypatch.context() as patch:
            put = known.put
            patch.setattr(known, "put", lambda *given: (read.append(self.name_of(given[0])), put(*given)))
            root = os.open(self.root, os.O_RDONLY)
            try:
                tree = Tree(root, "the context", confined=True, known=known)
                found = digest(tree, (Selected(tree, name) for name in names or ["."]))
            finally:
                os.close(root)
        known.save(self.store)
        return found, sorted(read)


@pytest.fixture
def directory(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Directory:
    if marks.magic(str(tmp_path)) not in stat_cache._LOCAL:
        pytest.skip("the temporary directory is on a file system that is not believed")
    made = Directory(tmp_path / "context", store)
    for name in ("a", "b", "deep/c"):
        made.write(name, name)
    # The files are old: the clock says so, for nobody can set when a file's inode was changed.
    now = stat_cache.time.time_ns
    monkeypatch.setattr(stat_cache.time, "time_ns", lambda: now() + 10_000_000_000)
    return made


def test_what_has_not_changed_is_not_read_again(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = directory.build(monkeypatch=monkeypatch)
    assert first[1] == ["a", "b", "deep/c"]
    assert directory.build(monkeypatch=monkeypatch) == (first[0], [])


def test_what_has_changed_is_read(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = directory.build(monkeypatch=monkeypatch)
    directory.write("deep/c", "d")
    second = directory.build(monkeypatch=monkeypatch)
    assert second[1] == ["deep/c"]
    assert second[0] != first[0]
    directory.write("deep/c", "deep/c")
    assert directory.build(monkeypatch=monkeypatch) == (first[0], ["deep/c"])


@pytest.mark.parametrize("change", ["times", "other-inode", "moved"])
def test_a_file_that_pretends_to_be_the_same_is_read(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file = directory.write("a", "a")
    os.utime(file, (LONG_AGO, LONG_AGO))
    first = directory.build(monkeypatch=monkeypatch)
    if change == "times":
        file.write_text("x")
    else:
        other = directory.root.parent / "other"
        other.write_text("x")
        if change == "moved":
            os.rename(other, file)
        else:
            file.unlink()
            other.rename(file)
    os.utime(file, (LONG_AGO, LONG_AGO))
    second = directory.build(monkeypatch=monkeypatch)
    assert second[1] == ["a"]
    assert second[0] != first[0]


def test_a_file_that_was_changed_just_now_is_not_believed(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's rule: it could be changed once more within the same tick."""
    monkeypatch.setattr(stat_cache.time, "time_ns", lambda: os.stat(directory.root / "a").st_mtime_ns)
    directory.build(monkeypatch=monkeypatch)
    assert directory.build(monkeypatch=monkeypatch)[1] == ["a", "b", "deep/c"]


def test_the_same_as_without(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.build(monkeypatch=monkeypatch)
    directory.write("big", "x" * 3_000_000)
    directory.write("deep/z", "z")
    kept = directory.build(monkeypatch=monkeypatch)[0]
    root = os.open(directory.root, os.O_RDONLY)
    tree = Tree(root, "the context")
    assert digest(tree, [Selected(tree, ".")]) == kept
    os.close(root)


@pytest.mark.parametrize("source", [".", "deep/hole"])
def test_what_is_larger_than_can_be_is_refused_before_it_is_read(tmp_path: Path, source: str) -> None:
    """A large hole, as only another file system may have it: to read it takes hours."""
    (tmp_path / "deep").mkdir()
    with (tmp_path / "deep/hole").open("wb") as file:
        file.truncate(3 << 40)
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        tree, asked = Tree(root, "the build context"), list[int]()
        with pytest.raises(InvalidInput, match=r'"deep/hole" in the build context is larger .*: 3298534883328 bytes'):
            digest(tree, [Selected(tree, source)], takes=lambda size: bool(asked.append(size)))
        assert asked == [3 << 40]
    finally:
        os.close(root)


@pytest.mark.parametrize("size", [0, 1 << 30, 1 << 50, (1 << 63) - 1])
def test_whether_a_file_system_has_such_files(tmp_path: Path, size: int) -> None:
    with (tmp_path / "probe").open("wb") as file:
        try:
            file.truncate(size)
        except OSError:
            has = False
        else:
            has = True
    assert takes_file_of(str(tmp_path), size) == has
    assert os.listdir(tmp_path) == ["probe"]


def test_what_is_known_of_all_files_is_told_without_reading_one(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_hand(most: int = 100) -> str | None:
        known = StatCache.of(directory.store, str(directory.root))
        root = os.open(directory.root, os.O_RDONLY)
        try:
            tree = Tree(root, "the context", confined=True, known=known)
            return known_digest(tree, [Selected(tree, ".")], most)
        finally:
            os.close(root)

    assert at_hand() is None
    first, _ = directory.build(monkeypatch=monkeypatch)
    for name in ("a", "b", "deep/c"):
        os.chmod(directory.root / name, 0o644)  # as they are; the ctime is another one
    assert at_hand() is None
    assert directory.build(monkeypatch=monkeypatch) == (first, ["a", "b", "deep/c"])
    assert at_hand() == first
    assert at_hand(most=3) is None  # two files, a directory and what is in it
    directory.write("new", "n")
    assert at_hand() is None


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x92\xa1x\x80"])
def test_a_damaged_file_is_as_none(directory: Directory, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    first = directory.build(monkeypatch=monkeypatch)
    [kept] = Path(directory.store.root, "cache/contexts").iterdir()
    kept.write_bytes(damage)
    assert directory.build(monkeypatch=monkeypatch) == (first[0], ["a", "b", "deep/c"])


def test_what_takes_too_much_goes_with_the_longest_unused(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.build(monkeypatch=monkeypatch)
    [kept] = Path(directory.store.root, "cache/contexts").iterdir()
    old = kept.with_name("old")
    old.write_bytes(b"x" * 100)
    os.utime(old, (LONG_AGO, LONG_AGO))
    monkeypatch.setattr(stat_cache, "_MOST_KEPT", 150 + kept.stat().st_size)
    directory.write("a", "1")
    directory.build(monkeypatch=monkeypatch)
    assert old.exists()
    monkeypatch.setattr(stat_cache, "_MOST_KEPT", 50 + kept.stat().st_size)
    directory.write("a", "2")
    directory.build(monkeypatch=monkeypatch)
    assert not old.exists()


class Builds:
    """Builds of one directory, of which only what stat(2) tells is there: an inode's file is of so many bytes."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path

    def status(self, inode: int, size: int, *, young: bool = False, device: int = 1) -> os.stat_result:
        time = stat_cache.time.time_ns() if young else LONG_AGO * 10**9
        return os.stat_result((0o100644, inode, device, 1, 0, 0, size, 0, 0, 0, 0.0, 0.0, 0.0, time, time, time))

    def build(self, *files: tuple[int, int], young: tuple[int, ...] = ()) -> list[int]:
        """Have files read unless they are known; the inodes of those that were read."""
        known, read = StatCache(self._path, 1), []
        for inode, size in files:
            status = self.status(inode, size, young=inode in young)
            if known.get(status) is None:
                read.append(inode)
                known.put(status, bytes([inode, size]) * 16)
            assert known.get(status) == bytes([inode, size]) * 16
        known.save(self._store)
        return read


@pytest.fixture
def builds(store: Store, tmp_path: Path) -> Builds:
    return Builds(store, str(tmp_path / "known"))


FILES = ((20, 1), (30, 1), (40, 1), (60, 1), (80, 1))


@pytest.mark.parametrize(
    ("files", "young", "read"),
    [
        (FILES, (), ()),
        (((10, 1), *FILES, (90, 1)), (), (10, 90)),
        (((20, 1), (30, 2), (50, 1), (80, 2)), (), (30, 50, 80)),
        ((*FILES[:2], (40, 2)), (40,), (40,)),
    ],
    ids=["as they were", "new at both ends", "changed and between", "just changed"],
)
def test_what_a_build_reads_is_known_afterwards(
    builds: Builds, files: tuple[tuple[int, int], ...], young: tuple[int, ...], read: tuple[int, ...]
) -> None:
    assert builds.build(*reversed(FILES)) == [80, 60, 40, 30, 20]
    assert builds.build(*files, young=young) == list(read)
    assert builds.build(*files) == list(young)
    untouched = [file for file in FILES if file[0] not in {inode for inode, _ in files}]
    assert builds.build(*untouched) == []


def test_files_that_are_not_looked_at_are_forgotten_when_they_are_most(builds: Builds) -> None:
    builds.build(*FILES)
    builds.build((20, 1))
    assert builds.build(*FILES) == []  # nothing was read, so nothing was written
    builds.build((20, 1), (30, 2))
    assert builds.build((20, 1), (30, 2), (40, 1), (60, 1), (80, 1)) == [40, 60, 80]


def test_files_of_another_device_are_known_as_long_as_the_build_goes_on(builds: Builds, store: Store) -> None:
    known = StatCache(str(Path(store.root, "known")), 1)
    known.put(builds.status(5, 1, device=2), b"2" * 32)
    assert known.has_any
    assert known.get(builds.status(5, 1, device=1)) is None
    known.put(builds.status(5, 1, device=1), b"1" * 32)
    assert known.get(builds.status(5, 1, device=2)) == b"2" * 32
    known.save(store)
    again = StatCache(str(Path(store.root, "known")), 1)
    assert again.get(builds.status(5, 1, device=1)) == b"1" * 32
    assert again.get(builds.status(5, 1, device=2)) is None


def test_nothing_is_kept_of_what_came_to_the_engine(store: Store) -> None:
    with store.temporary() as inside:
        (Path(inside) / "a").write_text("a")
        known = StatCache.of(store, inside)
        known.put(os.stat(f"{inside}/a"), b"x" * 32)
        known.save(store)
    assert not Path(store.root, "cache/contexts").exists()
