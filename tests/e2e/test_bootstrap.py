"""Base images from Debian's own archive. One test always runs; the others with KIST_LONG_TESTS=1 (a minute or two)."""

import contextlib
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import an_engine
from kist.bootstrap import bootstrap, lock_of
from kist.client.client import Client
from kist.engine import Engine
from kist.errors import Corrupt
from kist.spec.build import BootstrapOptions
from kist.spec.container import ContainerOptions
from kist.spec.progress import Event, StepFinished, StepStarted
from kist.spec.summary import Image

pytestmark = pytest.mark.timeout(600)

long = pytest.mark.skipif("KIST_LONG_TESTS" not in os.environ, reason="bootstraps once more: KIST_LONG_TESTS=1 runs it")

MIRROR = "http://deb.debian.org/debian/dists/bookworm/InRelease"

NewEngine = Callable[[], Engine]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has been downloaded; every engine of these tests starts with it."""
    try:
        urllib.request.urlopen(MIRROR, timeout=20).close()
    except OSError as error:
        pytest.skip(f"needs a mirror of Debian: {error}")
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture
def new_engine(tmp_path: Path, downloads: Path) -> Iterator[NewEngine]:
    """Makes engines on roots of their own; at the end nothing of them is left but the downloads."""
    with contextlib.ExitStack() as stack:

        def make() -> Engine:
            directory = tmp_path / f"engine{len(list(tmp_path.iterdir()))}"
            shutil.copytree(downloads, directory / "data/cache", copy_function=shutil.copy2)
            # Files of the image's other users are theirs who have subordinate ids; the session's end takes them.
            stack.callback(shutil.rmtree, directory, ignore_errors=os.geteuid() != 0)
            stack.callback(shutil.copytree, directory / "data/cache", downloads, dirs_exist_ok=True)
            return stack.enter_context(an_engine(directory))

        yield make


def make(engine: Engine, options: BootstrapOptions, progress: Callable[[Event], None]) -> Image:
    """Bootstrap in this process where the engine is in it, else by the engine's own."""
    if isinstance(engine, Client):
        return engine.bootstrap(options, progress=progress)
    return bootstrap(engine, options, progress)


class Made:
    """One bootstrap: the image, its lock and what was told of it."""

    def __init__(self, engine: Engine, options: BootstrapOptions) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self.image: Image = make(engine, options, self.events.append)
        self.lock = lock_of(engine, self.image)

    def run(self, script: str, *, bridge: bool = False) -> str:
        options = ContainerOptions(image=str(self.image.id), network="bridge" if bridge else "none")
        return self.engine.run(self.image, ["bash", "-ec", script], options=options).stdout


def check(made: Made, name: str, codename: str) -> None:
    """What every image of Debian has to be."""
    assert made.image.references == (f"docker.io/library/{name}", f"docker.io/library/debian:{codename}")
    assert made.image.config.config.cmd == ("bash",)
    assert made.run(". /etc/os-release; echo $VERSION_CODENAME") == f"{codename}\n"
    assert made.run("dpkg --audit; dpkg --verify; apt-get check > /dev/null") == ""
    assert made.run("cat /usr/share/kist/bootstrap.lock") == made.lock
    Path(made.engine.data_root, "locks", f"{made.image.id.hex}.lock").unlink()
    assert lock_of(made.engine, name) == made.lock
    assert made.run("ls /var/lib/apt/lists /var/cache/apt; find /var/log -type f -size +0; ls /mnt /tmp") == (
        "/var/cache/apt:\narchives\n\n/var/lib/apt/lists:\npartial\n/mnt:\n\n/tmp:\n"
    )
    date = made.image.created_at // 10**9
    assert made.run(f"find /usr /var /root /etc/[!hr]* -newermt @{date}") == ""


def test_debian_12_is_made_and_dpkg_and_apt_find_it_sound(new_engine: NewEngine) -> None:
    check(Made(new_engine(), BootstrapOptions("debian:12")), "debian:12", "bookworm")


@long
def test_debian_13_is_made_and_dpkg_and_apt_find_it_sound(new_engine: NewEngine) -> None:
    check(Made(new_engine(), BootstrapOptions("debian:13")), "debian:13", "trixie")


@long
def test_the_same_lock_gives_the_same_image_on_another_engine_without_a_mirror(new_engine: NewEngine) -> None:
    first = Made(new_engine(), BootstrapOptions("debian:12", include=("ca-certificates",)))
    other = new_engine()
    shutil.rmtree(f"{other.data_root}/cache")
    shutil.copytree(f"{first.engine.data_root}/cache", f"{other.data_root}/cache")
    nowhere = "http://127.0.0.1:9/debian"
    second = Made(other, BootstrapOptions("debian:12", lock=first.lock, mirror=nowhere, tag="again"))
    assert (second.image.id, second.image.manifest) == (first.image.id, first.image.manifest)
    assert second.lock == first.lock
    assert "openssl" in first.run("apt-mark showauto").split()
    assert "ca-certificates" in first.run("apt-mark showmanual").split()


@long
def test_a_second_bootstrap_finds_the_image_made_and_names_it(new_engine: NewEngine) -> None:
    engine = new_engine()
    first = Made(engine, BootstrapOptions("debian:12"))
    second = Made(engine, BootstrapOptions("debian:bookworm", tag="base:1"))
    assert second.image.id == first.image.id
    assert "docker.io/library/base:1" in second.image.references
    assert [event.id for event in second.events if isinstance(event, StepStarted)] == ["release", "resolve", "image"]
    assert [event.cached for event in second.events if isinstance(event, StepFinished)] == [False, True, True]


@long
def test_apt_installs_packages_in_a_container_of_the_image(new_engine: NewEngine) -> None:
    made = Made(new_engine(), BootstrapOptions("debian:12"))
    script = "apt-get update -qq && apt-get install -y -qq --no-install-recommends hello > /dev/null && hello"
    assert made.run(script, bridge=True).endswith("Hello, world!\n")


@long
def test_nothing_is_left_of_a_bootstrap_that_fails(new_engine: NewEngine) -> None:
    engine = new_engine()
    made = Made(engine, BootstrapOptions("debian:12"))
    before = engine.store.snapshots.list()
    bash = next(line for line in made.lock.split("\n") if line.startswith("base bash "))
    lock = made.lock + bash.replace("base bash ", "base bash-again ") + "\n"
    with pytest.raises(Corrupt, match="is there already, from another package"):
        make(engine, BootstrapOptions("debian:12", lock=lock), print)
    assert engine.store.snapshots.list() == before
    assert engine.images() == (made.image,)
