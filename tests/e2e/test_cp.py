"""``kist cp``: Docker's rules for what goes where, both ways, running and stopped."""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
import threefold
from harness import until

IMAGE = "busybox:test"
# Whom a file belongs to that is copied in: only root can make one of somebody else. A user's own become root's.
OWNER = (1234, 2345) if os.geteuid() == 0 else (os.getuid(), os.getgid())


@pytest.fixture(scope="module")
def box(cli: Any) -> Iterator[str]:
    """A running container with a tmpfs."""
    cli.good("run", "-d", "--network", "none", "--tmpfs", "/scratch", "--name", "cp-box", IMAGE, "sleep", "1000")
    yield "cp-box"
    cli.good("rm", "-f", "cp-box")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a file of another owner (of root's), a directory in it, and links."""
    tree = tmp_path / "src"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_text("a\n")
    (tree / "sub" / "b").write_text("b\n")
    (tree / "l").symlink_to("a")
    os.link(tree / "a", tree / "hard")
    os.chown(tree / "a", *OWNER)
    os.utime(tree / "a", (1_700_000_000, 1_700_000_000))
    return tree


def inside(cli: Any, script: str, name: str = "cp-box") -> list[str]:
    return cli.good("exec", name, "sh", "-c", script).splitlines()


# source below the tree, target in the container (below /t), and what is then there; None for an error with these words
RULES_IN: tuple[tuple[str, str, list[str] | str], ...] = (
    ("a", "new", ["new"]),
    ("a", "dir", ["dir", "dir/a"]),
    ("a", "dir/", ["dir", "dir/a"]),
    ("a", "dir/.", ["dir", "dir/a"]),
    ("a", "file", ["file"]),
    ("a", "missing/", "no such directory"),
    ("a", "missing/x", "Could not find the file /t/missing"),
    ("a", "file/x", "extraction point is not a directory"),
    ("a/", "new", "not a directory"),
    ("sub", "new", ["new", "new/b"]),
    ("sub", "dir", ["dir", "dir/sub", "dir/sub/b"]),
    ("sub/.", "new", ["new", "new/b"]),
    ("sub/.", "dir", ["dir", "dir/b"]),
    ("sub", "file", "cannot copy directory"),
    ("sub", "new/", ["new", "new/b"]),
    ("l", "new", ["new"]),
    ("nosuch", "new", "no such file or directory"),
    ("sub/b", "link-to-dir", ["dir", "dir/b", "link-to-dir"]),
    ("sub/b", "link-to-file", ["file", "link-to-file"]),
    ("sub/b", "dangling", ["dangling", "there"]),
)


@pytest.mark.parametrize(("source", "target", "expected"), RULES_IN)
@pytest.mark.parametrize("running", [True, False])
def test_rules_of_copying_in(
    cli: Any, box: str, tree: Path, source: str, target: str, expected: list[str] | str, *, running: bool
) -> None:
    name = box if running else "cp-stopped"
    if not running:
        cli.good("run", "--network", "none", "--name", name, IMAGE, "sh", "-c", "mkdir /t; cd /t; " + _layout(target))
    else:
        inside(cli, "rm -rf /t; mkdir /t; cd /t; " + _layout(target))
    try:
        done = cli("cp", f"{tree}/{source}", f"{name}:/t/{target}")
        if isinstance(expected, str):
            assert done.returncode == 1
            assert expected in done.stderr
            return
        assert done.returncode == 0, done.stderr
        assert (done.stdout, done.stderr) == ("", "")
        with tarfile.open(fileobj=io.BytesIO(_archive(cli, f"{name}:/t/."))) as archive:
            found = sorted(member.name.removeprefix("./") for member in archive if member.name != ".")
        assert found == sorted(expected)
    finally:
        if not running:
            cli.good("rm", name)


def _layout(target: str) -> str:
    if target.startswith("dir"):
        return "mkdir dir"
    if target.startswith("file"):
        return "touch file"
    return {
        "link-to-dir": "mkdir dir; ln -s dir link-to-dir",
        "link-to-file": "touch file; ln -s /t/file link-to-file",
        "dangling": "ln -s there dangling",
    }.get(target, "true")


def _archive(cli: Any, where: str) -> bytes:
    done = subprocess.run([*cli.command, "cp", where, "-"], capture_output=True, env=cli.environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


RULES_OUT: tuple[tuple[str, str, list[str] | str], ...] = (
    ("/o/sub", "new", ["new", "new/b"]),
    ("/o/sub", "dir", ["dir", "dir/sub", "dir/sub/b"]),
    ("/o/sub/.", "new", ["new", "new/b"]),
    ("/o/sub/.", "dir", ["dir", "dir/b"]),
    ("/o/sub", "file", "cannot copy directory"),
    ("/o/a", "new", ["new"]),
    ("/o/a", "dir", ["dir", "dir/a"]),
    ("/o/a", "dir/", ["dir", "dir/a"]),
    ("/o/a", "file", ["file"]),
    ("/o/a", "missing/", "no such directory"),
    ("/o/a", "missing/x", "does not exist"),
    ("/o/nosuch", "new", "Could not find the file /o/nosuch in container cp-box"),
    ("/o/../o/a", "new", ["new"]),
    ("o/a", "new", ["new"]),
    ("", "new", "path cannot be empty"),
)


@pytest.mark.parametrize(("source", "target", "expected"), RULES_OUT)
def test_rules_of_copying_out(
    cli: Any, box: str, tmp_path: Path, source: str, target: str, expected: list[str] | str
) -> None:
    inside(cli, "rm -rf /o; mkdir -p /o/sub; echo a >/o/a; echo b >/o/sub/b")
    if target.startswith("dir"):
        (tmp_path / "dir").mkdir()
    if target.startswith("file"):
        (tmp_path / "file").touch()
    done = cli("cp", f"{box}:{source}", f"{tmp_path}/{target}")
    if isinstance(expected, str):
        assert done.returncode == 1
        assert expected in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == sorted(expected)


def test_owners_times_modes_and_links_are_kept(cli: Any, box: str, tree: Path, tmp_path: Path) -> None:
    inside(cli, "rm -rf /k; mkdir /k")
    cli.good("cp", str(tree), f"{box}:/k/src")
    assert inside(cli, "cd /k/src; stat -c '%u:%g %Y %h' a; readlink l; [ a -ef hard ] && echo same") == [
        f"{'1234:2345' if os.geteuid() == 0 else '0:0'} 1700000000 2",
        "a",
        "same",
    ]
    cli.good("cp", f"{box}:/k/src", f"{tmp_path}/back")
    back = tmp_path / "back"
    found = (back / "a").stat()
    assert (found.st_uid, found.st_mtime, found.st_nlink) == (os.geteuid(), 1_700_000_000, 2)
    assert os.readlink(back / "l") == "a"
    cli.good("cp", "-a", f"{box}:/k/src/a", f"{tmp_path}/kept")
    assert ((tmp_path / "kept").stat().st_uid, (tmp_path / "kept").stat().st_gid) == OWNER


@needs.USERS
def test_dash_a_gives_files_to_the_containers_user(cli: Any, tree: Path) -> None:
    cli.good("run", "-d", "-u", "user", "--network", "none", "--name", "cp-user", IMAGE, "sleep", "1000")
    try:
        cli.good("cp", "-a", str(tree), "cp-user:/tmp/x")
        assert inside(cli, "stat -c %u:%g /tmp/x /tmp/x/a", "cp-user") == ["1000:1000", "1000:1000"]
    finally:
        cli.good("rm", "-f", "cp-user")


def test_follow_link_both_ways(cli: Any, box: str, tree: Path, tmp_path: Path) -> None:
    inside(cli, "rm -rf /f; mkdir /f; echo x >/f/real; ln -s real /f/link")
    cli.good("cp", "-L", str(tree / "l"), f"{box}:/f/l")
    assert inside(cli, "[ -L /f/l ] || cat /f/l") == ["a"]
    cli.good("cp", f"{box}:/f/link", f"{tmp_path}/link")
    assert (tmp_path / "link").is_symlink()
    cli.good("cp", "-L", f"{box}:/f/link", f"{tmp_path}/followed")
    assert (tmp_path / "followed").read_text() == "x\n"
    assert not (tmp_path / "followed").is_symlink()


def test_what_is_mounted_is_seen(cli: Any, tree: Path, tmp_path: Path) -> None:
    where = f"{tree}:/bound"
    for mode, words in (("rw", ""), ("ro", "mounted volume is marked read-only")):
        cli.good("create", "--network", "none", "-v", f"{where}:{mode}", "--name", "cp-bound", IMAGE, "sleep", "1000")
        for start in (False, True):
            if start:
                cli.good("start", "cp-bound")
            cli.good("cp", "cp-bound:/bound/a", f"{tmp_path}/got-{mode}-{start}")
            done = cli("cp", f"{tmp_path}/got-{mode}-{start}", "cp-bound:/bound/put")
            assert (done.returncode, words in done.stderr) == (int(bool(words)), True), done.stderr
        cli.good("rm", "-f", "cp-bound")
    assert (tree / "put").read_text() == "a\n"


def test_a_tmpfs_of_a_running_container_is_seen(cli: Any, box: str, tree: Path) -> None:
    cli.good("cp", str(tree / "a"), f"{box}:/scratch/a")
    assert inside(cli, "cat /scratch/a") == ["a"]


def test_a_mounted_file_is_neither_replaced_nor_unmounted(cli: Any, box: str, tree: Path) -> None:
    before = inside(cli, "cat /etc/hosts; grep -c /etc/hosts /proc/self/mountinfo")
    done = cli("cp", str(tree / "a"), f"{box}:/etc/hosts")
    assert done.returncode == 1
    assert "something is mounted there" in done.stderr
    assert inside(cli, "cat /etc/hosts; grep -c /etc/hosts /proc/self/mountinfo") == before


def test_archives_from_stdin_and_to_stdout(cli: Any, box: str) -> None:
    inside(cli, "rm -rf /s; mkdir /s")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("deep/er/file")
        entry.size, entry.uid = 3, 77
        archive.addfile(entry, io.BytesIO(b"hi\n"))
    cli.good("cp", "-", f"{box}:/s", stdin=made.getvalue())
    assert inside(cli, "stat -c %u /s/deep/er/file /s/deep") == ["77" if threefold.has_ids() else "0", "0"]
    with tarfile.open(fileobj=io.BytesIO(_archive(cli, f"{box}:/s/deep"))) as archive:
        assert archive.getnames() == ["deep", "deep/er", "deep/er/file"]
    done = cli("cp", "-", f"{box}:/s/deep/er/file", stdin=made.getvalue())
    assert (done.returncode, "must be a directory" in done.stderr) == (1, True)
    done = cli("cp", "-", f"{box}:/s", stdin=b"no tar" * 1000)
    assert (done.returncode, "damaged" in done.stderr) == (1, True)


@needs.DEVICES
def test_set_id_bits_and_devices_of_a_container_do_not_reach_the_host(cli: Any, box: str, tmp_path: Path) -> None:
    inside(cli, "rm -rf /i; mkdir /i; cp /bin/busybox /i/suid; chmod 6755 /i/suid; mknod /i/sda b 8 0; mkfifo /i/pipe")
    done = cli("cp", f"{box}:/i", f"{tmp_path}/i")
    assert done.returncode == 0
    assert "device nodes are left out" in done.stderr
    assert sorted(os.listdir(tmp_path / "i")) == ["pipe", "suid"]
    assert stat.S_IMODE((tmp_path / "i" / "suid").stat().st_mode) == 0o755
    cli.good("cp", "-a", f"{box}:/i", f"{tmp_path}/all")
    assert stat.S_ISBLK((tmp_path / "all" / "sda").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "all" / "suid").stat().st_mode) == 0o6755


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cp-box:/etc", "cp-box:/tmp"), "copying between containers is not supported"),
        (("/etc/passwd", "/tmp/x"), "must specify at least one container source"),
        (("", "cp-box:/"), "source can not be empty"),
        (("cp-box:/etc", ""), "destination can not be empty"),
        (("nosuch:/etc", "-"), "No such container: nosuch"),
        (("/etc/passwd", "nosuch:/etc"), "No such container: nosuch"),
        (("/etc/passwd", "nosuch:/etc/"), "No such container: nosuch"),
        (("-", "nosuch:/etc"), "No such container: nosuch"),
        (("/etc/passwd", "cp-box:"), "no such directory"),
        (("cp-box:/dev/null", "/dev/null/x"), "does not exist"),
        (("cp-box:/etc/passwd", "/dev/full"), "must be a directory or a regular file"),
        (("/etc/passwd", "cp-box:/dev/null"), "must be a directory or a regular file"),
        (("/etc/apt", "cp-box:/etc/passwd/"), "cannot overwrite non-directory"),
    ],
)
@pytest.mark.usefixtures("box")
def test_what_cannot_be_copied(cli: Any, arguments: tuple[str, str], words: str) -> None:
    done = cli("cp", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


@pytest.mark.parametrize("running", [True, False])
def test_a_read_only_root_is_not_written_to(cli: Any, *, running: bool) -> None:
    cli.good(
        "create", "--read-only", "--network", "none", "--tmpfs", "/scratch", "--name", "cp-ro", IMAGE, "sleep", "99"
    )
    try:
        if running:
            cli.good("start", "cp-ro")
            cli.good("cp", "/etc/passwd", "cp-ro:/scratch")
        done = cli("cp", "/etc/passwd", "cp-ro:/tmp/x")
        assert done.returncode == 1
        assert "container rootfs is marked read-only" in done.stderr
        assert cli.good("cp", "cp-ro:/etc/group", "-").startswith("group")
    finally:
        cli.good("rm", "-f", "cp-ro")


@needs.ID_RANGES
@pytest.mark.parametrize("running", [True, False])
def test_a_container_with_ids_of_its_own_sees_and_shows_its_own_ids(cli: Any, tree: Path, *, running: bool) -> None:
    options = ("--userns", "auto", "--tmpfs", "/scratch", "--network", "none", "--name", "cp-ids")
    script = "touch /of-root /of-5; chown 5:6 /of-5; sleep 1000"
    cli.good("run", "-d", *options, IMAGE, "sh", "-c", script)
    try:
        assert inside(cli, "[ $(cut -c 12-22 /proc/self/uid_map) -gt 0 ] && echo mapped", "cp-ids") == ["mapped"]
        if not running:
            cli.good("stop", "-t", "0", "cp-ids")
        for name, owner in (("of-root", (0, 0)), ("of-5", (5, 6))):
            with tarfile.open(fileobj=io.BytesIO(_archive(cli, f"cp-ids:/{name}"))) as archive:
                member = archive.next()
                assert member is not None
                assert (member.uid, member.gid) == owner
        cli.good("cp", str(tree), "cp-ids:/root/src")
        if running:
            cli.good("cp", str(tree), "cp-ids:/scratch/src")
            os.chown(tree / "a", 4_000_000, 0)
            done = cli("cp", str(tree / "a"), "cp-ids:/root/out-of-range")
            assert done.returncode == 1
            assert "the container has no id 4000000" in done.stderr
        else:
            cli.good("start", "cp-ids")
        shown = [f"{OWNER[0]}:{OWNER[1]}", "0:0", "0:0"]
        assert inside(cli, "cd /root/src; stat -c %u:%g a sub sub/b", "cp-ids") == shown
        if running:
            assert inside(cli, "cd /scratch/src; stat -c %u:%g a sub sub/b", "cp-ids") == shown
    finally:
        cli.good("rm", "-f", "cp-ids")


def test_files_are_reached_between_two_runs_and_in_them(cli: Any, tmp_path: Path) -> None:
    script = "echo run >> /runs; test ! -e /in/file || exec sleep 1000; exit 3"
    cli.good("run", "-d", "--network", "none", "--restart", "always", "--name", "cp-again", IMAGE, "sh", "-c", script)
    try:
        for number in range(20):  # the first rests are short: it starts again all the time
            cli.good("cp", "cp-again:/runs", str(tmp_path / str(number)))
        assert set((tmp_path / "19").read_text().split()) == {"run"}
        until(lambda: cli.good("ps", "--filter", "status=restarting", "--filter", "name=cp-again", "-q"))
        cli.good("export", "-o", str(tmp_path / "tar"), "cp-again")
        with tarfile.open(tmp_path / "tar") as archive:
            assert "runs" in archive.getnames()
        (tmp_path / "in").mkdir()
        (tmp_path / "in/file").touch()
        cli.good("cp", str(tmp_path / "in"), "cp-again:/")
        # What came between two runs is there in the next one.
        until(lambda: cli("exec", "cp-again", "test", "-e", "/in/file").returncode == 0, 60)
    finally:
        cli.good("rm", "-f", "cp-again")
