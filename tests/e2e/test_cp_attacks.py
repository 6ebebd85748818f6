"""Containers and archives that try to get at the host through ``cp``. Each test prints what it counted."""

import concurrent.futures
import contextlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import until
from kist.client.unpacking import Stream, unpack
from kist.engine import Engine
from kist.errors import KistError
from kist.spec.container import Container, ContainerOptions, ExecOptions

SECRET = b"of the host\n"
ROUNDS = 400

# Ways to write that a path leads to a directory of the host.
LINKS = ("{host}", "../../../../../../../..{host}", "/proc/self/root{host}", "/proc/1/root{host}", "/../..{host}")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with a secret in it, that no container may read or write."""
    place = tmp_path / "host"
    place.mkdir()
    (place / "secret").write_bytes(SECRET)
    return place


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def print_it(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}")

    return print_it


def unharmed(host: Path) -> bool:
    return os.listdir(host) == ["secret"] and (host / "secret").read_bytes() == SECRET


SWAPPING = """
mkdir -p /d/dir /d/away; echo inside > /d/dir/secret
while :; do
    for link in {links}; do
        mv /d/dir /d/away/dir; ln -s $link /d/dir; echo >> /d/swaps; rm /d/dir; mv /d/away/dir /d/dir
    done
done
"""


@pytest.fixture
def swapper(engine: Engine, busybox: str, host: Path) -> Iterator[Container]:
    """A container that goes on putting links to the host in the place of the directory /d/dir."""
    links = " ".join(link.format(host=host) for link in LINKS)
    options = ContainerOptions(
        image=busybox, command=("sh", "-c", SWAPPING.format(links=links)), network="none", stop_timeout=0
    )
    container = engine.create(options)
    engine.start(container)
    try:
        until(lambda: _swaps(engine, container))
        yield container
    finally:
        engine.remove(container, force=True)


def _swaps(engine: Engine, container: Container) -> int:
    written = io.BytesIO()
    try:
        engine.get_archive(container, "/d/swaps", written)
    except KistError:
        return 0
    return len(written.getvalue().strip(b"\0").splitlines())


def _file(name: str, content: bytes = b"got out") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def test_a_directory_that_becomes_a_link_while_files_are_copied_out(
    engine: Engine, swapper: Container, host: Path, say: Callable[[str], None]
) -> None:
    read = refused = 0
    for number in range(ROUNDS):
        written = io.BytesIO()
        try:
            engine.get_archive(swapper, ("/d/dir/secret", "/d/dir", "/d/dir/.", "/d")[number % 4], written)
        except KistError:
            refused += 1
        else:
            read += 1
        assert SECRET not in written.getvalue()
    say(f"{read} archives read, {refused} refused, {_swaps(engine, swapper)} rounds of the container's swaps")
    assert read
    assert unharmed(host)


def test_a_directory_that_becomes_a_link_while_files_are_copied_in(
    engine: Engine, swapper: Container, host: Path, say: Callable[[str], None]
) -> None:
    put = refused = 0
    for number in range(ROUNDS):
        where, name = (("/d/dir", "file"), ("/d", "dir/file"), ("/d/dir/", "secret"), ("/", "d/dir/secret"))[number % 4]
        try:
            engine.put_archive(swapper, where, io.BytesIO(_file(name)), keep_kinds=bool(number & 4))
        except KistError:
            refused += 1
        else:
            put += 1
        assert unharmed(host)
    say(f"{put} archives put, {refused} refused, {_swaps(engine, swapper)} rounds of the container's swaps")
    assert put


@pytest.mark.parametrize("running", [True, False])
def test_links_that_lie_there(
    engine: Engine, busybox: str, host: Path, say: Callable[[str], None], *, running: bool
) -> None:
    links = [link.format(host=host) for link in LINKS]
    script = "; ".join(f"ln -s {link} /link{number}" for number, link in enumerate(links))
    options = ContainerOptions(image=busybox, command=("sh", "-c", script + "; sleep 1000"), network="none")
    container = engine.create(options)
    try:
        engine.start(container)
        until(lambda: _is_there(engine, container, f"/link{len(links) - 1}"))
        if not running:
            engine.stop(container, timeout=0)
        tried = 0
        for number in range(len(links)):
            for path in (f"/link{number}/secret", f"/link{number}/", f"/link{number}/."):
                written = io.BytesIO()
                with pytest.raises(KistError):
                    engine.get_archive(container, path, written)
                assert SECRET not in written.getvalue()
            with pytest.raises(KistError):
                engine.put_archive(container, f"/link{number}", io.BytesIO(_file("file")))
            with pytest.raises(KistError):
                engine.put_archive(container, "/", io.BytesIO(_file(f"link{number}/file")))
            tried += 5
        assert unharmed(host)
        say(f"{tried} ways through links refused")
    finally:
        engine.remove(container, force=True)


def _is_there(engine: Engine, container: Container, path: str) -> bool:
    try:
        engine.stat_path(container, path)
    except KistError:
        return False
    return True


def hostile(host: Path) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    """Archives that would write to ``host``, if links and dots were believed; each ends with a file ``file``."""

    def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        made = tarfile.TarInfo(name)
        made.type, made.linkname, made.mode = kind, link, 0o777
        return made

    up = "../" * 12
    yield "dots", [entry(f"root/{up}{host}/file")]
    yield "dots in the middle", [entry("root/a", tarfile.DIRTYPE), entry(f"root/a/../{up}{host}/file")]
    yield "absolute", [entry(f"{host}/file")]
    yield "absolute with dots", [entry(f"/../..{host}/file")]
    for number, link in enumerate(LINKS):
        target = link.format(host=host)
        yield f"link {number}", [entry("root/l", tarfile.SYMTYPE, target), entry("root/l/file")]
        yield (
            f"link to link {number}",
            [
                entry("root/l", tarfile.SYMTYPE, target),
                entry("root/m", tarfile.SYMTYPE, "l"),
                entry("root/m/file"),
            ],
        )
        yield f"link as the root {number}", [entry("root", tarfile.SYMTYPE, target), entry("root/file")]
        yield (
            f"directory over link {number}",
            [
                entry("root/l", tarfile.SYMTYPE, target),
                entry("root/l", tarfile.DIRTYPE),
                entry("root/l/file"),
            ],
        )
        yield f"hard link {number}", [entry("root/h", tarfile.LNKTYPE, f"{target}/secret"), entry("root/h")]
        yield (
            f"hard link through link {number}",
            [
                entry("root/l", tarfile.SYMTYPE, target),
                entry("root/h", tarfile.LNKTYPE, "root/l/secret"),
                entry("root/h"),
            ],
        )
        yield f"file over link {number}", [entry("root/l", tarfile.SYMTYPE, f"{target}/secret"), entry("root/l")]


def packed(members: list[tarfile.TarInfo]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member in members:
            if member.isreg():
                member.size = 7
            archive.addfile(member, io.BytesIO(b"got out"))
    return made.getvalue()


def test_hostile_archives_into_a_container(
    engine: Engine, busybox: str, host: Path, say: Callable[[str], None]
) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("sleep", "1000"), network="none"))
    engine.start(container)
    taken = refused = 0
    try:
        for name, members in hostile(host):
            try:
                engine.put_archive(container, "/tmp", io.BytesIO(packed(members)))
            except KistError:
                refused += 1
            else:
                taken += 1
            assert unharmed(host), name
    finally:
        engine.remove(container, force=True)
    say(f"{taken + refused} archives: {refused} refused, {taken} unpacked inside the container")
    assert refused


@pytest.mark.parametrize("archive", [False, True])
def test_hostile_archives_out_of_a_container(
    host: Path, tmp_path: Path, say: Callable[[str], None], *, archive: bool
) -> None:
    """What a container that has taken over the engine's answer could send to the client."""
    taken = refused = 0
    for number, (name, members) in enumerate(hostile(host)):
        for called in ("copy", "."):
            target = tmp_path / f"target-{number}-{called}"
            target.mkdir()
            try:
                unpack(Stream([packed(members)]), str(target), called, archive=archive, warn=lambda _: None)
            except KistError:
                refused += 1
            else:
                taken += 1
            assert unharmed(host), name
    say(f"{taken + refused} archives: {refused} refused, {taken} unpacked below their target")
    assert refused


