"""File systems of the benchmark's own, in sparse files, so that they stand beside each other on the same disk."""

from pathlib import Path

from bench.measure import run

GIGABYTE = 1 << 30
_ROOM = 24 * GIGABYTE  # what is written to it counts
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f"), "btrfs": ("mkfs.btrfs", "-q", "-f")}


def new_file_system(work: Path, kind: str, name: str = "") -> Path:
    """One of a kind, mounted in the room until that ends; what it is called where there are several."""
    disk, place = work / f"{name or kind}.disk", work / f"on-{name or kind}"
    place.mkdir()
    with disk.open("wb") as file:
        file.truncate(_ROOM)
    run([*_MAKE[kind], str(disk)])
    run(["mount", "-o", "loop", str(disk), str(place)])
    return place
