"""``--cache-to`` and ``--cache-from``: where what steps have made is brought to and taken from (buildx's words).

A directory is the caller's: it is written and read where the build was asked for. The rest is the engine's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kist.errors import InvalidInput, Unsupported

INLINE = "inline"
MODES = ("min", "max")
_ELSEWHERE = frozenset({"registry", "gha", "s3", "azblob"})
_OPTIONS = {
    "local": frozenset({"dest", "src", "mode", "type", "compression", "force-compression"}),
    INLINE: frozenset({"type", "mode"}),
}


class Caches(NamedTuple):
    """What of the two options is done by whom.

    Attributes:
        directories: that the caches in them are taken from.
        images: names of images that steps are taken from.
        targets: directories that the cache is written to, each with ``min`` (the steps of the image) or ``max`` (all).
        engine: what the engine is to do for that: ``inline``, and the modes of the directories.
    """

    directories: tuple[str, ...]
    images: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]
    engine: tuple[str, ...]


def read(cache_from: Sequence[str], cache_to: Sequence[str]) -> Caches:
    """Take the texts apart: ``NAME``, or ``type=…,key=value``.

    Raises:
        InvalidInput: a text is not of this form, or lacks something.
        Unsupported: the type needs a registry or a service.
    """
    directories, images, targets, engine = [], [], [], []
    for text in cache_from:
        if "=" not in text:
            images.append(text)
            continue
        options = _options("--cache-from", text)
        if options["type"] == INLINE:
            raise InvalidInput(
                "--cache-from type=inline: the cache is in an image", hint="name the image: --cache-from NAME"
            )
        directories.append(_needed("--cache-from", options, "src", text))
    for text in cache_to:
        options = _options("--cache-to", text)
        mode = options.get("mode", "min")
        if mode not in MODES:
            raise InvalidInput(f"--cache-to {text}: invalid mode {mode!r}", hint="the modes are min and max")
        if options.get("compression", "uncompressed") != "uncompressed":
            raise Unsupported(
                f"--cache-to {text}: compression={options['compression']} is not supported: layers are kept plain",
                hint="leave compression out; a directory can be compressed as a whole",
            )
        if options["type"] == INLINE:
            if mode != "min":
                raise InvalidInput(
                    f"--cache-to {text}: an image has the cache of its own steps alone", hint="leave mode=max out"
                )
            engine.append(INLINE)
            continue
        targets.append((_needed("--cache-to", options, "dest", text), mode))
        engine.append(mode)
    return Caches(tuple(directories), tuple(images), tuple(targets), tuple(dict.fromkeys(engine)))


def _options(option: str, text: str) -> dict[str, str]:
    options = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise InvalidInput(f"{option} {text}: {part!r} is not NAME=VALUE")
        options[name.strip().lower()] = value
    kind = options.get("type", "")
    if kind in _ELSEWHERE:
        raise Unsupported(
            f"{option} {text}: there is no client for a cache of type {kind} yet"
            + (" (Kist cannot reach a registry so far)" if kind == "registry" else ""),
            hint="keep it in a directory: type=local, or in the image: type=inline",
        )
    if kind not in _OPTIONS:
        raise InvalidInput(f"{option} {text}: unknown type {kind!r}", hint="the types are local and inline")
    if unknown := sorted(options.keys() - _OPTIONS[kind]):
        known = ", ".join(sorted(_OPTIONS[kind]))
        raise InvalidInput(f"{option} {text}: unknown option {unknown[0]!r}", hint=f"type={kind} has {known}")
    return options


def _needed(option: str, options: dict[str, str], name: str, text: str) -> str:
    if name not in options:
        raise InvalidInput(f"{option} {text}: {name} is missing", hint=f"{option} type=local,{name}=DIRECTORY")
    return options[name]
