"""The word to ext4 that what is made in a directory has nothing to do with one another."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kist.kernel import marks, placing


def attributes(directory: Path) -> str:
    """As lsattr(1) shows them."""
    done = subprocess.run(["lsattr", "-d", directory], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


@pytest.mark.skipif(shutil.which("lsattr") is None, reason="needs lsattr (Debian: e2fsprogs)")
def test_it_is_there_for_the_time_of_the_block(tmp_path: Path) -> None:
    if not marks.file_system(str(tmp_path)).startswith("ext"):
        pytest.skip("it is for ext2, ext3 and ext4")
    before = attributes(tmp_path)
    with placing.spread_out(str(tmp_path)):
        assert attributes(tmp_path).replace("T", "-") == before
        assert "T" in attributes(tmp_path)
    assert attributes(tmp_path) == before


def test_others_do_not_mind() -> None:
    for directory in ("/proc", "/dev"):
        with placing.spread_out(directory):
            assert os.path.isdir(directory)
