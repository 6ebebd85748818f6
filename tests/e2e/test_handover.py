"""Option ``U`` of a mount: what is mounted becomes the container's user's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import BUSYBOX, Cli
from kist.kernel import handover
from ordinary import FIRST, GID, UID
from rootless_user import User

pytestmark = pytest.mark.root("becomes ordinary users itself")

QUIET = ("--network", "none")
BOTH = pytest.mark.parametrize("user", ["range", "alone"], indirect=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with what such trees have, of root's."""
    return fill(tmp_path / "tree")


def fill(top: Path) -> Path:
    (top / "below" / "deeper").mkdir(parents=True)
    (top / "below" / "file").write_text("x")
    (top / "link").symlink_to("/etc/passwd")
    (top / "below" / "dangling").symlink_to("nowhere")
    return top


def owners(top: Path) -> set[tuple[int, int]]:
    found = [top, *top.rglob("*")]
    assert len(found) == 6
    return {(status.st_uid, status.st_gid) for status in (path.lstat() for path in found)}


@pytest.mark.parametrize(
    ("options", "owner"),
    [
        (("-u", "1000"), (1000, 1000)),
        (("-u", "user"), (1000, 1000)),
        (("-u", "user:extra"), (1000, 2000)),
        (("-u", "7:8"), (7, 8)),
        (("--userns", "auto", "-u", "user"), (1000, 1000)),
        (("--userns", "auto:size=2000", "-u", "12:13"), (12, 13)),
    ],
)
def test_a_bind_becomes_the_users(cli: Cli, tree: Path, options: tuple[str, ...], owner: tuple[int, int]) -> None:
    script = "touch /t/below/new && stat -c %u:%g /t/below/file"
    out = cli.good("run", "--rm", *QUIET, *options, "-v", f"{tree}:/t:U", BUSYBOX, "sh", "-c", script)
    assert out == f"{owner[0]}:{owner[1]}"
    assert (tree / "below" / "new").stat().st_uid == owner[0]
    (tree / "below" / "new").unlink()
    assert owners(tree) == {owner}
    assert os.stat("/etc/passwd").st_uid == 0


def test_the_caller_keeps_what_is_the_callers(cli: Cli, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(UID))
    monkeypatch.setenv("SUDO_GID", str(GID))
    for options in (("--as-me",), ("--userns", "keep-id"), ("--userns", "keep-id:uid=500,gid=500")):
        os.chown(tree / "below", 0, 0)
        cli.good("run", "--rm", *QUIET, *options, "-v", f"{tree}:/t:U", BUSYBOX, "touch", "/t/below/file")
        assert owners(tree) == {(UID, GID)}, options


@pytest.mark.parametrize("word", ["U", "U=true", "chown=true"])
def test_the_long_spelling(cli: Cli, tree: Path, word: str) -> None:
    mount = f"type=bind,src={tree},dst=/t,readonly,{word}"
    done = cli("run", "--rm", *QUIET, "-u", "1000", "--mount", mount, BUSYBOX, "touch", "/t/new")
    assert "Read-only file system" in done.stderr
    assert owners(tree) == {(1000, 1000)}


def test_a_volume_becomes_the_users_at_each_start(cli: Cli) -> None:
    name = cli.good("create", *QUIET, "-u", "user", "-v", "handed:/v:U", BUSYBOX, "sh", "-c", "echo x > /v/file")
    try:
        cli.good("start", "-a", name)
        (volume,) = Path(cli.environment["KIST_ROOT"], "volumes").glob("handed/_data")
        assert (volume.stat().st_uid, (volume / "file").stat().st_uid) == (1000, 1000)
        os.chown(volume, 0, 0)
        cli.good("start", "-a", name)
        assert volume.stat().st_uid == 1000
        # Who takes the volumes of another container takes them as they are.
        cli.good("run", "--rm", *QUIET, "--volumes-from", name, BUSYBOX, "true")
        assert volume.stat().st_uid == 1000
    finally:
        cli.good("rm", name)
        cli.good("volume", "rm", "handed")


