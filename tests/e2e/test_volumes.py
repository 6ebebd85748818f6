"""Volumes of containers: made, filled from the image, shared, and removed with nothing that somebody named."""

import os
import threading
from collections.abc import Iterator

import pytest

import needs
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput, NotFound, Unsupported
from kist.spec.container import Container, ContainerOptions, Namespaces
from kist.spec.mount import Mount


def volume(name: str, target: str, *options: str) -> Mount:
    return Mount("volume", name, target, options)


def run(engine: Engine, image: str, script: str, **options: object) -> str:
    made = ContainerOptions(image=image, network="none", **options)  # type: ignore[arg-type]
    return engine.run(image, ["sh", "-c", script], options=made).stdout


def test_a_named_volume_keeps_its_data(engine: Engine, busybox: str):
    run(engine, busybox, "echo kept > /data/file", mounts=(volume("store", "/data"),))
    assert run(engine, busybox, "cat /other/file", mounts=(volume("store", "/other"),)) == "kept\n"
    with pytest.raises(Exception, match="ended with exit code"):
        run(engine, busybox, "touch /data/x", mounts=(volume("store", "/data", "ro"),))
    engine.store.volumes.remove("store")


def test_a_new_volume_gets_what_the_image_has_there(engine: Engine, busybox: str):
    mounts = (volume("etc", "/etc"), volume("tmp", "/tmp"))
    seen = run(engine, busybox, "ls /etc/passwd && stat -c %a /tmp", mounts=mounts)
    assert seen == "/etc/passwd\n1777\n"
    path = engine.store.volumes.path("etc")
    with open(os.path.join(path, "passwd"), encoding="ascii") as file:
        assert "user:x:1000" in file.read()
    os.unlink(os.path.join(path, "group"))
    # It is filled once: what was removed stays so.
    assert run(engine, busybox, "ls /etc | grep -c group || true", mounts=(volume("etc", "/etc"),)) == "0\n"
    assert run(engine, busybox, "ls /etc | grep -c passwd || true", mounts=(volume("bare", "/etc", "nocopy"),)) == "0\n"
    for name in ("etc", "tmp", "bare"):
        engine.store.volumes.remove(name)


def test_a_nameless_volume_goes_with_its_container_when_told_to(engine: Engine, busybox: str):
    def made() -> Container:
        return engine.create(ContainerOptions(image=busybox, command=("true",), mounts=(volume("", "/data"),)))

    kept, gone = made(), made()
    names = [container.options.mounts[0].source for container in (kept, gone)]
    assert all(len(name) == 64 for name in names)
    engine.remove(kept)
    engine.remove(gone, volumes=True)
    assert os.path.isdir(engine.store.volumes.path(names[0]))
    with pytest.raises(NotFound):
        engine.store.volumes.get(names[1])
    before = engine.store.volumes.list()
    run(engine, busybox, "true", mounts=(volume("", "/data"),))
    assert engine.store.volumes.list() == before
    engine.store.volumes.remove(names[0])


def test_a_nameless_volume_that_somebody_names_stays(engine: Engine, busybox: str):
    def made(*mounts: Mount, **options: object) -> Container:
        return engine.create(ContainerOptions(image=busybox, command=("true",), mounts=mounts, **options))  # type: ignore[arg-type]

    first = made(volume("", "/data"), volume("", "/more"), name="first")
    named, unnamed = (mount.source for mount in first.options.mounts)
    engine.remove(made(volumes_from=("first",)), volumes=True)
    engine.remove(made(volume(named, "/here")), volumes=True)
    engine.remove(first, volumes=True)
    left = {each.name for each in engine.store.volumes.list()}
    assert named in left
    assert unnamed not in left
    assert not engine.store.volumes.get(named).anonymous
    engine.store.volumes.remove(named)


def test_volumes_of_another_container(engine: Engine, busybox: str, tmp_path: os.PathLike[str]):
    bind = Mount.bind(str(tmp_path), "/bind")
    first = engine.create(
        ContainerOptions(image=busybox, name="holder", command=("true",), mounts=(volume("shared", "/data"), bind))
    )
    try:
        run(engine, busybox, "echo 1 > /data/one; echo 2 > /bind/two", volumes_from=("holder",))
        assert run(engine, busybox, "cat /data/one /bind/two", volumes_from=("holder:ro",)) == "1\n2\n"
        assert run(engine, busybox, "touch /data/x 2>&1 || true", volumes_from=("holder:ro",)).endswith(
            "Read-only file system\n"
        )
        own = (Mount.tmpfs("/data"),)
        assert run(engine, busybox, "ls /data; cat /bind/two", volumes_from=("holder",), mounts=own) == "2\n"
    finally:
        engine.remove(first, volumes=True)
    # Somebody named it, so it stays.
    assert engine.store.volumes.get("shared").name == "shared"
    engine.store.volumes.remove("shared")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"volumes_from": ("nosuch",)}, InvalidInput, "nosuch"),
        ({"volumes_from": ("holder:rx",)}, InvalidInput, "invalid mode for volumes-from: 'holder:rx'"),
        ({"volume_driver": "rexray"}, Unsupported, "rexray"),
        ({"mounts": (volume("a b", "/x"),)}, InvalidInput, '"a b" includes invalid characters'),
    ],
)
def test_what_cannot_be_right(
    engine: Engine, busybox: str, options: dict[str, object], error: type[Exception], words: str
):
    before = engine.store.volumes.list()
    with pytest.raises(error) as caught:
        engine.create(ContainerOptions(image=busybox, **options))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert engine.store.volumes.list() == before


