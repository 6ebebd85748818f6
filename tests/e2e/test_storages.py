"""Each storage with real containers: what users do gives the same on all of them."""

import io
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from faultroom import Room, left_by_us, points
from harness import BUSYBOX, Cli, a_cli, an_engine, import_busybox, until
from rootless_user import made
from storages import DOCKERFILE, a_cli_on

pytestmark = pytest.mark.root("mounts file systems of its own")

QUIET = ("--network", "none")


@pytest.fixture(scope="module", params=["overlay", "copy", "btrfs", "loop"])
def kist(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One for all tests of a storage: each takes away again what it makes."""
    with a_cli_on(request.param, tmp_path_factory.mktemp(request.param)) as cli:
        yield cli


def test_what_users_do_is_the_same_everywhere(kist: Cli, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "context" / "file").write_text("copied\n")
    kist.good("build", "-t", "built", str(tmp_path / "context"))
    assert kist.good("run", "--rm", *QUIET, "built").split() == ["again", "file", "new", "2", "copied"]
    script = "rm -r /d; mkdir /d; echo 3 > /d/three; chown user /d/three; echo more >> /etc/passwd; ln -s x /link"
    kist.good("run", "--name", "changed", *QUIET, "built", "sh", "-c", script)
    changes = {"C /d", "D /d/again", "D /d/file", "D /d/new", "A /d/three", "C /etc", "C /etc/passwd", "A /link"}
    assert set(kist.good("diff", "changed").splitlines()) == changes
    kist.good("cp", "changed:/d/three", str(tmp_path / "three"))
    assert (tmp_path / "three").read_text() == "3\n"
    (tmp_path / "four").write_text("4\n")
    kist.good("cp", str(tmp_path / "four"), "changed:/d/four")
    kist.good("export", "-o", str(tmp_path / "exported"), "changed")
    with tarfile.open(tmp_path / "exported") as tar:
        assert {"d/three", "d/four", "link"} <= set(tar.getnames())
        assert "d/new" not in tar.getnames()
    kist.good("commit", "changed", "committed")
    kist.good("save", "-o", str(tmp_path / "saved"), "committed")
    kist.good("rm", "changed")
    assert kist.good("run", "--rm", *QUIET, "committed", "sh", "-c", "cat /d/*; stat -c %u /d/three").split() == [
        "4",
        "3",
        "1000",
    ]
    kist.good("rmi", "committed")
    kist.good("load", "-i", str(tmp_path / "saved"))
    assert kist.good("run", "--rm", *QUIET, "committed", "sh", "-c", "cat /d/*; stat -c %u /d/three").split() == [
        "4",
        "3",
        "1000",
    ]
    kist.good("rmi", "committed", "built")
    kist.good("builder", "prune", "-f")
    assert left_by_us(kist) == []
    assert not [path for path in disks.on_loop_devices() if path.startswith(f"{kist.directory}/data")]


def test_a_running_container_is_looked_into_and_committed(kist: Cli, tmp_path: Path) -> None:
    kist.good("run", "-d", "--name", "runs", *QUIET, BUSYBOX, "sh", "-c", "echo 1 > /one; sleep 1000")
    kist.good("exec", "runs", "sh", "-c", "until [ -s /one ]; do :; done; echo 2 > /two; rm /etc/group")
    assert set(kist.good("diff", "runs").splitlines()) == {"A /one", "A /two", "C /etc", "D /etc/group"}
    kist.good("cp", "runs:/two", str(tmp_path / "two"))
    kist.good("commit", "runs", "taken")
    kist.good("exec", "runs", "sh", "-c", "echo later > /two")
    script = "cat /one /two; test -e /etc/group || echo gone"
    assert kist.good("run", "--rm", *QUIET, "taken", "sh", "-c", script).split() == ["1", "2", "gone"]
    kist.good("rm", "-f", "runs")
    kist.good("rmi", "taken")


def test_an_image_is_mounted_and_kept(kist: Cli, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "context" / "file").write_text("copied\n")
    kist.good("build", "-q", "-t", "things", str(tmp_path / "context"))
    whole, part = ("--mount", "type=image,source=things,target=/i"), ("--mount", "type=image,src=things,dst=/p")
    words = (*QUIET, *whole, part[0], f"{part[1]},image-subpath=d", BUSYBOX)
    script = "cat /i/d/file /p/new; stat -c %u /p/file; ls /i/gone; ! touch /i/x /p/x"
    for user in ("host", "auto"):
        done = kist("run", "--rm", "--userns", user, *words, "sh", "-c", script)
        assert done.stdout.split() == ["copied", "2", "1000"], done.stderr
        assert done.stderr.count("Read-only file system") == 2
    kist.good("create", "--name", "keeps", *words, "cat", "/i/d/file")
    kist.good("rmi", "-f", "things")
    kist.good("builder", "prune", "-af")
    assert kist.good("start", "-a", "keeps") == "copied"
    assert kist.good("cp", "keeps:/p/new", "-")
    kist.good("rm", "keeps")
    assert left_by_us(kist) == []


def test_files_keep_their_owners_with_ids_of_their_own(kist: Cli) -> None:
    run = ("run", "--name", "mapped", "--userns", "auto", *QUIET)
    kist.good(*run, BUSYBOX, "sh", "-c", "echo x > /x; chown user /x; rm /etc/group")
    assert set(kist.good("diff", "mapped").splitlines()) == {"A /x", "C /etc", "D /etc/group"}
    kist.good("commit", "mapped", "taken")
    assert kist.good("run", "--rm", *QUIET, "taken", "stat", "-c", "%u", "/x").strip() == "1000"
    kist.good("rm", "mapped")
    kist.good("rmi", "taken")


def test_a_container_that_is_killed_with_all_that_guards_it_keeps_what_it_has_written(kist: Cli) -> None:
    kist.good("run", "-d", "--name", "killed", *QUIET, BUSYBOX, "sh", "-c", "echo kept > /kept; sync; sleep 1000")
    kist.good("exec", "killed", "sh", "-c", "until [ -s /kept ]; do :; done")
    pid = int(kist.good("inspect", "-f", "{{.State.Pid}}", "killed"))
    kist.stop_engine()
    os.kill(pid, signal.SIGKILL)
    kist.good("wait", "killed")
    kist.good("cp", "killed:/kept", "-")
    assert set(kist.good("diff", "killed").splitlines()) == {"A /kept"}
    kist.good("rm", "killed")


def test_a_commit_on_btrfs_is_a_snapshot_and_the_same_as_what_is_unpacked(tmp_path: Path) -> None:
    with a_cli_on("btrfs", tmp_path) as kist:
        script = "echo kept > /kept; mkdir /d; touch -d @1000000000 /kept /d; rm -r /home"
        kist.good("run", "--name", "changed", *QUIET, BUSYBOX, "sh", "-c", script)
        kist.good("commit", "changed", "taken")
        snapshots = kist.directory / "data" / "snapshots"
        numbers = sorted(int(path.name) for path in snapshots.iterdir() if path.is_dir())
        container, layer = (snapshots / str(number) for number in numbers[-2:])
        assert (container / "kept").stat().st_ino == (layer / "kept").stat().st_ino
        as_taken = sorted(str(path.relative_to(layer)) for path in layer.rglob("*"))
        assert kist.good("run", "--rm", *QUIET, "taken", "cat", "/kept") == "kept"
        kist.good("save", "-o", str(tmp_path / "saved"), "taken")
        kist.good("rm", "changed")
        kist.good("rmi", "taken")
        kist.good("load", "-i", str(tmp_path / "saved"))
        unpacked = snapshots / str(max(int(path.name) for path in snapshots.iterdir() if path.is_dir()))
        assert as_taken == sorted(str(path.relative_to(unpacked)) for path in unpacked.rglob("*"))
        assert {"kept", "d"} < set(as_taken)
        kist.good("rmi", "taken")
        assert left_by_us(kist) == []


CUT_OFF = ("create: prepared the snapshot", "create: made the directories", "remove: removed the record")


@pytest.mark.parametrize("kist", ["btrfs", "loop"], indirect=True)
@pytest.mark.parametrize("point", CUT_OFF)
def test_who_is_killed_while_a_container_is_made_or_removed_leaves_nothing(point: str, kist: Cli) -> None:
    assert point in points()
    snapshots = kist.directory / "data" / "snapshots"
    before = set(os.listdir(snapshots))
    kist.stop_engine()
    room = Room(kist)
    if point.startswith("remove"):
        room.good("create", "--name", "it", *QUIET, BUSYBOX, "true")
    else:
        room.good("ps")  # the engine has the places at which it may die
    room.arm(point)
    room.run(*(("rm", "it") if point.startswith("remove") else ("create", "--name", "it", *QUIET, BUSYBOX, "true")))
    until(lambda: not room.trap.exists())  # files go after the answer
    assert room.sprung()
    room.run("rm", "-f", "it")
    room.run("system", "check", "--repair")
    assert left_by_us(kist) == []
    kist.good("run", "--rm", *QUIET, BUSYBOX, "true")
    until(lambda: set(os.listdir(snapshots)) <= before)


def test_a_full_disk_below_a_disk_is_told_to_who_writes_and_nobody_else(tmp_path: Path) -> None:
    with disks.file_system("ext4", tmp_path, size=200 << 20) as place:
        (tmp_path / "data").symlink_to(place)
        with an_engine(tmp_path) as engine:
            import_busybox(engine)
        with a_cli(tmp_path) as kist:
            script = "busybox dd if=/dev/zero of=/large bs=1M count=250 conv=fsync 2>&1 | grep -c 'No space left'"
            limited = ("--name", "large", *QUIET, "--storage-opt", "size=300M")
            assert kist.good("run", *limited, BUSYBOX, "sh", "-c", script) == "1"
            kist.good("rm", "large")
            until(lambda: os.statvfs(place).f_bavail * os.statvfs(place).f_frsize > 100 << 20)
            assert kist.good("run", "--rm", *QUIET, BUSYBOX, "echo", "works") == "works"
            assert left_by_us(kist) == []


def test_a_limit_is_root_s_alone_and_said_so(tmp_path: Path) -> None:
    with made(tmp_path, range_=True) as user:
        refused = user.refused("run", "--rm", *QUIET, "--storage-opt", "size=1G", BUSYBOX, "true")
        assert "--storage-opt size=1G cannot be had: loop devices are root's" in refused
        assert "kist doctor loop" in refused
        (user.who.home / ".config" / "kist").mkdir(parents=True)
        (user.who.home / ".config" / "kist" / "engine.toml").write_text('storage = "loop"\n')
        user.good("engine", "stop")
        assert "the storage loop does not work" in user.refused("ps")
        (user.who.home / ".config" / "kist" / "engine.toml").unlink()


def test_a_container_with_a_disk_starts_again_without_an_engine(tmp_path: Path) -> None:
    if why := disks.missing("ext4"):
        pytest.skip(why)
    with an_engine(tmp_path) as engine:
        import_busybox(engine)
    with a_cli(tmp_path) as kist:
        limited = ("--restart", "always", *QUIET, "--storage-opt", "size=32M")
        kist.good("run", "-d", "--name", "again", *limited, BUSYBOX, "sh", "-c", "echo x >> /runs; sleep 0.1")
        kist.stop_engine()
        state = tmp_path / "run" / "containers" / kist.good("inspect", "-f", "{{.Id}}", "again") / "state.json"
        kist.stop_engine()
        until(lambda: json.loads(state.read_text()).get("restart_count", 0) > 2)
        kist.good("stop", "-t", "0", "again")
        with tarfile.open(fileobj=io.BytesIO(kist.good("cp", "again:/runs", "-").encode())) as tar:
            runs = tar.extractfile("runs")
            assert runs is not None
            assert runs.read().count(b"x") > 2
        kist.good("rm", "again")
        until(lambda: not [path for path in disks.on_loop_devices() if path.startswith(str(tmp_path))])
