"""A build context that is somewhere else (Engine API, ImageBuild, ``remote``): fetched before anything is built.

A URL leads to the text of a Dockerfile, which is all the context then, or to an archive; one of Git's to a repository
(``build/repository.py``).
"""

import os
import re

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


def fetch(url: str, directory: str, dockerfile: str, stop: Stop, *, keep_git_dir: bool = False) -> tuple[str, str]:
    """Fetch a context into an empty directory; the directory to build, and the path of its Dockerfile in there.

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
        return repository.check_out(wanted, directory, stop), dockerfile
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
        if _is_text(content, url):
            _keep_text(content, os.path.join(directory, DOCKERFILE), url)
            return directory, DOCKERFILE
        receive_context(content, directory)
    return directory, dockerfile


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
