"""Databases of packages, real ones made small, and such as somebody wrote who means harm."""

import io
import json
import sqlite3
import struct
import zipfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.inventory import rpm
from kist.inventory.failure import Unreadable
from kist.inventory.readers import READERS, Reader, read, read_bytes, reader_of
from kist.spec.package import Package

DPKG = """\
Package: libssl3
Status: install ok installed
Priority: optional
Section: libs
Installed-Size: 6021
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>
Architecture: amd64
Multi-Arch: same
Source: openssl
Version: 3.0.11-1~deb12u2
Depends: libc6 (>= 2.34)
Description: Secure Sockets Layer toolkit - shared libraries
 This package is part of the OpenSSL project's implementation of the SSL
 and TLS cryptographic protocols for secure communication over the
 Internet.

Package: libgcc-s1
Status: install ok installed
Source: gcc-12 (12.2.0-14)
Version: 1:12.2.0-14
Architecture: amd64

Package: vim
Status: deinstall ok config-files
Version: 2:9.0.1378-2
Architecture: amd64

Package: half
Status: install ok half-configured
Version: 1
Architecture: all
"""

APK = """\
C:Q1rZAGyzHVyL1gvNSfFO0bTDOsSCo=
P:musl
V:1.2.4-r2
A:x86_64
S:383459
I:622592
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teras <timo.teras@iki.fi>
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1G1/3xdo0gCXzEXmBTDkSXNo0JDw=

P:libcrypto3
V:3.1.4-r5
A:x86_64
I:4206592
L:Apache-2.0
o:openssl
"""

METADATA = """\
Metadata-Version: 2.1
Name: Foo.Bar
Version: 1.2
License: Apache-2.0
Description-Content-Type: text/markdown

Name: not this
"""


def packages(path: str, data: bytes | str) -> list[Package]:
    found = read_bytes(path, data.encode() if isinstance(data, str) else data)
    assert found.skipped is None
    return list(found.packages)


def test_dpkg_tells_of_what_is_installed_and_its_sources() -> None:
    path = "var/lib/dpkg/status"
    assert packages(path, DPKG) == [
        Package("deb", "libssl3", "3.0.11-1~deb12u2", path, architecture="amd64", source="openssl", size=6021 * 1024),
        Package("deb", "libgcc-s1", "1:12.2.0-14", path, architecture="amd64", source="gcc-12",
                source_version="12.2.0-14"),
        Package("deb", "half", "1", path, architecture="all"),
    ]  # fmt: skip


def test_packages_of_images_without_dpkg_lie_in_a_file_each() -> None:
    [found] = packages("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n")
    assert (found.name, found.version) == ("tzdata", "2024a-0+deb12u1")
    assert reader_of("var/lib/dpkg/status.d/tzdata.md5sums") is None


def test_apk_tells_names_versions_licences_and_origins() -> None:
    path = "lib/apk/db/installed"
    assert packages(path, APK) == [
        Package("apk", "musl", "1.2.4-r2", path, architecture="x86_64", licence="MIT", size=622592),
        Package("apk", "libcrypto3", "3.1.4-r5", path, "x86_64", "openssl", licence="Apache-2.0", size=4206592),
    ]


def rpm_header(values: dict[int, str | int]) -> bytes:
    """A header as rpm writes it into its database: an index of tags, and the values one after the other."""
    index, store = b"", b""
    for tag, value in values.items():
        if isinstance(value, int):
            store += bytes(-len(store) % 4)
            index += struct.pack(">IIII", tag, 4, len(store), 1)
            store += value.to_bytes(4, "big")
        else:
            index += struct.pack(">IIII", tag, 6, len(store), 1)
            store += value.encode() + b"\0"
    return struct.pack(">II", len(values), len(store)) + index + store


def rpm_database(directory: Path, headers: list[bytes], *, journal: str = "wal") -> bytes:
    path = directory / "rpmdb.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(each,) for each in headers])
        database.commit()
    return path.read_bytes()


