"""``--storage-opt size=``: what is a size, and what is refused."""

import pytest

from kist.engine.disk_size import asked_size
from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions


def asked(rootfs: str = "", **options: str) -> int:
    return asked_size(ContainerOptions(image="" if rootfs else "x", rootfs=rootfs, storage_options=options))


@pytest.mark.parametrize(
    ("text", "size"),
    [("10G", 10 << 30), ("10g", 10 << 30), ("1.5GiB", 3 << 29), ("16m", 16 << 20), ("20000k", 20000 << 10),
     ("33554432", 32 << 20), ("33554432b", 32 << 20), ("2t", 2 << 40), (" 1GB ", 1 << 30)],
)  # fmt: skip
def test_a_size(text: str, size: int) -> None:
    assert asked(size=text) == size


def test_nothing_is_asked_for() -> None:
    assert asked() == 0


@pytest.mark.parametrize("text", ["", "much", "10x", "-1G", "0", "15M", "17T", "1G1G", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid --storage-opt size=") as refused:
        asked(size=text)
    assert "size=10G" in refused.value.hint


def test_another_option_and_a_root_of_the_host_are_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown option 'inodes'"):
        asked(inodes="5")
    with pytest.raises(InvalidInput, match="/some/where, which is a directory of this machine"):
        asked(rootfs="/some/where", size="1G")
