"""Mounts: what is to appear where. A value; nobody in this ring mounts anything."""

import posixpath
from typing import Self

import msgspec

from kist.errors import InvalidInput


class Mount(msgspec.Struct, frozen=True):
    """One mount, in the terms of mount(8) and of the OCI runtime specification's ``mounts``.

    Attributes:
        type: ``bind``, ``tmpfs``, ``volume``, ``image``, or a file system (``overlay``, ``proc``, …).
        source: host path, volume name, an image's name or id, or the file system's own word.
        target: absolute path in the container; empty for the root.
        options: mount(8) words (``ro``, ``rbind``, ``size=64m``, ``lowerdir=…``), in order; ``bind`` leaves out what is
            mounted below the source, ``ro-top`` lets that be written to, ``create`` makes a source that is missing,
            ``U`` gives the source to the container's user. A volume's may be ``subpath=DIR/DIR`` (what of it is shown),
            and ``volume-label=NAME=VALUE`` and ``volume-opt=NAME=VALUE`` (of the volume, if it is made for this). An
            image's may be ``subpath=…``, too; in a container it has ``image=ID`` and ``snapshot=NAME``: which one it
            is, and what shows it.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()

    @classmethod
    def bind(cls, source: str, target: str, *, read_only: bool = False) -> Self:
        """A host file or directory at ``target``; the source must exist when the container starts."""
        return cls("bind", source, target, ("ro",) if read_only else ())

    @classmethod
    def image(cls, source: str, target: str, *, subpath: str = "") -> Self:
        """The files of an image at ``target``, or what is at ``subpath`` of it, read-only."""
        return cls("image", source, target, (f"subpath={subpath}",) if subpath else ())

    @classmethod
    def tmpfs(cls, target: str, *options: str) -> Self:
        """An empty file system in memory; ``options`` as of mount(8): ``size=64m``, ``mode=1777``."""
        return cls("tmpfs", "tmpfs", target, options)

    @property
    def read_only(self) -> bool:
        """Whether the options make it read-only, or it is an image."""
        return self.type == "image" or "ro" in self.options or "ro-top" in self.options

    @property
    def plain_options(self) -> tuple[str, ...]:
        """The options without those that have a value, which only mounts of volumes have among the words of ``-v``."""
        return tuple(option for option in self.options if "=" not in option)

    def pairs(self, name: str) -> dict[str, str]:
        """The pairs of all options ``name=KEY=VALUE``."""
        prefix = name + "="
        found = (o.removeprefix(prefix).partition("=") for o in self.options if o.startswith(prefix))
        return {key: value for key, _, value in found}

    def option(self, name: str) -> str | None:
        """The value of the option ``name=value``, None where it is not set."""
        prefix = name + "="
        return next((o.removeprefix(prefix) for o in reversed(self.options) if o.startswith(prefix)), None)


_PROPAGATIONS = frozenset({"rshared", "shared", "rslave", "slave", "rprivate", "private"})
# One word of each group at most. ``z``, ``Z`` (labels of SELinux) and the words of consistency change nothing.
_GROUPS = (
    frozenset({"ro", "rw"}), _PROPAGATIONS, frozenset({"z", "Z"}), frozenset({"consistent", "cached", "delegated"}),
    frozenset({"nocopy"}), frozenset({"U"}),
)  # fmt: skip
_WORDS = frozenset().union(*_GROUPS)


def parse_volume(text: str) -> Mount:
    """Read the argument of ``-v``: ``SOURCE:TARGET[:OPTION,…]``.

    A source that begins with ``/``, ``./``, ``../`` or ``~`` is a host path (it is made absolute by the caller, who
    knows the working directory); any other is a volume's name. A lone target is an anonymous volume.

    Raises:
        InvalidInput: names the part that cannot be right.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: {text!r}", hint="write SOURCE:TARGET or SOURCE:TARGET:ro")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
    _check_words(options, kind, text)
    return Mount(kind, source, check_target(target, text), options)


def _check_words(options: tuple[str, ...], kind: str, text: str) -> None:
    def refuse(why: str, hint: str) -> InvalidInput:
        return InvalidInput(f"invalid volume specification: {text!r}: {why}", hint=hint)

    for option in options:
        if option not in _WORDS:
            raise refuse(f"unknown option {option!r}", "known options are " + ", ".join(sorted(_WORDS)))
        if option == "nocopy" and kind == "bind":
            raise refuse("nocopy is for volumes", "nothing is ever copied to a host directory: leave it out")
        if option in _PROPAGATIONS and kind == "volume":
            raise refuse(f"{option} is for host directories", "nothing is mounted below a volume: leave it out")
    for group in _GROUPS:
        chosen = [option for option in options if option in group]
        if len(chosen) > 1:
            raise refuse(f"{' and '.join(chosen)} go not together", "write one of them")


def check_target(target: str, text: str) -> str:
    """The normal form of a mount point.

    Raises:
        InvalidInput: it is not absolute, or it is the root.
    """
    if not target.startswith("/"):
        raise InvalidInput(f"invalid mount {text!r}: the target {target!r} must be an absolute path")
    normal = posixpath.normpath(target)
    if normal in {"/", "//"}:
        raise InvalidInput(f"invalid mount {text!r}: the target cannot be '/'")
    return normal
