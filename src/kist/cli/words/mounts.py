"""The argument of ``--mount``: ``type=bind,source=/host,target=/inside,readonly``."""

from kist.cli.values import size
from kist.cli.words import commas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_KINDS = ("bind", "volume", "tmpfs", "image")
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_CONSISTENCIES = ("default", "consistent", "cached", "delegated")
_RECURSIVE = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_PLAIN = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "destination": "Target",
    "dst": "Target",
    "consistency": "Consistency",
}
# What belongs to one type only: its object in the entry, and how it is filled.
_OBJECTS = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions", "image": "ImageOptions"}


def mount(text: str) -> "dict[str, Any]":
    """The entry of ``HostConfig.Mounts`` (Engine API, "Mount"); the source of a bind as it was written.

    Raises:
        ValueError: names the word and what is allowed.
    """
    entry: dict[str, Any] = {"Type": "volume"}
    used: dict[str, str] = {}  # the objects, and the word that first asked for each
    for name, value, given in commas.pairs(text):
        if name in {"readonly", "ro"}:
            entry["ReadOnly"] = commas.truth(name, value, given=given)
        elif name in {"u", "chown"}:  # as Podman spells it
            entry["KistChown"] = commas.truth(name, value, given=given)
        elif name in _PLAIN:
            if not value:
                raise ValueError(f"{name} needs a value: {name}=…")
            if name == "consistency" and value not in _CONSISTENCIES:
                raise ValueError(
                    f"consistency is {', '.join(_CONSISTENCIES[:-1])} or {_CONSISTENCIES[-1]}, not {value!r}"
                )
            entry[_PLAIN[name]] = value
        elif name in _SPECIAL:
            _special(entry, used, name, value, given=given)
        else:
            raise _unknown(text, name)
    _check(entry, used)
    return entry


def _special(entry: "dict[str, Any]", used: "dict[str, str]", name: str, value: str, *, given: bool) -> None:
    kind = name.partition("-")[0]
    if not given and name not in _SWITCHES:
        raise ValueError(f"{name} needs a value: {name}=…")
    used.setdefault(kind, name)
    _SPECIAL[name](entry.setdefault(_OBJECTS[kind], {}), value if given else "true")


def _unknown(text: str, name: str) -> ValueError:
    """What to say of an unknown word: the words of the mount's type are told, one spelling of each."""
    kind = next((value.lower() for word, value, _ in commas.pairs(text) if word == "type"), "volume")
    special = [word for word in _SPECIAL if word.startswith(f"{kind}-")]
    return commas.unknown(
        name, (*_PLAIN, "readonly", "ro", "chown", *_SPECIAL), ("type", "source", "target", "readonly", "U", *special)
    )


def _check(entry: "dict[str, Any]", used: "dict[str, str]") -> None:
    kind = entry["Type"] = entry["Type"].lower()
    if kind not in _KINDS:
        raise ValueError(f"type is {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, not {kind!r}")
    if not entry.get("Target", "").startswith("/"):
        raise ValueError("target is missing or not an absolute path")
    for other, word in used.items():
        if other != kind:
            raise ValueError(f"{word} is for mounts of type {other}, and this one is of type {kind}")
    if entry.get("KistChown") and kind not in {"bind", "volume"}:
        raise ValueError(f"U is for mounts of type bind and volume, and this one is of type {kind}")
    source = entry.get("Source", "")
    if kind in {"bind", "image"} and not source:
        raise ValueError(f"a mount of type {kind} needs a source")
    if kind == "tmpfs" and source:
        raise ValueError("a tmpfs has no source")
    _check_volume(entry.get("VolumeOptions", {}), source, read_only=entry.get("ReadOnly", False))
    bind = entry.get("BindOptions", {})
    read_only = entry.get("ReadOnly", False)
    if bind.get("ReadOnlyNonRecursive") and not read_only:
        raise ValueError("bind-recursive=writable goes together with readonly")
    if bind.get("ReadOnlyForceRecursive") and not read_only:
        raise ValueError("bind-recursive=readonly goes together with readonly")
    if bind.get("ReadOnlyForceRecursive") and bind.get("Propagation") != "rprivate":
        raise ValueError("bind-recursive=readonly goes together with bind-propagation=rprivate")


def _check_volume(volume: "dict[str, Any]", source: str, *, read_only: bool) -> None:
    if not source and volume.get("Subpath"):
        raise ValueError("volume-subpath is for a volume with a name: source=NAME")
    if not source and volume.get("NoCopy") and read_only:
        raise ValueError("an anonymous volume that is read-only and not copied to would always be empty")


def _propagation(options: "dict[str, Any]", value: str) -> None:
    if value.lower() not in _PROPAGATIONS:
        raise ValueError(f"bind-propagation is {', '.join(_PROPAGATIONS[:-1])} or {_PROPAGATIONS[-1]}, not {value!r}")
    options["Propagation"] = value.lower()


def _recursive(options: "dict[str, Any]", value: str) -> None:
    if value not in _RECURSIVE:
        raise ValueError(f"bind-recursive is enabled, disabled, writable or readonly, not {value!r}")
    options.update(_RECURSIVE[value])


def _switch(name: str, field: str) -> "Callable[[dict[str, Any], str], None]":
    def put(options: "dict[str, Any]", value: str) -> None:
        options[field] = commas.truth(name, value, given=True)

    return put


def _label(options: "dict[str, Any]", value: str) -> None:
    name, _, text = value.partition("=")
    options.setdefault("Labels", {})[name] = text


def _driver(options: "dict[str, Any]", value: str) -> None:
    options.setdefault("DriverConfig", {})["Name"] = value


def _driver_option(options: "dict[str, Any]", value: str) -> None:
    name, equals, text = value.partition("=")
    if not equals:
        raise ValueError(f"volume-opt is NAME=VALUE, not {value!r}")
    options.setdefault("DriverConfig", {}).setdefault("Options", {})[name] = text


def _subpath(options: "dict[str, Any]", value: str) -> None:
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError(f"a subpath is relative and stays inside, not {value!r}")
    options["Subpath"] = value


def _tmpfs_size(options: "dict[str, Any]", value: str) -> None:
    try:
        options["SizeBytes"] = size(value)
    except ValueError as error:
        raise ValueError(f"tmpfs-size is not {value!r}: {error}") from None


def _tmpfs_mode(options: "dict[str, Any]", value: str) -> None:
    if not value or not set(value) <= set("01234567") or int(value, 8) > 0o7777:
        raise ValueError(f"tmpfs-mode is an octal number like 1770, not {value!r}")
    options["Mode"] = int(value, 8)


_SPECIAL: "dict[str, Callable[[dict[str, Any], str], None]]" = {
    "bind-propagation": _propagation,
    "bind-nonrecursive": _switch("bind-nonrecursive", "NonRecursive"),
    "bind-recursive": _recursive,
    "bind-create-src": _switch("bind-create-src", "CreateMountpoint"),
    "volume-nocopy": _switch("volume-nocopy", "NoCopy"),
    "volume-label": _label,
    "volume-driver": _driver,
    "volume-opt": _driver_option,
    "volume-subpath": _subpath,
    "image-subpath": _subpath,
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}
_SWITCHES = frozenset({"bind-nonrecursive", "bind-create-src", "volume-nocopy"})
