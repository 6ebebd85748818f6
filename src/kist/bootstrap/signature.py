"""OpenPGP: whether a Release file is signed by a key that is trusted (docs/decisions/0003-openpgp.md)."""

import glob
from collections.abc import Iterable
from importlib import resources

import pysequoia

from kist.errors import Corrupt, InvalidInput

# Newer than ours, perhaps: the keys of the host's own debian-archive-keyring package.
_HOST_KEYRINGS = "/usr/share/keyrings/debian-archive-keyring.*"


def debian_certificates() -> list[pysequoia.Cert]:
    """Debian's archive keys: those that come with Kist, and those of this machine where it is a Debian."""
    shipped = resources.files("kist.bootstrap").joinpath("debian-archive-keyring.gpg").read_bytes()
    certificates = pysequoia.Cert.split_bytes(shipped)
    for path in sorted(glob.glob(_HOST_KEYRINGS)):
        certificates += read_certificates(path)
    return certificates


def read_certificates(path: str) -> list[pysequoia.Cert]:
    """The certificates in a key file, armoured or not.

    Raises:
        InvalidInput: it cannot be read, or holds none.
    """
    try:
        with open(path, "rb") as file:
            return parse_certificates(file.read(), source=path)
    except OSError as error:
        raise InvalidInput(f"cannot read the key file {path}: {error.strerror}") from error


def parse_certificates(data: bytes, *, source: str) -> list[pysequoia.Cert]:
    """The certificates in ``data``, armoured or not.

    Raises:
        InvalidInput: it holds none.
    """
    try:
        return list(pysequoia.Cert.split_bytes(data))
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"{source} holds no OpenPGP certificate: {_first_line(error)}", hint="gpg --export --armor KEY writes one"
        ) from error


def verified_text(data: bytes, certificates: Iterable[pysequoia.Cert], *, url: str) -> str:
    """The text that a clear-signed message (RFC 9580, section 7) signs; nothing around it is ever returned.

    Raises:
        Corrupt: it is not signed, or not by any of the certificates, or it was changed after signing.
    """
    if b"-----BEGIN PGP SIGNED MESSAGE-----" not in data[:4096]:
        raise Corrupt(
            f"{url} is not a signed Release file",
            hint="is there a proxy or a login page in between? Otherwise name another mirror with --mirror URL",
        )
    trusted = list(certificates)
    signers: list[str] = []

    def store(keys: list[str]) -> list[pysequoia.Cert]:
        signers.extend(keys)
        return trusted

    try:
        result = pysequoia.verify(data, store)
    except (RuntimeError, ValueError) as error:
        raise Corrupt(
            f"the signature of {url} is bad: {_first_line(error)} (signed by {_show(signers)}; "
            f"{len(trusted)} trusted keys)",
            hint="the file was changed on its way, or a key that is not Debian's signed it: name another mirror with "
            "--mirror URL; for an archive with keys of its own, give them with --keyring FILE",
        ) from error
    return bytes(result.bytes or b"").decode("utf-8", "replace")


def _show(keys: list[str]) -> str:
    return ", ".join(key.upper()[-16:] for key in keys) or "nobody"


def _first_line(error: Exception) -> str:
    """The library adds a stack trace to its messages."""
    return str(error).split("\n", 1)[0].rstrip(".")
