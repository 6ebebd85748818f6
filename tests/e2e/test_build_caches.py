"""The step cache on its way from one data root to another."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import BUSYBOX
from kist.build import build
from kist.engine import Engine
from kist.kernel import faults
from kist.spec.build import BuildOptions
from kist.spec.progress import CacheKept, Event, StepFinished, StepOutput

UUID = "/proc/sys/kernel/random/uuid"  # another one whenever it is read
TEXT = """
FROM {base} AS tool
RUN cat /proc/sys/kernel/random/uuid > /tool
FROM {base}
COPY a /a
COPY --from=tool /tool /tool
RUN cat /proc/sys/kernel/random/uuid > /made
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "a").write_text("a")
    (made / "Dockerfile").write_text(TEXT.format(base=BUSYBOX))
    return made


def forget(small: Any) -> None:
    """As on another machine: nothing is known but the base."""
    small.good("rmi", "made:1")
    small.good("builder", "prune", "-af")


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_directory_brings_a_build_to_another_place(small: Any, context: Path, tmp_path: Path, mode: str) -> None:
    cache = tmp_path / "cache"
    build = ("build", "-q", "-t", "made:1")
    first = small.good(*build, "--cache-to", f"type=local,dest={cache},mode={mode}", str(context))
    forget(small)
    again = small.good(*build, "--cache-from", f"type=local,src={cache}", str(context))
    # With min the other stage is built again, which makes another file, of which the copy is another one.
    assert (again == first) == (mode == "max")
    layout = json.loads((cache / "index.json").read_bytes())
    [manifest] = layout["manifests"]
    for blob in (cache / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert (cache / "blobs" / manifest["digest"].replace(":", "/")).exists()


def test_a_build_that_was_cached_brings_the_same(small: Any, context: Path, tmp_path: Path) -> None:
    for place in ("first", "again"):
        small.good(
            "build", "-q", "-t", "made:1", "--cache-to", f"type=local,dest={tmp_path / place},mode=max", str(context)
        )
    assert (tmp_path / "first/index.json").read_bytes() == (tmp_path / "again/index.json").read_bytes()


def test_an_image_brings_its_own_steps(small: Any, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nCOPY a /a\nRUN cat {UUID} > /made\nENV A=1\nRUN cat {UUID} > /b"
    )
    first = small.good("build", "-q", "-t", "made:1", "--cache-to", "type=inline", str(context))
    small.good("save", "-o", str(tmp_path / "made.tar"), "made:1")
    forget(small)
    small.good("load", "-i", str(tmp_path / "made.tar"))
    options = ("--cache-from", "made:1", "--cache-to", "type=inline")
    assert small.good("build", "-q", "-t", "made:1", *options, str(context)) == first
    (context / "a").write_text("b")
    assert small.good("build", "-q", "-t", "made:1", *options, str(context)) != first


@needs.IN_PROCESS
def test_a_file_that_changes_before_it_is_copied_is_not_found_by_what_it_was(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each point that the build passes, so also between the file's digest and its copy, the file is another one."""
    context, door = tmp_path / "c", tmp_path / "door"
    context.mkdir()
    file = context / "file"
    file.write_text("text 0")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    os.mkfifo(door)
    texts, over = ["text 0"], threading.Event()

    def change() -> None:
        """Who passes a point reads from the door, and waits until it is closed."""
        while True:
            opened = os.open(door, os.O_WRONLY)
            if not over.is_set():
                texts.append(f"text {len(texts)}")
                with file.open("r+") as written:  # whoever reads just now finds it before or after, and never empty
                    written.write(texts[-1])
            os.close(opened)
            if over.is_set():
                return

    def made(**options: Any) -> str:
        image = build(engine, str(context), BuildOptions(**options), told.append)
        chain = engine.catalogue.chain(image)
        assert chain is not None
        with engine.catalogue.open_files(chain) as root, open(os.open("file", os.O_RDONLY, dir_fd=root)) as copy:
            return copy.read()

    told: list[Event] = []
    changing = threading.Thread(target=change)
    changing.start()
    monkeypatch.setenv(faults.VARIABLE, str(door))
    faults.arm()
    try:
        first = made(cache_to=("min",))
    finally:
        faults.disarm()
        over.set()
        os.close(os.open(door, os.O_RDONLY))
        changing.join()
    assert first in texts[1:]
    assert [event.keys for event in told if isinstance(event, CacheKept)] == [()]  # nor does anybody else find it
    assert any(isinstance(event, StepOutput) and "changed while they were copied" in event.text for event in told)
    for text in (*texts, texts[-1]):
        file.write_text(text)
        told.clear()
        assert made() == text
    assert any(isinstance(event, StepFinished) and event.cached for event in told)


def _damage(cache: Path) -> None:
    large = max((cache / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    data = bytearray(large.read_bytes())
    data[600] ^= 1
    large.write_bytes(data)


def _nothing(cache: Path) -> None:
    (cache / "index.json").unlink()


def _another(cache: Path) -> None:
    (cache / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')


@pytest.mark.parametrize(
    ("harm", "words"),
    [(_damage, "does not match its digest"), (_nothing, "no build cache"), (_another, "no build cache is in it")],
)
def test_a_cache_that_cannot_be_taken(
    small: Any, context: Path, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    cache = tmp_path / "cache"
    small.good("build", "-q", "-t", "made:1", "--cache-to", f"type=local,dest={cache}", str(context))
    forget(small)
    harm(cache)
    failed = small("build", "-t", "made:1", "--cache-from", f"type=local,src={cache}", str(context))
    assert failed.returncode
    assert words in failed.stderr
