"""From the options to a lock: signed Release files, lists of packages, and the choice among them."""

import gzip
import hashlib
import lzma
import time
import zlib
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
import pysequoia

from kist.bootstrap import release as releases
from kist.bootstrap import signature
from kist.bootstrap.archives import image_archives
from kist.bootstrap.cache import PackageCache
from kist.bootstrap.distribution import Archive, Release
from kist.bootstrap.fetch import Fetcher, Wanted
from kist.bootstrap.index import Package, PackageIndex
from kist.bootstrap.lock import Kind, Lock, LockedPackage
from kist.bootstrap.resolve import select
from kist.bootstrap.steps import Step
from kist.errors import Corrupt, NotFound
from kist.spec.build import BootstrapOptions


class Suite(msgspec.Struct, frozen=True):
    """A suite whose Release file has been verified."""

    archive: Archive
    release: releases.ReleaseFile


class PackageList(msgspec.Struct, frozen=True):
    """A list of packages that a verified Release file vouches for."""

    suite: str
    wanted: Wanted
    path: str


def read_suites(fetcher: Fetcher, archives: Sequence[Archive], keyring: str, step: Step) -> tuple[Suite, ...]:
    """Fetch and verify the Release files.

    Args:
        fetcher: gets them.
        archives: whose.
        keyring: armoured certificates of the mirror's own, in place of Debian's; mostly empty.
        step: hears of suites that a mirror does not have.

    Raises:
        Unavailable, Corrupt, NotFound: the mirror fails, lies, or has no such release.
    """
    certificates = _certificates(keyring)
    texts = fetcher.releases([archive.release_url for archive in archives])
    suites = []
    for archive, data in zip(archives, texts, strict=True):
        if data is not None:
            suites.append(_verified(archive, data, certificates))
        elif archive.optional:
            step.warn(f"{archive.uri} has no {archive.suite}: the image is made without its packages")
        else:
            raise NotFound(
                f"{archive.release_url} does not exist",
                hint="a mirror's URL ends before dists/, as in http://deb.debian.org/debian",
            )
    return tuple(suites)


def package_lists(suites: Sequence[Suite], architecture: str) -> tuple[PackageList, ...]:
    """The lists of packages to read."""
    lists = []
    for suite in suites:
        for component in suite.archive.components:
            file = releases.packages_file(suite.release, component, architecture)
            url = releases.file_url(suite.archive, suite.release, file)
            lists.append(PackageList(suite.archive.suite, Wanted(url, file.sha256, file.size), file.path))
    return tuple(lists)


def choice_key(lists: Sequence[PackageList], options: BootstrapOptions, architecture: str) -> str:
    """Names a choice by all that it depends on, so that it need not be made again."""
    parts = [architecture, options.variant, options.mirror if not options.snapshot else "", *sorted(options.include)]
    parts += [f"{one.suite} {one.wanted.sha256}" for one in lists]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def choose(
    cache: PackageCache, lists: Sequence[PackageList], release: Release, options: BootstrapOptions, architecture: str
) -> Lock:
    """Make the choice; the lock's date is not known before the packages are here, and 0.

    Raises:
        NotFound, Conflict, InvalidInput: as ``kist.bootstrap.resolve.select``.
    """
    index = PackageIndex((one.suite, _read_list(cache, one)) for one in lists)
    selection = select(index, variant=options.variant, include=options.include, architecture=architecture)
    kinds: tuple[tuple[Kind, tuple[Package, ...]], ...] = (
        ("base", selection.base),
        ("asked", selection.asked),
        ("needed", selection.needed),
    )
    return Lock(
        release=release,
        architecture=architecture,
        variant=options.variant,
        date=0,
        archives=image_archives(release, options),
        include=tuple(sorted(set(options.include))),
        packages=tuple(_locked(package, kind) for kind, packages in kinds for package in packages),
    )


def package_url(package: LockedPackage, archives: Sequence[Archive]) -> str:
    """Where to fetch a locked package. All suites of an archive share one pool, so any of its suites will do.

    Raises:
        NotFound: the lock has packages of an archive that is not among those read.
    """
    security = package.suite.endswith("-security")
    for archive in archives:
        if archive.security == security:
            return f"{archive.uri}/{package.path}"
    raise NotFound(
        f"{package.name} {package.version} is from {package.suite}, and no mirror is known for that",
        hint="a mirror named with --mirror has security updates beside it, as .../debian and .../debian-security",
    )


def _locked(package: Package, kind: Kind) -> LockedPackage:
    return LockedPackage(
        kind,
        package.name,
        package.version,
        package.architecture,
        package.sha256,
        package.size,
        package.suite,
        package.path,
    )


def _certificates(keyring: str) -> list[pysequoia.Cert]:
    if keyring:
        return signature.parse_certificates(keyring.encode(), source="the option keyring")
    return signature.debian_certificates()


def _verified(archive: Archive, data: bytes, certificates: Sequence[pysequoia.Cert]) -> Suite:
    trusted = [*certificates]
    for key in archive.signed_by:
        if key.startswith("/"):
            trusted += signature.read_certificates(key)
        elif "BEGIN PGP" in key:
            trusted += signature.parse_certificates(key.encode(), source="Signed-By of " + archive.uri)
    url = archive.release_url
    release = releases.parse_release(signature.verified_text(data, trusted, url=url), url=url)
    releases.check_release(release, archive, now=time.time())
    return Suite(archive, release)


def _read_list(cache: PackageCache, one: PackageList) -> bytes:
    data = cache.read(one.wanted.sha256)
    try:
        if one.path.endswith(".xz"):
            return lzma.decompress(data)
        return gzip.decompress(data) if one.path.endswith(".gz") else data
    except (lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        host = urlsplit(one.wanted.url).hostname
        raise Corrupt(f"{one.wanted.url} cannot be unpacked: {error}", hint=f"{host} signs it like this") from error
