"""What the kernel tells of a file system in two ways is the same."""

import pytest

from kist.kernel import marks

# include/uapi/linux/magic.h
NUMBERS = {
    "btrfs": 0x9123683E,
    "ext4": 0xEF53,
    "overlay": 0x794C7630,
    "proc": 0x9FA0,
    "sysfs": 0x62656572,
    "tmpfs": 0x01021994,
    "xfs": 0x58465342,
}


@pytest.mark.parametrize("path", ["/", "/dev/shm", "/proc", "/sys", "/tmp"])
def test_a_file_system_has_the_number_of_its_type(path: str) -> None:
    kind = marks.file_system(path)
    if kind not in NUMBERS:
        pytest.skip(f"{kind} is here")
    assert marks.magic(path) == NUMBERS[kind]


def test_what_is_not_there_has_none() -> None:
    assert marks.magic("/nothing/of/the/kind") == 0
