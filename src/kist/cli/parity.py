"""The page that compares this command line with Docker's, verb by verb and option by option, from the tables of both.

``script/parity/docker-cli.txt`` is Docker's side, ``script/parity/reasons.txt`` says why something differs or lacks.
"""

from kist.cli.dispatch import PROGRAM, load
from kist.cli.option import FLAG, Command, Option
from kist.cli.verbs import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROGRAM_NAME = "docker"  # Docker's options before the verb stand under this name
HAS, DIFFERS, LACKS = "has", "differs", "lacks"
_ANY = "*"
_REST = "--*"  # every option of a verb that is not there, but for those with a reason of their own

_HEAD = """\
# Kist beside Docker

Every verb and option of Docker's command line (29.8), and what Kist's has of it. This page is made from the option
tables by `script/docker-parity`; a test holds it to them.

**has**: the same name, the same meaning. **differs**: it is there, and something about it is not the same. **lacks**:
it is not there. Kist's own options and verbs, which Docker has not, are in [the reference](cli.md).
"""


class Theirs:
    """A verb of Docker's: its names, and its options, each with its names and whether it takes a value."""

    __slots__ = ("names", "options")

    def __init__(self, names: "tuple[str, ...]", options: "tuple[tuple[tuple[str, ...], bool], ...]") -> None:
        self.names = names
        self.options = options

    @property
    def name(self) -> str:
        """The name that stands first."""
        return self.names[0]


class Row:
    """A line of the page: ``option`` is empty for a verb itself."""

    __slots__ = ("option", "state", "verb", "why")

    def __init__(self, verb: str, option: str, state: str, why: str) -> None:
        self.verb = verb
        self.option = option
        self.state = state
        self.why = why


def read_surface(text: str) -> "tuple[Theirs, ...]":
    """Docker's verbs, from the lines of ``docker-cli.txt``."""
    found = []
    for line in _lines(text):
        names, _, options = line.partition(":")
        parsed = tuple((tuple(word.rstrip("=").split("/")), word.endswith("=")) for word in options.split())
        found.append(Theirs(tuple(names.split(", ")), parsed))
    return tuple(found)


def read_reasons(text: str) -> "dict[tuple[str, str], str]":
    """Why things differ, by verb and option (empty for the verb itself; ``*`` for any verb, or for all of a group)."""
    found = {}
    for line in _lines(text):
        what, _, why = line.partition(": ")
        verb, _, option = what.partition(" -")
        found[verb, "-" + option if option else ""] = why
    return found


def _lines(text: str) -> "Iterator[str]":
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def compare(surface: "Iterable[Theirs]", reasons: "dict[tuple[str, str], str]") -> "Iterator[Row]":
    """The lines of the page, in Docker's order."""
    for theirs in surface:
        ours = _ours(theirs)
        why = _reason(reasons, theirs.name, "")
        missing = [name for name in theirs.names if name not in NAMES] if theirs.name != PROGRAM_NAME else []
        if ours is None:
            yield Row(theirs.name, "", LACKS, why)
            continue
        yield Row(theirs.name, "", DIFFERS if why or missing else HAS, why)
        by_name = {name: option for option in ours.options for name in option.names}
        for names, takes_value in theirs.options:
            why = _reason(reasons, theirs.name, names[-1])
            if not why and names[-1] not in by_name:
                why = reasons.get((theirs.name, _REST), "")
            yield Row(theirs.name, ", ".join(names), _state(by_name, names, why, takes_value=takes_value), why)


def _ours(theirs: Theirs) -> "Command | None":
    if theirs.name == PROGRAM_NAME:
        return PROGRAM
    known = [name for name in theirs.names if name in NAMES]
    return load(known[0]) if known else None


def _state(by_name: "dict[str, Option]", names: "tuple[str, ...]", why: str, *, takes_value: bool) -> str:
    option = by_name.get(names[-1])
    if option is None:
        return LACKS
    same = all(by_name.get(name) is option for name in names) and (option.kind != FLAG) == takes_value
    return HAS if same and not why else DIFFERS


def _reason(reasons: "dict[tuple[str, str], str]", verb: str, option: str) -> str:
    """The reason of this very option, of the option in any verb, or of the whole group."""
    group = verb.partition(" ")[0] + " " + _ANY
    keys = ((verb, option), (_ANY, option)) if option else ((verb, ""), (group, ""))
    return next((reasons[key] for key in keys if key in reasons), "")


def unused(surface: "Iterable[Theirs]", reasons: "dict[tuple[str, str], str]") -> "list[tuple[str, str]]":
    """The reasons that no line of the page has."""
    told = {row.why for row in compare(surface, reasons) if row.state != HAS}
    return [key for key, why in reasons.items() if why not in told]


def page(surface_text: str, reasons_text: str) -> str:
    """The whole page, in Markdown."""
    surface = read_surface(surface_text)
    rows = list(compare(surface, read_reasons(reasons_text)))
    counts = {state: sum(row.state == state for row in rows if row.option) for state in (HAS, DIFFERS, LACKS)}
    there = {row.verb: row for row in rows if not row.option}
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    known = [theirs for theirs in surface if there[theirs.name].state != LACKS]
    parts = [_HEAD, f"Options of the verbs that Kist has: {summary}.\n"]
    parts += [_section(theirs, [row for row in rows if row.verb == theirs.name]) for theirs in known]
    lacking = [row for row in there.values() if row.state == LACKS]
    parts.append("## Verbs that Kist lacks\n")
    parts.append("| verb | why |\n|---|---|\n" + "".join(f"| `{row.verb}` | {row.why} |\n" for row in lacking))
    return "\n".join(parts)


def _section(theirs: Theirs, rows: "list[Row]") -> str:
    title = "Options before the verb" if theirs.name == PROGRAM_NAME else ", ".join(theirs.names)
    verb, *options = rows
    text = f"## {title}\n\n**{verb.state}**" + (f": {verb.why}" if verb.why else "") + "\n"
    if options:
        lines = (f"| `{row.option}` | {row.state} | {row.why} |\n" for row in options)
        text += "\n| option | | |\n|---|---|---|\n" + "".join(lines)
    return text
