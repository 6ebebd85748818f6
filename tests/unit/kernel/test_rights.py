"""Files opened with the rights of somebody else: what that user could not open, no trick with time opens either."""

import contextlib
import errno
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.kernel import files, rights

pytestmark = pytest.mark.root
UID, GID, GROUP = 51234, 51235, 51236


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory of the user's, which the user can reach."""
    for above in (tmp_path, *tmp_path.parents):
        if above.is_relative_to("/tmp") and not above.stat().st_mode & 0o001:
            above.chmod(stat.S_IMODE(above.stat().st_mode) | 0o011)
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    os.chown(made, UID, GID)
    return made


def open_as(path: Path | str, *groups: int, writable: bool = False) -> int:
    """The errno of a refusal; 0 for none."""
    try:
        os.close(rights.open_as(str(path), UID, GID, groups, writable=writable))
    except OSError as error:
        return error.errno or -1
    return 0


def put(path: Path, mode: int, uid: int = 0, gid: int = 0) -> Path:
    path.write_text("x")
    path.chmod(mode)
    os.chown(path, uid, gid)
    return path


@pytest.mark.parametrize(
    ("mode", "owner", "readable", "writable"),
    [
        (0o600, (UID, GID), True, True),
        (0o400, (UID, GID), True, False),
        (0o200, (UID, GID), False, False),  # to write is to read too
        (0o640, (0, GID), True, False),
        (0o660, (0, GROUP), True, True),
        (0o604, (0, 0), True, False),
        (0o606, (0, GID), False, False),  # what is taken from the group, others have
        (0o600, (0, 0), False, False),
    ],
)
def test_a_file_is_opened_as_its_mode_says(
    home: Path, mode: int, owner: tuple[int, int], readable: bool, writable: bool
) -> None:
    path = put(home / "file", mode, *owner)
    assert open_as(path, GROUP) == (0 if readable else errno.EACCES)
    assert open_as(path, GROUP, writable=True) == (0 if writable else errno.EACCES)


def test_a_directory_has_to_be_entered_too(home: Path) -> None:
    inner = home / "inner"
    inner.mkdir()
    inner.chmod(0o744)
    assert open_as(inner) == errno.EACCES
    inner.chmod(0o755)
    assert open_as(inner) == 0
    assert open_as(inner, writable=True) == errno.EACCES
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    put(closed / "file", 0o644)
    assert open_as(closed / "file") == errno.EACCES


@pytest.mark.parametrize("path", ["/dev/null", "/proc/self/root", "/proc/self/exe", "/proc/self/fd/0", "/proc/1/cwd"])
def test_devices_and_links_of_proc_are_nothing_to_show(path: str) -> None:
    assert open_as(path) in {errno.ENODEV, errno.ELOOP, errno.EACCES, errno.ENOENT}


def test_a_fifo_is_nothing_to_show(home: Path) -> None:
    os.mkfifo(home / "fifo")
    os.chmod(home / "fifo", 0o666)
    assert open_as(home / "fifo") == errno.ENODEV


@contextlib.contextmanager
def swapping(directory: Path, *targets: str) -> Iterator[Path]:
    """A link that a process of the user's turns from one target to the next all the time."""
    os.symlink(targets[0], directory / "turning")
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(())
            os.setresgid(GID, GID, GID)
            os.setresuid(UID, UID, UID)
            os.chdir(directory)
            while True:
                for target in targets:
                    os.symlink(target, "aside")
                    os.rename("aside", "turning")
        finally:
            os._exit(1)
    try:
        yield directory / "turning"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_is_returned_is_what_was_looked_at(home: Path) -> None:
    mine = put(home / "mine", 0o600, UID, GID)
    hidden = put(home / "hidden", 0o600)
    outcomes = set()
    with swapping(home, "mine", "hidden") as link:
        for number in range(120):
            try:
                found = rights.open_as(str(link), UID, GID, (), writable=bool(number % 2))
            except PermissionError:
                outcomes.add("refused")
                continue
            assert os.fstat(found).st_ino == mine.stat().st_ino != hidden.stat().st_ino
            os.close(found)
            outcomes.add("opened")
    assert outcomes == {"refused", "opened"}


def test_no_link_leads_out_of_a_granted_directory(home: Path) -> None:
    granted = home / "granted"
    granted.mkdir()
    put(granted / "file", 0o600)
    put(home / "outside", 0o644)
    for name, target in {"in": "file", "out": "../outside", "away": "/etc/passwd", "proc": "/proc/self/root"}.items():
        os.symlink(target, granted / name)
    for name in ("file", "in", ""):
        os.close(rights.open_beneath(str(granted), f"{granted}/{name}"))
    for name in ("out", "away", "proc", "../outside"):
        with pytest.raises(OSError, match=r"cross-device|symbolic"):
            rights.open_beneath(str(granted), f"{granted}/{name}")
    os.chown(granted, UID, GID)
    with swapping(granted, "file", "../outside") as link:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                found = rights.open_beneath(str(granted), str(link))
                assert os.fstat(found).st_ino == (granted / "file").stat().st_ino
                os.close(found)


def test_what_is_closed_closes_what_is_in_it_and_what_it_is_in(home: Path) -> None:
    inner = home / "closed" / "inner"
    inner.mkdir(parents=True)
    (home / "beside").mkdir()
    os.symlink("closed", home / "way")
    for path, closed in ((inner, True), (home, True), (home / "closed", True), (home / "beside", False)):
        found = os.open(path, os.O_PATH)
        try:
            assert rights.is_closed(found, [str(home / "way")]) is closed, path
        finally:
            os.close(found)


def test_who_keeps_to_owned_files_makes_no_device(home: Path) -> None:
    child = os.fork()
    if child == 0:
        code = 0
        try:
            files.only_owned_files()
            put(home / "file", 0o4755, UID, GID)
            for attribute in ("trusted.x", "security.x"):
                with contextlib.suppress(PermissionError):
                    os.setxattr(home / "file", attribute, b"x")
                    code |= 2
            with contextlib.suppress(PermissionError):
                os.mknod(home / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
                code |= 4
        except BaseException:  # noqa: BLE001 - the parent fails
            code |= 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (home / "file").stat().st_uid == UID