def test_a_creation_that_fails_leaves_no_volume(engine: Engine, busybox: str):
    taken = engine.create(ContainerOptions(image=busybox, name="taken-name", command=("true",)))
    before = engine.store.volumes.list()
    with pytest.raises(Conflict):
        engine.create(ContainerOptions(image=busybox, name="taken-name", mounts=(volume("", "/data"),)))
    assert engine.store.volumes.list() == before
    engine.remove(taken)


def test_no_volume_of_a_container_is_pruned_while_containers_are_made(engine: Engine, busybox: str):
    over = threading.Event()
    pruned: list[str] = []

    def prune() -> None:
        while not over.is_set():
            pruned.extend(engine.prune_volumes().deleted)

    pruning = threading.Thread(target=prune)
    pruning.start()
    made: list[Container] = []
    try:
        for _ in range(40):
            options = ContainerOptions(
                image=busybox, command=("true",), mounts=(volume("", "/etc"), volume("", "/data"))
            )
            made.append(engine.create(options))
        names = [mount.source for container in made for mount in container.options.mounts]
        assert all(os.path.exists(engine.store.volumes.path(name)) for name in names)
        assert not set(names) & set(pruned)
    finally:
        over.set()
        pruning.join()
        for container in made:
            engine.remove(container, volumes=True)
    assert not set(names) & {each.name for each in engine.store.volumes.list()}


def test_a_second_volume_with_a_name_that_cannot_be_takes_the_first_along(engine: Engine, busybox: str):
    before = engine.store.volumes.list()
    mounts = (volume("", "/data"), volume("a b", "/other"))
    with pytest.raises(InvalidInput, match="invalid characters"):
        engine.create(ContainerOptions(image=busybox, mounts=mounts))
    assert engine.store.volumes.list() == before


@pytest.fixture
def store(engine: Engine, busybox: str) -> Iterator[str]:
    """A volume with directories, and links that lead elsewhere."""
    script = (
        "mkdir -p /data/a/b && echo inner > /data/a/b/file && ln -s / /data/root && ln -s /etc /data/host && "
        "ln -s a/b /data/inside && ln -s ../../../../etc /data/a/up && echo top > /data/file"
    )
    run(engine, busybox, script, mounts=(volume("parts", "/data"),))
    yield "parts"
    engine.remove_volume("parts", force=True)


def test_a_part_of_a_volume(engine: Engine, busybox: str, store: str):
    assert run(engine, busybox, "cat /x/file", mounts=(volume(store, "/x", "subpath=a/b"),)) == "inner\n"
    assert run(engine, busybox, "cat /x/file", mounts=(volume(store, "/x", "subpath=inside"),)) == "inner\n"
    assert run(engine, busybox, "cat /x", mounts=(volume(store, "/x", "subpath=file"),)) == "top\n"
    part = volume(store, "/x", "subpath=a/b", "ro")
    assert "Read-only" in run(engine, busybox, "touch /x/new 2>&1 || true", mounts=(part,))


def test_no_link_in_a_volume_leads_a_part_out_of_it(engine: Engine, busybox: str, store: str):
    """The root of the volume is where an absolute link leads, and ``..`` from there."""
    assert run(engine, busybox, "cat /x/file", mounts=(volume(store, "/x", "subpath=root"),)) == "top\n"
    for part in ("host", "a/up"):
        with pytest.raises(NotFound, match=f"the subpath {part} of the volume {store} does not exist"):
            run(engine, busybox, "ls /x", mounts=(volume(store, "/x", f"subpath={part}"),))
    with pytest.raises(NotFound, match="does not exist"):
        run(engine, busybox, "true", mounts=(volume(store, "/x", "subpath=nosuch"),))


@needs.ID_RANGES
def test_a_part_of_a_volume_in_a_user_namespace(engine: Engine, busybox: str, store: str):
    spaces = Namespaces(user="auto")
    seen = run(
        engine, busybox, "cat /x/file; stat -c %u /x/file", mounts=(volume(store, "/x", "subpath=a/b"),),
        namespaces=spaces,
    )  # fmt: skip
    assert seen == "inner\n0\n"


@needs.IN_PROCESS
def test_files_of_a_part_of_a_stopped_containers_volume(engine: Engine, busybox: str, store: str):
    mounts = (volume(store, "/x", "subpath=a/b"), volume(store, "/y", "subpath=host"))
    made = engine.create(ContainerOptions(image=busybox, command=("true",), mounts=mounts))
    try:
        assert engine.stat_path(made, "/x/file").size == len("inner\n")
        with pytest.raises(NotFound):
            engine.stat_path(made, "/y/passwd")
    finally:
        engine.remove(made)


def test_a_volume_that_a_mount_makes_has_its_labels(engine: Engine, busybox: str):
    mount = volume("labelled", "/data", "volume-label=project=survey", "volume-label=plain=")
    run(engine, busybox, "true", mounts=(mount,))
    try:
        assert engine.volume("labelled").labels == {"project": "survey", "plain": ""}
        run(engine, busybox, "true", mounts=(volume("labelled", "/data", "volume-label=other=1"),))
        assert engine.volume("labelled").labels == {"project": "survey", "plain": ""}
    finally:
        engine.remove_volume("labelled")
