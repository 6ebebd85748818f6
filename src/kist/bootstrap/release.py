"""A Release file: what it says of its archive, and whether that is the archive that was asked for (pure).

The format is that of Debian's repositories (wiki.debian.org/DebianRepository/Format).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from kist.bootstrap import deb822
from kist.bootstrap.distribution import Archive
from kist.errors import Corrupt, NotFound, Unavailable, see_doctor

# A mirror's clock may be a little ahead of ours.
_CLOCK_LEEWAY = 300


class IndexFile(msgspec.Struct, frozen=True):
    """A file that the Release file vouches for; ``path`` is relative to the suite's directory."""

    path: str
    sha256: str
    size: int


class ReleaseFile(msgspec.Struct, frozen=True):
    """A verified Release file; times in seconds since the epoch.

    Attributes:
        valid_until: 0 where it never expires.
        by_hash: whether index files can be fetched by their hash, which stays true while the mirror is updated.
    """

    url: str
    suite: str
    codename: str
    date: int
    valid_until: int
    by_hash: bool
    files: dict[str, IndexFile]


def parse_release(text: str, *, url: str) -> ReleaseFile:
    """Read a Release file whose signature has been verified.

    Raises:
        Corrupt: it lacks what every Release file has.
        ParseError: it is not of Debian's control file syntax.
    """
    fields = deb822.parse_one(text, source=url)
    return ReleaseFile(
        url=url,
        suite=fields.get("Suite", ""),
        codename=fields.get("Codename", ""),
        date=_time(fields, "Date", url),
        valid_until=_time(fields, "Valid-Until", url) if "Valid-Until" in fields else 0,
        by_hash=fields.get("Acquire-By-Hash", "") == "yes",
        files=dict(_files(fields, url)),
    )


def check_release(release: ReleaseFile, archive: Archive, *, now: float) -> None:
    """See that this is the suite that was asked for, and that it is of today.

    Raises:
        Corrupt: the mirror serves another suite there.
        Unavailable: the file has expired, or is of the future.
    """
    if archive.suite not in {release.suite, release.codename}:
        raise Corrupt(
            f"{release.url} is of the suite {release.codename or release.suite!r}, not of {archive.suite!r}",
            hint="the mirror mixes up its suites: name another one with --mirror URL",
        )
    if archive.check_date and release.date > now + _CLOCK_LEEWAY:
        raise Unavailable(
            f"{release.url} is from the future: it was made on {_show(release.date)}, and it is {_show(now)} here",
            hint=see_doctor("clock", "set this machine's clock"),
        )
    if archive.check_valid_until and release.valid_until and release.valid_until < now:
        raise Unavailable(
            f"{release.url} expired on {_show(release.valid_until)}, and it is {_show(now)} here",
            hint=see_doctor(
                "clock",
                "the mirror is not updated any more, or the clock is wrong: name another mirror with --mirror URL, "
                "or an old state of the archive with --snapshot DATE",
            ),
        )


def packages_file(release: ReleaseFile, component: str, architecture: str) -> IndexFile:
    """The smallest form of the list of packages that the Release file vouches for.

    Raises:
        NotFound: the archive has no such component or architecture.
    """
    base = f"{component}/binary-{architecture}/Packages"
    for ending in (".xz", ".gz", ""):
        found = release.files.get(base + ending)
        if found is not None:
            return found
    raise NotFound(
        f"{release.url} lists no packages of {component!r} for the architecture {architecture!r}",
        hint="it has " + ", ".join(_components(release)) if release.files else "",
    )


def _components(release: ReleaseFile) -> Sequence[str]:
    """What the archive has, as ``main/binary-amd64``."""
    return sorted({path.removesuffix(".xz").removesuffix("/Packages") for path in release.files if "/binary-" in path})


def file_url(archive: Archive, release: ReleaseFile, file: IndexFile) -> str:
    """Where to fetch an index file."""
    base = f"{archive.uri}/dists/{archive.suite}"
    if not release.by_hash:
        return f"{base}/{file.path}"
    return f"{base}/{file.path.rpartition('/')[0]}/by-hash/SHA256/{file.sha256}"


def _files(fields: deb822.Paragraph, url: str) -> Sequence[tuple[str, IndexFile]]:
    if "SHA256" not in fields:
        raise Corrupt(f"{url} has no SHA256 section", hint="such an old archive cannot be verified")
    rows = (line.split() for line in fields.lines("SHA256"))
    return [(row[2], IndexFile(row[2], row[0], int(row[1]))) for row in rows if len(row) == 3 and row[1].isdigit()]


def _time(fields: deb822.Paragraph, name: str, url: str) -> int:
    try:
        return int(parsedate_to_datetime(fields[name]).timestamp())
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{url} has no valid {name} field", hint="name another mirror with --mirror URL") from error


def _show(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
