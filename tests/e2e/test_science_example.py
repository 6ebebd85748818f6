"""``examples/science``: an image whose digest is known beforehand.

It takes a minute, and 130 MB from a mirror of Debian's and of PyPI: with KIST_LONG_TESTS=1.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Cli
from ordinary import KIST

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif("KIST_LONG_TESTS" not in os.environ, reason="takes minutes: KIST_LONG_TESTS=1 runs it"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the locks name packages for amd64"),
]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "science"
_GONE = re.compile(r"not found|404|no longer|has no package|No matching distribution", re.IGNORECASE)


def known() -> str:
    found = re.search(r"^sha256:[0-9a-f]{64}$", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "the README tells the digest"
    return found[0]


def test_the_image_has_the_digest_that_its_readme_tells(fresh_cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "science"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("wheels"))
    environment = {**fresh_cli.environment, "KIST": " ".join(KIST), "PYTHON": sys.executable}
    done = subprocess.run([copy / "run"], env=environment, capture_output=True, text=True, timeout=1100, check=False)
    if done.returncode and "science-build" not in fresh_cli.good("images") and _GONE.search(done.stderr):
        pytest.skip(f"a source has not what the locks name any more: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr
    assert "0.5000 of a period   35.082 au" in done.stdout, "aphelion"
    assert fresh_cli.good("image", "inspect", "-f", "{{.Id}}", "science") == known()
    verified = fresh_cli("build", "--verify", "--no-lock", str(copy), timeout=600)
    assert verified.returncode == 0, verified.stderr
    assert "layers the same in two builds" in verified.stderr
