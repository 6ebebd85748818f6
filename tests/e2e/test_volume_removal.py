"""Volumes that are removed while something else happens to them, or to others."""

import io
import os
import signal
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import needs
from faultroom import Room
from harness import BUSYBOX, Cli, a_cli, give_busybox, is_waited_for, until
from kist.engine import Engine
from kist.engine.guest import GuestEngine
from kist.engine.policy.judgement import Guest
from kist.engine.policy.rights import Rights
from kist.errors import Forbidden, KistError, NotFound
from kist.spec.owner import Owner
from kist.store import Store

PATIENCE = 30
FILES = 30_000
ADA = Owner(1001, 1001, (), "ada")


def fill(directory: Path) -> None:
    """So many files that they are not all gone before somebody looks."""
    for number in range(FILES):
        os.close(os.open(directory / str(number), os.O_CREAT | os.O_WRONLY))


def count_files(store: Store) -> int:
    """Those of all volumes, also of one that is being removed."""
    return sum(len(names) for _, _, names in os.walk(store.volumes.root))


@pytest.mark.parametrize("words", [("volume", "prune", "-af"), ("volume", "rm", "large")])
def test_others_are_made_while_a_volume_goes(tmp_path: Path, words: tuple[str, ...]):
    with a_cli(tmp_path) as cli, Store(str(tmp_path / "data")) as store:
        cli.good("volume", "create", "large")
        fill(Path(store.volumes.path("large")))
        made = threading.Thread(target=make, args=(store, "other"))
        with subprocess.Popen([*cli.command, *words], env=cli.environment, stdout=subprocess.DEVNULL) as removal:
            until(lambda: not store.volumes.list())
            engine = cli.engine_pid()
            until(lambda: count_files(store) < FILES)  # by then it has let go of the database, too
            os.kill(engine, signal.SIGSTOP)
            try:
                assert len(os.listdir(store.volumes.root)) == 1, "the engine was done before it was stopped"
                made.start()
                made.join(PATIENCE)
                assert not made.is_alive(), "who makes something waits until the files of another volume are gone"
            finally:
                os.kill(engine, signal.SIGCONT)
                made.join()
            assert removal.wait(PATIENCE) == 0
        assert os.listdir(store.volumes.root) == ["other"]
        cli.good("volume", "rm", "other")


def make(store: Store, name: str) -> None:
    with store.volumes.kept():
        store.volumes.create(name)


@pytest.fixture
def guest(engine: Engine) -> GuestEngine:
    return GuestEngine(engine, Guest(ADA, Rights("ada")))


def an_archive() -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("planted"))
    archive.seek(0)
    return archive


@needs.IN_PROCESS
@pytest.mark.parametrize(
    ("act", "refusal"),
    [
        (lambda guest: guest.remove_volume("shared"), Forbidden),
        (lambda guest: guest.import_volume("shared", an_archive()), NotFound),
        (lambda guest: guest.export_volume("shared", io.BytesIO()), NotFound),
    ],
    ids=["rm", "import", "export"],
)
def test_a_guest_gets_no_volume_that_has_the_name_of_its_own_by_then(
    engine: Engine, guest: GuestEngine, act: Callable[[Engine], None], refusal: type[KistError]
):
    volumes = engine.store.volumes
    volumes.create("shared", owner=ADA.uid)
    refused: list[BaseException] = []

    def ask() -> None:
        try:
            act(guest)
        except KistError as error:
            refused.append(error)

    asking = threading.Thread(target=ask)
    try:
        with volumes.settled():
            asking.start()
            until(lambda: is_waited_for(Path(f"{volumes.root}.lock.gate")))
            volumes.remove("shared")
            volumes.create("shared")
            Path(volumes.path("shared"), "root's").touch()
        asking.join(PATIENCE)
        assert [type(error) for error in refused] == [refusal]
        assert os.listdir(volumes.path("shared")) == ["root's"]
    finally:
        engine.remove_volume("shared")


@pytest.mark.parametrize("point", ["remove: removed the record", "remove: removed the files"])
def test_what_nobody_named_goes_with_its_container_whoever_is_killed(tmp_path: Path, point: str):
    with a_cli(tmp_path) as cli, Store(str(tmp_path / "data")) as store:
        room = Room(cli)
        give_busybox(cli)
        cli.stop_engine()
        shared = room.good("volume", "create")
        words = ["create", "--network", "none", "-v", "/data", "-v", "named:/named", "-v", f"{shared}:/shared"]
        container = room.good(*words, BUSYBOX, "true")
        other = room.good("create", "--network", "none", "-v", f"{shared}:/shared", BUSYBOX, "true")
        room.arm(point)
        room.run("rm", "-v", container)
        until(lambda: not room.trap.exists())  # files go after the answer
        assert room.sprung()
        room.good("ps")  # another engine
        until(lambda: {each.name for each in store.volumes.list()} == {"named", shared})
        until(lambda: store.volumes.leaving() == ())
        room.good("rm", other)
        cli.stop_engine()
        assert set(room.good("volume", "ls", "-q").split()) == {"named", shared}
        for name in ("named", shared):
            room.good("volume", "rm", name)


def test_who_names_a_volume_that_is_to_go_keeps_it(tmp_path: Path):
    with Store(str(tmp_path / "data")) as store:
        volume, _ = store.volumes.create()
        store.volumes._database._connection.execute("INSERT INTO leaving VALUES (?)", (volume.name,))
        assert store.volumes.leaving() == (volume.name,)
        store.volumes.create(volume.name)
        assert store.volumes.leaving() == ()


def test_a_creation_that_fails_takes_no_volume_away_that_was_there(cli: Cli):
    volume = cli.good("volume", "create")
    cli.good("create", "--name", "taken", "--network", "none", BUSYBOX, "true")
    try:
        words = ("create", "--name", "taken", "--network", "none", "-v", f"{volume}:/data", "-v", "/other")
        assert cli(*words, BUSYBOX, "true").returncode == 125
        assert cli.good("volume", "ls", "-q") == volume
    finally:
        cli.good("rm", "taken")
        cli("volume", "rm", volume)
