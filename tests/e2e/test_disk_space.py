"""Disk that adds up: ``system df`` beside ``du``, and what clean-ups give back beside what ``du`` finds afterwards."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import disks
from harness import BUSYBOX, Cli, a_cli, busybox_tar, until
from kist.store import choice

NO_NETWORK = ("--network", "none")
WRITES = """\
head -c 900000 /dev/urandom > /data; ln /data /again; mkdir -p /a/b/c; ln -s /data /link; rm /etc/group
dd if=/dev/zero of=/sparse bs=1 count=1 seek=50M 2> /dev/null
head -c 700000 /dev/zero | tr '\\0' x; head -c 300000 /dev/urandom > /vol/x; ln /vol/x /vol/y
"""


MOUNTS = pytest.mark.root("mounts file systems")
ROOTS = [pytest.param(name, marks=MOUNTS) for name in ("btrfs", "loop")]


@pytest.fixture(params=["overlay", "copy", *ROOTS])
def kist(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """A store with some of everything, kept by each of the storages."""
    (tmp_path / "engine.toml").write_text(f'storage = "{request.param}"\n')
    monkeypatch.setenv("KIST_CONFIG", str(tmp_path / "engine.toml"))
    with contextlib.ExitStack() as stack:
        place = tmp_path
        if request.param == "btrfs":
            place = stack.enter_context(disks.file_system("btrfs", tmp_path))
        (tmp_path / "tmp").mkdir()  # in it is tried what works there
        if request.param == "loop" and (why := choice.refusal_of_limits(str(tmp_path))):
            pytest.skip(why)
        made = stack.enter_context(a_cli(place))
        made.good("import", "-c", 'CMD ["sh"]', "-", BUSYBOX, stdin=busybox_tar())
        assert made.good("info", "-f", "{{.Driver}}") == request.param
        build(made, "built:1", f"FROM {BUSYBOX}\nRUN head -c 400000 /dev/urandom > /x && ln /x /y\n")
        build(made, "built:2", "FROM built:1\nRUN head -c 300000 /dev/urandom > /z\nRUN rm /x\n")
        build(made, "gone:1", f"FROM {BUSYBOX}\nRUN head -c 500000 /dev/urandom > /only-in-the-cache\n")
        made.good("rmi", "gone:1")
        made.good("run", "--name", "ended", *NO_NETWORK, "-v", "named:/vol", "built:2", "sh", "-c", WRITES)
        made.good("create", "--name", "fresh", "-v", "/anonymous", BUSYBOX)
        made.good("commit", "ended", "committed:1")
        yield made


def build(kist: Cli, name: str, dockerfile: str) -> None:
    context = kist.directory / name.replace(":", "-")
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile)
    kist.good("build", "-q", "-t", name, str(context))


def du(kist: Cli) -> int:
    """Bytes of blocks below the data root. (Of what overlayfs lets only itself into, du sees the directory.)"""
    asked = ["du", "-s", "--block-size=1", str(kist.directory / "data")]
    return int(subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()[0])


def df(kist: Cli) -> dict[str, Any]:
    asked = ["curl", "-s", "--unix-socket", f"{kist.directory}/run/engine.sock", "http://x/system/df"]
    found: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    return found


def sizes(found: dict[str, Any]) -> dict[str, int]:
    """Bytes of each kind."""
    fields = ("ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage")
    return {name: found[name]["TotalSize"] for name in fields} | {
        each["Kind"]: each["Size"] for each in found["OtherUsage"]
    }


def shown(size: int) -> str:
    """As the command line shows a size of some megabytes or kilobytes."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g}{unit}"
        size /= 1000  # type: ignore[assignment]
    raise AssertionError("it is not so much")


