"""The options of the driver ``local``.

``type``, ``device`` and ``o`` are as Docker has them; ``uid``, ``gid``, ``mode`` and ``size`` are Kist's (the last one
is Docker's too). Pure: where and when a volume is mounted, the engine knows.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from kist.errors import InvalidInput

_KNOWN = ("type", "device", "o", "size", "uid", "gid", "mode")
_OF_THE_DIRECTORY = ("uid", "gid", "mode", "size")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_LARGEST_ID = 2**32 - 2
_BINDS = frozenset({"bind", "rbind"})
_WORDS_OF_BINDS = _BINDS | {
    "ro", "rw", "nosuid", "nodev", "noexec", "noatime", "private", "rprivate", "slave", "rslave", "shared", "rshared",
}  # fmt: skip
_NFS = frozenset({"nfs", "nfs4"})
# File systems without a device: their own name stands for it where none is given.
_WITHOUT_DEVICE = frozenset({"tmpfs", "ramfs"})
_NO_TYPES = frozenset({"", "none", "bind"})


class LocalOptions(msgspec.Struct, frozen=True):
    """What a volume is made of.

    Attributes:
        kind: empty for a directory of the engine's; ``bind``; else a file system.
        device: what is mounted: a host path, ``HOST:/PATH``, a device, or the file system's own name.
        words: of mount(8), in order (``ro``, ``nosuid``, ``addr=10.0.0.1``, ``size=64m``); of a directory of the host
            those of ``Mount``.
        uid, gid, mode: of the engine's directory; None for root's and 0755.
        size: bytes that may be in the engine's directory; 0 for any.
    """

    kind: str = ""
    device: str = ""
    words: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    size: int = 0

    @property
    def is_mounted(self) -> bool:
        """Whether it is a file system that has to be mounted, rather than a directory."""
        return self.kind not in {"", "bind"}


def read_local_options(options: Mapping[str, str]) -> LocalOptions:
    """The options, checked as far as they can be without the machine.

    Raises:
        InvalidInput: one is unknown, missing, or cannot be right; the message names it, the hint what is allowed.
    """
    for name in options:
        if name not in _KNOWN:
            raise InvalidInput(f'invalid option: "{name}"', hint="the options are " + ", ".join(_KNOWN))
    kind, device = options.get("type", ""), options.get("device", "")
    words = [word for word in options.get("o", "").split(",") if word]
    if kind in _NO_TYPES and _BINDS & {*words, kind}:
        return _bind(device, words, options)
    if kind in _NO_TYPES and not device:
        return _directory(words, options)
    if kind in _NO_TYPES:
        hint = "for a directory: o=bind; for a device or an export its file system: type=ext4, type=nfs"
        # Whoever wrote type=none has said what a bind is made of but for the word.
        raise InvalidInput(
            'missing required option: "o=bind"' if kind else 'missing required option: "type"', hint=hint
        )
    return _file_system(kind, device, words, options)


def _bind(device: str, words: list[str], options: Mapping[str, str]) -> LocalOptions:
    if not device:
        raise InvalidInput('missing required option: "device"', hint="the directory: device=/path")
    if not device.startswith("/"):
        raise InvalidInput(f"invalid option: device={device}", hint="a directory is named by its absolute path")
    for name in _OF_THE_DIRECTORY:
        if name in options:
            raise InvalidInput(
                f"the option {name} is for a volume's own directory, not for {device}",
                hint="change the directory itself, or leave type, device and o out",
            )
    for word in words:
        if word not in _WORDS_OF_BINDS:
            raise InvalidInput(
                f"invalid option: o={word}", hint="for a directory, o has " + ", ".join(sorted(_WORDS_OF_BINDS))
            )
    kept = tuple(word for word in words if word not in {"bind", "rbind", "rw"})
    return LocalOptions("bind", device, kept if "rbind" in words else ("bind", *kept))


def _directory(words: list[str], options: Mapping[str, str]) -> LocalOptions:
    """``o=uid=1000,gid=1000`` without a type, as Podman has it, is the same as our own options."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in _OF_THE_DIRECTORY:
            raise InvalidInput(
                f"invalid option: o={word}",
                hint="without type and device, o has " + ", ".join(_OF_THE_DIRECTORY) + " (o=uid=1000,mode=0750)",
            )
        found[name] = value
    found |= {name: options[name] for name in _OF_THE_DIRECTORY if name in options}
    return LocalOptions(
        uid=_id(found, "uid"),
        gid=_id(found, "gid"),
        mode=_mode(found["mode"]) if "mode" in found else None,
        size=read_size(found["size"]) if "size" in found else 0,
    )


