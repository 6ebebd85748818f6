"""Layers gone through, and their files put on one another."""

import io
import tarfile
from typing import Any

import pytest

from kist.engine.contents.comparing import file_differences
from kist.engine.contents.index import Files, LayerFiles, pack, unpack_files, unpack_packages
from kist.engine.contents.lineage import parents, tree
from kist.engine.contents.scanning import scan
from kist.errors import Corrupt, InvalidInput
from kist.spec.digest import Digest
from kist.spec.image import History, ImageConfig, RootFS
from kist.spec.summary import Image

STATUS = b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"


def layer(*members: tuple[str, Any], **modes: int) -> io.BytesIO:
    """A tar; bytes are a file, None is a directory, ``("l", target)`` a symbolic link, ``("h", target)`` a hard one."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.mode = modes.get(name, 0o644)
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                entry.type = tarfile.SYMTYPE if content[0] == "l" else tarfile.LNKTYPE
                entry.linkname = content[1]
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    target.seek(0)
    return target


def files(*layers: io.BytesIO) -> Files:
    return Files(scan(each, "layer").files for each in layers)


def seen(found: Files) -> dict[str, int]:
    return {path.decode(): placed.layer for path, placed in found.seen.items()}


def lost(found: Files) -> list[tuple[str, int, int]]:
    return [(each.file.path.decode(), each.layer, each.by) for each in found.lost]


def test_what_tells_of_packages_is_read_on_the_way() -> None:
    found = scan(
        layer(("var/lib/dpkg/status", STATUS), ("./etc/os-release", b"ID=debian\n"), ("x.jar", b"no")), "layer"
    )
    assert [each.name for each in found.packages.files["var/lib/dpkg/status"]] == ["a"]
    assert found.packages.release == "ID=debian\n"
    assert [each.path for each in found.packages.skipped] == ["x.jar"]
    assert unpack_packages(pack(found.packages)) == found.packages
    assert unpack_files(pack(found.files)) == found.files


def test_deletions_are_of_what_is_below() -> None:
    below = layer(("a", None), ("a/x", b"1"), ("a/y", b"2"), ("b", b"3"))
    above = layer(("a/.wh.x", b""), ("a/x", b"new"), (".wh.b", b""), ("c", b"4"))
    found = files(below, above)
    assert seen(found) == {"a": 1, "a/y": 1, "a/x": 2, "c": 2}
    assert sorted(lost(found)) == [("a/x", 1, 2), ("b", 1, 2)]


def test_an_emptied_directory_shows_only_what_its_layer_has() -> None:
    found = files(layer(("a", None), ("a/x", b"1"), ("ab", b"2")), layer(("a/.wh..wh..opq", b""), ("a/y", b"3")))
    assert seen(found) == {"a": 1, "ab": 1, "a/y": 2}


def test_a_file_in_the_place_of_a_directory_hides_what_was_in_it() -> None:
    found = files(layer(("a", None), ("a/x", b"1")), layer(("a", ("l", "elsewhere"))))
    assert seen(found) == {"a": 2}
    assert lost(found) == [("a/x", 1, 2)]


def test_a_file_with_several_names_is_lost_with_the_last_of_them() -> None:
    below = layer(("x", b"12345"), ("y", ("h", "x")), ("z", ("h", "x")))
    one = files(below, layer((".wh.x", b"")))
    assert lost(one) == []
    assert sum(each.file.size for each in one.regular()) == 5
    below.seek(0)
    assert lost(files(below, layer((".wh.x", b"")), layer((".wh.y", b""), (".wh.z", b""))))[-1][1:] == (1, 3)


def test_a_further_name_of_a_database_tells_the_same() -> None:
    found = scan(
        layer(("lib/apk/db/installed", b"P:a\nV:1\n\n"), ("usr/lib/apk/db/installed", ("h", "lib/apk/db/installed"))),
        "layer",
    )
    assert found.packages.files["usr/lib/apk/db/installed"] == found.packages.files["lib/apk/db/installed"]


@pytest.mark.parametrize("name", ["../x", "a/../../x"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        scan(layer((name, b"")), "layer")


def test_a_damaged_layer_is_told() -> None:
    with pytest.raises(Corrupt):
        scan(io.BytesIO(layer(("x", bytes(2000))).getvalue()[:1024]), "layer")


def test_files_are_compared_by_what_they_are_and_not_by_their_names_number() -> None:
    first = files(
        layer(
            ("same", b"1"),
            ("again", ("h", "same")),
            ("text", b"1"),
            ("mode", b"1"),
            ("link", ("l", "a")),
            ("gone", b"1"),
        )
    )
    second = files(
        layer(
            ("again", b"1"),
            ("same", b"1"),
            ("text", b"22"),
            ("mode", b"1"),
            ("link", ("l", "b")),
            ("new", None),
            mode=0o755,
        )
    )
    told = {each.path: (each.kind, each.what, each.before, each.after) for each in file_differences(first, second)}
    assert told == {
        "/text": ("changed", ("content",), 1, 2),
        "/mode": ("changed", ("mode",), 1, 1),
        "/link": ("changed", ("target",), 0, 0),
        "/gone": ("removed", (), 1, 0),
        "/new": ("added", (), 0, 0),
    }


def test_names_that_are_no_text_are_kept_apart() -> None:
    found = LayerFiles(unpack_files(pack(scan(layer((b"\xff\xfe".decode("latin-1"), b"1")), "layer").files)).files)
    assert len(found.files) == 1


def image(name: str, layers: str, steps: int = 0, size: int = 0) -> Image:
    diff_ids = tuple(Digest(f"sha256:{each * 64}") for each in layers)
    config = ImageConfig("amd64", "linux", RootFS(diff_ids), history=(History("", "x"),) * (steps or len(layers)))
    identity = Digest.of(name.encode())
    return Image(identity, identity, (f"docker.io/library/{name}",), 0, size or 10 * len(layers), config)


def test_an_image_stands_on_the_nearest_one_whose_layers_it_begins_with() -> None:
    images = [
        image("empty:1", "", 1),
        image("base:1", "1"),
        image("app:1", "123"),
        image("web:1", "123", 5),
        image("x:1", "213"),
    ]
    above = {each.references[0]: parents(images).get(each.id) for each in images}
    told = {
        name.rpartition("/")[2]: found.references[0].rpartition("/")[2] if found else ""
        for name, found in above.items()
    }
    assert told == {"empty:1": "", "base:1": "", "app:1": "base:1", "web:1": "app:1", "x:1": ""}
    found = tree(images)
    assert [kin.image.names[0] for kin in found.images] == ["base:1", "app:1", "web:1", "empty:1", "x:1"]
    assert [kin.own for kin in found.images] == [10, 20, 0, 0, 30]
    assert found.size == 60