OPENSSL = {1000: "openssl-libs", 1001: "3.0.7", 1002: "27.el9", 1003: 1, 1009: 6420000, 1014: "ASL 2.0",
           1022: "x86_64", 1044: "openssl-3.0.7-27.el9.src.rpm"}  # fmt: skip


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_rpm_tells_the_headers_of_its_database(tmp_path: Path, journal: str) -> None:
    path = "var/lib/rpm/rpmdb.sqlite"
    key = {1000: "gpg-pubkey", 1001: "fd431d51", 1002: "4ae0493b"}
    data = rpm_database(tmp_path, [rpm_header(OPENSSL), rpm_header(key)], journal=journal)
    assert packages(path, data) == [
        Package("rpm", "openssl-libs", "1:3.0.7-27.el9", path, "x86_64", "openssl", licence="ASL 2.0", size=6420000)
    ]
    assert reader_of("usr/lib/sysimage/rpm/rpmdb.sqlite") is not None


@pytest.mark.parametrize("name", ["Packages", "Packages.db"])
def test_older_databases_of_rpm_are_told_and_not_read(name: str) -> None:
    found = read_bytes(f"var/lib/rpm/{name}", b"\x00" * 100)
    assert found.packages == ()
    assert found.skipped is not None
    assert "not read" in found.skipped.why


def test_a_database_that_would_never_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS "
            "(SELECT x'00' UNION ALL SELECT blob FROM n) SELECT * FROM n"
        )
        database.commit()
    found = read_bytes("var/lib/rpm/rpmdb.sqlite", path.read_bytes())
    assert found.skipped is not None
    assert "no table" in found.skipped.why


@pytest.mark.parametrize(
    "blob",
    [b"", b"\0" * 8 + b"x", struct.pack(">II", 1 << 30, 0), struct.pack(">IIIIII", 1, 4, 1000, 6, 99, 1) + b"abc\0"],
)
def test_a_header_of_rpm_that_contradicts_itself_is_told(tmp_path: Path, blob: bytes) -> None:
    found = read_bytes("var/lib/rpm/rpmdb.sqlite", rpm_database(tmp_path, [blob]))
    assert found.packages == ()
    assert (found.skipped is None) == (blob == b"\0" * 8 + b"x")  # that one only has nothing to say


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/python3/dist-packages/Foo.Bar-1.2.dist-info/METADATA",
        "opt/venv/lib/python3.11/site-packages/foo_bar-1.2.egg-info/PKG-INFO",
        "usr/lib/python3/dist-packages/foo-1.2.egg-info",
    ],
)
def test_python_distributions_are_found_wherever_they_lie(path: str) -> None:
    assert packages(path, METADATA) == [Package("pypi", "Foo.Bar", "1.2", path, licence="Apache-2.0")]


def test_a_licence_that_is_a_whole_text_is_none() -> None:
    long = METADATA.replace("Apache-2.0", "Permission is hereby granted " * 20)
    assert packages("a/x.dist-info/METADATA", long)[0].licence == ""


@pytest.mark.parametrize(
    ("licence", "told"),
    [("MIT", "MIT"), ({"type": "BSD-3-Clause"}, "BSD-3-Clause"), ([{"type": "MIT"}, "ISC"], "MIT OR ISC"), (7, "")],
)
def test_npm_packages_tell_their_licence_in_three_ways(licence: object, told: str) -> None:
    path = "usr/lib/node_modules/@babel/core/package.json"
    data = json.dumps({"name": "@babel/core", "version": "7.1.0", "license": licence})
    assert packages(path, data) == [Package("npm", "@babel/core", "7.1.0", path, licence=told)]


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("srv/app/node_modules/left-pad/package.json", True),
        ("srv/app/node_modules/a/node_modules/b/package.json", True),
        ("srv/app/node_modules/a/lib/package.json", False),
        ("srv/app/package.json", False),
        ("srv/app/node_modules/.bin/package.json", False),
    ],
)
def test_only_what_is_installed_counts_of_npm(path: str, is_one: bool) -> None:
    assert (reader_of(path) is not None) == is_one


