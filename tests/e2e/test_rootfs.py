"""A directory of the host as the root of a container (``--rootfs``), and images for other platforms."""

import subprocess
from pathlib import Path

import pytest

import needs
from harness import busybox_tar
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput, NotFound
from kist.spec.container import ContainerOptions


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rootfs")
    subprocess.run(["tar", "-x", "-C", directory], input=busybox_tar(), check=True)
    return directory


def test_a_command_runs_on_the_directory_and_writes_to_it(engine: Engine, tree: Path):
    options = ContainerOptions(
        image="", rootfs=str(tree), command=("sh", "-c", "echo made > /tmp/file; cat /etc/hostname")
    )
    made = engine.create(options)
    try:
        engine.start(made)
        assert engine.wait(made) == 0
        assert b"".join(record.data for record in engine.logs(made)) == made.id[:12].encode() + b"\n"
        assert (tree / "tmp" / "file").read_text(encoding="ascii") == "made\n"
        with pytest.raises(Conflict, match="it has no image"):
            engine.changes(made)
    finally:
        engine.remove(made)
    assert (tree / "bin" / "busybox").exists()


def test_a_read_only_one_is_not_written_to(engine: Engine, tree: Path):
    options = ContainerOptions(image="", rootfs=str(tree), read_only=True, command=("touch", "/tmp/refused"))
    made = engine.create(options)
    try:
        engine.start(made)
        assert engine.wait(made) == 1
    finally:
        engine.remove(made)
    assert not (tree / "tmp" / "refused").exists()


@needs.IN_PROCESS
def test_its_plan_can_be_printed(engine: Engine, tree: Path):
    lines = engine.plan(ContainerOptions(image="", rootfs=str(tree), command=("true",)))
    assert any(line.startswith("mount_root type=bind") and str(tree) in line for line in lines)


@pytest.mark.parametrize(
    ("rootfs", "error", "words"),
    [
        ("here", InvalidInput, "'here'"),
        ("/no/such/tree", NotFound, "no such directory: /no/such/tree"),
        ("/", InvalidInput, "the root of this machine"),
        ("/../", InvalidInput, "the root of this machine"),
    ],
)
def test_what_cannot_be_a_root(engine: Engine, rootfs: str, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        engine.create(ContainerOptions(image="", rootfs=rootfs, command=("true",)))


def test_a_directory_names_no_command(engine: Engine, tree: Path):
    with pytest.raises(InvalidInput, match="no command specified"):
        engine.create(ContainerOptions(image="", rootfs=str(tree)))


def test_an_image_for_another_platform_than_was_asked_for(engine: Engine, busybox: str):
    with pytest.raises(NotFound, match="does not match the specified platform"):
        engine.create(ContainerOptions(image=busybox, platform="linux/s390x"))
    with pytest.raises(InvalidInput, match="invalid platform 'a/b/c/d'"):
        engine.create(ContainerOptions(image=busybox, platform="a/b/c/d"))
