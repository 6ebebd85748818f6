"""``kist cp``."""

import os
import stat
import sys

from kist.cli.common import container_path
from kist.cli.option import Command, Option
from kist.cli.units import size
from kist.client.cp_rules import Source, Target, asks_for_directory, is_contents, join_link, place, split, split_word
from kist.client.part import write_all
from kist.client.upload import body_of
from kist.errors import InvalidInput, KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.wire import Body

_HEADER = "x-docker-container-path-stat"
# Bits of Go's fs.FileMode, which the engine tells modes in.
_DIRECTORY, _SYMBOLIC_LINK, _DEVICE, _PIPE, _SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_TAR = (("Content-Type", "application/x-tar"),)


def run(context: "Context", arguments: "Arguments") -> int:
    """Copy one way or the other."""
    source, target = arguments.operands
    if not source or not target:
        raise InvalidInput(f"{'source' if not source else 'destination'} can not be empty")
    from_container, source_path = split_word(source)
    to_container, target_path = split_word(target)
    if from_container and to_container:
        raise InvalidInput(
            "copying between containers is not supported",
            hint=f"kist cp {source} - | kist cp - {to_container}:DIRECTORY",
        )
    if from_container:
        _out(context, arguments, (from_container, source_path), target_path)
    elif to_container:
        _in(context, arguments, source_path, (to_container, target_path))
    else:
        raise InvalidInput("must specify at least one container source", hint="write CONTAINER:PATH on one side")
    return 0


def _out(context: "Context", arguments: "Arguments", source: "tuple[str, str]", target: str) -> None:
    container, path = source
    rename = ""
    if arguments.flag("follow_link"):
        path, rename = _followed(context, container, path)
    if target != "-":
        target = _local(target)
        _check_output(target)
    response = context.wire.request("GET", container_path(container, "archive"), [("path", path)])
    if target == "-":
        for data in response:
            write_all(1, data)
        return
    from kist.client.unpacking import Stream, unpack  # noqa: PLC0415 - tarfile, for this side only

    found = _decoded(response.headers)
    name = "." if is_contents(path) or found["name"] == "/" else rename or str(found["name"])
    exists = os.path.lexists(target)
    if os.path.islink(target.rstrip("/")):
        target = os.path.realpath(target)
        exists = os.path.exists(target)
    place_at = Target(target, exists=exists, directory=os.path.isdir(target))
    directory, called = place(Source(name, directory=bool(found["mode"] & _DIRECTORY)), place_at)
    stream = Stream(response)
    unpack(stream, directory, called, archive=arguments.flag("archive"), warn=context.warn)
    _tell(context, arguments, stream.size, target)


def _in(context: "Context", arguments: "Arguments", source: str, target: "tuple[str, str]") -> None:
    container, path = target
    found = _status(context, container, path)
    resolved = path if path.startswith("/") else f"/{path}"
    if found is not None and found["mode"] & _SYMBOLIC_LINK:
        resolved = join_link(resolved, found["linkTarget"])
        found = _status(context, container, resolved)
    if found is None and (source == "-" or asks_for_directory(path)):
        context.wire.call("GET", container_path(container, "json"))  # who is not there goes before what is not in it
    mode = found["mode"] if found is not None else 0
    if mode & (_DEVICE | _PIPE | _SOCKET):
        raise InvalidInput(f'destination "{container}:{path}" must be a directory or a regular file')
    place_at = Target(resolved, exists=found is not None, directory=bool(mode & _DIRECTORY))
    query = [("path", resolved), ("noOverwriteDirNonDir", "true")]
    if arguments.flag("archive"):
        query.append(("copyUIDGID", "true"))
    counted = _Counted()
    if source == "-":
        if not place_at.directory:
            raise InvalidInput(f'destination "{container}:{path}" must be a directory')
        body: Body = body_of(0)
    else:
        directory, packed = _packed(source, place_at, follow=arguments.flag("follow_link"))
        query[0] = ("path", directory)
        body = counted(packed)
    context.wire.request("PUT", container_path(container, "archive"), query, body=body, headers=_TAR).read()
    _tell(context, arguments, counted.size, f"{container}:{resolved}")


