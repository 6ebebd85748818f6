"""What can be made again stays below its ceilings: the build cache, and images where nobody misses them."""

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
from faultroom import left_by_us
from harness import BUSYBOX, Cli, a_cli, an_engine, busybox_tar, import_busybox, until
from kist.engine import Engine
from kist.spec.container import ContainerOptions
from kist.spec.summary import Image

SETTINGS = """\
[gc]
build-cache = "1MB"
images = "{images}"
keep-for = "{keep_for}"
keep-images-for = "0s"
"""
MEGABYTE = 1_000_000


def configure(directory: Path, monkeypatch: pytest.MonkeyPatch, images: str = "none", keep_for: str = "0s") -> None:
    (directory / "engine.toml").write_text(SETTINGS.format(images=images, keep_for=keep_for))
    monkeypatch.setenv("KIST_CONFIG", str(directory / "engine.toml"))


@pytest.fixture
def kist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """An engine whose build cache has a low ceiling."""
    configure(tmp_path, monkeypatch)
    with a_cli(tmp_path) as made:
        made.good("import", "-c", 'CMD ["sh"]', "-", BUSYBOX, stdin=busybox_tar())
        yield made


def build(kist: Cli, number: int) -> None:
    context = kist.directory / f"c{number}"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN head -c 400000 /dev/urandom > /x{number}\n")
    kist.good("build", "-q", "-t", f"built:{number}", str(context))


def log(kist: Cli) -> str:
    path = kist.directory / "run" / "engine.log"
    return path.read_text() if path.exists() else ""


def cache_size(kist: Cli) -> int:
    asked = ["curl", "-s", "--unix-socket", f"{kist.directory}/run/engine.sock", "http://x/system/df"]
    found: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    return int(found["BuildCacheUsage"]["TotalSize"])


def test_after_a_build_the_cache_is_below_its_ceiling(kist: Cli) -> None:
    build(kist, 0)
    for number in range(1, 3):
        build(kist, number)
        kist.good("rmi", f"built:{number}")
    assert cache_size(kist) > MEGABYTE
    assert "gave up" not in log(kist)
    build(kist, 4)
    until(lambda: "entries of the build cache" in log(kist))
    assert 0 < cache_size(kist) <= MEGABYTE, "no more goes than must"
    told = kist.good("events", "--since", "0", "--until", str(int(time.time()) + 1), "--filter", "event=prune")
    assert "reason=ceiling" in told
    assert {"built:0", "built:4"} < set(kist.good("images", "--format", "{{.Repository}}:{{.Tag}}").split())
    rows = kist.good("system", "df", "--format", "{{.Type}} {{.Ceiling}}").splitlines()
    assert {"Build Cache 1MB", "Images -"} <= set(rows)
    assert kist.good("run", "--rm", "--network", "none", "built:0", "stat", "-c", "%s", "/x0") == "400000"
    assert left_by_us(kist) == []


def test_a_quiet_engine_does_it_too(kist: Cli) -> None:
    for number in range(1, 5):
        build(kist, number)
    assert "gave up" not in log(kist), "images have it all"
    kist.good("rmi", *(f"built:{number}" for number in range(1, 5)))
    until(lambda: "gave up" in log(kist), patience=60)  # nobody asks the engine for anything meanwhile
    assert 0 < cache_size(kist) <= MEGABYTE


def test_what_was_used_lately_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, monkeypatch, keep_for="1h")
    with a_cli(tmp_path) as kist:
        kist.good("import", "-c", 'CMD ["sh"]', "-", BUSYBOX, stdin=busybox_tar())
        for number in range(1, 5):
            build(kist, number)
            kist.good("rmi", f"built:{number}")
        build(kist, 5)
        kist.stop_engine()  # which waits for what it does
        kist.good("ps")
        assert cache_size(kist) > MEGABYTE


