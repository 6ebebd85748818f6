"""``diff``, ``export``, ``rename``, and the archive requests as other clients see them."""

import io
import json
import os
import pty
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.engine import Engine
from kist.errors import Conflict, Corrupt, InvalidInput, NotFound
from kist.spec.container import ContainerOptions
from kist.spec.files import go_mode

IMAGE = "busybox:test"
CHANGES = """
rm -r /home; mkdir /home; echo x > /home/new
mkdir -p /made/deep; echo y > /made/deep/file
echo >> /etc/passwd; chmod 700 /root; rm /bin/busybox
touch /tmp/a; rm /tmp/a; rm /etc/group; mkdir /etc/group; ln -s x /tmp/link
"""
EXPECTED = """\
D /bin/busybox
C /etc
C /etc/group
C /etc/passwd
C /home
A /home/new
A /made
A /made/deep
A /made/deep/file
C /root
C /tmp
A /tmp/link"""


@pytest.fixture(scope="module")
def changed(cli: Any) -> Iterator[str]:
    """A container that has changed files and still runs."""
    script = CHANGES + "touch /scratch/ready; sleep 1000"
    cli.good("run", "-d", "--network", "none", "--tmpfs", "/scratch", "--name", "changed", IMAGE, "sh", "-c", script)
    while cli("cp", "changed:/scratch/ready", "-").returncode:
        pass
    yield "changed"
    cli.good("rm", "-f", "changed")


def without_mountpoints(lines: str) -> list[str]:
    # /bin itself is changed by the removal in it; a tmpfs leaves its mount point.
    return [line for line in lines.splitlines() if line not in {"C /bin", "A /scratch"}]


def test_diff_tells_what_was_added_changed_and_deleted(cli: Any, changed: str) -> None:
    running = cli.good("diff", changed)
    assert without_mountpoints(running) == EXPECTED.splitlines()
    cli.good("stop", "-t", "0", changed)
    assert cli.good("container", "diff", changed) == running
    cli.good("start", changed)


def test_diff_of_what_was_not_started_is_empty(cli: Any) -> None:
    cli.good("create", "--name", "fresh", IMAGE)
    assert cli.good("diff", "fresh") == ""
    cli.good("rm", "fresh")


def test_diff_tells_names_that_are_no_unicode_as_they_are(cli: Any) -> None:
    cli.good("run", "--network", "none", "--name", "bytes", IMAGE, "sh", "-c", "touch $(printf '/root/caf\\351')")
    told = subprocess.run([*cli.command, "diff", "bytes"], capture_output=True, env=cli.environment, check=True)
    cli.good("rm", "bytes")
    assert told.stdout == b"C /root\nA /root/caf\xe9\n"


@pytest.mark.parametrize("running", [True, False])
def test_export_has_the_containers_own_files_only(cli: Any, changed: str, tmp_path: Path, *, running: bool) -> None:
    cli.good("start" if running else "kill", changed)
    if not running:
        cli.good("wait", changed)
    cli.good("export", "-o", f"{tmp_path}/x.tar", changed)
    with tarfile.open(tmp_path / "x.tar") as archive:
        found = {member.name: member for member in archive}
        assert archive.extractfile("made/deep/file").read() == b"y\n"  # type: ignore[union-attr]
    assert found["etc/group"].isdir()
    assert "bin/busybox" not in found
    assert "bin/sh" in found
    assert found["proc"].isdir()
    assert not any(name.startswith(("proc/", "sys/", "dev/", "scratch/")) for name in found)
    assert found["etc/hosts"].size == 0


def test_an_exported_container_can_be_imported_and_run(cli: Any) -> None:
    cli.good("run", "--network", "none", "--name", "exported", IMAGE, "sh", "-c", "echo kept > /kept")
    done = subprocess.run([*cli.command, "export", "exported"], capture_output=True, env=cli.environment, check=True)
    cli.good("import", "-", "again:1", stdin=done.stdout)
    assert cli.good("run", "--rm", "--network", "none", "again:1", "cat", "/kept") == "kept"
    cli.good("rm", "exported")
    cli.good("rmi", "again:1")


def test_an_archive_is_not_written_to_a_terminal(cli: Any, changed: str) -> None:
    ours, theirs = pty.openpty()
    try:
        for command in (["export", changed], ["save", IMAGE]):
            done = subprocess.run(
                [*cli.command, *command], stdout=theirs, stderr=subprocess.PIPE, env=cli.environment, check=False
            )
            assert done.returncode == 1
            assert b"cowardly refusing to save to a terminal" in done.stderr
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diff", "nosuch"), "No such container: nosuch"),
        (("export", "nosuch"), "No such container: nosuch"),
        (("export", "-o", "/nosuch/x", "nosuch"), 'invalid output path: directory "/nosuch" does not exist'),
        (("export", "-o", "/tmp", "nosuch"), 'invalid output path: "/tmp" is a directory'),
        (("save", "-o", "/nosuch/x", IMAGE), 'invalid output path: directory "/nosuch" does not exist'),
        (("rename", "nosuch", "other"), "No such container: nosuch"),
        (("rename", "changed", ""), "Neither old nor new names may be empty"),
        (("rename", "changed", "changed"), "Renaming a container with the same name as its current name"),
        (("rename", "changed", "a b"), "Invalid container name (a b)"),
    ],
)
@pytest.mark.usefixtures("changed")
def test_what_cannot_be_done(cli: Any, arguments: tuple[str, ...], words: str) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_rename_while_it_runs(cli: Any) -> None:
    identity = cli.good("run", "-d", "--network", "none", "--name", "before", IMAGE, "sleep", "1000")
    cli.good("create", "--name", "taken", IMAGE)
    done = cli("rename", "before", "taken")
    assert done.returncode == 1
    assert 'Conflict. The container name "/taken" is already in use' in done.stderr
    assert cli.good("rename", "before", "after") == ""
    assert cli("inspect", "before").returncode == 1
    assert json.loads(cli.good("inspect", "after"))[0]["Id"] == identity
    cli.good("exec", "after", "true")
    cli.good("create", "--name", "before", IMAGE)  # the name is free again
    cli.good("rm", "-f", "after", "taken", "before")


