"""File systems that are held by a descriptor alone: nothing of them on the host, the same files for all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kist.kernel import mount_holders

pytestmark = pytest.mark.root("mounts file systems")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return tmp_path


def entries(tree: int) -> list[str]:
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tree)
    try:
        return sorted(os.listdir(directory))
    finally:
        os.close(directory)


def in_child(work: Callable[[], bool]) -> bool:
    """What a process by itself finds."""
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_all_who_take_it_have_the_same_and_the_host_has_nothing(place: Path) -> None:
    mounts_before = Path("/proc/self/mountinfo").read_text(encoding="ascii")
    tree = mount_holders.open_file_system("tmpfs", "tmpfs", ("size=1m", "mode=0750", "nosuid"))
    space = mount_holders.hold(tree, str(place))
    first, second = mount_holders.copy_in_thread(space), mount_holders.copy_in_thread(space)
    os.mkdir("sub", dir_fd=first)
    os.symlink("/", "sub/up", dir_fd=first)
    os.mkdir("sub/inner", dir_fd=second)
    assert entries(second) == ["sub"]
    assert os.fstat(second).st_mode & 0o7777 == 0o750
    assert os.statvfs(first).f_flag & os.ST_NOSUID
    os.close(second)

    def takes_a_part() -> bool:
        before = os.getcwd(), os.stat("/").st_ino
        part = mount_holders.copy_of(space, "sub/up/sub")
        return entries(part) == ["inner", "up"] and os.stat("/").st_ino == before[1]

    assert in_child(takes_a_part)
    os.close(space)
    assert entries(first) == ["sub"]
    os.close(first)
    assert Path("/proc/self/mountinfo").read_text(encoding="ascii") == mounts_before
    assert os.listdir(place) == []


def test_what_is_read_only_and_what_mount_leaves_out(place: Path) -> None:
    space = mount_holders.hold(mount_holders.open_file_system("tmpfs", "x", ("ro", "defaults", "relatime")), str(place))
    tree = mount_holders.copy_in_thread(space)
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir("a", dir_fd=tree)
    os.close(tree)
    os.close(space)


@pytest.mark.usefixtures("place")
def test_the_kernels_own_words() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        mount_holders.open_file_system("tmpfs", "tmpfs", ("bogus=1",))
    assert caught.value.said == "tmpfs: Unknown parameter 'bogus'"  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="No such device"):
        mount_holders.open_file_system("kistfs", "x", ())