@pytest.mark.parametrize("source", ["/", "/etc", "/usr/share", "/home", "/root", "/tmp"])
def test_the_systems_directories_are_refused(cli: Cli, source: str) -> None:
    before = os.stat(source)
    done = cli("run", "--rm", *QUIET, "-u", "1000", "-v", f"{source}:/t:U", BUSYBOX, "true")
    assert done.returncode == 125
    assert f"option U: {source} is " in done.stderr
    assert "leave U out" in done.stderr
    assert os.stat(source).st_uid == before.st_uid


def test_a_link_to_one_is_refused_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    done = cli("run", "--rm", *QUIET, "-u", "1000", "-v", f"{tmp_path}/link:/t:U", BUSYBOX, "true")
    assert "option U: /etc is the system's" in done.stderr


def test_a_dry_run_gives_nothing_away(cli: Cli, tree: Path) -> None:
    cli.good("run", "--dry-run", *QUIET, "-u", "1000", "-v", f"{tree}:/t:U", BUSYBOX, "true")
    assert owners(tree) == {(0, 0)}


def test_what_is_mounted_below_stays(tmp_path: Path) -> None:
    """By a process in mounts of its own: a directory and a file of the same file system are mounted in the tree."""
    top, other = fill(tmp_path / "tree"), fill(tmp_path / "other")
    program = (
        "import os, sys; from kist.kernel import handover\nprint(handover.give_tree(os.open('.', os.O_PATH), 7, 7))"
    )
    mounting = f"mount --bind {other} below/deeper; mount --bind {other}/below/file below/file"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", f'{mounting}; exec "$0" -c "$1"', sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
        cwd=top,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4\n"
    assert owners(other) == {(0, 0)}
    assert {path.name for path in top.rglob("*") if path.lstat().st_uid == 0} == {"deeper", "file"}


def test_what_is_nested_too_deep_is_told(tmp_path: Path) -> None:
    above = os.open(tmp_path, os.O_PATH)
    for _ in range(handover.DEEPEST + 1):
        os.mkdir("d", dir_fd=above)
        inner = os.open("d", os.O_PATH, dir_fd=above)
        os.close(above)
        above = inner
    os.close(above)
    top = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(OSError, match="nested deeper than 256"):
            handover.give_tree(top, 7, 7)
    finally:
        os.close(top)


# an ordinary user


@pytest.fixture
def mine(user: User) -> Iterator[Path]:
    top = fill(user.who.home / "handed")
    for path in (top, *top.rglob("*")):
        os.lchown(path, UID, GID)
    yield top
    subprocess.run(["rm", "-r", top], check=True)


@BOTH
def test_an_ordinary_user_gives_to_ids_that_are_theirs(user: User, mine: Path) -> None:
    owner = (FIRST + 999, FIRST + 999) if user.who.range_ else (UID, GID)
    if user.who.range_:
        user.good("run", "--rm", *QUIET, "-u", "user", "-v", f"{mine}:/t:U", BUSYBOX, "touch", "/t/below/file")
        assert owners(mine) == {owner}
    for options in ((), ("--as-me",)):
        user.good("run", "--rm", *QUIET, *options, "-v", f"{mine}:/t:U", BUSYBOX, "touch", "/t/below/file")
        assert owners(mine) == {(UID, GID)}


@pytest.mark.parametrize("user", ["range"], indirect=True)
def test_an_ordinary_user_gives_nothing_of_others(user: User, mine: Path) -> None:
    os.chown(mine / "below" / "file", 0, 0)
    told = user.refused("run", "--rm", *QUIET, "-u", "user", "-v", f"{mine}:/t:U", BUSYBOX, "true")
    assert "below/file is not yours to give away" in told
    assert (mine / "below" / "file").stat().st_uid == 0
    told = user.refused("run", "--rm", *QUIET, "-v", f"{user.who.home}:/t:U", BUSYBOX, "true")
    assert "a user's home" in told
    told = user.refused("run", "--rm", *QUIET, "-u", "70000", "-v", f"{mine}:/t:U", BUSYBOX, "true")
    assert "has no id" in told
