"""Mounts of type ``image``: an image's files in a container, read-only, as long as the container is there."""

import contextlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import needs
from harness import BUSYBOX, Cli

QUIET = ("--network", "none")
# As many layers as there are lines; of one layer there is no overlay.
ONE = "FROM scratch\nADD files.tar /\n"
SEVERAL = f"FROM scratch\nADD below.tar /\nADD files.tar /\nCOPY --from={BUSYBOX} /bin/busybox /bin/busybox\n"


def write_tar(path: Path, files: dict[str, str], links: dict[str, str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content.encode()))
        for name, to in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            archive.addfile(entry)


def build(cli: Cli, directory: Path, dockerfile: str, name: str, foo: str = "bar") -> None:
    directory.mkdir(exist_ok=True)
    links = {"hack/good": "../subdir", "hack/inside": "../../../../../foo", "hack/out": "/proc/version"}
    write_tar(directory / "below.tar", {"foo": "below", "of-below": "1"}, {})
    write_tar(directory / "files.tar", {"foo": foo, "subdir/hello": "world"}, links)
    (directory / "Dockerfile").write_text(dockerfile)
    cli.good("build", "-q", "-t", name, str(directory))


def mounting(name: str, *words: str, at: str = "/image") -> tuple[str, ...]:
    return (*QUIET, "--mount", ",".join(("type=image", f"source={name}", f"target={at}", *words)), BUSYBOX)


@pytest.fixture(params=[ONE, SEVERAL], ids=["one layer", "several layers"])
def things(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> Iterator[str]:
    """The name of an image with some files."""
    build(cli, tmp_path / "context", request.param, "things:1")
    yield "things:1"
    cli("rmi", "-f", "things:1")


def test_the_images_files_are_there_and_nobody_writes_to_them(cli: Cli, things: str) -> None:
    script = "cat /image/foo /image/subdir/hello; ls -l /image/foo; touch /image/new /image/foo; rm /image/foo; echo $?"
    done = cli("run", "--rm", *mounting(things), "sh", "-c", script)
    first, second, code = done.stdout.splitlines()[0], done.stdout, done.stdout.split()[-1]
    assert first.startswith("barworld-rw-r--r--"), second
    assert code == "1"
    assert done.stderr.count("Read-only file system") == 3
    remounted = cli("run", "--rm", *mounting(things), "mount", "-o", "remount,rw", "/image")
    assert remounted.returncode != 0


@pytest.mark.parametrize(
    ("subpath", "command", "said"),
    [
        ("subdir", "ls /image", "hello"),
        ("hack/good", "ls /image", "hello"),
        ("./subdir//hello", "cat /image", "world"),
        ("hack/inside", "cat /image", "bar"),
    ],
)
def test_a_part_of_it(cli: Cli, things: str, subpath: str, command: str, said: str) -> None:
    asked = mounting(things, f"image-subpath={subpath}", "readonly")
    assert cli.good("run", "--rm", *asked, *command.split()).strip() == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("image-subpath=no/such",), "the subpath no/such of the image things:1 does not exist"),
        # A link's root is the image's, where there is no such file.
        (("image-subpath=hack/out",), "the subpath hack/out of the image things:1 does not exist"),
        (
            ("image-subpath=foo/below",),
            "the subpath foo/below of the image things:1 cannot be mounted: not a directory",
        ),
        (("image-subpath=../etc/passwd",), "a subpath is relative and stays inside"),
        (("volume-nocopy",), "volume-nocopy is for mounts of type volume"),
    ],
)
def test_what_it_has_not_is_not_mounted(cli: Cli, things: str, words: tuple[str, ...], said: str) -> None:
    done = cli("run", "--rm", *mounting(things, *words), "true")
    assert done.returncode == 125
    assert said in done.stderr


def test_an_image_that_is_not_here_is_told(cli: Cli) -> None:
    done = cli("create", *mounting("nosuch:1"), "true")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == "kist: No such image: nosuch:1"
    assert "to be mounted at /image" in done.stderr


def test_inspect_shows_it_as_it_was_asked_for(cli: Cli, things: str) -> None:
    asked = (*mounting(things, "image-subpath=subdir")[:-1], *mounting(things, "ro", at="/whole")[2:])
    container = cli.good("create", *asked, "true").strip()
    try:
        [found] = json.loads(cli.good("inspect", container))
        identity = json.loads(cli.good("image", "inspect", things))[0]["Id"]
        by_image = cli.good("ps", "-a", "--no-trunc", "--format", "{{.Mounts}}", "--filter", f"id={container}").strip()
    finally:
        cli.good("rm", container)
    assert found["HostConfig"]["Mounts"] == [
        {"Type": "image", "Source": things, "Target": "/image", "ImageOptions": {"Subpath": "subdir"}},
        {"Type": "image", "Source": things, "Target": "/whole", "ReadOnly": True},
    ]
    point = {"Type": "image", "Name": things, "Source": identity, "Mode": "", "RW": False, "Propagation": ""}
    assert found["Mounts"] == [{**point, "Destination": target} for target in ("/image", "/whole")]
    assert by_image == f"{things},{things}"


