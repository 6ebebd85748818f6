"""A build context that is somewhere else (Engine API, ImageBuild, ``remote``): fetched before anything is built.

A URL leads to the text of a Dockerfile, which is all the context then, or to an archive; one of Git's to a repository
(``build/repository.py``).
"""

import os
import re
import stat
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from kist.build import repository
from kist.build.upload import receive_context
from kist.engine.download import Download, open_url
from kist.engine.stop import Stop
from kist.errors import InvalidInput, KistError
from kist.image.compression import detect

DOCKERFILE = "Dockerfile"
_TEXT = "text/plain"
_UNKNOWN = frozenset({"", "application/octet-stream"})
_ARCHIVE = re.compile(r"application/(?:x-)?(?:tar|gzip|bzip2?|xz|zstd|x-compressed-tar)\Z")
_LONGEST_TEXT = 16 << 20
_LOOK = 512


class Fetched(NamedTuple):
    """A context that was fetched.

    Attributes:
        directory: to build.
        dockerfile: its path in there.
        moment: of the content, in seconds since the epoch: of the commit, or as the server tells (``Last-Modified``),
            else of the newest file of an archive; None where it is not known.
    """

    directory: str
    dockerfile: str
    moment: int | None


def fetch(url: str, directory: str, dockerfile: str, stop: Stop, *, keep_git_dir: bool = False) -> Fetched:
    """Fetch a context into an empty directory.

    Args:
        url: of a text, an archive or a Git repository.
        directory: empty.
        dockerfile: where an archive's or a repository's is.
        stop: ends it before its time.
        keep_git_dir: a repository's ``.git`` is a part of the context, where its address does not say.

    Raises:
        InvalidInput: it is no such URL, or leads to something else.
        NotFound, Unavailable: it cannot be had.
        Unsupported: it is a repository, and there is no git program.
        Corrupt: the archive is damaged.
    """
    if repository.is_repository(url):
        wanted = repository.read_address(url)
        if wanted.keep_git_dir is None:
            wanted = wanted._replace(keep_git_dir=keep_git_dir)
        found = repository.check_out(wanted, directory, stop)
        return Fetched(found.directory, dockerfile, found.committed)
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(
            f"remoteURL ({url}) could not be recognized as URL",
            hint="a remote context is an http or https URL of a Dockerfile or a tar archive, or a Git repository",
        )
    try:
        content = open_url(url, directory, stop)
    except KistError as error:
        raise type(error)(f"error downloading remote context {url}: {error.message}", hint=error.hint) from error
    with content:
        moment = _seconds(content.version.last_modified)
        if _is_text(content, url):
            _keep_text(content, os.path.join(directory, DOCKERFILE), url)
            return Fetched(directory, DOCKERFILE, moment)
        receive_context(content, directory)
    return Fetched(directory, dockerfile, _newest(directory) if moment is None else moment)


def _seconds(date: str) -> int | None:
    """An HTTP date (RFC 9110, 5.6.7) as seconds since the epoch; None where it is none, or before that."""
    try:
        found = int(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError):
        return None
    return found if found >= 0 else None


def _newest(directory: str) -> int | None:
    """The time of the newest file below a directory, in seconds since the epoch; None where there is no file."""
    newest = None
    for above, _, names, descriptor in os.fwalk(os.fsencode(directory)):
        del above
        for name in names:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                newest = max(newest or 0, int(status.st_mtime))
    return newest


def _is_text(content: Download, url: str) -> bool:
    """Whether it is a Dockerfile: what the server says, and where it does not know, what the first bytes look like."""
    name = content.content_type.partition(";")[0].strip().lower()
    if name == _TEXT:
        return True
    if name in _UNKNOWN:
        start = content.peek(_LOOK)[:_LOOK]
        return bool(start) and not detect(start) and b"\0" not in start
    if _ARCHIVE.fullmatch(name):
        return False
    raise InvalidInput(
        f"error detecting content type for remote {url}: unsupported Content-Type {content.content_type!r}",
        hint="a Dockerfile is text/plain, an archive application/x-tar",
    )


def _keep_text(content: Download, path: str, url: str) -> None:
    text = content.read(_LONGEST_TEXT + 1)
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"the Dockerfile at {url} is larger than {_LONGEST_TEXT >> 20} MiB")
    with open(path, "wb") as file:
        file.write(text)
