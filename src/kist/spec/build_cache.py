"""``--cache-to`` and ``--cache-from``: where what steps have made is brought to and taken from (buildx's words).

A directory is the caller's: it is written and read where the build was asked for. The rest is the engine's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kist.errors import InvalidInput, Unsupported
from kist.spec.outputs import PLAIN, Compression, compression, flag

INLINE = "inline"
MODES = ("min", "max")
_REGISTRY = "registry"
_ELSEWHERE = frozenset({"gha", "s3", "azblob"})
_COMPRESSION = ("compression", "compression-level", "force-compression")
_TO = {
    "local": frozenset({"type", "dest", "mode", "ignore-error", "compression", "force-compression"}),
    _REGISTRY: frozenset(
        {"type", "ref", "mode", "ignore-error", "image-manifest", "oci-mediatypes", "registry.insecure", *_COMPRESSION}
    ),
    INLINE: frozenset({"type", "mode"}),
}
_FROM = {
    "local": frozenset({"type", "src"}),
    _REGISTRY: frozenset({"type", "ref", "registry.insecure"}),
    INLINE: frozenset({"type"}),
}


class Source(NamedTuple):
    """What steps are taken from, by the engine.

    Attributes:
        ref: a name, as it was written.
        is_remote: it is in a registry; else it is an image that is here, or else in a registry that the name spells.
        insecure: that registry need not encrypt.
    """

    ref: str
    is_remote: bool = False
    insecure: bool = False


class Target(NamedTuple):
    """Where in a registry the engine writes steps to.

    Attributes:
        ref: a name, as it was written.
        mode: ``min`` (the steps of the image) or ``max`` (all).
        compression: of layers.
        as_index: an index that names the manifest is written by the tag, not the manifest.
        ignore_error: the build goes on where it cannot be written.
        insecure: that registry need not encrypt.
    """

    ref: str
    mode: str
    compression: Compression
    as_index: bool = False
    ignore_error: bool = False
    insecure: bool = False


class Caches(NamedTuple):
    """What of the two options is done by whom.

    Attributes:
        directories: that the caches in them are taken from.
        images: names of images that steps are taken from, and the texts of caches in registries.
        targets: directories that the cache is written to, each with ``min`` (the steps of the image) or ``max`` (all).
        engine: what the engine is to do: ``inline``, the modes of the directories, and the texts of registries.
        references: names whose registries may be asked, and want to know by whom.
    """

    directories: tuple[str, ...]
    images: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]
    engine: tuple[str, ...]
    references: tuple[str, ...] = ()


def read(cache_from: Sequence[str], cache_to: Sequence[str]) -> Caches:
    """Take the texts apart: ``NAME``, or ``type=…,key=value``.

    Raises:
        InvalidInput: a text is not of this form, or lacks something.
        Unsupported: the type needs a service, or something is asked for that Kist does not do.
    """
    directories, images, targets, engine, references = [], [], [], [], []
    for text in cache_from:
        if (source := _source(text)) is None:
            directories.append(_local("--cache-from", text, "src"))
            continue
        images.append(text)
        if source.is_remote or spells_registry(source.ref):
            references.append(source.ref)
    for text in cache_to:
        options = _options("--cache-to", text, _TO)
        mode = _mode(options, text)
        if options["type"] == INLINE:
            if mode != "min":
                raise InvalidInput(
                    f"--cache-to {text}: an image has the cache of its own steps alone", hint="leave mode=max out"
                )
            engine.append(INLINE)
        elif options["type"] == _REGISTRY:
            engine.append(text)
            references.append(_target(options, text).ref)
        else:
            targets.append((_directory(options, text), mode))
            engine.append(mode)
    return Caches(
        tuple(directories),
        tuple(images),
        tuple(targets),
        tuple(dict.fromkeys(engine)),
        tuple(dict.fromkeys(references)),
    )


def read_sources(texts: Sequence[str]) -> tuple[Source, ...]:
    """What the engine takes steps from; ``InvalidInput`` and ``Unsupported`` as for ``read``."""
    found = []
    for text in texts:
        if (source := _source(text)) is None:
            directory = _local("--cache-from", text, "src")
            raise Unsupported(
                f"cachefrom has a directory, {directory}, which is the client's",
                hint="build with kist build --cache-from, or name an image",
            )
        found.append(source)
    return tuple(found)


def read_targets(texts: Sequence[str]) -> tuple[Target, ...]:
    """The registries that the engine writes steps to, of all that it is to do; errors as for ``read``."""
    texts = [text for text in texts if text not in {INLINE, *MODES}]
    return tuple(_target(_options("--cache-to", text, _TO), text) for text in texts)


def spells_registry(name: str) -> bool:
    """Whether a name begins with a registry's: what does not may be meant for nobody outside."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def _source(text: str) -> Source | None:
    """What a text of ``--cache-from`` is; None for a directory."""
    if "=" not in text:
        return Source(text)
    options = _options("--cache-from", text, _FROM)
    if options["type"] == INLINE:
        raise InvalidInput(
            "--cache-from type=inline: the cache is in an image", hint="name the image: --cache-from NAME"
        )
    if options["type"] != _REGISTRY:
        return None
    ref = _needed("--cache-from", options, "ref", text)
    return Source(ref, is_remote=True, insecure=_flag(options, "registry.insecure", text))


