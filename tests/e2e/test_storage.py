"""Snapshots as whole copies: chosen where overlayfs cannot do its work, as on a home without extended attributes."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from harness import BUSYBOX, clean_up, import_busybox
from kist.engine import Engine
from kist.kernel import process
from kist.spec.container import ContainerOptions
from ordinary import GID, UID, Ordinary
from rootless_user import User, made
from storages import DOCKERFILE

pytestmark = pytest.mark.root("becomes ordinary users itself")

QUIET = ("--network", "none")


WITHOUT_ATTRIBUTES = "mount -t ramfs kist-bare {home}; chown {uid}:{gid} {home}"
# A mount that has an id for the user and for nobody else.
OF_ONE_OWNER = """\
mount -t tmpfs kist-mapped {home}; chown {uid}:{gid} {home}
{python} -c 'from kist.kernel import mounts, userns
tree = mounts.clone_tree("{home}")
mounts.map_ids(tree, userns.make((({uid}, {uid}, 1),), (({gid}, {gid}, 1),)))
mounts.attach_tree(tree, "{home}")'
"""


@contextlib.contextmanager
def housed(directory: Path, mount: str, *, range_: bool) -> Iterator[User]:
    """An ordinary user whose home is mounted by this script, in mounts of the tests' own."""
    home = directory / "home"
    home.mkdir()
    script = mount.format(home=home, uid=UID, gid=GID, python=sys.executable) + "\necho ready; exec cat"
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"ready\n"
        who = Ordinary(directory, range_, mounts=f"/proc/{holder.pid}/ns/mnt")
        with made(directory, range_=range_, who=who) as one:
            yield one
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


@pytest.fixture(scope="module", params=["range", "alone"])
def user(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """An ordinary user whose home is on a file system without attributes."""
    with housed(tmp_path_factory.mktemp("bare"), WITHOUT_ATTRIBUTES, range_=request.param == "range") as one:
        yield one


def test_a_home_without_attributes_has_all_that_others_have(user: User) -> None:
    shared = user.who.directory / "shared"
    shared.mkdir()
    os.chown(shared, UID, GID)
    (shared / "Dockerfile").write_text(DOCKERFILE)
    (shared / "file").write_text("copied\n")
    assert user.good("info", "-f", "{{.Driver}}") == "copy"
    user.good("build", "-t", "built", str(shared))
    assert user.good("run", "--rm", *QUIET, "built").split() == ["again", "file", "new", "2", "copied"]
    script = "rm -r /d; mkdir /d; echo 3 > /d/three; chown user /d/three"
    user.good("run", "--name", "changed", *QUIET, "built", "sh", "-c", script)
    changes = set(user.good("diff", "changed").splitlines())
    assert changes == {"C /d", "D /d/again", "D /d/file", "D /d/new", "A /d/three"}
    user.good("commit", "changed", "committed")
    user.good("save", "-o", f"{shared}/saved", "committed")
    user.good("rm", "changed")
    user.good("rmi", "committed")
    user.good("load", "-i", f"{shared}/saved")
    owner = "1000" if user.who.range_ else "0"  # of whom one id cannot tell anything here
    told = user.good("run", "--rm", *QUIET, "committed", "sh", "-c", "ls /d; stat -c %u /d/three")
    assert told.split() == ["three", owner]
    user.good("rmi", "committed", "built")
    user.good("builder", "prune", "-f")
    assert user.good("system", "check") == ""


ON_BTRFS = "mount -o loop{more} {disk} {{home}}; chown {{uid}}:{{gid}} {{home}}"


@pytest.fixture
def btrfs_disk(tmp_path: Path) -> Path:
    if why := disks.missing("btrfs"):
        pytest.skip(why)
    disk = tmp_path / "btrfs.disk"
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.btrfs", "-q", str(disk)], check=True)
    return disk


@pytest.mark.parametrize("range_", [True, False], ids=["range", "alone"])
def test_a_home_on_btrfs_has_subvolumes_where_users_may_remove_them(
    range_: bool,
    btrfs_disk: Path,
    tmp_path: Path,
) -> None:
    mount = ON_BTRFS.format(disk=btrfs_disk, more=",user_subvol_rm_allowed")
    with housed(tmp_path, mount, range_=range_) as user:
        assert user.good("info", "-f", "{{.Driver}}") == "overlay"
        user.good("system", "migrate", "--storage-driver", "btrfs")
        assert user.good("info", "-f", "{{.Driver}}") == "btrfs"
        script = "rm -r /home; echo 1 > /one; chown user /one"
        user.good("run", "--name", "changed", *QUIET, BUSYBOX, "sh", "-c", script)
        assert set(user.good("diff", "changed").splitlines()) == {"D /home", "A /one"}
        user.good("commit", "changed", "taken")
        owner = "1000" if range_ else "0"
        assert user.good("run", "--rm", *QUIET, "taken", "stat", "-c", "%u", "/one") == owner
        user.good("rm", "changed")
        user.good("rmi", "taken")
        assert user.good("system", "check") == ""


def test_a_home_on_btrfs_without_that_is_told_what_is_missing(btrfs_disk: Path, tmp_path: Path) -> None:
    with housed(tmp_path, ON_BTRFS.format(disk=btrfs_disk, more=""), range_=True) as user:
        refused = user.refused("system", "migrate", "--storage-driver", "btrfs")
        assert "user_subvol_rm_allowed" in refused
        assert user.good("run", "--rm", *QUIET, BUSYBOX, "echo", "works") == "works"


def test_on_a_home_that_holds_no_files_of_others_there_is_one_id(tmp_path: Path) -> None:
    with housed(tmp_path, OF_ONE_OWNER, range_=True) as user:
        info = user.good("info")
        assert f"one id ({user.who.home}/.local/share/kist can hold no files of other ids: " in info
        script = "touch /mine; chown user /mine && stat -c %u /mine"
        assert user.good("run", "--rm", *QUIET, BUSYBOX, "sh", "-c", script) == "0"
        found = {each["code"]: each for each in json.loads(user.good("doctor", "--json", "owners", "engine", "subids"))}
        states = {code: each["state"] for code, each in found.items()}
        assert states == {"owners": "lacking", "engine": "ok", "subids": "ok"}


def test_where_overlay_works_no_more_copies_are_made_and_what_was_there_goes_on(
    tmp_path: Path,
) -> None:
    roots = str(tmp_path / "data"), str(tmp_path / "run")
    with Engine(*roots) as engine:
        image = import_busybox(engine)
        stays = engine.create(ContainerOptions(image=image, command=("sh", "-c", "cat /a"), network="none"))
        upper = engine.store.snapshots.mounts(stays.id)[0].option("upperdir")
        Path(upper or "", "a").write_text("as it was")
    # As it would be found on another machine that has the same home.
    (tmp_path / "data" / "storage").write_text(f"copy {process.boot_id()}\n")
    with Engine(*roots) as engine:
        assert engine.info().storage_driver == "copy"
        engine.start(stays)
        engine.wait(stays)
        assert b"".join(line.data for line in engine.logs(stays)) == b"as it was"
        assert engine.run(image, ["sh", "-c", "rm -r /home; ls /home || echo gone"]).stdout == "gone\n"
        assert [str(change) for change in engine.changes(stays)] == ["A /a"]
        engine.remove(stays)
    clean_up(tmp_path / "data")
