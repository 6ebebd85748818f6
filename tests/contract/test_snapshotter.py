"""What every snapshotter does; a further implementation joins ``IMPLEMENTATIONS``.

A snapshot is looked at through its mounts, in a mount namespace of a process of its own, as a container would.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import disks
from kist.errors import Conflict, InvalidInput, NotFound
from kist.spec.mount import Mount
from kist.store import Snapshots, choice
from kist.store.database import Database

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]


def opened(root: str, storage: str) -> Snapshots:
    os.makedirs(f"{root}/snapshots", exist_ok=True)
    return Snapshots(f"{root}/snapshots", Database(f"{root}/kist.db"), storage)


IMPLEMENTATIONS = ("overlay", "copy", "btrfs", "loop")
LIMIT = 32 << 20


@pytest.fixture(params=IMPLEMENTATIONS)
def storage(request) -> str:
    return request.param


@pytest.fixture
def place(storage, tmp_path) -> Iterator[Path]:
    """Where the snapshots are: on a file system that can have them."""
    (tmp_path / "tmp").mkdir()
    if storage == "loop" and (why := choice.refusal_of_limits(str(tmp_path))):
        pytest.skip(why)
    if storage != "btrfs":
        yield tmp_path
        return
    with disks.file_system("btrfs", tmp_path) as mounted:
        yield mounted


@pytest.fixture
def limit(storage) -> dict[str, int]:
    """What a container's snapshot is prepared with."""
    return {"size": LIMIT} if storage == "loop" else {}


@pytest.fixture
def again(storage, place) -> Callable[[], Snapshots]:
    """Opens the same snapshots, as a further process would."""
    return lambda: opened(str(place), storage)


@pytest.fixture
def snapshots(again) -> Iterator[Snapshots]:
    made = again()
    yield made
    made._database.close()


def inside(mounts: Sequence[Mount], script: str, target: str = "/mnt") -> str:
    """What a shell script prints whose working directory is the mounted snapshot; nothing stays mounted."""
    (mount,) = mounts
    disk = mount.option("disk")
    own = f"mount -o loop {disk} {disk.removesuffix('-disk')} && " if disk else ""
    if mount.type == "bind":
        flags = "bind,ro" if "ro" in mount.options else "bind"
        command = ["mount", "-o", flags, mount.source, target]
    else:
        options = ",".join(option for option in mount.options if not option.startswith("disk="))
        command = ["mount", "-t", mount.type, "-o", options, mount.source, target]
    program = f"{own}{' '.join(command)} && cd {target} && {script}"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(snapshots: Snapshots, name: str, parent: str | None, script: str) -> None:
    inside(snapshots.prepare(f"{name}-active", parent), script)
    snapshots.commit(name, f"{name}-active")


def test_a_snapshot_shows_what_is_below_and_keeps_its_own(snapshots, limit):
    fill(snapshots, "base", None, "echo base > a; echo base > b; mkdir d; echo x > d/x")
    fill(snapshots, "top", "base", "echo top > b; rm a; rm -r d; mkdir d; echo y > d/y")
    assert inside(snapshots.prepare("look", "top", **limit), "ls; cat b; ls d") == "b\nd\ntop\ny\n"
    assert inside(snapshots.prepare("look again", "base", **limit), "cat a b; ls d") == "base\nbase\nx\n"


def test_writing_to_one_of_two_siblings_leaves_the_other(snapshots, limit):
    fill(snapshots, "base", None, "echo base > a")
    inside(snapshots.prepare("one", "base", **limit), "echo one > a")
    assert inside(snapshots.prepare("two", "base", **limit), "cat a") == "base\n"
    assert inside(snapshots.mounts("one"), "cat a") == "one\n"


def test_a_deep_stack_is_in_order(snapshots, limit):
    parent = None
    for number in range(30):
        fill(snapshots, f"layer {number}", parent, f"echo {number} > last; echo {number} > own-{number}")
        parent = f"layer {number}"
    assert inside(snapshots.prepare("top", parent, **limit), "cat last; ls | wc -l").split() == ["29", "31"]


@pytest.mark.parametrize("layers", [1, 2])
def test_the_mounts_of_a_committed_snapshot_are_read_only(layers, snapshots):
    fill(snapshots, "base", None, "echo base > a")
    if layers == 2:
        fill(snapshots, "top", "base", "echo top > b")
    name = "top" if layers == 2 else "base"
    assert inside(snapshots.mounts(name), "cat a; touch c 2>/dev/null || echo refused") == "base\nrefused\n"


def test_the_root_looks_like_the_root_below(snapshots, limit):
    fill(snapshots, "base", None, "chown 12:34 . && chmod 1770 .")
    assert inside(snapshots.prepare("top", "base", **limit), "stat -c '%u %g %a' .") == "12 34 1770\n"


def test_the_root_of_an_empty_snapshot_is_plain_whatever_the_umask(snapshots, limit):
    before = os.umask(0o077)
    try:
        made = snapshots.prepare("a", **limit)
    finally:
        os.umask(before)
    assert inside(made, "stat -c '%u %g %a' .") == "0 0 755\n"


