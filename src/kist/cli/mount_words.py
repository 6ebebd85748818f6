"""The argument of ``--mount``: ``type=bind,source=/host,target=/inside,readonly``."""

from kist.cli.create_body import host_path
from kist.cli.usage import UsageError
from kist.cli.values import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = {
    "type": "type",
    "source": "source",
    "src": "source",
    "target": "target",
    "destination": "target",
    "dst": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "tmpfs-size": "tmpfs-size",
    "tmpfs-mode": "tmpfs-mode",
}
_TRUE, _FALSE = {"", "1", "true"}, {"0", "false"}


def mount_of(text: str, directory: str) -> "dict[str, Any]":
    """The entry of ``HostConfig.Mounts`` (Engine API, "Mount").

    Raises:
        UsageError: names the word and what is allowed.
    """
    words = _words(text)
    kind = words.get("type", "volume")
    if kind not in {"bind", "tmpfs", "volume"}:
        raise _wrong(text, f"type {kind!r}: allowed are bind, tmpfs and volume")
    target = words.get("target", "")
    if not target.startswith("/"):
        raise _wrong(text, "target is missing or not an absolute path")
    mount: dict[str, Any] = {"Type": kind, "Target": target}
    source = words.get("source", "")
    if kind == "bind":
        if not source:
            raise _wrong(text, "a bind needs a source")
        source = host_path(source, directory)
    if source and kind != "tmpfs":
        mount["Source"] = source
    if "readonly" in words:
        mount["ReadOnly"] = _truth(words["readonly"], text)
    if options := _tmpfs_options(words, text):
        mount["TmpfsOptions"] = options
    return mount


def _words(text: str) -> "dict[str, str]":
    words: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in _NAMES:
            raise _wrong(text, f"unknown word {name!r}: allowed are {', '.join(_NAMES)}")
        words[_NAMES[name]] = value
    return words


def _truth(value: str, text: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise _wrong(text, f"readonly is true or false, not {value!r}")
    return value in _TRUE


def _tmpfs_options(words: "dict[str, str]", text: str) -> "dict[str, int]":
    options = {}
    try:
        if "tmpfs-size" in words:
            options["SizeBytes"] = size(words["tmpfs-size"])
        if "tmpfs-mode" in words:
            options["Mode"] = int(words["tmpfs-mode"], 8)
    except ValueError as error:
        raise _wrong(text, str(error)) from None
    return options


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f'invalid argument "{text}" for "--mount": {why}')
