"""Mounts: what is to appear where. A value; nobody in this ring mounts anything."""

import posixpath
from typing import Self

import msgspec

from kist.errors import InvalidInput


class Mount(msgspec.Struct, frozen=True):
    """One mount, in the terms of mount(8) and of the OCI runtime specification's ``mounts``.

    Attributes:
        type: ``bind``, ``tmpfs``, ``volume``, or a file system (``overlay``, ``proc``, …).
        source: host path, volume name, or the file system's own word.
        target: absolute path in the container; empty for the root.
        options: mount(8) words (``ro``, ``rbind``, ``size=64m``, ``lowerdir=…``), in order; ``bind`` leaves out what is
            mounted below the source, ``ro-top`` lets that be written to, ``create`` makes a source that is missing,
            ``U`` gives the source to the container's user.
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
    def tmpfs(cls, target: str, *options: str) -> Self:
        """An empty file system in memory; ``options`` as of mount(8): ``size=64m``, ``mode=1777``."""
        return cls("tmpfs", "tmpfs", target, options)

    @property
    def read_only(self) -> bool:
        """Whether the options make it read-only."""
        return "ro" in self.options or "ro-top" in self.options

    def option(self, name: str) -> str | None:
        """The value of the option ``name=value``, None where it is not set."""
        prefix = name + "="
        return next((o.removeprefix(prefix) for o in reversed(self.options) if o.startswith(prefix)), None)


_BIND_OPTIONS = frozenset(
    {"ro", "rw", "z", "Z", "rshared", "shared", "rslave", "slave", "rprivate", "private", "nocopy", "consistent",
     "cached", "delegated", "U"}
)  # fmt: skip


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
    unknown = next((o for o in options if o not in _BIND_OPTIONS), None)
    if unknown is not None:
        raise InvalidInput(
            f"invalid volume specification: {text!r}: unknown option {unknown!r}",
            hint="known options are " + ", ".join(sorted(_BIND_OPTIONS)),
        )
    kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
    return Mount(kind, source, check_target(target, text), options)


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