def test_the_library_copies_both_ways(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("true",), network="none"))
    try:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            entry = tarfile.TarInfo("dir/file")
            entry.size, entry.mode, entry.mtime = 4, 0o4755, 0
            archive.addfile(entry, io.BytesIO(b"text"))
        engine.put_archive(container, "/tmp", io.BytesIO(made.getvalue()))
        status = engine.stat_path(container, "/tmp/dir/file")
        assert (status.name, status.size, status.mode, status.mtime) == ("file", 4, 1 << 23 | 0o755, 0)
        assert engine.stat_path(container, "/tmp/dir").mode == go_mode(0o40755)
        written = io.BytesIO()
        engine.get_archive(container, "/tmp/dir/.", written)
        with tarfile.open(fileobj=io.BytesIO(written.getvalue())) as archive:
            assert archive.getnames() == [".", "./file"]
        with pytest.raises(NotFound):
            engine.put_archive(container, "/nosuch", io.BytesIO(made.getvalue()))
        with pytest.raises(InvalidInput):
            engine.put_archive(container, "/tmp/dir/file", io.BytesIO(made.getvalue()))
        with pytest.raises(InvalidInput):
            engine.stat_path(container, "")
    finally:
        engine.remove(container)


def tar_of(**files: bytes) -> bytes:
    """A tar without an end mark, whose last member is filled to a whole block."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return made.getvalue()[: archive.offset]


# As dockerd has it: each was put to one.
@pytest.mark.parametrize(
    ("cut", "added", "whole"),
    [
        (0, b"", True),
        (0, bytes(512), True),
        (500, b"", True),  # without what fills the last block
        (0, bytes(1024) + b"junk" * 128, True),  # what follows the end is nobody's
        (600, b"", False),
        (1024 + 512, b"", False),
        (0, b"x" * 200, False),
        (0, b"x" * 512, False),
    ],
)
def test_an_archive_may_lack_its_end_mark_but_no_part_of_a_member(
    engine: Engine, busybox: str, cut: int, added: bytes, whole: bool
) -> None:
    data = tar_of(first=b"one", second=b"y" * (1024 + 12))
    sent = io.BytesIO(data[: len(data) - cut] + added)
    container = engine.create(ContainerOptions(image=busybox, command=("true",), network="none"))
    try:
        if whole:
            engine.put_archive(container, "/", sent)
            assert engine.stat_path(container, "/second").size == 1024 + 12
        else:
            with pytest.raises(Corrupt):
                engine.put_archive(container, "/", sent)
        assert engine.stat_path(container, "/first").size == 3
    finally:
        engine.remove(container)


def test_nothing_at_all_is_an_archive_of_nothing(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("true",), network="none"))
    try:
        engine.put_archive(container, "/", io.BytesIO())
    finally:
        engine.remove(container)


def test_kinds_are_kept_when_that_is_asked_for(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("true",), network="none"))

    def archive(kind: bytes) -> io.BytesIO:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as opened:
            entry = tarfile.TarInfo("thing")
            entry.type = kind
            opened.addfile(entry)
        return io.BytesIO(made.getvalue())

    try:
        engine.put_archive(container, "/tmp", archive(tarfile.DIRTYPE))
        with pytest.raises(InvalidInput, match="cannot overwrite directory 'thing' with non-directory"):
            engine.put_archive(container, "/tmp", archive(tarfile.REGTYPE), keep_kinds=True)
        engine.put_archive(container, "/tmp", archive(tarfile.REGTYPE))
        with pytest.raises(InvalidInput, match="cannot overwrite non-directory 'thing' with directory"):
            engine.put_archive(container, "/tmp", archive(tarfile.DIRTYPE), keep_kinds=True)
    finally:
        engine.remove(container)


def test_a_mount_is_never_removed_with_the_directory_that_it_lies_in(
    engine: Engine, busybox: str, tmp_path: Path
) -> None:
    from kist.spec.mount import Mount

    (tmp_path / "precious").write_text("kept")
    options = ContainerOptions(
        image=busybox, command=("sleep", "1000"), network="none", mounts=(Mount.bind(str(tmp_path), "/a/b"),)
    )
    container = engine.create(options)
    engine.start(container)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    try:
        with pytest.raises(Conflict, match="something is mounted there"):
            engine.put_archive(container, "/", io.BytesIO(made.getvalue()))
        assert (tmp_path / "precious").read_text() == "kept"
        engine.stat_path(container, "/a/b/precious")
    finally:
        engine.remove(container, force=True)
