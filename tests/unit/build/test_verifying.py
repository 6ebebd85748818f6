"""Two layers held against each other."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.build.verifying import compare_layers
from kist.spec.digest import Digest
from kist.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path)) as made:
        yield made


def member(name: str, **values: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(entry, key, value)
    return entry


def layer(store: Store, *members: tuple[tarfile.TarInfo, bytes]) -> Digest:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in members:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return store.blobs.put(made.getvalue())


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ((member("f"), b"abc"), (member("f"), b"abc"), None),
        ((member("f", mode=0o4755), b""), (member("f", mode=0o755), b""), ("mode 4755 → 0755",)),
        ((member("f", uid=1), b""), (member("f", gid=2), b""), ("owner 1:0 → 0:2",)),
        (
            (member("f", mtime=0), b""),
            (member("f", mtime=61), b""),
            ("time 1970-01-01 00:00:00 → 1970-01-01 00:01:01",),
        ),
        (
            (member("f", type=tarfile.SYMTYPE, linkname="a"), b""),
            (member("f", type=tarfile.SYMTYPE, linkname="b"), b""),
            ("link to a → b",),
        ),
        ((member("f", type=tarfile.DIRTYPE), b""), (member("f"), b""), ("kind directory → file",)),
        (
            (member("f", pax_headers={"SCHILY.xattr.user.k": "1"}), b""),
            (member("f", pax_headers={"SCHILY.xattr.user.k": "2"}), b""),
            ("attribute user.k",),
        ),
        ((member("f"), b"same\n1"), (member("f"), b"same\n2"), ("content from byte 5 on\nsame\\n1\nsame\\n2",)),
        (
            (member("f"), b"x" * 3_000_000 + b"\0" + b"y" * 99),
            (member("f"), b"x" * 3_000_000 + b"\1" + b"y" * 99),
            (
                f"content from byte 3000000 on\n…{'x' * 20}\\x00{'y' * 39}…\n…{'x' * 20}\\x01{'y' * 39}…",
            ),
        ),
        ((member("f"), b"ab"), (member("f"), b"abc"), ("size 2 → 3", "content from byte 2 on\nab\nabc")),
    ],
)  # fmt: skip
def test_how_a_file_differs(
    store: Store,
    one: tuple[tarfile.TarInfo, bytes],
    other: tuple[tarfile.TarInfo, bytes],
    how: tuple[str, ...] | None,
) -> None:
    found = list(compare_layers(store, layer(store, one), layer(store, other)))
    assert [each.how for each in found] == ([] if how is None else [how])


def test_files_of_one_side_only(store: Store) -> None:
    found = compare_layers(
        store, layer(store, (member("a"), b""), (member("b"), b"")), layer(store, (member("b"), b""))
    )
    assert [(each.path, each.where) for each in found] == [("a", "first")]
    found = compare_layers(store, None, layer(store, (member("\udcff"), b"")))
    assert [(each.path, each.where) for each in found] == [("\\xff", "again")]
