"""``kist system migrate``: another storage, the same files; whoever dies in between leaves the old or the new ones."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from faultroom import left_by_us, points
from harness import BUSYBOX, Cli, a_cli, an_engine, import_busybox, until
from kist.errors import Unavailable
from kist.store import Store
from ordinary import Ordinary
from rootless_user import made

pytestmark = pytest.mark.root("mounts file systems of its own, and becomes ordinary users itself")

QUIET = ("--network", "none")
DOCKERFILE = f"""\
FROM {BUSYBOX}
RUN mkdir /d && echo 1 > /d/old && chown user:extra /d/old && ln -s nowhere /link && echo gone > /gone
RUN rm -r /d /gone && mkdir -m 1770 /d && echo 2 > /d/new && ln /d/new /d/again && mkfifo /d/pipe
"""
CHANGES = """\
rm /bin/vi; echo 3 > /three; chown user:extra /three; chmod 4755 /three; rm -r /d; mkdir /d; ln /three /d/also
"""
LARGE = "head -c 30000000 /dev/urandom > /large"
OF_ONE = "echo 3 > /three; chown user /three; rm /bin/vi"
# How large a directory is, and how many names it has, is the file system's matter.
LOOK = """\
cd /; for each in d link three bin/vi gone etc/passwd; do
find $each -exec stat -c '%n %F %a %u %g %Y' {} +; find $each ! -type d -exec stat -c '%n %h %s' {} +
done 2>/dev/null | sort; cat three d/also 2>/dev/null; true
"""
LONG = bool(os.environ.get("KIST_LONG_TESTS"))
PLACES = [point for point in points() if point.startswith("migrate:")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where every storage works."""
    with disks.file_system("btrfs", tmp_path) as mounted:
        yield mounted


@pytest.fixture
def kist(place: Path, tmp_path: Path) -> Iterator[Cli]:
    """A data root with two images and a container that has changed its files."""
    with an_engine(place) as engine:
        import_busybox(engine)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    with a_cli(place) as cli:
        cli.good("build", "-t", "built", str(tmp_path / "context"))
        cli.good("run", "--name", "changed", *QUIET, "built", "sh", "-c", CHANGES)
        yield cli


def seen(kist: Cli) -> tuple[str, ...]:
    """The files of an image, those of a container, and what that has changed."""
    fresh = kist.good("run", "--rm", *QUIET, "built", "sh", "-c", LOOK)
    kist.good("commit", "changed", "looked-at")
    own = kist.good("run", "--rm", *QUIET, "looked-at", "sh", "-c", LOOK)
    kist.good("rmi", "looked-at")
    return fresh, own, kist.good("diff", "changed")


def storage(kist: Cli) -> str:
    return kist.good("info", "-f", "{{.Driver}}")


# Each storage once, from one and to another; the long suite has more.
WAYS = [("copy", "btrfs", "loop", "overlay")] + LONG * [("btrfs", "overlay", "btrfs"), ("loop", "copy", "loop")]


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_files_are_the_same_by_every_storage(way: tuple[str, ...], kist: Cli, place: Path) -> None:
    before = seen(kist)
    for after in way:
        told = kist.good("system", "migrate", "--storage-driver", after, "--dry-run")
        assert f" to {after}: " in told
        kist.good("system", "migrate", "--storage-driver", after)
        assert storage(kist) == after
        assert seen(kist) == before
        assert left_by_us(kist) == []
    kist.good("rm", "changed")
    kist.good("rmi", "built", BUSYBOX)
    kist.good("builder", "prune", "-f")
    until(lambda: not list((place / "data" / "snapshots").iterdir()))


# Where the files go makes a difference only when they are exchanged; the long suite tries it all the same.
KILLS = [
    (after, point)
    for after in ("btrfs", "loop")
    for point in PLACES
    if LONG or after == ("loop" if "exchanged" in point else "btrfs")
]


