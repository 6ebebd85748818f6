from collections.abc import Callable

import pytest

from kist.bootstrap.deb import control_fields, read_built, read_deb
from kist.errors import Corrupt

Make = Callable[..., bytes]


@pytest.fixture
def data(make_deb: Make) -> bytes:
    return make_deb(control=[("postinst", b"#!/bin/sh\n")])


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_a_package_of_any_compression_is_read(make_deb: Make, compression: str) -> None:
    package = read_deb(make_deb(compression=compression), source="x.deb")
    assert control_fields(package.control_files(), source="x.deb")["Package"] == "hello"
    assert len(package.data_tar()) % 512 == 0


def test_the_date_of_a_package_is_in_its_first_bytes(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("deb") / "x.deb"
    path.write_bytes(data)
    assert read_built(str(path)) == read_deb(data, source="x").built == 1_700_000_000


def test_scripts_keep_their_mode(data: bytes) -> None:
    assert read_deb(data, source="x").control_files()["postinst"] == (0o755, b"#!/bin/sh\n")


def test_a_package_cut_short_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data) - 2):
        with pytest.raises(Corrupt, match="no sound Debian package"):
            read_deb(data[:length], source="x.deb").data_tar()


def test_a_compressed_part_cut_short_is_refused(make_deb: Make, make_ar: Make) -> None:
    for compression in (".gz", ".xz", ".zst"):
        package = read_deb(make_deb(compression=compression), source="x")
        parts = [("debian-binary", b"2.0\n"), (package.control[0], bytes(package.control[1][:-8])), ("data.tar", b"")]
        with pytest.raises(Corrupt, match="cut short"):
            read_deb(make_ar(parts), source="x").control_files()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("debian-binary", b"3.0\n"), ("control.tar", b""), ("data.tar", b"")], "expected debian-binary 2.x"),
        ([("control.tar", b""), ("debian-binary", b"2.0\n"), ("data.tar", b"")], "expected debian-binary 2.x"),
        ([("debian-binary", b"2.0\n"), ("control.tar.rar", b"x"), ("data.tar", b"")], "unknown compression '.rar'"),
        ([("debian-binary", b"2.0\n"), ("control.tar.xz", b"x"), ("data.tar", b"")], "control.tar.xz"),
    ],
)
def test_what_is_no_package_is_refused(make_ar: Make, parts: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        read_deb(make_ar(parts), source="x.deb").control_files()


def test_a_package_without_a_control_file_is_refused() -> None:
    with pytest.raises(Corrupt, match="no control file"):
        control_fields({}, source="x.deb")
