"""Where a build's result goes, as ``-o`` says it: ``type=tar,dest=tree.tar``, ``DIRECTORY``, ``-``.

Plain values: the command line reads them before it imports anything.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class ParsedOutput:
    """One output; ``dest`` is a path on the caller's side, ``-`` for standard output, empty for none."""

    __slots__ = ("attributes", "dest", "type")

    def __init__(self, kind: str, dest: str, attributes: "dict[str, str]") -> None:
        self.type = kind
        self.dest = dest
        self.attributes = attributes


FILES = "local"
TAR = "tar"
ARCHIVES = ("oci", "docker")
IMAGE = "image"
NOTHING = "cacheonly"
TYPES = (FILES, TAR, *ARCHIVES, IMAGE, NOTHING)
SENT = (FILES, TAR, *ARCHIVES)
"""Those whose bytes go to the caller."""

STDOUT = "-"
_ANNOTATION = "annotation"
_KINDS = ("manifest", "manifest-descriptor", "index", "index-descriptor")
_IMAGES = (
    "name", "annotation.KEY", "compression", "compression-level", "force-compression", "oci-mediatypes",
    "rewrite-timestamp", "unpack", "store", "push",
)  # fmt: skip
_TEXTS = frozenset({"name", "compression", "compression-level", "mode"})
_ATTRIBUTES = {
    FILES: ("platform-split", "mode"),
    TAR: ("platform-split",),
    "oci": (*_IMAGES, "tar"),
    "docker": (*_IMAGES, "tar"),
    IMAGE: _IMAGES,
    NOTHING: (),
}
PLAIN = "uncompressed"
_LEVELS = {"gzip": 9, "zstd": 22}
"""The highest level of each compression."""
_REGISTRY = "images cannot be pushed to a registry yet; leave it out"
_NOT_HAD = {
    "push-by-digest": _REGISTRY,
    "registry.insecure": _REGISTRY,
    "name-canonical": "an image has no name by its digest here; leave it out",
    "dangling-name-prefix": "an image without a name is known by its id here; leave it out",
    "oci-artifact": "--sbom and --provenance attach OCI artifacts anyway; leave it out",
}
_FIXED = (
    ("push", False, _REGISTRY),
    ("oci-mediatypes", True, "Kist writes OCI's alone"),
    ("store", True, "an image that is not to be kept is -o type=cacheonly"),
)
_TRUE, _FALSE = frozenset({"true", "1", "t"}), frozenset({"false", "0", "f"})


def parse_output(text: str) -> ParsedOutput:
    """One value of ``-o``.

    Raises:
        ValueError: it is none; says what is.
    """
    if not text:
        raise ValueError("an output is DIRECTORY, - for a tar, or type=TYPE,KEY=VALUE,…")
    fields = _fields(text)
    if fields == [text] and not text.startswith("type="):
        return ParsedOutput(TAR, text, {}) if text == STDOUT else ParsedOutput(FILES, text, {})
    found: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"an output is DIRECTORY, -, or type=TYPE,KEY=VALUE,…; {field!r} is no KEY=VALUE")
        found[_key(key.strip())] = value
    kind, dest = found.pop("type", ""), found.pop("dest", "")
    if not kind:
        raise ValueError("type is required for output: " + ", ".join(f"type={name}" for name in TYPES))
    if kind == "registry":
        kind, found = IMAGE, {**found, "push": "true"}
    if kind == "docker" and not dest:
        kind = IMAGE  # which Docker loads into its store
    output = ParsedOutput(kind, dest, found)
    check_output(output.type, output.attributes)
    _check_dest(output)
    return output


def check_output(kind: str, attributes: "Mapping[str, str]") -> None:
    """Whether there is such an output, and it can be told so.

    Raises:
        ValueError: what is wrong, and what there is.
    """
    if kind not in TYPES:
        raise ValueError(f"there is no output of type {kind!r}: it is one of {', '.join(TYPES)}")
    for key in attributes:
        if _is_annotation(key) and kind in {IMAGE, *ARCHIVES}:
            continue
        if key in _NOT_HAD and kind in {IMAGE, *ARCHIVES}:
            raise ValueError(f"{key} is not supported: {_NOT_HAD[key]}")
        if key not in _ATTRIBUTES[kind]:
            known = ", ".join(("dest", *_ATTRIBUTES[kind])) if kind not in {IMAGE, NOTHING} else ", ".join(_IMAGES)
            raise ValueError(f"an output of type {kind} has no {key!r}: it has {known}")
        if key not in _TEXTS:
            flag(attributes, key)
    for key, wanted, reason in _FIXED:
        if key in attributes and flag(attributes, key) is not wanted:
            raise ValueError(f"{key}={attributes[key]} is not supported: {reason}")
    if attributes.get("mode", "copy") != "copy":
        raise ValueError(
            f"mode={attributes['mode']} is not supported: Kist removes nothing that it has not written (mode=copy)"
        )
    wanted_compression = compression(attributes)
    if kind == IMAGE and wanted_compression is not None and wanted_compression.kind != PLAIN:
        raise ValueError(
            f"compression={wanted_compression.kind} is not supported for an image that is kept: its layers are plain "
            "here; type=oci or type=docker compress what they write"
        )
    annotations(attributes)


