"""What every snapshotter does; a further implementation joins ``IMPLEMENTATIONS``.

A snapshot is looked at through its mounts, in a mount namespace of a process of its own, as a container would.
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from kist.errors import Conflict, InvalidInput, NotFound
from kist.spec.mount import Mount
from kist.store import Snapshots
from kist.store.database import Database

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]


def opened(root: str, storage: str) -> Snapshots:
    os.makedirs(f"{root}/snapshots", exist_ok=True)
    return Snapshots(f"{root}/snapshots", Database(f"{root}/kist.db"), storage)


IMPLEMENTATIONS = ("overlay", "copy")


@pytest.fixture(params=IMPLEMENTATIONS)
def storage(request) -> str:
    return request.param


@pytest.fixture
def again(storage, tmp_path) -> Callable[[], Snapshots]:
    """Opens the same snapshots, as a further process would."""
    return lambda: opened(str(tmp_path), storage)


@pytest.fixture
def snapshots(again) -> Iterator[Snapshots]:
    made = again()
    yield made
    made._database.close()


def inside(mounts: Sequence[Mount], script: str, target: str = "/mnt") -> str:
    """What a shell script prints whose working directory is the mounted snapshot; nothing stays mounted."""
    (mount,) = mounts
    if mount.type == "bind":
        flags = "bind,ro" if "ro" in mount.options else "bind"
        command = ["mount", "-o", flags, mount.source, target]
    else:
        command = ["mount", "-t", mount.type, "-o", ",".join(mount.options), mount.source, target]
    program = f"{' '.join(command)} && cd {target} && {script}"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(snapshots: Snapshots, name: str, parent: str | None, script: str) -> None:
    inside(snapshots.prepare(f"{name}-active", parent), script)
    snapshots.commit(name, f"{name}-active")


def test_a_snapshot_shows_what_is_below_and_keeps_its_own(snapshots):
    fill(snapshots, "base", None, "echo base > a; echo base > b; mkdir d; echo x > d/x")
    fill(snapshots, "top", "base", "echo top > b; rm a; rm -r d; mkdir d; echo y > d/y")
    assert inside(snapshots.prepare("look", "top"), "ls; cat b; ls d") == "b\nd\ntop\ny\n"
    assert inside(snapshots.prepare("look again", "base"), "cat a b; ls d") == "base\nbase\nx\n"


def test_writing_to_one_of_two_siblings_leaves_the_other(snapshots):
    fill(snapshots, "base", None, "echo base > a")
    inside(snapshots.prepare("one", "base"), "echo one > a")
    assert inside(snapshots.prepare("two", "base"), "cat a") == "base\n"
    assert inside(snapshots.mounts("one"), "cat a") == "one\n"


def test_a_deep_stack_is_in_order(snapshots):
    parent = None
    for number in range(30):
        fill(snapshots, f"layer {number}", parent, f"echo {number} > last; echo {number} > own-{number}")
        parent = f"layer {number}"
    assert inside(snapshots.prepare("top", parent), "cat last; ls | wc -l").split() == ["29", "31"]


@pytest.mark.parametrize("layers", [1, 2])
def test_the_mounts_of_a_committed_snapshot_are_read_only(layers, snapshots):
    fill(snapshots, "base", None, "echo base > a")
    if layers == 2:
        fill(snapshots, "top", "base", "echo top > b")
    name = "top" if layers == 2 else "base"
    assert inside(snapshots.mounts(name), "cat a; touch c 2>/dev/null || echo refused") == "base\nrefused\n"


def test_the_root_looks_like_the_root_below(snapshots):
    fill(snapshots, "base", None, "chown 12:34 . && chmod 1770 .")
    assert inside(snapshots.prepare("top", "base"), "stat -c '%u %g %a' .") == "12 34 1770\n"


def test_the_root_of_an_empty_snapshot_is_plain_whatever_the_umask(snapshots):
    before = os.umask(0o077)
    try:
        (mount,) = snapshots.prepare("a")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(mount.source).st_mode) == 0o755


def test_keys_parents_and_existence(snapshots):
    fill(snapshots, "base", None, "true")
    snapshots.prepare("top", "base")
    assert snapshots.list() == ("base", "top")
    assert (snapshots.parent("top"), snapshots.parent("base")) == ("base", None)
    assert (snapshots.exists("top"), snapshots.exists("base-active")) == (True, False)
    assert (snapshots.committed("top"), snapshots.committed("base")) == (False, True)


def test_usage_counts_the_snapshots_own_files(snapshots):
    fill(snapshots, "base", None, "head -c 1000 /dev/zero > a; ln a b")
    inside(snapshots.prepare("top", "base"), "head -c 500 /dev/zero > c")
    assert (snapshots.usage("base"), snapshots.usage("top")) == (1000, 500)


def test_removal_gives_the_space_back(snapshots):
    (mount,) = snapshots.prepare("a")
    inside((mount,), "echo x > x")
    snapshots.remove("a")
    assert not snapshots.exists("a")
    assert not os.path.exists(mount.source)


def test_a_key_is_used_once(snapshots):
    snapshots.prepare("a")
    with pytest.raises(Conflict, match="a exists"):
        snapshots.prepare("a")
    assert len(snapshots.list()) == 1


def test_a_name_is_used_once(snapshots):
    fill(snapshots, "base", None, "true")
    snapshots.prepare("other")
    with pytest.raises(Conflict, match="base exists"):
        snapshots.commit("base", "other")
    assert not snapshots.committed("other")


def test_what_others_stand_on_stays(snapshots):
    fill(snapshots, "base", None, "echo x > x")
    snapshots.prepare("top", "base")
    with pytest.raises(Conflict, match="on top"):
        snapshots.remove("base")
    assert inside(snapshots.mounts("top"), "cat x") == "x\n"


def test_an_active_snapshot_is_no_parent_and_a_committed_one_is_not_committed_again(snapshots):
    snapshots.prepare("active")
    with pytest.raises(InvalidInput, match="not committed"):
        snapshots.prepare("top", "active")
    snapshots.commit("done", "active")
    with pytest.raises(InvalidInput, match="committed already"):
        snapshots.commit("again", "done")


@pytest.mark.parametrize("act", ["mounts", "remove", "parent", "usage", "committed"])
def test_an_unknown_key_is_not_found(act, snapshots):
    with pytest.raises(NotFound, match="no such snapshot: nothing"):
        getattr(snapshots, act)("nothing")


def test_an_unknown_parent_is_not_found_and_nothing_is_left(snapshots):
    with pytest.raises(NotFound):
        snapshots.prepare("a", "nothing")
    assert snapshots.list() == ()


def test_another_process_sees_the_same(snapshots, again):
    fill(snapshots, "base", None, "echo x > x")
    other = again()
    assert other.list() == ("base",)
    assert inside(other.prepare("top", "base"), "cat x") == "x\n"
    assert snapshots.exists("top")
    other._database.close()


def test_processes_that_prepare_at_once_get_snapshots_of_their_own(snapshots, storage, tmp_path):
    fill(snapshots, "base", None, "echo x > x")
    program = (
        "import sys, json; from kist.store import Snapshots; from kist.store.database import Database\n"
        f"s = Snapshots({str(tmp_path / 'snapshots')!r}, Database({str(tmp_path / 'kist.db')!r}), {storage!r})\n"
        "mounts = [s.prepare(f'{sys.argv[1]}-{n}', 'base')[0] for n in range(20)]\n"
        "print(json.dumps([mount.option('upperdir') or mount.source for mount in mounts]))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    places = [place for process in running for place in json.loads(process.communicate()[0])]
    assert len(set(places)) == 60
    assert len(snapshots.list()) == 61


def test_a_snapshot_that_was_not_synced_before_a_crash_is_unpacked_anew(snapshots, again):
    fill(snapshots, "synced", None, "true")
    snapshots.flush()
    fill(snapshots, "base", None, "true")
    snapshots.prepare("container", "base")
    with snapshots._database.transaction() as db:
        db.execute("UPDATE snapshots SET boot = 'another boot' WHERE boot != ''")
    after = again()
    assert (after.exists("synced"), after.exists("base"), after.exists("container")) == (True, False, True)
    fill(after, "base", None, "echo whole > x")
    assert after.exists("base")
    after._database.close()


def test_directories_without_a_snapshot_are_swept(snapshots, tmp_path):
    (mount,) = snapshots.prepare("mine")
    (tmp_path / "snapshots" / "999" / "fs").mkdir(parents=True)
    snapshots.sweep()
    assert os.listdir(tmp_path / "snapshots") == [os.path.basename(mount.source)]