# images: in process, for who fetches images is not there yet


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    configure(tmp_path, monkeypatch, images="1MB")
    with an_engine(tmp_path) as made:
        import_busybox(made)
        yield made


def fetched(engine: Engine, name: str, *, used_at: int = 1) -> Image:
    """An image that says it can be had again, and was used long ago."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        content = name.encode() * 50_000
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    image = engine.import_image(archive, name)
    engine.store.origins.note(image.id, f"kist pull {name}", image.references)
    age(engine, image, used_at)
    return image


def age(engine: Engine, image: Image, used_at: int) -> None:
    with engine.store.database.transaction() as db:
        db.execute("UPDATE images SET used_at = ? WHERE id = ?", (used_at, image.id))


def names(engine: Engine) -> set[str]:
    return {name.rpartition("/")[2] for image in engine.images() for name in image.references}


def tidy(engine: Engine) -> None:
    engine.housekeeping.tidy(lambda: False)


@needs.IN_PROCESS
def test_images_that_can_be_had_again_go_when_nobody_needs_them(engine: Engine) -> None:
    fetched(engine, "unused")
    tagged = fetched(engine, "tagged")
    engine.tag(tagged, "my-own:1")
    with_container = fetched(engine, "with-container")
    engine.create(ContainerOptions(image="with-container", command=("x",), network="none"))
    age(engine, with_container, 1)
    fetched(engine, "used-just-now", used_at=int(time.time()))
    loaded = fetched(engine, "loaded")
    archive = io.BytesIO()
    engine.save([loaded.references[0]], archive)
    archive.seek(0)
    engine.load(archive)
    age(engine, loaded, 1)
    before = engine.disk_usage()
    tidy(engine)
    assert names(engine) == {
        BUSYBOX, "tagged:latest", "my-own:1", "with-container:latest", "used-just-now:latest", "loaded:latest"
    }  # fmt: skip
    after = engine.disk_usage()
    assert after.others[2].size == 0, "nothing is left of it"
    told = [each for each in engine.events(until=time.time_ns()) if each.attributes.get("reason") == "ceiling"]
    assert [(each.kind, each.action) for each in told] == [("image", "prune")]
    assert int(told[0].attributes["reclaimed"]) == before.images_size - after.images_size > 500_000
    tidy(engine)
    assert len(engine.images()) == 5, "above its ceiling, and nothing of it may go"


@needs.IN_PROCESS
def test_no_more_images_go_than_must_and_the_longest_unused_first(engine: Engine) -> None:
    engine.remove_image(BUSYBOX)
    for number, name in enumerate(("third", "first", "second")):
        fetched(engine, name, used_at={"first": 10, "second": 20, "third": 30}[name] + number)
    assert engine.disk_usage().images_size > 1.5 * MEGABYTE
    tidy(engine)
    assert names(engine) == {"third:latest"}
    assert 0 < engine.disk_usage().images_size <= MEGABYTE


@needs.IN_PROCESS
def test_nothing_goes_beside_who_writes(engine: Engine) -> None:
    fetched(engine, "unused")
    with engine.store.writing():  # as a build does from its first step to its image
        tidy(engine)
        assert "unused:latest" in names(engine)
    tidy(engine)
    assert "unused:latest" not in names(engine)


@needs.IN_PROCESS
def test_who_died_between_forgetting_and_removing_leaves_what_the_next_one_takes(engine: Engine) -> None:
    fetched(engine, "unused")
    done: list[str] = []

    class Killed(BaseException):
        pass

    def forget() -> bool:
        engine.catalogue.forget(engine.image("unused"))
        done.append("forgotten")
        raise Killed

    with pytest.raises(Killed):
        engine.store.shrink(forget)
    assert done
    left = engine.disk_usage().others[2]
    assert (left.kind, left.size > 500_000, left.size) == ("leftovers", True, left.reclaimable)
    engine.prune_images()
    assert engine.disk_usage().others[2].size == 0