def _local(option: str, text: str, key: str) -> str:
    return _needed(option, _options(option, text, _FROM), key, text)


def _target(options: dict[str, str], text: str) -> Target:
    if options["type"] != _REGISTRY:
        raise InvalidInput(f"invalid cacheto: {text!r}", hint="it is inline, min, max or type=registry,ref=NAME")
    ref = _needed("--cache-to", options, "ref", text)
    if "@" in ref:
        raise InvalidInput(f"--cache-to {text}: a digest cannot be chosen", hint="give a tag: ref=NAME:TAG")
    if not _flag(options, "oci-mediatypes", text, default=True):
        raise Unsupported(
            f"--cache-to {text}: oci-mediatypes=false is not supported: what is not an image has OCI's media types",
            hint="leave oci-mediatypes out",
        )
    given = {key: options[key] for key in _COMPRESSION if key in options}
    try:
        packed = compression({"compression": "gzip", **given})
    except ValueError as error:
        raise InvalidInput(f"--cache-to {text}: {error}") from None
    assert packed is not None, "there is a kind"
    return Target(
        ref,
        _mode(options, text),
        packed,
        as_index=not _flag(options, "image-manifest", text, default=True),
        ignore_error=_flag(options, "ignore-error", text),
        insecure=_flag(options, "registry.insecure", text),
    )


def _directory(options: dict[str, str], text: str) -> str:
    if options.get("compression", PLAIN) != PLAIN:
        raise Unsupported(
            f"--cache-to {text}: compression={options['compression']} is not supported: layers are kept plain",
            hint="leave compression out; a directory can be compressed as a whole",
        )
    if _flag(options, "ignore-error", text):
        raise Unsupported(
            f"--cache-to {text}: ignore-error is not supported for a directory", hint="leave ignore-error out"
        )
    return _needed("--cache-to", options, "dest", text)


def _mode(options: dict[str, str], text: str) -> str:
    mode = options.get("mode", "min")
    if mode not in MODES:
        raise InvalidInput(f"--cache-to {text}: invalid mode {mode!r}", hint="the modes are min and max")
    return mode


def _flag(options: dict[str, str], name: str, text: str, *, default: bool = False) -> bool:
    try:
        return flag(options, name, default)
    except ValueError as error:
        raise InvalidInput(f"{text}: {error}") from None


def _options(option: str, text: str, known: dict[str, frozenset[str]]) -> dict[str, str]:
    options = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise InvalidInput(f"{option} {text}: {part!r} is not NAME=VALUE")
        options[name.strip().lower()] = value
    kind = options.get("type", "")
    if kind in _ELSEWHERE:
        raise Unsupported(
            f"{option} {text}: there is no client for a cache of type {kind}",
            hint="keep it in a registry: type=registry, in a directory: type=local, or in the image: type=inline",
        )
    if kind not in known:
        raise InvalidInput(f"{option} {text}: unknown type {kind!r}", hint="the types are local, registry and inline")
    if unknown := sorted(options.keys() - known[kind]):
        has = ", ".join(sorted(known[kind]))
        raise InvalidInput(f"{option} {text}: unknown option {unknown[0]!r}", hint=f"type={kind} has {has}")
    return options


def _needed(option: str, options: dict[str, str], name: str, text: str) -> str:
    if name not in options:
        example = f"type={options['type']},{name}={'NAME' if name == 'ref' else 'DIRECTORY'}"
        raise InvalidInput(f"{option} {text}: {name} is missing", hint=f"{option} {example}")
    return options[name]
