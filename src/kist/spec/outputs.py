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
_IMAGES = ("name", "compression", "oci-mediatypes", "rewrite-timestamp", "unpack", "store", "push")
_ATTRIBUTES = {
    FILES: ("platform-split",),
    TAR: ("platform-split",),
    "oci": (*_IMAGES, "tar"),
    "docker": (*_IMAGES, "tar"),
    IMAGE: _IMAGES,
    NOTHING: (),
}
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
        found[key.strip().lower()] = value
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
    for key, value in attributes.items():
        if key not in _ATTRIBUTES[kind]:
            known = ", ".join(("dest", *_ATTRIBUTES[kind])) if kind not in {IMAGE, NOTHING} else ", ".join(_IMAGES)
            raise ValueError(f"an output of type {kind} has no {key!r}: it has {known}")
        if key not in {"name", "compression"}:
            flag(attributes, key)
        elif key == "compression" and value != "uncompressed":
            raise ValueError(
                f"compression={value!r} is not supported: Kist's layers are plain (compression=uncompressed)"
            )
    for key, wanted in (("push", False), ("oci-mediatypes", True)):
        if key in attributes and flag(attributes, key) is not wanted:
            reason = "there is no registry client yet; leave it out" if key == "push" else "Kist writes OCI's alone"
            raise ValueError(f"{key}={attributes[key]} is not supported: {reason}")


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
