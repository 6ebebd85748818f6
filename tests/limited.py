"""File systems that keep project quotas, of the tests' own: few kernels of test machines have any."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"],
    "xfs": ["mkfs.xfs", "-q"],
}


@contextlib.contextmanager
def file_system(directory: Path, at: Path, kind: str) -> Iterator[None]:
    """One of this kind, mounted at a new directory; skips where there can be none."""
    if shutil.which(MAKE[kind][0]) is None:
        pytest.skip(f"needs {MAKE[kind][0]}")
    image = directory / "kist-disk.img"
    with image.open("wb") as file:
        file.truncate(400 << 20)  # the least that xfs takes is 300 MB
    at.mkdir()
    subprocess.run([*MAKE[kind], str(image)], check=True)
    done = subprocess.run(
        ["mount", "-t", kind, "-o", "loop,prjquota", str(image), str(at)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this kernel keeps no project quotas on {kind}: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)