def _file_system(kind: str, device: str, words: list[str], options: Mapping[str, str]) -> LocalOptions:
    if not device and kind not in _WITHOUT_DEVICE:
        raise InvalidInput('missing required option: "device"', hint=f"what of type {kind} is to be mounted: device=…")
    asked = {name: options[name] for name in _OF_THE_DIRECTORY if name in options}
    if kind not in _WITHOUT_DEVICE and asked:
        name = next(iter(asked))
        raise InvalidInput(
            f"the option {name} is for a volume's own directory or a tmpfs, not for type={kind}",
            hint=f"what {kind} itself knows is written in o=",
        )
    for name in ("uid", "gid"):
        _id(asked, name)
    if "mode" in asked:
        _mode(asked["mode"])
    if "size" in asked:
        asked["size"] = str(read_size(asked["size"]))
    given = {word.partition("=")[0] for word in words}
    words += [f"{name}={value}" for name, value in asked.items() if name not in given]
    if kind in _NFS and ":" not in device:
        raise InvalidInput(
            f"invalid option: device={device}", hint="an export is written HOST:/PATH, or :/PATH with o=addr=HOST"
        )
    return LocalOptions(kind, device or kind, tuple(words))


def _id(found: Mapping[str, str], name: str) -> int | None:
    value = found.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()) or int(value) > _LARGEST_ID:
        raise InvalidInput(f"invalid option: {name}={value}", hint="an id is a number, like 1000")
    return int(value)


def _mode(text: str) -> int:
    if not text or not set(text) <= set("01234567") or int(text, 8) > 0o7777:
        raise InvalidInput(f"invalid option: mode={text}", hint="a mode is an octal number, like 0750")
    return int(text, 8)


def read_size(text: str) -> int:
    """Bytes of ``64m``, ``1.5G`` or ``1073741824``.

    Raises:
        InvalidInput: it is no size, or none at all.
    """
    found = _SIZE.match(text.strip())
    size = int(float(found[1]) * (1 << _UNITS[found[2].lower()])) if found else 0
    if not 0 < size < 1 << 63:
        raise InvalidInput(f"invalid option: size={text}", hint="a size is like 512m or 10g")
    return size


def with_address(options: LocalOptions, resolve: Callable[[str], str]) -> LocalOptions:
    """The words of an nfs mount with what the kernel needs and mount.nfs(8) finds out: the server's address.

    Args:
        options: of any volume; others than nfs stay as they are.
        resolve: the address of a host's name.
    """
    if options.kind not in _NFS:
        return options
    host = options.device.rpartition(":/")[0].strip("[]")
    given = next((word.partition("=")[2] for word in options.words if word.startswith("addr=")), "")
    words = [word for word in options.words if not word.startswith("addr=")]
    if options.kind == "nfs4" and not _has_version(words):
        words.append("vers=4")
    return msgspec.structs.replace(options, words=(*words, f"addr={resolve(given or host)}"))


def with_newer_version(options: LocalOptions) -> LocalOptions | None:
    """What to try when the kernel cannot have an nfs mount by its own choice of version, 3; None for nothing else.

    Version 3 needs more programs than a server of version 4 alone has, and for its locks one on this machine too.
    """
    if options.kind != "nfs" or _has_version(options.words):
        return None
    return msgspec.structs.replace(options, words=(*options.words, "vers=4.2"))


def _has_version(words: Sequence[str]) -> bool:
    return any(word.startswith(("vers=", "nfsvers=")) for word in words)