class Compression:
    """How the layers of an archive are to be: ``kind`` is ``uncompressed``, ``gzip`` or ``zstd``.

    ``level`` is None for the usual one; ``force``: those of the base image, too.
    """

    __slots__ = ("force", "kind", "level")

    def __init__(self, kind: str, level: "int | None", force: bool) -> None:
        self.kind = kind
        self.level = level
        self.force = force


def compression(attributes: "Mapping[str, str]") -> "Compression | None":
    """What an output says of it; None where it says nothing.

    Raises:
        ValueError: it cannot be.
    """
    kind, level, force = attributes.get("compression", ""), attributes.get("compression-level", ""), False
    if "force-compression" in attributes:
        force = flag(attributes, "force-compression")
    if not kind:
        if level or force:
            raise ValueError("compression-level and force-compression go with compression=gzip, zstd or uncompressed")
        return None
    if kind == "estargz":
        raise ValueError("compression=estargz is not supported: it is uncompressed, gzip or zstd")
    if kind != PLAIN and kind not in _LEVELS:
        raise ValueError(f"unknown compression {kind!r}: it is uncompressed, gzip or zstd")
    if not level:
        return Compression(kind, None, force)
    most = _LEVELS.get(kind, -1)
    if not (level.isascii() and level.isdecimal() and len(level) < 3 and int(level) <= most):
        allowed = f"0 to {most}" if most > 0 else "no number"
        raise ValueError(f"invalid compression-level {level!r}: of {kind} it is {allowed}")
    return Compression(kind, int(level), force)


class Annotation:
    """One annotation: ``kind`` is ``manifest``, ``manifest-descriptor``, ``index`` or ``index-descriptor``.

    ``platform`` is that of the only image that it is for; empty for all.
    """

    __slots__ = ("key", "kind", "platform", "value")

    def __init__(self, kind: str, platform: str, key: str, value: str) -> None:
        self.kind = kind
        self.platform = platform
        self.key = key
        self.value = value


def annotations(attributes: "Mapping[str, str]") -> "list[Annotation]":
    """The annotations of an output: ``annotation.KEY``, ``annotation-KIND.KEY``, ``annotation-KIND[PLATFORM].KEY``.

    Raises:
        ValueError: they are of something that there is not.
    """
    found = []
    for text, value in attributes.items():
        if not _is_annotation(text):
            continue
        head, _, key = text.partition(".")
        kind, bracket, platform = head.removeprefix(_ANNOTATION).removeprefix("-").partition("[")
        kind = kind or _KINDS[0]
        if not key:
            raise ValueError(f"{text!r} has no key: an annotation is annotation.KEY=VALUE")
        if kind not in _KINDS or (bracket and (not platform.endswith("]") or kind.startswith("index"))):
            raise ValueError(f"unknown annotation {head!r}: it is of {', '.join(_KINDS)}, or manifest[PLATFORM]")
        found.append(Annotation(kind, platform.removesuffix("]"), key, value))
    return found


def _is_annotation(key: str) -> bool:
    rest = key.removeprefix(_ANNOTATION)
    return rest != key and (not rest or rest[0] in ".-[")


def _key(text: str) -> str:
    """A key in small letters; of an annotation, whose case counts, only what is before its first dot."""
    head, dot, rest = text.partition(".")
    return head.lower() + dot + (rest if _is_annotation(head.lower()) else rest.lower())


def flag(attributes: "Mapping[str, str]", key: str, default: bool = False) -> bool:
    """An attribute that is true or false."""
    value = attributes.get(key, "").strip().lower()
    if not value or value not in _TRUE | _FALSE:
        if key not in attributes:
            return default
        raise ValueError(f"{key} is true or false, not {attributes[key]!r}")
    return value in _TRUE


def _check_dest(output: ParsedOutput) -> None:
    if output.type in SENT and not output.dest:
        raise ValueError(f"dest is required for {output.type} output: type={output.type},dest=PATH")
    if output.type in {IMAGE, NOTHING} and output.dest:
        raise ValueError(f"an output of type {output.type} has no dest: the engine keeps it")
    as_directory = output.type == FILES or not flag(output.attributes, "tar", True)
    if as_directory and output.dest == STDOUT:
        raise ValueError(f"dest=- is a stream, and this output of type {output.type} is a directory")


def _fields(text: str) -> list[str]:
    """The fields of a line of CSV (RFC 4180): ``type=local,"dest=a,b"``."""
    fields: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            field, rest = _quoted(rest[1:], text)
            if rest and not rest.startswith(","):
                raise ValueError(f"a quote ends in the middle of a field: {text}")
            more = bool(rest)
            rest = rest[1:]
        else:
            field, comma, rest = rest.partition(",")
            more = bool(comma)
        fields.append(field)
        if not more:
            return fields


def _quoted(rest: str, text: str) -> tuple[str, str]:
    found = ""
    while True:
        part, quote, rest = rest.partition('"')
        if not quote:
            raise ValueError(f"a quote is not closed: {text}")
        found += part
        if not rest.startswith('"'):
            return found, rest
        found, rest = found + '"', rest[1:]
