"""Which sources of ADD are fetched, and how each is asked for. Pure."""

import posixpath
from urllib.parse import unquote, urlsplit

from kist.build import repository
from kist.build.plan import Checkout, Download
from kist.errors import InvalidInput
from kist.spec.digest import Digest

_AS_A_PATH = "github.com/"  # Docker's clients read it as an address; in a Dockerfile it is a directory of the context
_WEB = ("http://", "https://")


def is_remote(source: str) -> bool:
    """Whether a source is fetched."""
    return source.startswith(_WEB) or (repository.is_repository(source) and not source.startswith(_AS_A_PATH))


def read_remote(source: str, *, checksum: str, keep_git_dir: bool | None, unpack: bool) -> Download | Checkout:
    """What is to be fetched.

    Args:
        source: an address.
        checksum: a digest, or a commit's id; empty for any.
        keep_git_dir: what ``--keep-git-dir`` says, None for nothing.
        unpack: an archive is unpacked.

    Raises:
        InvalidInput: the address or the checksum cannot be right.
    """
    if repository.is_repository(source):
        return Checkout(_repository(source, checksum, keep_git_dir))
    name = posixpath.basename(unquote(urlsplit(source).path))
    if "\0" in name:
        raise InvalidInput(f"invalid URL {source!r}: a name with a NUL byte in it")
    return Download(source, "" if name in {".", ".."} else name, Digest(checksum) if checksum else "", unpack)


def _repository(source: str, checksum: str, keep_git_dir: bool | None) -> repository.Repository:
    found = repository.read_address(source)
    if keep_git_dir is not None:
        if found.keep_git_dir not in {None, keep_git_dir}:
            raise InvalidInput("inconsistent keep-git-dir: the address says otherwise than --keep-git-dir")
        found = found._replace(keep_git_dir=keep_git_dir)
    if checksum:
        if found.checksum not in {"", checksum}:
            raise InvalidInput(f"checksum mismatch: the address has {found.checksum}, and --checksum {checksum}")
        found = found._replace(checksum=repository.checked_commit(checksum))
    return found