def test_a_link_that_is_there_already_is_not_followed_by_the_client(host: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "copy").symlink_to(host)
    members: list[Any] = [tarfile.TarInfo("root/file")]
    with pytest.raises(KistError):
        unpack(Stream([packed(members)]), str(target), "copy", archive=False, warn=lambda _: None)
    assert unharmed(host)


@contextlib.contextmanager
def frozen(name: str) -> Iterator[Callable[[], None]]:
    """A group of the host's whose processes stand still until they are let go, or the block ends."""
    version1 = Path("/sys/fs/cgroup/freezer")
    group = (version1 if version1.is_dir() else Path("/sys/fs/cgroup")) / name
    file, stop, go = ("freezer.state", "FROZEN", "THAWED") if version1.is_dir() else ("cgroup.freeze", "1", "0")
    group.mkdir()
    (group / file).write_text(stop)

    def let_go() -> None:
        (group / file).write_text(go)

    try:
        yield let_go
    finally:
        let_go()


@needs.CONTROL_GROUPS
def test_who_is_on_its_way_into_its_root_shows_nothing_of_the_hosts(
    engine: Engine, busybox: str, host: Path, request: pytest.FixtureRequest
) -> None:
    """Its first process counts as running while it is still where the engine is: here it stands still there."""
    name = f"kist-frozen-{os.getpid()}"
    secret = str(host / "secret")
    options = ContainerOptions(image=busybox, command=("sleep", "60"), network="none", cgroup_parent=f"/{name}")
    request.addfinalizer(lambda: [os.rmdir(each) for each in Path("/sys/fs/cgroup").glob(f"**/{name}")])
    with concurrent.futures.ThreadPoolExecutor() as pool, frozen(name) as let_go:
        container = engine.create(options)
        started = pool.submit(engine.start, container)
        until(lambda: engine.container(container).state.running)
        taken, written, said = io.BytesIO(), io.BytesIO(_file("new", b"written")), ExecOptions(("cat", secret))
        attempts = [
            pool.submit(engine.get_archive, container, secret, taken),
            pool.submit(engine.put_archive, container, str(host), written),
            pool.submit(engine.exec, container, said),
        ]
        done, _ = concurrent.futures.wait(attempts, 1)
        let_go()
        started.result(60)
        assert not done, "whoever asks waits until the container is itself"
        for each in attempts[:2]:
            with pytest.raises(KistError, match="Could not find the file"):
                each.result(60)
        assert attempts[2].result(60).exit_code == 1
    engine.remove(container, force=True)
    assert os.listdir(host) == ["secret"]
    assert not taken.getvalue()