@pytest.mark.parametrize(("after", "point"), KILLS)
def test_whoever_is_killed_leaves_the_old_files_or_the_new_ones(after: str, point: str, kist: Cli, place: Path) -> None:
    before = seen(kist)
    (place / "trap").write_text(f"{point}\n")
    words = [*kist.command, "system", "migrate", "--storage-driver", after]
    killed = subprocess.run(
        words, env=kist.environment | {"KIST_FAULTS": str(place / "trap")}, capture_output=True, check=False, timeout=60
    )
    assert killed.returncode == -9
    assert storage(kist) == (after if "exchanged" in point else "overlay")
    assert seen(kist) == before
    kist("system", "check", "--repair")
    assert left_by_us(kist) == []
    kist.good("system", "migrate", "--storage-driver", after)
    assert (storage(kist), seen(kist)) == (after, before)
    assert left_by_us(kist) == []


def test_nothing_is_converted_under_what_runs(kist: Cli) -> None:
    kist.good("run", "-d", "--name", "runs", *QUIET, BUSYBOX, "sleep", "1000")
    refused = kist("system", "migrate", "--storage-driver", "btrfs")
    assert refused.returncode == 1
    assert "containers run: " in refused.stderr
    assert "kist stop" in refused.stderr
    identity = kist.good("inspect", "-f", "{{.Id}}", "runs")
    told = kist.good("system", "migrate", "--storage-driver", "btrfs", "--dry-run")
    assert "from overlay to btrfs: " in told
    assert told.splitlines()[-1] == f"before that 1 container would have to be stopped: {identity[:12]}"
    assert kist.good("inspect", "-f", "{{.State.Running}}", "runs") == "true"
    assert storage(kist) == "overlay"
    kist.good("rm", "-f", "runs")
    with an_engine(Path(kist.directory)):
        refused = kist("system", "migrate", "--storage-driver", "btrfs")
    assert "an engine has it open" in refused.stderr


def test_it_says_what_is_wrong_with_a_storage(kist: Cli) -> None:
    assert "there is no storage 'zfs'" in kist("system", "migrate", "--storage-driver", "zfs").stderr
    assert "say which storage" in kist("system", "migrate").stderr
    assert "by the storage btrfs already" not in kist.good("system", "migrate", "--storage-driver", "btrfs")
    assert "by the storage btrfs already" in kist.good("system", "migrate", "--storage-driver", "btrfs")


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with disks.file_system("ext4", tmp_path, size=64 << 20) as place:
        with an_engine(place) as engine:
            import_busybox(engine)
        with a_cli(place) as kist:
            kist.good("run", "--name", "large", *QUIET, BUSYBOX, "sh", "-c", LARGE)
            refused = kist("system", "migrate", "--storage-driver", "copy")
            assert refused.returncode == 1
            assert "bytes, and" in refused.stderr
            assert storage(kist) == "overlay"
            assert left_by_us(kist) == []


def test_who_has_the_store_open_since_before_is_told(kist: Cli, place: Path) -> None:
    kist.stop_engine()
    with Store(str(place / "data")) as before:
        kist.good("system", "migrate", "--storage-driver", "btrfs")
        with pytest.raises(Unavailable, match="converted to the storage btrfs") as told:
            before.snapshots.prepare("late")
        assert "kist engine stop" in told.value.hint


@pytest.mark.parametrize("range_", [True, False], ids=["range", "alone"])
def test_an_ordinary_user_converts_too(range_: bool, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(made(tmp_path, range_=range_, who=Ordinary(tmp_path, range_)))
        user.good("run", "--name", "changed", *QUIET, BUSYBOX, "sh", "-c", OF_ONE)
        before = user.good("diff", "changed"), user.good("run", "--rm", *QUIET, BUSYBOX, "stat", "-c", "%u %a", "/tmp")
        for after in ("copy", "overlay"):
            user.good("system", "migrate", "--storage-driver", after)
            assert user.good("info", "-f", "{{.Driver}}") == after
            now = user.good("diff", "changed"), user.good("run", "--rm", *QUIET, BUSYBOX, "stat", "-c", "%u %a", "/tmp")
            assert now == before
        assert "loop devices are root's" in user.refused("system", "migrate", "--storage-driver", "loop")
        assert "not on btrfs" in user.refused("system", "migrate", "--storage-driver", "btrfs")
        user.good("rm", "changed")