def test_an_image_is_kept_while_a_container_has_it(cli: Cli, things: str) -> None:
    container = cli.good("create", *mounting(things), "cat", "/image/foo").strip()
    identity = json.loads(cli.good("image", "inspect", things))[0]["Id"]
    short = identity.partition(":")[2][:12]
    try:
        for name in (things, identity):
            done = cli("rmi", name)
            assert done.returncode == 1
            assert container[:12] in done.stderr
        assert f"container {container[:12]} is using its referenced image {short}" in cli("rmi", things).stderr
        assert identity not in cli.good("image", "prune", "-af")
        assert identity not in cli.good("system", "prune", "-af", "--filter", "label=nobodys", "--dry-run")
        assert cli.good("start", "-a", container) == "bar"
    finally:
        cli.good("rm", container)
    assert identity in cli.good("rmi", things)


def test_its_files_outlive_an_image_that_is_removed_by_force(cli: Cli, things: str) -> None:
    container = cli.good("create", *mounting(things), "cat", "/image/foo").strip()
    try:
        cli.good("rmi", "-f", things)
        assert cli("image", "inspect", things).returncode != 0
        assert cli.good("start", "-a", container) == "bar"
        assert cli.good("start", "-a", container) == "bar"
        # What has no record any more is still in use: others may have it from the container.
        assert cli.good("run", "--rm", *QUIET, "--volumes-from", container, BUSYBOX, "cat", "/image/foo") == "bar"
        assert "leftover" not in cli.good("system", "check")
    finally:
        cli.good("rm", container)


def test_the_name_may_be_anothers_by_then(cli: Cli, things: str, tmp_path: Path) -> None:
    container = cli.good("create", *mounting(things), "cat", "/image/foo").strip()
    try:
        build(cli, tmp_path / "another", ONE, things, foo="another")
        assert cli.good("start", "-a", container) == "bar"
        assert cli.good("run", "--rm", *mounting(things), "cat", "/image/foo") == "another"
        in_use = cli.good("container", "inspect", "--format", "{{(index .Mounts 0).Source}}", container)
        assert in_use not in cli.good("image", "prune", "-f")
        assert cli.good("start", "-a", container) == "bar"
    finally:
        cli.good("rm", container)
    cli.good("image", "prune", "-f")


def test_files_are_copied_out_of_it_whether_the_container_runs_or_not(cli: Cli, things: str, tmp_path: Path) -> None:
    asked = (*mounting(things)[:-1], *mounting(things, "image-subpath=subdir", at="/part")[2:])
    container = cli.good("create", *asked, "sleep", "1000").strip()
    try:
        for state in ("stopped", "running"):
            if state == "running":
                cli.good("start", container)
            for path, content in (("/image/foo", "bar"), ("/part/hello", "world")):
                cli.good("cp", f"{container}:{path}", str(tmp_path / "copied"))
                assert (tmp_path / "copied").read_text() == content, (state, path)
            done = cli("cp", str(tmp_path / "copied"), f"{container}:/image/")
            assert done.returncode != 0
            assert "read-only" in done.stderr, state
        assert "/image/" not in cli.good("diff", container)
    finally:
        cli.good("rm", "-f", container)


def test_an_image_without_layers_is_an_empty_directory(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL nothing=1\n")
    cli.good("build", "-q", "-t", "nothing:1", str(tmp_path))
    try:
        assert cli.good("run", "--rm", *mounting("nothing:1"), "sh", "-c", "ls -A /image; ! touch /image/x") == ""
    finally:
        cli.good("rmi", "nothing:1")


def test_the_plan_and_a_bundle(cli: Cli, things: str, tmp_path: Path) -> None:
    shown = cli.good("run", "--dry-run", *mounting(things, "image-subpath=subdir"), "true")
    assert "/image" in shown
    done = cli("spec", "--bundle", str(tmp_path / "bundle"), *mounting(things), "true")
    assert done.returncode != 0
    assert "a bundle cannot have an image mounted" in done.stderr


@needs.ID_RANGES
@pytest.mark.parametrize("words", [(), ("image-subpath=subdir",)])
def test_a_user_namespace_of_the_containers_own_has_the_files_as_its_own(
    cli: Cli, things: str, words: tuple[str, ...]
) -> None:
    script = "stat -c %u:%g /image /image/*"
    found = cli.good("run", "--rm", "--userns", "auto", *mounting(things, *words), "sh", "-c", script).split()
    assert len(found) >= 2
    assert set(found) == {"0:0"}


@pytest.mark.root("outside runtimes need root here")
@pytest.mark.skipif(shutil.which("runc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin") is None,
                    reason="runc is not installed")  # fmt: skip
def test_an_outside_runtime_has_it_as_a_whole(cli: Cli, things: str) -> None:
    script = "cat /image/foo; ! touch /image/foo"
    assert cli.good("run", "--rm", "--runtime", "runc", *mounting(things), "sh", "-c", script) == "bar"
    done = cli("run", "--rm", "--runtime", "runc", *mounting(things, "image-subpath=subdir"), "true")
    assert done.returncode == 125
    assert "image-subpath cannot be had with --runtime runc" in done.stderr


def test_another_engine_starts_it_again(small: Cli, tmp_path: Path) -> None:
    build(small, tmp_path / "context", SEVERAL, "things:1")
    container = small.good("create", *mounting("things:1"), "cat", "/image/foo").strip()
    small.good("engine", "stop")
    assert small.good("start", "-a", container) == "bar"
    with contextlib.suppress(AssertionError):
        small.good("rmi", "-f", "things:1")
    small.good("engine", "stop")
    assert small.good("start", "-a", container) == "bar"
    small.good("rm", container)
