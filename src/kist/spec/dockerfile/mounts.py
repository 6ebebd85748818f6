"""The options of ``RUN --mount`` and ``RUN --device`` (Dockerfile reference, "RUN --mount" and what follows).

They are read in two steps: a flag's text is kept as it was written, and read when the instruction is reached, for the
variables in its values are replaced then, each value for itself.
"""

import csv
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches

import msgspec

from kist.errors import InvalidInput, ParseError
from kist.spec.dockerfile.source import Location, Source, Word
from kist.spec.volume_options import read_size

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_SAME = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_KEYS = frozenset({
    "type", "from", "source", "target", "readonly", "readwrite", "required", "size", "id", "sharing", "mode", "uid",
    "gid", "env",
})  # fmt: skip
_ALONE = frozenset({"readonly", "readwrite", "required"})
_OWNED = ("secret", "ssh", "cache")
# Which types take an option that few do.
_ONLY = {
    "required": ("secret", "ssh"), "size": ("tmpfs",), "sharing": ("cache",), "mode": _OWNED, "uid": _OWNED,
    "gid": _OWNED, "env": ("secret",), "from": ("bind", "cache"),
}  # fmt: skip
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_OCTAL, _DECIMAL = re.compile("[0-7]{1,11}"), re.compile("[0-9]{1,10}")
_LARGEST = 2**32

Expand = Callable[[Word], str]
"""The value of a word, its variables replaced."""


class RunMount(msgspec.Struct, frozen=True, kw_only=True):
    """One ``--mount``, its variables replaced.

    Attributes:
        type: one of ``TYPES``.
        target: where it is seen, as it was written; empty where that is not told.
        source: a path of what it is from; of a secret its id.
        origin: what ``from=`` names; None for the build context.
        id: of a cache, a secret or an agent; empty where it is not told.
        read_only: of a cache and a tmpfs only where that was asked for, else unless writing was.
        size: of a tmpfs, in bytes; 0 for no limit.
        sharing: of a cache, one of ``SHARING``.
        required: the build fails where nobody has given it.
        env: the variable that a secret is put into; None for none.
        mode, uid, gid: of the file or directory; None where they are not told.
    """

    type: str = "bind"
    target: str = ""
    source: str = ""
    origin: Word | None = None
    id: str = ""
    read_only: bool = True
    size: int = 0
    sharing: str = "shared"
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class RunDevice(msgspec.Struct, frozen=True):
    """One ``--device``: its CDI name, and whether the build fails where there is no such device."""

    name: str
    required: bool = False


def check_mount(flag: Word, source: Source) -> None:
    """Refuse at once what no variables can make right.

    Raises:
        ParseError: ``from=`` has a variable, or the text is no list of fields.
    """
    for name, value in _fields(flag, source):
        if name.text == "from" and value is not None and "$" in value.text[:-1]:
            raise source.error(
                value.location,
                "'from' doesn't support variable expansion, define alias stage instead",
                hint=f"write FROM {value.text} AS name before this stage, and from=name here",
            )


def read_mount(flag: Word, source: Source, expand: Expand) -> RunMount:
    """The mount that a flag's text asks for.

    Raises:
        ParseError: points at the option that cannot be.
    """
    found = _Options(source, flag)
    for name, value in _fields(flag, source):
        found.take(name, value, expand)
    found.check()
    return found.made()


def read_device(flag: Word, source: Source) -> RunDevice:
    """The device that a flag's text asks for: ``NAME[,required[=BOOL]]`` or ``name=NAME``, NAME of the CDI's form.

    Raises:
        ParseError: points at what cannot be.
    """
    name, required = "", False
    for key, value in _fields(flag, source):
        if key.text == "required":
            required = value is None or _boolean(source, key, value.text)
        elif not name:  # the name of a device has an equals sign of its own
            name = value.text if key.text == "name" and value else _joined(key, value)
        else:
            raise source.error(key.location, f"unexpected option {_joined(key, value)!r}", hint="write NAME[,required]")
    if not name:
        raise source.error(flag.location, "a device needs a name", hint="write --device=vendor.com/class=name")
    return RunDevice(name, required)


def _joined(key: Word, value: Word | None) -> str:
    return key.text if value is None else f"{key.text}={value.text}"


