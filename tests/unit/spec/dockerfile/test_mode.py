"""Modes of --chmod."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.spec.dockerfile.mode import Mode


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", 0o600, 0o755),
        ("0644", 0o777, 0o644),
        ("4755", 0, 0o4755),
        ("u=rwX,go=rX", 0o600, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("a=rX", 0o640, 0o444),
        ("+x", 0o644, 0o755),
        ("a-w", 0o666, 0o444),
        ("u+s", 0o755, 0o4755),
        ("g+s,o=", 0o755, 0o2750),
        ("+t", 0o755, 0o1755),
        ("u=rw,g=u,o=g", 0o400, 0o666),
        ("go-rwx", 0o755, 0o700),
        ("ug+rw-x", 0o711, 0o661),
        ("=", 0o777, 0),
        ("u=,g+w", 0o700, 0o020),
        ("u-s", 0o4755, 0o755),
        ("u=rwx", 0o4644, 0o744),
    ],
)
def test_modes_of_files(text: str, before: int, after: int) -> None:
    assert Mode.parse(text).of(before) == after


def test_directories_are_entered() -> None:
    mode = Mode.parse("u=rwX,go=rX")
    assert (mode.of(0o600, directory=True), mode.of(0o600)) == (0o755, 0o644)


@pytest.mark.parametrize("text", ["", "8", "77777", "u", "rwx", "u=q", "u=r,", "x+", "u=ug", "999999999", "u=r w"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(ValueError, match="is no mode"):
        Mode.parse(text)


@given(st.lists(st.from_regex(r"[ugoa]{1,3}[-+=](?:[ugo]|[rwxX]{0,4})", fullmatch=True), min_size=1, max_size=3))
def test_a_mode_is_read_as_it_is_written(clauses: list[str]) -> None:
    mode = Mode.parse(",".join(clauses))
    assert Mode.parse(str(mode)) == mode


@pytest.mark.parametrize("before", [0o000, 0o640, 0o711, 0o755])
@pytest.mark.parametrize("text", ["u=rwX,go=rX", "a+x,g-w", "g=u", "o=u-x", "ug=rw,o=r", "a=,u+rx", "go+X", "u+w,a+r"])
def test_chmod_does_the_same(text: str, before: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(before)
    subprocess.run(["chmod", text, file], check=True)
    assert stat.S_IMODE(os.stat(file).st_mode) == Mode.parse(text).of(before)
