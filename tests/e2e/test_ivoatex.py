"""``examples/ivoatex/run`` from nothing, as root, as a user with subordinate ids and as one with a single id.

Each takes some minutes, a gigabyte from a mirror of Debian's and two of the disk: with KIST_LONG_TESTS=1.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Cli
from ordinary import GID, NAME, UID
from rootless_user import made

pytestmark = [
    pytest.mark.root("becomes ordinary users itself"),
    pytest.mark.timeout(1200),
    pytest.mark.skipif("KIST_LONG_TESTS" not in os.environ, reason="takes minutes: KIST_LONG_TESTS=1 runs it"),
]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ivoatex"
KIST = Path(sys.executable).with_name("kist")


def checkout(directory: Path) -> Path:
    """The example as a fresh checkout of the user's has it, without what an earlier run has made."""
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=EXAMPLE, capture_output=True, text=True, check=True
    )
    copy = directory / "ivoatex"
    for name in tracked.stdout.rstrip("\0").split("\0"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXAMPLE / name, copy / name)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, UID, GID)
    return copy


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**environment, "KIST": str(KIST)}, capture_output=True, text=True, timeout=1100, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def assert_paper(copy: Path, told: str) -> None:
    paper, page = copy / "document/paper.pdf", (copy / "document/paper.html").read_text(encoding="utf-8")
    assert paper.read_bytes().startswith(b"%PDF-")
    assert b"%%EOF" in paper.read_bytes()[-1024:]
    assert all(word in page for word in ('<img src="orbit.png"', "Vögelin", "98-103")), "figure and bibliography"
    assert "[?]" not in page
    made_ = [path for path in copy.rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in made_} == {UID}, told


def test_root_makes_the_paper_for_who_called_sudo(cli: Cli, tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    sudo = {"SUDO_UID": str(UID), "SUDO_GID": str(GID), "SUDO_USER": NAME}
    told = run([str(copy / "run")], {**cli.environment, **sudo})
    assert "by the user that the image makes" in told
    assert "by the user that Kist makes" in told
    assert_paper(copy, told)


@pytest.mark.parametrize("range_", [True, False], ids=["range", "alone"])
def test_an_ordinary_user_needs_no_option(tmp_path: Path, range_: bool) -> None:
    with made(tmp_path, range_=range_) as user:
        copy = checkout(tmp_path)
        environment = user.who.environment | {"KIST_RUN": str(user.run_root)}
        told = run([*user.who.command, str(copy / "run")], environment)
        assert_paper(copy, told)
