"""What goes while somebody names, uses or starts it: who was first wins, and nobody is told what was not."""

import io
import sqlite3
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import needs
from harness import an_engine, import_busybox, until
from kist.engine import Engine
from kist.errors import KistError, NotFound
from kist.spec.container import ContainerOptions
from kist.spec.image import ContainerConfig
from kist.spec.summary import Image

pytestmark = needs.IN_PROCESS
ROUNDS = 40
TAG = "INSERT INTO names (name, image) SELECT 'docker.io/library/mine:1', id FROM images"
CREATE = (
    "INSERT INTO containers (id, name, image, created_at, value) "
    "SELECT 'other', 'other', images.id, 0, containers.value FROM images, containers"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with an_engine(tmp_path) as made:
        yield made


def an_image(engine: Engine, content: str, name: str = "") -> Image:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    archive.seek(0)
    return engine.import_image(archive, name, config=ContainerConfig(cmd=("x",)))


def one_of_no_image(engine: Engine) -> None:
    """A container whose image has gone; another one's record is made of its."""
    image = an_image(engine, "first")
    engine.create(ContainerOptions(image=image.id, network="none"))
    engine.remove_image(image, force=True)


def is_whole(engine: Engine, image: Image) -> bool:
    """Whether it is there, with all its blobs and layers."""
    found = engine.image(image.id)
    layers = engine.catalogue.layers(found)
    return engine.catalogue.has_layers(layers) and all(each.descriptor.digest in engine.store.blobs for each in layers)


def begins_to_write(thread: threading.Thread) -> bool:
    """Whether a thread waits for the database's write lock."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "_begin":
            return True
        frame = frame.f_back
    return False


def meanwhile(engine: Engine, remove: Callable[[], object], sql: str) -> list[object]:
    """Have this written after ``remove`` has chosen and before it takes away; what it returned or raised."""
    done: list[object] = []

    def act() -> None:
        try:
            done.append(remove())
        except KistError as error:
            done.append(error)

    until(lambda: all(each.name != "kist-flush" for each in threading.enumerate()))  # it writes, too
    other = sqlite3.connect(f"{engine.store.root}/kist.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=act)
    thread.start()
    try:
        until(lambda: begins_to_write(thread) or bool(done))
        other.execute(sql)
    finally:
        other.execute("COMMIT")
        other.close()
        thread.join()
    return done


@pytest.mark.parametrize("sql", [TAG, CREATE])
@pytest.mark.parametrize("every", [False, True])
def test_a_prune_leaves_what_was_named_or_used_since_it_chose(engine: Engine, sql: str, *, every: bool) -> None:
    one_of_no_image(engine)
    image = an_image(engine, "second")
    (pruned,) = meanwhile(engine, lambda: engine.prune_images(every=every), sql)
    assert pruned.deleted == ()  # type: ignore[attr-defined]
    assert is_whole(engine, image)


def test_rmi_looks_again_when_the_image_is_not_as_it_was(engine: Engine) -> None:
    image = an_image(engine, "x", "only")
    (removed,) = meanwhile(engine, lambda: engine.remove_image("only"), TAG)
    assert removed.untagged == ("only:latest",)  # type: ignore[attr-defined]
    assert engine.image(image.id).references == ("docker.io/library/mine:1",)
    assert is_whole(engine, image)


def test_rmi_of_what_is_used_meanwhile_is_refused(engine: Engine) -> None:
    one_of_no_image(engine)
    image = an_image(engine, "x", "only")
    (refusal,) = meanwhile(engine, lambda: engine.remove_image("only"), CREATE)
    assert "container other is using" in str(refusal)
    assert is_whole(engine, image)


def test_what_was_named_or_used_is_there_whoever_prunes_beside(engine: Engine) -> None:
    over = threading.Event()

    def prune() -> None:
        while not over.is_set():
            engine.prune_images()

    thread = threading.Thread(target=prune)
    thread.start()
    kept = 0
    try:
        for number in range(ROUNDS):
            try:
                image = an_image(engine, str(number))
                if number % 2:
                    engine.tag(image, f"mine:{number}")
                else:
                    engine.create(ContainerOptions(image=image.id, network="none"))
            except NotFound:
                continue  # the prune was first
            kept += 1
            assert is_whole(engine, image)
    finally:
        over.set()
        thread.join()
    assert len(engine.images()) == kept
    assert all(is_whole(engine, image) for image in engine.images())
    assert all(
        container.image_id in {image.id for image in engine.images()} for container in engine.containers(all=True)
    )


@pytest.mark.parametrize("started", [False, True])
def test_what_a_container_holds_that_starts_after_the_check_has_looked_stays(engine: Engine, *, started: bool) -> None:
    options = ContainerOptions(image=import_busybox(engine), command=("sleep", "1000"), network="none")
    container = engine.create(options)
    engine.start(container)
    engine.kill(container)
    until(lambda: not Path(engine.run_root, "containers", container.id).exists())
    with engine.store.database.transaction() as db:
        db.execute("INSERT INTO addresses VALUES ('bridge', '10.231.255.9', ?)", (container.id,))
    (found,) = engine._checker._addresses()
    assert found.problem.subject == container.id
    assert found.mend is not None
    if started:
        engine.start(container)
    found.mend()
    assert engine.store.networks.holders() == ((container.id,) if started else ())
