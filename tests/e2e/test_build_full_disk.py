"""A disk that is full in the middle of a build: told, nothing half-made stays, and the next build goes on."""

import contextlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import needs
from faultroom import left_by_us
from harness import BUSYBOX, Cli, a_cli, give_busybox, runs_of
from kist.kernel import mounts
from web import a_repository, a_site

pytestmark = pytest.mark.root("mounts a small file system")

SIZE = 64 << 20
FITS_ONCE = 32 << 20  # as files, and not as a layer's blob too
TOO_MUCH = 80 << 20
RECORDS = 2 << 20  # what these may take, and what is kept for them
FIRST = f"FROM {BUSYBOX}\nRUN echo first > /first\n"


@contextlib.contextmanager
def small_disk(place: Path, size: int = SIZE) -> Iterator[Path]:
    place.mkdir()
    mounts.mount("tmpfs", str(place), "tmpfs", mounts.MS_NOSUID, f"size={size}")
    try:
        yield place
    finally:
        mounts.unmount(str(place))


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A command line whose engine has its data on a small disk, with one step in its cache."""
    directory = tmp_path_factory.mktemp("full")
    with small_disk(directory / "data"), a_cli(directory) as made:
        give_busybox(made)
        (directory / "first").mkdir()
        (directory / "first/Dockerfile").write_text(FIRST)
        made.good("build", "-q", "-t", "first:1", str(directory / "first"))
        yield made


def archive(size: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in (("Dockerfile", FIRST.encode()), ("large", bytes(size))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def run_writes(_: Path) -> str:
    return f"RUN dd if=/dev/zero of=/large bs=1M count={TOO_MUCH >> 20}\n"


def run_is_committed(_: Path) -> str:
    return f"RUN head -c {FITS_ONCE} /dev/zero > /large\n"


def cache_is_filled(_: Path) -> str:
    return f"RUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/large bs=1M count={TOO_MUCH >> 20}\n"


def copied(context: Path) -> str:
    (context / "large").write_bytes(bytes(FITS_ONCE))
    return "COPY large /\n"


def linked(context: Path) -> str:
    (context / "large").write_bytes(bytes(FITS_ONCE))
    return "COPY --link large /\n"


def copied_from_a_stage(_: Path) -> str:
    return "".join(f"COPY --from=first:1 / /{number}/\n" for number in range(40))


def unpacked(context: Path) -> str:
    (context / "a.tar").write_bytes(archive(TOO_MUCH))
    return "ADD a.tar /\n"


def bound_with_changes(context: Path) -> str:
    """What a command changes of a mount is thrown away, but lies somewhere until then."""
    (context / "file").write_text("x")
    return f"RUN --mount=target=/m,rw dd if=/dev/zero of=/m/large bs=1M count={TOO_MUCH >> 20}\n"


def second_of_two(_: Path) -> str:
    return f"RUN head -c {FITS_ONCE // 2} /dev/zero > /a\nRUN head -c {FITS_ONCE // 2} /dev/zero > /b\n"


STEPS = [run_is_committed, cache_is_filled, copied_from_a_stage]
MORE = [run_writes, copied, linked, unpacked, bound_with_changes, second_of_two]


def free(cli: Cli) -> int:
    found = os.statvfs(cli.directory / "data")
    return found.f_bavail * found.f_bsize


def verify(cli: Cli, before: int) -> None:
    """The next build goes on from what is there, nothing half-made is left, and all is given back."""
    told = cli("build", "--progress", "plain", str(cli.directory / "first"))
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("CACHED") == 2, told.stderr
    assert os.listdir(cli.directory / "data/tmp") == []
    cli.good("image", "prune", "-f")
    cli.good("builder", "prune", "-af")
    assert left_by_us(cli) == []
    cli.good("build", "-q", "-t", "first:1", str(cli.directory / "first"))
    assert free(cli) >= before - RECORDS, f"{before - free(cli)} bytes are gone"


@pytest.mark.parametrize(
    "step", [*STEPS, *(pytest.param(step, marks=needs.LONG) for step in MORE)], ids=lambda step: step.__name__
)
def test_a_step(cli: Cli, tmp_path: Path, step: Callable[[Path], str]) -> None:
    before = free(cli)
    (tmp_path / "Dockerfile").write_text(FIRST + step(tmp_path))
    done = cli("build", "--progress", "plain", str(tmp_path))
    assert done.returncode
    assert "o space left on device" in done.stderr, done.stderr
    assert "::" not in done.stderr
    assert " CACHED\n" in done.stderr
    verify(cli, before)


def refused(cli: Cli, *arguments: str, stdin: bytes = b"") -> str:
    before = free(cli)
    done = cli("build", "--progress", "plain", *arguments, stdin=stdin)
    assert done.returncode
    verify(cli, before)
    return done.stderr


def test_a_context_that_is_sent(cli: Cli) -> None:
    told = refused(cli, "-", stdin=archive(TOO_MUCH))
    assert "kist: unpack build context 'large': no space left on device\n" in told


@needs.LONG
@pytest.mark.parametrize("is_told", [True, False], ids=["of a size that is told", "of a size that is not told"])
def test_a_file_of_the_web(cli: Cli, tmp_path: Path, is_told: bool) -> None:
    with a_site() as site:
        url = site.put("/large", bytes(TOO_MUCH))
        site.pages["/large"].is_told = is_told
        (tmp_path / "Dockerfile").write_text(f"{FIRST}ADD {url} /\n")
        told = refused(cli, str(tmp_path))
    assert "Dockerfile:3: ADD failed" in told
    assert f"{url} has {TOO_MUCH} bytes" in told if is_told else "no space left on device" in told.lower()
    assert "free some space there" in told


@needs.LONG
def test_a_file_of_the_web_that_fits_once(cli: Cli, tmp_path: Path) -> None:
    with a_site() as site:
        (tmp_path / "Dockerfile").write_text(f"{FIRST}ADD {site.put('/large', bytes(FITS_ONCE))} /\n")
        assert "o space left on device" in refused(cli, str(tmp_path))


@needs.LONG
@pytest.mark.parametrize("content", [b"x".__mul__, os.urandom], ids=["its files", "its objects"])
@pytest.mark.parametrize("how", ["ADD", "a named context", "a context"])
def test_a_repository(cli: Cli, tmp_path: Path, content: Callable[[int], bytes], how: str) -> None:
    """Too large is what git unpacks of it, or already what it fetches."""
    with a_site() as site:
        repository = a_repository(site, tmp_path)
        (repository.work / "large").write_bytes(content(TOO_MUCH))
        (repository.work / "Dockerfile").write_text(FIRST)
        repository.git("add", ".")
        repository.git("commit", "-m", "large")
        repository.publish()
        context = tmp_path / "context"
        context.mkdir()
        url = f"{repository.url}#main"
        words = {
            "ADD": (f"ADD {url} /\n", [str(context)]),
            "a named context": ("COPY --from=far file /\n", [f"--build-context=far={url}", str(context)]),
            "a context": ("", [url]),
        }
        line, arguments = words[how]
        (context / "Dockerfile").write_text(FIRST + line)
        told = refused(cli, *arguments)
        assert runs_of(repository.url) == []
    assert f"error fetching {repository.url}: no space left on device" in told
    assert how != "a named context" or "Dockerfile:3: [context far] failed: " in told
    assert "free some space there" in told


@needs.LONG
def test_one_layer_of_several(cli: Cli, tmp_path: Path) -> None:
    lines = (f"RUN head -c {SIZE // 6} /dev/urandom > /{name}\n" for name in "ab")
    (tmp_path / "Dockerfile").write_text(FIRST + "".join(lines))
    assert "no space left on device" in refused(cli, "--squash", str(tmp_path))


def test_a_directory_that_is_written_to(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FIRST)
    with small_disk(tmp_path / "out", 1 << 20) as out:
        told = refused(cli, "-o", str(out), str(tmp_path))
        assert f"the output '{out}' cannot be written: no space left on device" in told
    assert "the steps are kept" in told


@pytest.mark.parametrize("kind", ["oci", pytest.param("tar", marks=needs.LONG)])
def test_a_file_that_is_written_to(cli: Cli, tmp_path: Path, kind: str) -> None:
    (tmp_path / "Dockerfile").write_text(FIRST)
    with small_disk(tmp_path / "out", 1 << 20) as out:
        told = refused(cli, "-o", f"type={kind},dest={out}/image.tar", str(tmp_path))
        assert f"the output '{out}/image.tar' cannot be written: no space left on device" in told
        assert os.listdir(out) == []


def test_a_cache_that_is_written_to(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FIRST + "RUN head -c 3000000 /dev/urandom > /x\n")
    with small_disk(tmp_path / "cache", 1 << 20) as cache:
        told = refused(cli, "--cache-to", f"type=local,dest={cache}", str(tmp_path))
        assert f"cannot be written to {cache}: No space left on device" in told
        assert not (cache / "index.json").exists()


def test_a_lock_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    with small_disk(tmp_path / "context", 1 << 20) as context:
        (context / "Dockerfile").write_text(FIRST)
        with contextlib.suppress(OSError), (context / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        done = cli("build", "--progress", "plain", str(context))
        assert done.returncode == 0, "the image is made all the same"
        assert "kist.lock cannot be written: No space left on device" in done.stderr
        assert sorted(os.listdir(context)) == ["Dockerfile", "filler"]
