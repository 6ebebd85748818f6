import pytest

from kist.bootstrap.aptconf import Settings, Source, parse_deb822_sources, parse_settings, parse_sources_list
from kist.bootstrap.archives import HostApt, choose_archives, image_archives, snapshot_stamp
from kist.bootstrap.distribution import Archive, find_release
from kist.bootstrap.host import read_host_apt
from kist.errors import InvalidInput, KistError, Unsupported
from kist.spec.build import BootstrapOptions

BOOKWORM = find_release("debian:12")
TRIXIE = find_release("debian:13")

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
Check-Valid-Until: no

Types: deb
URIs: https://vendor.example.org/debian
Suites: bookworm
Components: stable

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
"""


def uris(archives: tuple[Archive, ...]) -> list[tuple[str, str]]:
    return [(archive.uri, archive.suite) for archive in archives]


@pytest.mark.parametrize(
    ("name", "codename"),
    [("debian:12", "bookworm"), ("debian:bookworm", "bookworm"), ("bookworm", "bookworm"), ("debian:13", "trixie")],
)
def test_releases_are_found_by_number_and_code_name(name: str, codename: str) -> None:
    assert find_release(name).codename == codename


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("debian:bokworm", InvalidInput, "did you mean 'debian:bookworm'?"),
        ("debian:9", InvalidInput, "known are debian:12"),
        ("12", InvalidInput, "known are"),
        ("ubuntu:24.04", Unsupported, "known are"),
    ],
)
def test_an_unknown_release_is_refused(name: str, kind: type[KistError], hint: str) -> None:
    with pytest.raises(kind) as caught:
        find_release(name)
    assert hint in caught.value.hint


def test_one_line_sources() -> None:
    text = """
        deb http://deb.debian.org/debian/ bookworm main contrib # comment
        # deb http://no.example.org/debian bookworm main
        deb-src http://deb.debian.org/debian bookworm main
        deb [arch=amd64 signed-by=/k.gpg check-valid-until=no] http://x.example.org/debian bookworm-updates main
    """
    assert parse_sources_list(text) == (
        Source("http://deb.debian.org/debian", "bookworm", ("main", "contrib")),
        Source("http://x.example.org/debian", "bookworm-updates", ("main",), ("/k.gpg",), False),
    )


def test_deb822_sources_give_one_source_for_each_suite_and_skip_disabled_ones() -> None:
    found = parse_deb822_sources(DEB822)
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example.org/debian", "bookworm"),
        ("http://mirror.example.org/debian", "bookworm-updates"),
        ("http://mirror.example.org/debian-security", "bookworm-security"),
        ("https://vendor.example.org/debian", "bookworm"),
    ]


def test_a_certificate_in_the_sources_is_unfolded() -> None:
    text = "Types: deb\nURIs: http://x/debian\nSuites: s\nSigned-By:\n -----BEGIN PGP X-----\n .\n abc\n -----END\n"
    assert parse_deb822_sources(text)[0].signed_by == ("-----BEGIN PGP X-----\n\nabc\n-----END\n",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Settings()),
        ('Acquire::Check-Valid-Until "false";', Settings(check_valid_until=False)),
        ('Acquire { Check-Date "no"; http { Proxy "http://p:1"; }; };', Settings(True, False, "http://p:1", "http://p:1")),
        ('// Acquire::Check-Date "no";\n/* Acquire::Check-Date "no"; */ # Acquire::Check-Date "no";', Settings()),
        ('Acquire::http::Proxy "DIRECT"; Acquire::https::Proxy "http://s";', Settings(https_proxy="http://s")),
        ('A { "x"; "y"; }; Acquire::Check-Date "false";', Settings(check_date=False)),
    ],
)  # fmt: skip
def test_settings(text: str, expected: Settings) -> None:
    assert parse_settings((text,)) == expected


def test_the_hosts_own_mirrors_are_read_and_a_vendors_are_not() -> None:
    archives = choose_archives(BOOKWORM, BootstrapOptions("debian:12"), HostApt(parse_deb822_sources(DEB822)))
    assert uris(archives) == [
        ("http://mirror.example.org/debian", "bookworm"),
        ("http://mirror.example.org/debian", "bookworm-updates"),
        ("http://mirror.example.org/debian-security", "bookworm-security"),
    ]
    assert [archive.check_valid_until for archive in archives] == [True, True, False]


def test_the_hosts_mirrors_serve_other_releases_too() -> None:
    archives = choose_archives(TRIXIE, BootstrapOptions("debian:13"), HostApt(parse_deb822_sources(DEB822)))
    assert uris(archives) == [
        ("http://mirror.example.org/debian", "trixie"),
        ("http://mirror.example.org/debian", "trixie-updates"),
        ("http://mirror.example.org/debian-security", "trixie-security"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "deb https://packages.example.org/debian/12/prod bookworm main",
        "deb [signed-by=/usr/share/keyrings/vendor.gpg] https://apt.example.org/debian bookworm main",
        "deb ftp://ftp.example.org/debian bookworm main",
        "deb https://apt.example.org/debian bookworm stable",
    ],
)
def test_without_a_source_of_debian_the_public_mirrors_are_read(line: str) -> None:
    archives = choose_archives(BOOKWORM, BootstrapOptions("debian:12"), HostApt(parse_sources_list(line)))
    assert uris(archives) == [
        ("http://deb.debian.org/debian", "bookworm"),
        ("http://deb.debian.org/debian", "bookworm-updates"),
        ("http://deb.debian.org/debian-security", "bookworm-security"),
    ]


def test_a_mirror_that_is_named_is_read_alone_with_its_security_archive_beside_it() -> None:
    options = BootstrapOptions("debian:12", mirror="https://m.example.org/debian/")
    archives = choose_archives(BOOKWORM, options, HostApt(parse_deb822_sources(DEB822)))
    assert uris(archives) == [
        ("https://m.example.org/debian", "bookworm"),
        ("https://m.example.org/debian", "bookworm-updates"),
        ("https://m.example.org/debian-security", "bookworm-security"),
    ]
    assert [archive.optional for archive in archives] == [False, True, True]
    assert uris(image_archives(BOOKWORM, options)) == uris(archives)


def test_a_mirror_of_another_shape_has_no_security_archive() -> None:
    archives = choose_archives(BOOKWORM, BootstrapOptions("debian:12", mirror="http://m/deb"), HostApt())
    assert [archive.suite for archive in archives] == ["bookworm", "bookworm-updates"]


def test_a_mirror_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"invalid mirror 'deb\.debian\.org'"):
        choose_archives(BOOKWORM, BootstrapOptions("debian:12", mirror="deb.debian.org"), HostApt())


def test_a_snapshot_is_read_from_the_snapshot_service_without_its_expiry() -> None:
    options = BootstrapOptions("debian:12", snapshot="2026-01-31")
    archives = choose_archives(BOOKWORM, options, HostApt())
    assert archives[0].uri == "http://snapshot.debian.org/archive/debian/20260131T000000Z"
    assert archives[2].uri == "http://snapshot.debian.org/archive/debian-security/20260131T000000Z"
    assert not any(archive.check_valid_until for archive in archives)
    assert image_archives(BOOKWORM, options)[0].uri == "http://deb.debian.org/debian"


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2026-01-31", "20260131T000000Z"),
        ("20260131", "20260131T000000Z"),
        ("20260131T120000Z", "20260131T120000Z"),
        ("2026-01-31T12:30:15Z", "20260131T123015Z"),
    ],
)
def test_dates_of_snapshots(text: str, stamp: str) -> None:
    assert snapshot_stamp(text) == stamp


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(InvalidInput, match="invalid snapshot date 'yesterday'"):
        snapshot_stamp("yesterday")


def test_the_hosts_files_are_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    etc = tmp_path_factory.mktemp("apt")
    (etc / "sources.list.d").mkdir()
    (etc / "apt.conf.d").mkdir()
    (etc / "sources.list").write_text("deb http://a/debian bookworm main\n")
    (etc / "sources.list.d/b.list").write_text("deb http://b/debian bookworm main\n")
    (etc / "sources.list.d/c.sources").write_text("Types: deb\nURIs: http://c/debian\nSuites: bookworm\n")
    (etc / "sources.list.d/broken.sources").write_text("what is this\n")
    (etc / "apt.conf.d/50x").write_text('Acquire::Check-Date "false";')
    host = read_host_apt(str(etc))
    assert [source.uri for source in host.sources] == ["http://a/debian", "http://b/debian", "http://c/debian"]
    assert host.settings == Settings(check_date=False)
    assert read_host_apt(str(etc / "missing")) == HostApt()