def _fields(flag: Word, source: Source) -> Iterator[tuple[Word, Word | None]]:
    """Names and values of the comma-separated fields; None where there is no equals sign. Quotes are those of CSV."""
    try:
        rows = list(csv.reader([flag.text], strict=True))
    except csv.Error as error:
        raise source.error(flag.location, f"the options cannot be read: {error}") from None
    at = 0
    for field in rows[0] if rows else ():
        at = max(at, flag.text.find(field[:1], at)) if field else at
        place = Location(flag.location.line, flag.location.column + at)
        name, equals, value = field.partition("=")
        after = Location(place.line, place.column + len(name) + 1)
        yield Word(name.lower(), place), Word(value, after) if equals else None
        at += len(field) + 1


def _boolean(source: Source, name: Word, text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise source.error(name.location, f"invalid value for {name.text}: {text}: expected true or false")
    return text in _TRUE


class _Options:
    """Collects the options of one mount."""

    def __init__(self, source: Source, flag: Word) -> None:
        self._source = source
        self._flag = flag
        self._given: dict[str, Word] = {}
        self._values: dict[str, str] = {}
        self._read_only: bool | None = None
        self._origin: Word | None = None

    def take(self, name: Word, value: Word | None, expand: Expand) -> None:
        """One field."""
        key = _SAME.get(name.text, name.text)
        if key not in _KEYS:
            near = get_close_matches(name.text, sorted(_KEYS), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(_KEYS))}"
            raise self._error(name, f"unexpected key '{name.text}' in --mount", hint)
        if value is None and key not in _ALONE:
            raise self._error(name, f"invalid field '{name.text}': expected {name.text}=VALUE")
        self._given[key] = name
        self._values[key] = text = expand(value) if value is not None else "true"
        if key in {"readonly", "readwrite"}:
            self._read_only = _boolean(self._source, name, text) is (key == "readonly")
        elif key == "from":
            assert value is not None
            self._origin = Word(text, value.location) if text else None

    def check(self) -> None:
        """Whether they go together."""
        kind = self._type()
        for key, types in _ONLY.items():
            if key in self._given and kind not in types and (key != "from" or kind == "secret"):
                raise self._error(self._given[key], f"unexpected key '{key}' for mount type '{kind}'",
                                  f"it is for {' and '.join(types)}")  # fmt: skip
        if kind == "ssh" and self._text("source"):
            raise self._error(self._given["source"], "ssh does not support source", "name the agent with id=")
        if kind == "secret":
            if not (self._text("source") or self._text("target") or self._text("id")):
                raise self._error(self._flag, "invalid secret mount: one of id, source, target is required")
            if self._text("source") and self._text("id"):
                raise self._error(self._given["source"], "both source and id can't be set", "source is the id: drop it")

    def made(self) -> RunMount:
        """The mount."""
        kind = self._type()
        usual = kind not in {"cache", "tmpfs"}
        return RunMount(
            type=kind,
            target=self._text("target"),
            source=self._text("source"),
            origin=self._origin,
            id=self._text("id"),
            read_only=usual if self._read_only is None else self._read_only,
            size=self._size(),
            sharing=self._chosen("sharing", SHARING),
            required=self._required(),
            env=self._values.get("env"),
            mode=self._number("mode", _OCTAL, 8),
            uid=self._number("uid", _DECIMAL, 10),
            gid=self._number("gid", _DECIMAL, 10),
        )

    def _required(self) -> bool:
        given = self._given.get("required")
        return given is not None and _boolean(self._source, given, self._text("required"))

    def _type(self) -> str:
        return self._chosen("type", TYPES)

    def _chosen(self, key: str, choices: tuple[str, ...]) -> str:
        text = self._text(key).lower()
        if key not in self._given:
            return choices[0]
        if text not in choices:
            near = get_close_matches(text, choices, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(choices)}"
            raise self._error(self._given[key], f"unsupported mount {key} {text!r}", hint)
        return text

    def _text(self, key: str) -> str:
        return self._values.get(key, "")

    def _number(self, key: str, pattern: re.Pattern[str], base: int) -> int | None:
        if key not in self._given:
            return None
        text = self._text(key)
        value = int(text, base) if pattern.fullmatch(text) else _LARGEST
        if value >= _LARGEST:
            kind = "an octal number such as 0400" if base == 8 else "a number"
            raise self._error(self._given[key], f"invalid value {text!r} for {key}: expected {kind}")
        return value

    def _size(self) -> int:
        if "size" not in self._given:
            return 0
        try:
            return read_size(self._text("size"))
        except InvalidInput as error:
            raise self._error(self._given["size"], f"invalid value for size: {error.message}", error.hint) from error

    def _error(self, place: Word, message: str, hint: str = "") -> ParseError:
        return self._source.error(place.location, message, hint=hint)
