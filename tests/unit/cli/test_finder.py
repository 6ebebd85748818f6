"""Kist's own modules are those that Python would find, by byte code that is their own."""

import importlib.util
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest

import kist
import kist.cli
from kist.cli.finder import Finder


@pytest.mark.parametrize(
    ("name", "parent"),
    [("kist.errors", kist), ("kist.cli", kist), ("kist.cli.dispatch", kist.cli), ("kist.cli.commands", kist.cli)],
)
def test_a_module_is_described_as_python_describes_it(name: str, parent: ModuleType) -> None:
    ours, theirs = Finder.find_spec(name, parent.__path__), PathFinder.find_spec(name, parent.__path__)
    assert ours is not None
    assert theirs is not None
    for what in ("name", "origin", "cached", "has_location", "parent", "submodule_search_locations"):
        assert getattr(ours, what) == getattr(theirs, what), what


@pytest.mark.parametrize(
    ("name", "path"),
    [("json", None), ("kist", None), ("kist.nowhere", kist.__path__), ("kist.errors", ["/no/archive.zip/kist"])],
)
def test_what_is_not_there_or_not_ours_is_left_to_python(name: str, path: list[str] | None) -> None:
    assert Finder.find_spec(name, path) is None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "sample.py"
    made.write_text("WHAT = 'first'\n")
    return made


def loaded(source: Path) -> ModuleType:
    spec = Finder.find_spec("kist.sample", [str(source.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(source: Path, text: str, mode: py_compile.PycInvalidationMode) -> None:
    """Byte code of this text, as that of the source that is there."""
    kept, times = source.read_text(), os.stat(source)
    source.write_text(text)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    py_compile.compile(str(source), doraise=True, invalidation_mode=mode)
    source.write_text(kept)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))


TIMES = py_compile.PycInvalidationMode.TIMESTAMP


def test_byte_code_of_the_sources_time_and_size_is_taken(source: Path) -> None:
    compiled(source, "WHAT = 'cache'\n", TIMES)
    assert loaded(source).WHAT == "cache"


def _longer(source: Path) -> None:
    source.write_text("WHAT = 'other one'\n")


def _later(source: Path) -> None:
    source.write_text("WHAT = 'later'\n")
    os.utime(source, (1, 1))


def _broken(source: Path) -> None:
    [cached] = source.parent.glob("__pycache__/*")
    cached.write_bytes(b"")
    source.write_text("WHAT = 'whole'\n")


@pytest.mark.parametrize("change", [_longer, _later, _broken])
def test_byte_code_of_another_source_is_not(source: Path, change: Callable[[Path], None]) -> None:
    compiled(source, "WHAT = 'cache'\n", TIMES)
    change(source)
    assert source.read_text().split("'")[1] == loaded(source).WHAT


def test_byte_code_that_is_known_by_the_sources_content_is_looked_at_by_python(source: Path) -> None:
    compiled(source, "WHAT = 'cache'\n", py_compile.PycInvalidationMode.CHECKED_HASH)
    assert loaded(source).WHAT == "first"


def test_long_byte_code_is_read_whole(source: Path) -> None:
    source.write_text("".join(f"NAME_{number} = {number!r} * 2\n" for number in range(20_000)))
    py_compile.compile(str(source), doraise=True, invalidation_mode=TIMES)
    assert os.path.getsize(importlib.util.cache_from_source(str(source))) > 1 << 18
    assert loaded(source).NAME_19999 == 39998


def test_a_module_without_byte_code_gets_some(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert loaded(source).WHAT == "first"
    assert [path.suffix for path in source.parent.glob("__pycache__/*")] == [".pyc"]


@pytest.mark.parametrize(
    ("flags", "installed"), [([], True), (["-O"], False), (["-X", "pycache_prefix=elsewhere"], False)]
)
def test_where_byte_code_is_elsewhere_python_finds_it(flags: list[str], tmp_path: Path, *, installed: bool) -> None:
    code = "import sys; from kist.cli import finder; finder.install(); print(finder.Finder in sys.meta_path)"
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == str(installed)


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_program_is_found_whether_or_not_python_looks_beside_it(safe: str) -> None:
    launcher = Path(kist.cli.__file__).parent / "launcher"
    done = subprocess.run(
        [sys.executable, launcher, "--version"],
        env={**os.environ, "PYTHONSAFEPATH": safe},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"Kist version {kist.__version__}\n"
