"""``commit``, what takes space, and the clean-ups with their dry runs."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import BUSYBOX, a_cli, an_engine, busybox_tar, import_busybox, until
from kist.engine import Engine
from kist.engine.standstill import standing_still
from kist.spec.container import ContainerOptions, ExecOptions


@pytest.fixture
def kist(tmp_path: Path) -> Iterator[Any]:
    """A command line on a root of its own, with the small image."""
    with a_cli(tmp_path) as made:
        made.good("import", "-c", 'CMD ["sh"]', "-", BUSYBOX, stdin=busybox_tar())
        yield made


def usage(kist: Any) -> dict[str, dict[str, Any]]:
    """The totals of df by kind, sizes as they are shown."""
    lines = kist.good("system", "df", "--format", "{{json .}}").splitlines()
    return {row["Type"]: row for row in map(json.loads, lines)}


def running(kist: Any, name: str, script: str, *options: str) -> None:
    """A container that has done ``script`` and goes on."""
    command = ["sh", "-c", script + "; touch /done; sleep 1000"]
    kist.good("run", "-d", "--network", "none", "--name", name, *options, BUSYBOX, *command)
    until(lambda: kist("cp", f"{name}:/done", "-").returncode == 0)


def ids(kist: Any, *arguments: str) -> set[str]:
    return set(kist.good(*arguments, "-q", "--no-trunc").split())


# commit


@pytest.mark.parametrize("stopped", [False, True])
def test_commit_makes_a_layer_of_what_changed(kist: Any, *, stopped: bool) -> None:
    running(kist, "made", "echo new > /new; rm /etc/group; ln -s new /link", "--tmpfs", "/scratch", "-e", "A=1")
    if stopped:
        kist.good("stop", "-t", "0", "made")
    identity = kist.good(
        "commit",
        "-a",
        "Me <me@example.org>",
        "-m",
        "why",
        "-c",
        "ENV B=2",
        "-c",
        'CMD ["cat", "/link"]',
        "made",
        "it:1",
    )
    assert re.fullmatch("sha256:[0-9a-f]{64}", identity)
    assert kist.good("run", "--rm", "--network", "none", "it:1") == "new"
    script = "echo $A$B; ls /etc/group /scratch"
    done = kist("run", "--rm", "--network", "none", "it:1", "sh", "-c", script)
    assert done.stdout.splitlines()[0] == "12"
    assert "/etc/group: No such file" in done.stderr
    config = json.loads(kist.good("image", "inspect", "it:1"))[0]
    assert (config["Author"], config["Comment"], len(config["RootFS"]["Layers"])) == ("Me <me@example.org>", "why", 2)
    newest = kist.good("history", "--format", "{{.CreatedBy}}|{{.Comment}}", "it:1").splitlines()[0]
    assert newest.startswith("sh -c echo new")
    assert newest.endswith("|why")


def test_commit_pauses_what_runs_and_lets_it_go_on(kist: Any) -> None:
    running(
        kist, "counts", "(n=0; while :; do n=$((n+1)); echo $n > /t; mv /t /a; echo $n > /t; mv /t /b; done) & true"
    )
    for number, options in enumerate(((), ("--no-pause",), ("--pause=false",))):
        kist.good("commit", *options, "counts", f"counted:{number}")
    first = kist.good("exec", "counts", "cat", "/a")
    kist.good("exec", "counts", "sh", "-c", f"until [ $(cat /a) -gt {first or 0} ]; do :; done")
    a, b = kist.good("run", "--rm", "--network", "none", "counted:0", "cat", "/a", "/b").split()
    assert 0 <= int(a) - int(b) <= 1


@needs.IN_PROCESS
def test_an_engine_that_died_while_it_committed_leaves_nothing_frozen(tmp_path: Path) -> None:
    with an_engine(tmp_path) as engine:
        options = ContainerOptions(image=import_busybox(engine), command=("sleep", "1000"), network="none")
        container = engine.create(options)
        engine.start(container)
        block = standing_still(engine.container(container), engine._containers.places(container))
        block.__enter__()  # and whoever was to leave it is killed
        with Engine(str(tmp_path / "data"), str(tmp_path / "run")) as next_one:
            assert next_one.exec(container, ExecOptions(command=("echo", "on"))).stdout == "on\n"
        block.__exit__(None, None, None)


def test_commit_of_nothing_adds_no_layer(kist: Any) -> None:
    kist.good("create", "--name", "same", BUSYBOX)
    identity = kist.good("container", "commit", "same")
    found = json.loads(kist.good("image", "inspect", identity, BUSYBOX))
    assert found[0]["RootFS"] == found[1]["RootFS"]
    assert kist.good("images", "--filter", "dangling=true", "-q", "--no-trunc") == identity


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch",), "No such container: nosuch"),
        (("box", "UPPER"), "must be lowercase"),
        (("-c", "RUN true", "box"), "run is not a valid change command"),
        (("-c", "ENV", "box"), "changes:2"),
        ((), "needs at least 1 argument"),
    ],
)
def test_what_cannot_be_committed(cli: Any, arguments: tuple[str, ...], words: str) -> None:
    before = ids(cli, "images", "-a")
    cli.good("create", "--name", "box", BUSYBOX)
    done = cli("commit", *arguments)
    cli.good("rm", "box")
    assert done.returncode != 0
    assert words in done.stderr
    assert ids(cli, "images", "-a") == before


def test_a_container_whose_image_was_removed_says_so(kist: Any) -> None:
    kist.good("create", "--name", "orphan", BUSYBOX)
    kist.good("rmi", "-f", kist.good("images", "-q", BUSYBOX))
    done = kist("commit", "orphan")
    assert done.returncode == 1
    assert "of container orphan was removed" in done.stderr
    assert "kist export orphan | kist import - NAME" in done.stderr


# clean-up


def test_prune_asks_and_takes_no_answer_for_no(kist: Any) -> None:
    kist.good("create", "--name", "stays", BUSYBOX)
    done = kist("container", "prune")
    assert (done.returncode, done.stdout) == (
        0,
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] \n",
    )
    assert "-f removes without asking" in done.stderr
    for answer in (b"n\n", b"\n", b"yeah\n"):
        assert "Deleted" not in kist("container", "prune", stdin=answer).stdout
    assert kist.good("ps", "-aq")
    assert "Deleted Containers:\n" in kist("container", "prune", stdin=b"y\n").stdout
    assert kist.good("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (("image", "prune"), "This will remove all dangling images.\n"),
        (("image", "prune", "-a"), "This will remove all images without at least one container associated to them.\n"),
        (("builder", "prune"), "This will remove all dangling build cache. "),
        (("builder", "prune", "-a"), "This will remove all build cache. "),
        (
            ("system", "prune"),
            (
                "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
                "  - all dangling images\n  - unused build cache\n\n"
            ),
        ),
        (
            ("system", "prune", "-a", "--volumes", "--filter", "label=a"),
            (
                "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
                "  - all anonymous volumes not used by at least one container\n"
                "  - all images without at least one container associated to them\n  - all build cache\n\n"
                "  Items to be pruned will be filtered with:\n  - label=a\n\n"
            ),
        ),
    ],
)
def test_prune_says_what_it_will_remove(cli: Any, words: tuple[str, ...], warning: str) -> None:
    done = cli(*words, stdin=b"n\n")
    assert done.stdout == f"WARNING! {warning}Are you sure you want to continue? [y/N] "


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("container", "prune", "-f", "--filter", "foo=bar"), "invalid filter 'foo'"),
        (("container", "prune", "-f", "--filter", "until=soon"), "invalid value for 'until': 'soon'"),
        (("container", "prune", "-f", "--filter", "label"), "a filter is NAME=VALUE"),
        (("image", "prune", "-f", "--filter", "dangling=maybe"), "invalid filter 'dangling=maybe'"),
        (("image", "prune", "-f", "--filter", "reference=x"), "invalid filter 'reference'"),
        (("builder", "prune", "-f", "--filter", "labels=x"), "invalid filter 'labels'"),
        (("builder", "prune", "-f", "--keep-storage", "much"), "--keep-storage"),
        (("system", "prune", "-f", "--filter", "dangling=true"), "invalid filter 'dangling=true'"),
        (("system", "prune", "-f", "--volumes", "--filter", "until=1h"), 'not supported with "--volumes"'),
        (("container", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h"), "more than one until"),
        (("system", "df", "-v", "--format", "json"), "cannot be used with --verbose"),
        (("system", "df", "x"), "takes no arguments"),
    ],
)
def test_a_clean_up_that_is_not_understood_removes_nothing(cli: Any, words: tuple[str, ...], said: str) -> None:
    cli.good("create", "--name", "stays", BUSYBOX)
    asked = cli(*(word for word in words if word != "-f"), stdin=b"y\n")
    assert said in asked.stderr
    assert asked.stdout == "", "nobody is asked about what cannot be done"
    far = cli("-H", f"unix://{cli.directory}/run/engine.sock", *(word for word in words if word != "-f"), stdin=b"y\n")
    assert (far.stderr, far.stdout) == (asked.stderr, ""), "nor where the engine may be on another machine"
    done = cli(*words)
    cli.good("rm", "stays")  # it is still there
    assert done.returncode != 0
    assert said in done.stderr
    assert "Deleted" not in done.stdout


def test_container_prune_takes_what_does_not_run_and_fits(kist: Any) -> None:
    running(kist, "runs", "true")
    running(kist, "wrote", "head -c 300000 /dev/zero > /big; head -c 100000 /dev/zero | tr '\\0' x")
    kist.good("stop", "-t", "0", "wrote")
    kist.good("create", "--name", "kept", "--label", "keep=yes", BUSYBOX)
    kist.good("create", "--name", "new", BUSYBOX)
    told = kist.good("container", "prune", "--dry-run", "--filter", "label!=keep")
    done = kist.good("container", "prune", "-f", "--filter", "label!=keep")
    assert told == done.replace("Deleted", "Would delete").replace(
        "Total reclaimed space", "Total space that would be reclaimed"
    )
    size = done.splitlines()[-1].removeprefix("Total reclaimed space: ")
    assert 400 < float(size.removesuffix("kB")) < 480, "what was written, and the log"
    assert set(kist.good("ps", "-a", "--format", "{{.Names}}").split()) == {"runs", "kept"}
    kist.good("container", "prune", "-f", "--filter", "until=10m")
    assert set(kist.good("ps", "-a", "--format", "{{.Names}}").split()) == {"runs", "kept"}
    kist.good("rm", "-f", "runs")


def test_image_prune_takes_the_nameless_or_all_that_nobody_needs(kist: Any, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN head -c 200000 /dev/zero > /x\nLABEL a=b\n")
    kist.good("create", "--name", "user", BUSYBOX)
    kist.good("build", "-q", "-t", "built:1", f"{tmp_path}/c")
    kist.good("rename", "user", "renamed")
    nameless = kist.good("commit", "renamed")
    assert kist.good("image", "prune", "-f").splitlines()[:2] == ["Deleted Images:", f"deleted: {nameless}"]
    told = kist.good("image", "prune", "-a", "--dry-run")
    assert "untagged: built:1" in told
    assert "untagged: busybox" not in told
    assert kist("image", "prune", "-af", "--filter", "label=c").stdout == "Total reclaimed space: 0B\n"
    done = kist.good("image", "prune", "-af", "--filter", "label=a=b")
    assert "untagged: built:1" in done
    assert kist.good("images", "--format", "{{.Repository}}") == "busybox"
    # The layer is still in the build cache.
    assert float(usage(kist)["Build Cache"]["Size"].removesuffix("kB")) > 400


def test_builder_prune_gives_back_what_only_the_cache_keeps(kist: Any, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    text = f"FROM {BUSYBOX}\n" + "".join(f"RUN head -c {n}00000 /dev/zero > /x{n}\n" for n in range(1, 4))
    (tmp_path / "c" / "Dockerfile").write_text(text)
    kist.good("build", "-q", "-t", "built:1", f"{tmp_path}/c")
    assert usage(kist)["Build Cache"]["Size"] == "0B"
    assert kist.good("builder", "prune", "-f") == "Total reclaimed space: 0B"
    kist.good("rmi", "built:1")
    whole = float(usage(kist)["Build Cache"]["Size"].removesuffix("MB"))
    assert 1.2 < whole < 1.3
    table, _, summary = kist.good("builder", "du").rpartition("\n\n")
    assert table.startswith("CACHE ID")
    assert "that only the build cache keeps" in summary
    assert not summary.startswith("0 entries")
    pretty = kist.good("builder", "du", "-v")
    assert "Description:  RUN head -c 200000 /dev/zero > /x2\n" in pretty
    assert pretty.endswith(summary)
    one = (
        "builder",
        "du",
        "--filter",
        "description=RUN head -c 300000 /dev/zero > /x3",
        "--format",
        "{{.Description}}",
    )
    assert kist.good(*one) == "RUN head -c 300000 /dev/zero > /x3"
    assert len(kist.good("builder", "du", "--filter", "type=exec.cachemount").splitlines()) == 1, "none but the head"
    assert kist.good("builder", "prune", "-f", "--max-used-space", "1GB") == "Total reclaimed space: 0B"
    told = kist.good("builder", "prune", "--dry-run", "--keep-storage", "1MB")
    done = kist.good("builder", "prune", "-f", "--keep-storage", "1MB")
    assert told.splitlines()[1:-1] == done.splitlines()[1:-1]
    assert len(done.splitlines()) < 6, "not all have to go; which was unused longest goes by seconds"
    kist.good("builder", "prune", "-af")
    left = usage(kist)["Build Cache"]
    assert {name: left[name] for name in left if name != "Ceiling"} == {
        "Type": "Build Cache", "TotalCount": "0", "Active": "0", "Size": "0B", "Reclaimable": "0B",
    }  # fmt: skip


def test_system_prune_and_its_dry_run_tell_the_same(kist: Any, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN head -c 200000 /dev/zero > /x\n")
    kist.good("build", "-q", "-t", "built:1", f"{tmp_path}/c")
    kist.good("network", "create", "unused")
    kist.good("network", "create", "of-what-goes")
    kist.good("run", "--name", "ended", "--network", "none", "-v", "/anonymous", "built:1", "touch", "/y")
    kist.good("create", "--name", "fresh", "--network", "of-what-goes", BUSYBOX)
    kist.good("run", "--rm", "--network", "none", "-v", "named:/v", BUSYBOX, "true")
    told = kist.good("system", "prune", "-a", "--volumes", "--dry-run").splitlines()
    assert {"Would delete Networks:", "unused", "of-what-goes"} <= set(told)
    before = ids(kist, "ps", "-a"), ids(kist, "images")
    assert all(before)
    done = kist.good("system", "prune", "-af", "--volumes").splitlines()
    assert sorted(line.replace("Would delete", "Deleted") for line in told[:-1]) == sorted(done[:-1])
    assert told[-1].rpartition(": ")[2] == done[-1].rpartition(": ")[2]
    assert (ids(kist, "ps", "-a"), ids(kist, "images")) == (set(), set())
    assert set(kist.good("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none"}
    left = usage(kist)
    for kind in ("Images", "Containers", "Build Cache", "Leftovers"):
        assert left[kind]["Size"] == "0B", kind
    assert left["Local Volumes"]["TotalCount"] == "1", "the named one"


# what would go


def test_dry_runs_of_rm_and_rmi(kist: Any) -> None:
    running(kist, "big", "head -c 500000 /dev/zero > /big")
    done = kist("rm", "--dry-run", "big")
    assert done.returncode == 1
    assert "container is running: stop the container before removing or force remove" in done.stderr
    line = kist.good("rm", "-f", "--dry-run", "big")
    found = re.fullmatch(r"Would remove container big \([0-9a-f]{12}\): (\d+)kB", line)
    assert found is not None
    assert 500 < int(found[1]) < 560, "what was written, and the files and directories of every container"
    assert kist("rmi", "--dry-run", "nosuch").returncode == 1
    kist.good("tag", BUSYBOX, "other:1")
    assert kist.good("rmi", "--dry-run", "other:1").splitlines() == [
        "Would untag: other:1",
        "Space that would be reclaimed: 0B",
    ]
    kist.good("rmi", "other:1")
    done = kist("rmi", "--dry-run", BUSYBOX)
    assert "(must force) - container" in done.stderr
    kist.good("rm", "-f", "big")
    lines = kist.good("rmi", "--dry-run", BUSYBOX).splitlines()
    assert lines[0] == f"Would untag: {BUSYBOX}"
    assert lines[-1].startswith("Space that would be reclaimed: 4")
    assert kist.good("rmi", BUSYBOX).splitlines() == [line.replace("Would untag", "Untagged").replace(
        "Would delete", "Deleted") for line in lines[:-1]]  # fmt: skip


def test_rmi_in_dockers_words(kist: Any) -> None:
    identity = kist.good("images", "-q", BUSYBOX)
    kist.good("tag", BUSYBOX, "busybox:2")
    kist.good("tag", BUSYBOX, "elsewhere/box:1")
    done = kist("rmi", identity)
    assert f"unable to delete {identity} (must be forced) - image is referenced in multiple repositories" in done.stderr
    assert kist.good("rmi", "--no-prune", "busybox:2") == "Untagged: busybox:2"
    running(kist, "user", "true")
    done = kist("rmi", "-f", identity)
    assert f"unable to delete {identity} (cannot be forced) - image is being used by running container" in done.stderr
    kist.good("stop", "-t", "0", "user")
    done = kist("rmi", identity)
    assert done.returncode == 1
    assert "image is being used by stopped container" in done.stderr
    assert kist("rmi", "-f", "nosuch").returncode == 0
    gone = kist.good("rmi", "-f", identity).splitlines()
    assert set(gone[:2]) == {f"Untagged: {BUSYBOX}", "Untagged: elsewhere/box:1"}
    assert gone[2].startswith("Deleted: sha256:")


# what takes space


def test_df_tells_of_each_thing_what_it_has(kist: Any) -> None:
    running(kist, "one", "head -c 1000000 /dev/urandom > /data", "-v", "vol:/vol")
    running(
        kist, "two", "head -c 700000 /dev/zero | tr '\\0' x; head -c 300000 /dev/urandom > /vol/x", "-v", "vol:/vol"
    )
    kist.good("commit", "one", "made:1")
    asked = ["curl", "-s", "--unix-socket", f"{kist.directory}/run/engine.sock", "http://x/system/df"]
    found = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    by_name = {name: image for image in found["Images"] for name in image["RepoTags"]}
    shared = by_name[BUSYBOX]["SharedSize"]
    assert by_name[BUSYBOX]["Size"] == shared == by_name["made:1"]["SharedSize"]
    assert by_name["made:1"]["Size"] - shared == 1_000_000
    assert (by_name[BUSYBOX]["Containers"], by_name["made:1"]["Containers"]) == (2, 0)
    common = by_name["made:1"]["DiskShared"]
    assert common == by_name[BUSYBOX]["DiskShared"], "its layer, unpacked and as a blob; not config and manifest"
    assert found["ImageUsage"]["TotalSize"] == common + sum(
        image["DiskSize"] - image["DiskShared"] for image in found["Images"]
    )
    (volume,) = found["Volumes"]
    assert volume["UsageData"]["RefCount"] == 2
    assert 300_000 < volume["UsageData"]["Size"] < 330_000, "and its directories"
    sizes = {each["Names"][0]: each["SizeRw"] for each in found["Containers"]}
    assert sizes == {"/one": 1_000_000, "/two": 0}
    assert kist.good("ps", "-s", "--format", "{{.Names}} {{.Size}}", "--filter", "name=one").startswith("one 1MB")


def test_the_size_of_a_stopped_container_is_known_and_follows_cp(kist: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(250_000))
    kist.good("create", "--name", "still", BUSYBOX)

    def written() -> int:
        return int(json.loads(kist.good("inspect", "-s", "still"))[0]["SizeRw"])

    assert (written(), written()) == (0, 0)
    kist.good("cp", f"{tmp_path}/file", "still:/file")
    assert written() == 250_000
    found = json.loads(kist.good("container", "inspect", "--size", "still"))[0]
    image = json.loads(kist.good("image", "inspect", BUSYBOX))[0]["Size"]
    assert found["SizeRootFs"] == 250_000 + image
