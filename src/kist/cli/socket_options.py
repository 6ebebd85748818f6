"""``--socket PATH --role ROLE --label KEY=VALUE``, repeated: each belongs to the ``--socket`` before it."""

import itertools
import os

from kist.cli.option import REPEAT, Option
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.cli.option import Arguments
    from kist.spec.scope import ScopedSocket

_places = itertools.count()
_ROLES = ("read-only", "operator", "admin")
_MODES = ("0600", "0660", "0666")
_NAMES = ("role", "label", "socket_group", "socket_mode")


def _option(name: str, help_: str, metavar: str, allowed: str, fits: "Callable[[str], bool]") -> Option:
    """One of the options; a value has its place on the line with it: options of several names have no other order."""

    def parse(text: str) -> "tuple[int, str]":
        if not fits(text):
            raise ValueError(allowed)
        return next(_places), text

    return Option(name, help_, metavar, kind=REPEAT, parse=parse, group="Sockets with a role")


SOCKET_OPTIONS = (
    _option(
        "--socket", "Listen here too, and give whoever can connect the role that follows", "PATH",
        "write the path of a socket", bool,
    ),
    _option(
        "--role", "Of the socket before it: read-only, operator or admin", "ROLE",
        f"allowed are {', '.join(_ROLES)}", _ROLES.__contains__,
    ),
    _option(
        "--label", "Of the socket before it: only what has this label (repeatable)", "KEY=VALUE",
        "a label is KEY=VALUE", lambda text: text.find("=") > 0,
    ),
    _option(
        "--socket-group", "Of the socket before it: members of this group may connect", "NAME",
        "write the name of a group", bool,
    ),
    _option(
        "--socket-mode", "Of the socket before it: 0600 (usual), 0660 (usual with a group) or 0666", "MODE",
        f"allowed are {', '.join(_MODES)}", _MODES.__contains__,
    ),
)  # fmt: skip


def read_sockets(arguments: "Arguments") -> "tuple[ScopedSocket, ...]":
    """The sockets that were asked for.

    Raises:
        UsageError: an option stands before every ``--socket``, or twice behind one.
        InvalidInput: a value cannot be right.
    """
    paths: list[tuple[int, str]] = arguments.all("socket")
    if not paths and not any(arguments.all(name) for name in _NAMES):
        return ()
    for name in _NAMES:
        for place, text in arguments.all(name):
            if not paths or place < paths[0][0]:
                raise UsageError(f"{_written(name)} {text} belongs to no socket: write --socket PATH before it")
    ends = [place for place, _ in paths[1:]] + [next(_places)]
    return tuple(_socket(arguments, path, begin, end) for (begin, path), end in zip(paths, ends, strict=True))


def _socket(arguments: "Arguments", path: str, begin: int, end: int) -> "ScopedSocket":
    from kist.spec.scope import read_socket  # noqa: PLC0415 - for the few that have such sockets

    texts = {name: [text for place, text in arguments.all(name) if begin < place < end] for name in _NAMES}
    labels = texts.pop("label")
    for name, found in texts.items():
        if len(found) > 1:
            raise UsageError(f"{_written(name)} was written twice for one socket: {', '.join(found)}")
    role, group, mode = ("".join(found) for found in texts.values())
    return read_socket(os.path.abspath(path), role, labels, group, mode)


def _written(name: str) -> str:
    return f"--{name.replace('_', '-')}"