def _packed(source: str, target: Target, *, follow: bool) -> "tuple[str, Iterator[bytes]]":
    from kist.client.copying import pack_path  # noqa: PLC0415 - tarfile, for this side only

    path = _local(source)
    asks = path.endswith(("/", "/."))
    real = os.path.realpath(path) if follow or asks else os.path.join(os.path.realpath(split(path)[0]), split(path)[1])
    try:
        status = os.lstat(real)
    except OSError as error:
        raise NotFound(f"lstat {path}: {(error.strerror or '').lower()}") from error
    directory = stat.S_ISDIR(status.st_mode)
    if asks and not directory:
        raise InvalidInput(f"lstat {path}: not a directory")
    name = "." if is_contents(path) or real == "/" else split(path)[1]
    where, called = place(Source(name, directory=directory), target)
    return where, pack_path(real, called)


class _Counted:
    def __init__(self) -> None:
        self.size = 0

    def __call__(self, pieces: "Iterable[bytes]") -> "Iterator[bytes]":
        for piece in pieces:
            self.size += len(piece)
            yield piece


def _local(path: str) -> str:
    """The absolute path with the slash or ``/.`` at its end that it had."""
    end = "/." if is_contents(path) else "/" if path.endswith("/") else ""
    absolute = os.path.abspath(path)
    return absolute + end if absolute != "/" else "/" + end.lstrip("/")


def _check_output(path: str) -> None:
    above = split(path)[0]
    if not os.path.isdir(above):
        raise NotFound(f'invalid output path: directory "{above}" does not exist')
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise InvalidInput(f'invalid output path: "{path}" must be a directory or a regular file')


def _followed(context: "Context", container: str, path: str) -> "tuple[str, str]":
    """Where a link in the container leads to, and the name that the copy gets all the same."""
    found = _status(context, container, path)
    if found is None or not found["mode"] & _SYMBOLIC_LINK:
        return path, ""
    absolute = path if path.startswith("/") else f"/{path}"
    return join_link(absolute, found["linkTarget"]), split(absolute)[1]


def _status(context: "Context", container: str, path: str) -> "dict[str, Any] | None":
    """What the engine says of a path; None when nothing is there (or no such container: the next request tells)."""
    try:
        return _decoded(context.wire.request("HEAD", container_path(container, "archive"), [("path", path)]).headers)
    except KistError:
        return None


def _decoded(headers: "dict[str, str]") -> "dict[str, Any]":
    from binascii import a2b_base64  # noqa: PLC0415 - for this verb only

    from kist.spec.jsontext import loads  # noqa: PLC0415 - the same

    found = loads(a2b_base64(headers[_HEADER]))
    assert isinstance(found, dict)
    return found


def _tell(context: "Context", arguments: "Arguments", count: int, where: str) -> None:
    if sys.stderr.isatty() and not arguments.flag("quiet"):
        context.note(f"Successfully copied {size(count)} to {where}")


COMMAND = Command(
    "cp",
    run,
    "CONTAINER:PATH|PATH|- CONTAINER:PATH|PATH|-",
    least=2,
    most=2,
    options=(
        Option("-a --archive", "Keep owners; out of a container also set-id bits and devices"),
        Option("-L --follow-link", "Copy what a symbolic link leads to rather than the link"),
        Option("-q --quiet", "Say nothing of what was copied (nothing is said without a terminal)"),
    ),
    about=(
        "One side is a path in a container, running or not. '-' in place of the other side reads or writes a tar. A "
        "directory goes into a directory that is there, and else becomes the target; DIRECTORY/. means what is in it."
    ),
    examples=(
        "kist cp web:/etc/nginx ./nginx",
        "kist cp ./site/. web:/usr/share/html",
        "kist cp web:/var/log - | tar t",
    ),
)