def test_keys_parents_and_existence(snapshots):
    fill(snapshots, "base", None, "true")
    snapshots.prepare("top", "base")
    assert snapshots.list() == ("base", "top")
    assert (snapshots.parent("top"), snapshots.parent("base")) == ("base", None)
    assert (snapshots.exists("top"), snapshots.exists("base-active")) == (True, False)
    assert (snapshots.committed("top"), snapshots.committed("base")) == (False, True)


def test_usage_counts_the_snapshots_own_files(snapshots, limit):
    fill(snapshots, "base", None, "head -c 1000 /dev/zero > a; ln a b")
    inside(snapshots.prepare("top", "base", **limit), "head -c 500 /dev/zero > c")
    assert (snapshots.usage("base"), snapshots.usage("top")) == (1000, 500)


def test_removal_gives_the_space_back(snapshots, limit, place):
    fill(snapshots, "base", None, "echo x > x")
    before = os.listdir(place / "snapshots")
    inside(snapshots.prepare("a", "base", **limit), "echo y > x")
    snapshots.remove("a")
    assert not snapshots.exists("a")
    assert os.listdir(place / "snapshots") == before


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


def test_what_others_stand_on_stays(snapshots, limit):
    fill(snapshots, "base", None, "echo x > x")
    snapshots.prepare("top", "base", **limit)
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


def test_an_unknown_parent_is_not_found_and_nothing_is_left(snapshots, limit):
    with pytest.raises(NotFound):
        snapshots.prepare("a", "nothing", **limit)
    assert snapshots.list() == ()


def test_another_process_sees_the_same(snapshots, again, limit):
    fill(snapshots, "base", None, "echo x > x")
    other = again()
    assert other.list() == ("base",)
    assert inside(other.prepare("top", "base", **limit), "cat x; echo y > y") == "x\n"
    assert inside(snapshots.mounts("top"), "cat x y") == "x\ny\n"
    other._database.close()


def test_processes_that_prepare_at_once_get_snapshots_of_their_own(snapshots, storage, place, limit):
    fill(snapshots, "base", None, "echo x > x")
    program = (
        "import sys, json; from kist.store import Snapshots; from kist.store.database import Database\n"
        f"s = Snapshots({str(place / 'snapshots')!r}, Database({str(place / 'kist.db')!r}), {storage!r})\n"
        f"mounts = [s.prepare(f'{{sys.argv[1]}}-{{n}}', 'base', **{limit})[0] for n in range(20)]\n"
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


def test_directories_without_a_snapshot_are_swept(snapshots, limit, place):
    fill(snapshots, "base", None, "echo x > x")
    inside(snapshots.prepare("mine", "base", **limit), "echo y > y")
    before = sorted(os.listdir(place / "snapshots"))
    (place / "snapshots" / "999" / "fs").mkdir(parents=True)
    (place / "snapshots" / "999-disk").write_bytes(b"x")
    assert sorted(map(os.path.basename, snapshots.strays())) == ["999", "999-disk"]
    snapshots.sweep()
    assert sorted(os.listdir(place / "snapshots")) == before
    assert inside(snapshots.mounts("mine"), "cat x y") == "x\ny\n"


def test_a_twin_is_made_where_it_takes_no_copying(snapshots, storage, limit):
    fill(snapshots, "base", None, "echo base > a")
    inside(snapshots.prepare("top", "base", **limit), "echo top > b")
    if storage != "btrfs":
        assert not snapshots.twin("twin", "top")
        assert not snapshots.exists("twin")
        return
    assert snapshots.twin("twin", "top")
    assert snapshots.mounts("twin")[0].option("copied-at") == snapshots.mounts("top")[0].option("copied-at")
    inside(snapshots.mounts("top"), "echo later > b")
    assert inside(snapshots.mounts("twin"), "cat a b; echo other > c") == "base\ntop\n"
    assert inside(snapshots.mounts("top"), "ls").split() == ["a", "b"]
    snapshots.commit("layer", "twin")
    assert snapshots.parent("layer") == "base"
    with pytest.raises(Conflict, match="top exists"):
        snapshots.twin("top", "top")


@pytest.mark.parametrize("storage", ["loop"])
def test_a_limited_snapshot_is_never_a_layer(snapshots, limit):
    snapshots.prepare("a", **limit)
    with pytest.raises(InvalidInput, match="of its own"):
        snapshots.commit("b", "a")


@pytest.mark.parametrize("storage", ["loop"])
def test_a_disk_is_full_at_its_limit_and_not_before(snapshots, limit):
    fill(snapshots, "base", None, "echo x > x")
    top = snapshots.prepare("top", "base", **limit)
    assert inside(top, f"head -c {LIMIT} /dev/zero > fits && echo ok; rm fits") == "ok\n"
    over = LIMIT + (2 << 20)
    assert inside(top, f"head -c {over} /dev/zero 2>&1 > much || echo; rm much").count("No space left") == 1
    assert os.stat(top[0].option("disk")).st_size < LIMIT * 1.4
