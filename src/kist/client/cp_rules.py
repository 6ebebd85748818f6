"""Where ``cp`` puts what: Docker's rules for existing targets, trailing slashes and ``/.``, without I/O.

Documented at https://docs.docker.com/reference/cli/docker/container/cp/ ("Description").
"""

from kist.errors import InvalidInput, NotFound


class Source:
    """What is copied.

    Attributes:
        name: of its root in the archive; ``.`` for the contents of a directory.
        directory: whether it is one.
    """

    __slots__ = ("directory", "name")

    def __init__(self, name: str, *, directory: bool) -> None:
        self.name = name
        self.directory = directory


class Target:
    """Where it goes.

    Attributes:
        path: absolute, perhaps with the slash or ``/.`` at its end that asks for a directory.
        exists, directory: what is there, links followed.
    """

    __slots__ = ("directory", "exists", "path")

    def __init__(self, path: str, *, exists: bool, directory: bool) -> None:
        self.path = path
        self.exists = exists
        self.directory = directory


def place(source: Source, target: Target) -> "tuple[str, str]":
    """The directory to unpack in, and the name that the archive's root gets there (``.`` for no directory of its own).

    Raises:
        InvalidInput: a directory cannot become a file.
        NotFound: a directory was asked for that is not there.
    """
    if target.directory:
        return target.path, source.name
    if target.exists and source.directory:
        raise InvalidInput(f"cannot copy directory {source.name!r} to {target.path}: it is a file")
    if not source.directory and not target.exists and asks_for_directory(target.path):
        raise NotFound(f"no such directory: {target.path}", hint="make it first, or leave the slash at the end out")
    return split(target.path)


def split(path: str) -> "tuple[str, str]":
    """The directory and the last component of an absolute path, without regard to slashes and ``/.`` at its end."""
    cleaned = path.rstrip("/")
    while cleaned.endswith("/."):
        cleaned = cleaned[:-2].rstrip("/")
    above, _, name = cleaned.rpartition("/")
    return above or "/", name or "."


def asks_for_directory(path: str) -> bool:
    """Whether a path can only be a directory's."""
    return path.endswith(("/", "/.")) or path in {"", "."}


def is_contents(path: str) -> bool:
    """Whether a path ends with ``/.``: not the directory itself is meant but what is in it."""
    return path == "." or path.endswith("/.")


def split_word(word: str) -> "tuple[str, str]":
    """Container and path of an operand; the container is empty for a local path (``/x``, ``./a:b``, ``-``)."""
    if word.startswith("/"):
        return "", word
    container, colon, path = word.partition(":")
    if not colon or container.startswith("."):
        return "", word
    return container, path


def join_link(path: str, target: str) -> str:
    """Where a symbolic link at an absolute path leads to."""
    return target if target.startswith("/") else f"{split(path)[0].rstrip('/')}/{target}"
