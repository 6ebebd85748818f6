"""Which archives a bootstrap reads: from its options and the host's own apt configuration (pure)."""

import posixpath
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from kist.bootstrap.aptconf import Settings, Source
from kist.bootstrap.distribution import (
    PUBLIC_MIRROR,
    PUBLIC_SECURITY,
    SNAPSHOT_SERVICE,
    Archive,
    Release,
    is_security,
)
from kist.errors import InvalidInput
from kist.spec.build import BootstrapOptions

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:T?(\d{2}):?(\d{2}):?(\d{2})Z?)?\Z")


class HostApt(msgspec.Struct, frozen=True):
    """The apt configuration of the machine that the engine runs on; empty where it has none."""

    sources: tuple[Source, ...] = ()
    settings: Settings = Settings()


def choose_archives(release: Release, options: BootstrapOptions, host: HostApt) -> tuple[Archive, ...]:
    """The archives to read, the release's own suite first.

    A snapshot or a mirror that the caller names is read alone. Otherwise the host's own sources of this release, else
    the mirrors that the host uses for another Debian release, else the public ones.

    Raises:
        InvalidInput: the snapshot's date or the mirror's URL cannot be right.
    """
    if options.mirror and urlsplit(options.mirror).scheme not in {"http", "https"}:
        raise InvalidInput(f"invalid mirror {options.mirror!r}", hint="a mirror is a URL like " + PUBLIC_MIRROR)
    if options.snapshot:
        return _snapshot(release, options)
    if options.mirror:
        return _at_roots(release, *_roots_of(options.mirror), optional=True)
    debian = [source for source in host.sources if _is_debian(source)]
    return _of_host(release, debian, host.settings) or _at_roots(release, PUBLIC_MIRROR, PUBLIC_SECURITY)


def image_archives(release: Release, options: BootstrapOptions) -> tuple[Archive, ...]:
    """The archives that apt inside the image uses: the public ones, or the mirror that the caller named."""
    if options.mirror and not options.snapshot:
        return _at_roots(release, *_roots_of(options.mirror))
    return _at_roots(release, PUBLIC_MIRROR, PUBLIC_SECURITY)


def snapshot_stamp(text: str) -> str:
    """The date of a snapshot as the service writes it (``20260101T000000Z``).

    Raises:
        InvalidInput: it is not a date.
    """
    match = _DATE.match(text.strip())
    if match is None:
        raise InvalidInput(
            f"invalid snapshot date {text!r}", hint="write a date like 2026-01-31 or 20260131T120000Z (UTC)"
        )
    year, month, day, hour, minute, second = (part or "00" for part in match.groups())
    return f"{year}{month}{day}T{hour}{minute}{second}Z"


def snapshot_roots(options: BootstrapOptions) -> tuple[str, str]:
    """The main and the security archive as they were on the snapshot's date."""
    stamp = snapshot_stamp(options.snapshot)
    service = options.mirror.rstrip("/") or SNAPSHOT_SERVICE
    return f"{service}/archive/debian/{stamp}", f"{service}/archive/debian-security/{stamp}"


def _snapshot(release: Release, options: BootstrapOptions) -> tuple[Archive, ...]:
    """A snapshot is as old as it was meant to be, so its files have long expired."""
    archives = _at_roots(release, *snapshot_roots(options))
    return tuple(msgspec.structs.replace(archive, check_valid_until=False) for archive in archives)


def _roots_of(mirror: str) -> tuple[str, str]:
    """A mirror's security archive is the main one's neighbour, by the habit of all public mirrors."""
    main = mirror.rstrip("/")
    return main, main + "-security" if main.endswith("/debian") else ""


def _at_roots(release: Release, main: str, security: str, *, optional: bool = False) -> tuple[Archive, ...]:
    suites = ((main, suite) if not is_security(suite) else (security, suite) for suite in release.suites)
    return tuple(Archive(uri, suite, optional=optional and suite != release.codename) for uri, suite in suites if uri)


def _of_host(release: Release, debian: Iterable[Source], settings: Settings) -> tuple[Archive, ...]:
    by_suite: dict[str, Source] = {}
    for source in debian:
        by_suite.setdefault(source.suite, source)
    if release.codename in by_suite:
        chosen = [(suite, by_suite[suite]) for suite in release.suites if suite in by_suite]
    else:
        chosen = _neighbours(release, by_suite)
    return tuple(
        Archive(
            source.uri,
            suite,
            signed_by=source.signed_by,
            check_valid_until=settings.check_valid_until and source.check_valid_until is not False,
            check_date=settings.check_date,
            optional=suite != release.codename,
        )
        for suite, source in chosen
    )


def _neighbours(release: Release, by_suite: dict[str, Source]) -> list[tuple[str, Source]]:
    """The same mirrors carry all releases: the host's, asked for the wanted one."""
    main = next((source for suite, source in by_suite.items() if not is_security(suite)), None)
    security = next((source for suite, source in by_suite.items() if is_security(suite)), None)
    if main is None:
        return []
    chosen = [(suite, security if is_security(suite) else main) for suite in release.suites]
    return [(suite, source) for suite, source in chosen if source is not None]


def _is_debian(source: Source) -> bool:
    """Whether a source is a mirror of Debian itself, and not a vendor's archive that borrows a code name.

    Whatever slips through still has to be signed by Debian's keys.
    """
    parts = urlsplit(source.uri)
    if parts.scheme not in {"http", "https"} or "main" not in source.components:
        return False
    named = posixpath.basename(parts.path) in {"debian", "debian-security"}
    official = (parts.hostname or "").endswith(".debian.org")
    keys = [posixpath.basename(key) for key in source.signed_by if key.startswith("/")]
    return (named or official) and all(key.startswith("debian-") for key in keys)