def test_df_agrees_with_du(kist: Cli) -> None:
    running = ("run", "-d", "--name", "runs", *NO_NETWORK, BUSYBOX)
    kist.good(*running, "sh", "-c", "head -c 600000 /dev/urandom > /data; echo ready; sleep 1000")
    until(lambda: "ready" in kist.good("logs", "runs"))
    (kist.directory / "data" / "somebody's").write_bytes(bytes(70_000))
    (kist.directory / "data" / "tmp" / "half-made").write_bytes(bytes(80_000))
    found = df(kist)
    assert found["TotalSize"] == sum(sizes(found).values())
    assert found["TotalSize"] == pytest.approx(du(kist), rel=0.01)
    assert all(size > 0 for kind, size in sizes(found).items() if kind != "packages"), sizes(found)
    assert sizes(found)["leftovers"] >= 80_000
    assert sizes(found)["rest"] >= 70_000
    told = kist.good("system", "df", "-v").splitlines()
    assert told[-1] == f"{shown(found['TotalSize'])} in {kist.directory}/data"
    # What is measured once is not wrong the next time, nor after another engine has begun.
    kist.stop_engine()
    kist.good("ps")
    assert df(kist)["TotalSize"] == pytest.approx(du(kist), rel=0.01)


def test_what_goes_under_a_container_is_the_containers(kist: Cli) -> None:
    before = sizes(df(kist))
    kist.good("rmi", "committed:1", "built:1")
    kist.good("rmi", "-f", kist.good("inspect", "-f", "{{.Image}}", "ended"))
    kist.good("builder", "prune", "-af")
    found = df(kist)
    assert found["TotalSize"] == pytest.approx(du(kist), rel=0.01)
    assert sizes(found)["leftovers"] == 0
    under = sizes(found)["ContainerUsage"] - before["ContainerUsage"]
    assert under > 700_000, "the layers that it stands on"
    (ended,) = (each["DiskSize"] for each in found["Containers"] if each["Names"] == ["/ended"])
    kist.good("rm", "ended")
    kist.good("image", "prune", "-f")
    assert sizes(df(kist))["ContainerUsage"] == before["ContainerUsage"] - ended


# In an order in which each finds something.
CLEAN_UPS = [
    ("volume", "prune"),
    ("builder", "prune"),
    ("image", "prune"),
    ("container", "prune"),
    ("image", "prune", "-a"),
    ("builder", "prune", "-a"),
    ("system", "prune", "-a", "--volumes"),
]


def test_a_clean_up_gives_back_what_it_told_before(kist: Cli) -> None:
    for number, words in enumerate(CLEAN_UPS):
        if not kist.good("images", "-q", BUSYBOX):
            kist.good("import", "-c", 'CMD ["sh"]', "-", BUSYBOX, stdin=busybox_tar())
        build(kist, f"nameless:{number}", f"FROM {BUSYBOX}\nRUN head -c 200000 /dev/urandom > /n\n")
        kist.good("tag", BUSYBOX, f"nameless:{number}")
        kist.good("volume", "create")
        kist.good("create", BUSYBOX)
        told = kist.good(*words, "--dry-run").splitlines()
        before = without_records(kist)
        done = kist.good(*words, "-f").splitlines()
        reclaimed = before - without_records(kist)
        assert [line.replace("Would delete", "Deleted") for line in told[:-1]] == done[:-1], words
        assert told[-1].rpartition(": ")[2] == done[-1].rpartition(": ")[2], words
        found = re.fullmatch(r"Total reclaimed space: ([0-9.]+)(k|M)?B", done[-1])
        assert found is not None, words
        size = float(found[1]) * {"k": 1e3, "M": 1e6}.get(found[2] or "", 1)
        assert size == pytest.approx(reclaimed, rel=0.01, abs=5_000), words
        assert size or words[0] in {"builder", "volume"}, "of which there may be nothing, or nothing that takes space"


def without_records(kist: Cli) -> int:
    """What ``du`` finds without the database, which grows with every change."""
    root = kist.directory / "data"
    asked = ["du", "-s", "--block-size=1", "--exclude=kist.db*", str(root)]
    return int(subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()[0])
