"""The build of a directory, asked for before the rest of the program is imported where it is written plainly.

``kist build -q -t NAME -f FILE DIRECTORY`` needs no table of options to be understood. Its request goes out first, and
while the engine works the program reads the rest of itself, which takes as long as a build whose steps are all there.
"""

import os

from kist.client.endpoint import resolve
from kist.client.start import connect
from kist.errors import InvalidInput, KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kist.client.jobs import Building
    from kist.client.wire import Wire

EPOCH = "SOURCE_DATE_EPOCH"  # of the environment too, as with Docker
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")  # how contexts begin that are fetched
_PLAIN = {"-t": "tags", "--tag": "tags", "-f": "file", "--file": "file"}
_QUIET = frozenset({"-q", "--quiet"})
_NAMES = ("Dockerfile", "dockerfile", "Containerfile")


class BegunBuild:
    """A build that is under way.

    Attributes:
        wire: the engine that was asked.
        building: what was asked for; it is the verb's to follow it.
        dockerfile: the Dockerfile's path inside the context.
    """

    __slots__ = ("building", "dockerfile", "wire")

    def __init__(self, wire: "Wire", building: "Building", dockerfile: str) -> None:
        self.wire = wire
        self.building = building
        self.dockerfile = dockerfile


def begin(argv: "Sequence[str]", environment: "Mapping[str, str]") -> "BegunBuild | None":
    """Ask for what is plain; None for all else, and where no engine of ours is at hand or something is wrong.

    The verb does it then, or tells why not.

    Args:
        argv: without the program.
        environment: as ``os.environ``.
    """
    source, tags, file = _read(argv)
    if not source or EPOCH in environment:
        return None
    try:
        endpoint = resolve(environment, os.getuid())
        if endpoint.roots is None:
            return None
        connection = connect(endpoint, may_start=False)
    except (KistError, OSError):
        return None
    from kist.client.jobs import Building  # noqa: PLC0415 - while the engine takes the connection
    from kist.client.wire import Wire  # noqa: PLC0415 - the same

    wire = Wire(endpoint)
    wire.release(connection)
    try:
        dockerfile = dockerfile_in(source, file)
        building = Building(wire, plain_query(dockerfile, tags), source, lambda: packed(source, dockerfile))
        building.begin()
    except (KistError, OSError):
        wire.close()
        return None
    return BegunBuild(wire, building, dockerfile)


def _read(argv: "Sequence[str]") -> "tuple[str, list[str], str]":
    """The directory, the names and the Dockerfile of a plain command line; no directory for any other."""
    source, tags, file = "", [], ""
    words = iter(argv[1:])
    for word in words:
        if word in _PLAIN:
            value = next(words, "")
            if not value or value == "-":
                return "", [], ""
            if _PLAIN[word] == "tags":
                tags.append(value)
            else:
                file = value
        elif word in _QUIET:
            continue
        elif source or word.startswith("-") or is_remote(word):
            return "", [], ""
        else:
            source = word
    return source, tags, file


def plain_query(dockerfile: str, tags: "Sequence[str]") -> "list[tuple[str, str]]":
    """The query of a build that only has names, with the lock that is beside the Dockerfile."""
    from kist.client.jobs import build_query  # noqa: PLC0415 - as in ``begin``

    return [*build_query({"dockerfile": dockerfile, "tags": tags, "target": ""}), ("lock", "auto")]


def packed(source: str, dockerfile: str) -> "Iterator[bytes]":
    """The archive of the directory."""
    from kist.client.packing import pack  # noqa: PLC0415 - for an engine that does not see the directory

    return pack(source, dockerfile)


def is_remote(source: str) -> bool:
    """Whether the engine fetches the context: by Docker's rules, which try a directory first."""
    return source.startswith(_REMOTE) and not os.path.isdir(source)


def dockerfile_in(context: str, file: str) -> str:
    """The Dockerfile's path inside the context; ``file`` is relative to the working directory, as in Docker.

    Raises:
        NotFound: there is no such context, or no such file.
        InvalidInput: it is outside the context.
    """
    check_directory(context)
    if not file:
        for name in _NAMES:
            if os.path.isfile(os.path.join(context, name)):
                return name
    path = file or os.path.join(context, _NAMES[0])
    if not os.path.isfile(path):
        raise NotFound(f"failed to read the Dockerfile: {path!r} not found", hint="name it with -f FILE")
    root = os.path.realpath(context)
    # the file itself may be a link; where it lies is what counts
    inside = os.path.relpath(os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path)), root)
    if inside.startswith("../"):
        raise InvalidInput(f"the Dockerfile {path!r} is outside the build context {context!r}", hint="copy it into it")
    return inside


def check_directory(context: str) -> None:
    """Refuse what is no directory.

    Raises:
        NotFound: it is none.
    """
    if not os.path.isdir(context):
        raise NotFound(f"unable to prepare context: path {context!r} not found", hint="name the directory to build")
