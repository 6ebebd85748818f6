"""The Debian releases that can be bootstrapped, and where their archives are."""

import difflib

import msgspec

from kist.errors import InvalidInput, Unsupported

PUBLIC_MIRROR = "http://deb.debian.org/debian"
PUBLIC_SECURITY = "http://deb.debian.org/debian-security"
SNAPSHOT_SERVICE = "http://snapshot.debian.org"


class Release(msgspec.Struct, frozen=True):
    """A Debian release: ``12`` and ``bookworm``."""

    version: str
    codename: str

    @property
    def suites(self) -> tuple[str, str, str]:
        """The release itself, its updates between point releases, its security updates (names since Debian 11)."""
        return self.codename, f"{self.codename}-updates", f"{self.codename}-security"


RELEASES = (Release("12", "bookworm"), Release("13", "trixie"))


class Archive(msgspec.Struct, frozen=True):
    """One suite of one archive, as packages are fetched from it.

    Attributes:
        uri: the base, without a slash at the end; ``dists/`` and ``pool/`` are below it.
        signed_by: key files or armoured certificates that may sign it besides Debian's own keys.
        check_valid_until: whether an expired Release file is an error.
        check_date: whether a Release file of the future is an error.
        optional: a mirror that lacks the suite altogether is no error.
    """

    uri: str
    suite: str
    components: tuple[str, ...] = ("main",)
    signed_by: tuple[str, ...] = ()
    check_valid_until: bool = True
    check_date: bool = True
    optional: bool = False

    @property
    def release_url(self) -> str:
        """Where its signed Release file is."""
        return f"{self.uri}/dists/{self.suite}/InRelease"

    @property
    def security(self) -> bool:
        """Whether it holds security updates, which live in an archive of their own."""
        return is_security(self.suite)


def is_security(suite: str) -> bool:
    """Whether a suite belongs to the security archive."""
    return suite.endswith("-security")


def find_release(name: str) -> Release:
    """The release that ``debian:12``, ``debian:bookworm`` or ``bookworm`` names.

    Raises:
        InvalidInput: Debian has no such release, as far as Kist knows; the hint has the nearest name.
        Unsupported: it is another distribution.
    """
    head, colon, tail = name.partition(":")
    wanted = tail if colon else head
    if colon and head != "debian":
        raise Unsupported(f"cannot bootstrap {name!r}: only Debian is known", hint=_known())
    for release in RELEASES:
        if wanted == release.codename or (colon and wanted == release.version):
            return release
    names = [n for r in RELEASES for n in (f"debian:{r.version}", f"debian:{r.codename}", r.codename)]
    near = difflib.get_close_matches(name, names, 1)
    raise InvalidInput(
        f"unknown distribution {name!r}", hint=f"did you mean {near[0]!r}? " + _known() if near else _known()
    )


def _known() -> str:
    return "known are " + " and ".join(f"debian:{r.version} (debian:{r.codename})" for r in RELEASES)