def test_conda_packages_tell_platform_and_size() -> None:
    path = "opt/conda/conda-meta/numpy-1.26.4-py311h64a7726_0.json"
    record = {"name": "numpy", "version": "1.26.4", "license": "BSD-3-Clause", "subdir": "linux-64",
              "paths_data": {"paths": [{"size_in_bytes": 5}, {"size_in_bytes": 7}, {"_path": "x"}]}}  # fmt: skip
    assert packages(path, json.dumps(record)) == [
        Package("conda", "numpy", "1.26.4", path, "linux-64", licence="BSD-3-Clause", size=12)
    ]


def jar(files: dict[str, bytes | str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


POM = "#Created by Apache Maven\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"


def test_an_archive_of_maven_is_called_by_its_pom_also_inside_another() -> None:
    inner = jar({"META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": POM})
    manifest = "Manifest-Version: 1.0\r\nImplementation-Title: demo\r\nImplementation-Version: 1.0\r\n\r\n"
    outer = jar({"META-INF/MANIFEST.MF": manifest, "BOOT-INF/lib/log4j-core-2.14.1.jar": inner})
    assert packages("app.jar", outer) == [
        Package("maven", "demo", "1.0", "app.jar"),
        Package(
            "maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "app.jar!/BOOT-INF/lib/log4j-core-2.14.1.jar"
        ),
    ]


def test_an_archive_without_a_name_is_called_as_its_file() -> None:
    [found] = packages("usr/share/java/commons-io-2.11.0.jar", jar({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"}))
    assert (found.name, found.version) == ("commons-io", "2.11.0")


def test_archives_in_archives_end() -> None:
    data = jar({"META-INF/MANIFEST.MF": "Bundle-SymbolicName: deepest\nBundle-Version: 1\n"})
    for _ in range(10):
        data = jar({"inner.jar": data})
    assert packages("a.jar", data) == []


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked() -> None:
    bomb = jar({"META-INF/MANIFEST.MF": "Bundle-SymbolicName: x\nBundle-Version: 1\n", "big.jar": bytes(65 << 20)})
    assert [found.name for found in packages("a.jar", bomb)] == ["x"]


@pytest.mark.parametrize("reader", [each for each in READERS if each.limit >= 0], ids=lambda reader: reader.what)
def test_what_is_too_large_is_told_and_not_read(reader: Reader) -> None:
    found = read(reader, "path", io.BytesIO(b""), reader.limit + 1)
    assert found.skipped is not None
    assert "too large" in found.skipped.why


PATHS = [
    "var/lib/dpkg/status", "lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite", "a/x.dist-info/METADATA",
    "node_modules/x/package.json", "conda-meta/x.json", "x.jar",
]  # fmt: skip


@given(st.sampled_from(PATHS), st.binary(max_size=300))
def test_no_bytes_do_harm(path: str, data: bytes) -> None:
    found = read_bytes(path, data)
    assert all(isinstance(each, Package) for each in found.packages)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_no_damage_to_an_archive_does_harm(at: int, damage: bytes) -> None:
    data = bytearray(jar({"META-INF/maven/a/b/pom.properties": POM, "x.jar": jar({"a": "b"})}))
    data[at : at + len(damage)] = damage
    read_bytes("a.jar", bytes(data))


@given(st.integers(0, 120), st.binary(min_size=1, max_size=8))
def test_no_damage_to_a_header_of_rpm_does_harm(at: int, damage: bytes) -> None:
    blob = bytearray(rpm_header(OPENSSL))
    blob[at : at + len(damage)] = damage
    with suppress(Unreadable):  # and nothing else
        assert isinstance(rpm.header(bytes(blob)), dict)
