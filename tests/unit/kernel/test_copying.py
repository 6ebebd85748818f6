"""A copy of a tree has all that belongs to it."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kist.errors import InvalidInput, from_os_error
from kist.kernel.copying import copy_segments, copy_tree

ENDLESS = 1 << 50


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    try:
        copy_tree(*descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return target


def test_files_links_modes_and_times(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "file").write_bytes(os.urandom(100_000))
    (source / "a" / "file").chmod(0o4750)
    os.link(source / "a" / "file", source / "a" / "b" / "same")
    (source / "link").symlink_to("/nowhere/at all")
    os.mkfifo(source / "pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as left_out:
        left_out.bind(str(source / "sock"))
    os.utime(source / "a" / "file", ns=(1, 2_000_000_003))
    os.utime(source / "a", ns=(5, 7_000_000_000))
    source.chmod(0o1777)
    made = copied(source, tmp_path / "target")
    assert sorted(os.listdir(made)) == ["a", "link", "pipe"]
    assert (made / "a" / "file").read_bytes() == (source / "a" / "file").read_bytes()
    status = (made / "a" / "file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o4750, 2_000_000_003, 2)
    assert (made / "a" / "b" / "same").stat().st_ino == status.st_ino
    assert os.readlink(made / "link") == "/nowhere/at all"
    assert stat.S_ISFIFO((made / "pipe").stat().st_mode)
    assert (made / "a").stat().st_mtime_ns == 7_000_000_000
    assert stat.S_IMODE(made.stat().st_mode) == 0o1777


@pytest.mark.root
def test_owners_attributes_and_devices(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    source = tmp_path / "source"
    source.mkdir()
    program = source / "program"
    program.write_bytes(b"x")
    os.chown(program, 1234, 5678)
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)  # CAP_NET_BIND_SERVICE, version 2
    os.setxattr(program, "security.capability", capability)
    os.setxattr(program, "user.note", b"kept")
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.symlink("program", source / "link")
    os.chown(source / "link", 42, 43, follow_symlinks=False)
    made = copied(source, tmp_path / "target")
    status = (made / "program").stat()
    assert (status.st_uid, status.st_gid) == (1234, 5678)
    assert os.getxattr(made / "program", "security.capability") == capability
    assert os.getxattr(made / "program", "user.note") == b"kept"
    assert (made / "null").stat().st_rdev == os.makedev(1, 3)
    assert (made / "link").lstat().st_uid == 42


def test_a_sparse_and_an_empty_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "empty").touch()
    with open(source / "sparse", "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"middle")
    made = copied(source, tmp_path / "target")
    assert (made / "empty").read_bytes() == b""
    assert (made / "sparse").read_bytes() == (source / "sparse").read_bytes()


COPY_AND_COUNT = """
import os, sys
from kist.errors import InvalidInput, from_os_error
from kist.kernel.copying import copy_segments, copy_tree

ENDLESS = 1 << 50
os.mkdir("source")
with open("source/file", "wb") as file:
    file.write(os.urandom(8 << 20))
os.mkdir("target")
again = copy_tree(*(os.open(name, os.O_RDONLY) for name in ("source", "target")))
with open("source/file", "rb") as one, open("target/file", "rb") as other:
    print(again, one.read() == other.read(), os.path.getsize("target/file"))
"""


@pytest.mark.root
@pytest.mark.parametrize("make", ["mkfs.xfs", "mkfs.btrfs"])
def test_bytes_are_shared_where_the_file_system_can(make: str, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which(make) is None:
        pytest.skip(f"needs root and {make}")
    script = f"""
        truncate -s 400M {tmp_path}/kist.img; {make} -q {tmp_path}/kist.img; mkdir {tmp_path}/kist
        mount -o loop {tmp_path}/kist.img {tmp_path}/kist; cd {tmp_path}/kist; {sys.executable} -c "$PROGRAM"
    """
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
        env=os.environ | {"PROGRAM": COPY_AND_COUNT, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == f"0 True {8 << 20}"


def test_a_hole_that_no_file_can_have_here(tmp_path: Path) -> None:
    """Nothing is read of a file that the file system of its copy has no room for, however little is in it."""
    source = os.memfd_create("kist-hole")
    target = os.open(tmp_path / "copy", os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(source, ENDLESS)
        os.pwrite(source, b"x", 0)
        try:
            os.ftruncate(target, ENDLESS)
        except OSError:
            with pytest.raises(OSError, match="File too large") as caught:
                copy_segments(source, target, ENDLESS)
            assert os.fstat(target).st_blocks == 0
            error = from_os_error(caught.value, "Dockerfile:2:1: COPY failed")
            assert (type(error), error.http_status, "leave" in error.hint) == (InvalidInput, 400, True)
        else:
            pytest.skip("the file system of the tests takes a file of a petabyte")
    finally:
        os.close(source)
        os.close(target)
