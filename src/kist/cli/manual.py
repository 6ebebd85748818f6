"""Manual pages (man(7)) from the same descriptions as ``--help``: one for ``kist``, one for each verb."""

from kist.cli.dispatch import PROGRAM, load
from kist.cli.help import left_of
from kist.cli.option import REPEAT, Command, Option
from kist.cli.verbs import GROUPS, NAMES, VERBS, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ABOUT = (
    "Kist builds, shares and runs containers. Its engine starts by itself with the first command, and containers "
    "outlive it. Commands and options are spelt as Docker's, and the engine speaks Docker's API."
)
_FILES = (
    ("~/.docker/config.json", "Docker's client configuration: psFormat, imagesFormat and detachKeys hold here too."),
    ("/run/kist/engine.sock", "Where root's engine listens; $XDG_RUNTIME_DIR/kist/engine.sock for others."),
)
_ENVIRONMENT = (
    ("DOCKER_HOST", "The engine to talk to, as unix:///path, tcp://host or ssh://host."),
    ("DOCKER_CONTEXT", "The engine to talk to, as the name of a context."),
    ("DOCKER_CONFIG", "The directory of the client configuration."),
    ("KIST_ROOT, KIST_RUN", "The data root and the run root of the engine; KIST_RUN goes before the current context."),
    ("NO_COLOR", "When it is set, nothing is coloured."),
)


def pages(version: str) -> "dict[str, str]":
    """All pages by file name: ``kist.1``, ``kist-ps.1``."""
    found = {"kist.1": _program(version)}
    for verb in VERBS.values():
        found[f"{_page_name(verb.name)}.1"] = _verb(load(verb.name), version)
    return found


def _page_name(verb: str) -> str:
    return "kist-" + verb.replace(" ", "-")


def _program(version: str) -> str:
    verbs = [(f"kist-{verb.name.replace(' ', '-')}(1)", verb.summary + ".") for verb in VERBS.values()]
    grouped = [
        (f"kist {group}", f"{summary}: {', '.join(sorted(members(group)))}.") for group, summary in GROUPS.items()
    ]
    return _head("kist", "build, share and run containers", version) + "".join(
        (
            _section("SYNOPSIS", _synopsis("kist", "[OPTIONS] COMMAND [ARG...]")),
            _section("DESCRIPTION", _paragraph(_ABOUT)),
            _section("OPTIONS", _options(PROGRAM.options)),
            _section("COMMANDS", _terms(verbs)),
            _section("GROUPS", _terms(grouped)),
            _section("ENVIRONMENT", _terms(_ENVIRONMENT)),
            _section("FILES", _terms(_FILES)),
        )
    )


def _verb(command: Command, version: str) -> str:
    verb = NAMES[command.name]
    words = ("[OPTIONS] " if command.options else "") + command.operands
    about = [verb.summary + ".", *filter(None, command.about.split("\n"))]
    parts = [
        _head(_page_name(command.name), verb.summary[0].lower() + verb.summary[1:], version),
        _section("SYNOPSIS", "".join(_synopsis(f"kist {name}", words) + ".br\n" for name in verb.names)),
        _section("DESCRIPTION", "".join(map(_paragraph, about))),
    ]
    if any(not option.hidden for option in command.options):
        parts.append(_section("OPTIONS", _options(command.options)))
    if command.examples:
        parts.append(_section("EXAMPLES", "".join(f".PP\n.EX\n{_text(line)}\n.EE\n" for line in command.examples)))
    parts.append(_section("SEE ALSO", ".BR kist (1)\n"))
    return "".join(parts)


def _head(name: str, summary: str, version: str) -> str:
    title = _text(name.upper())
    source = _text(f"Kist {version}")
    return (
        f'.\\" Made by script/man-pages.\n.TH "{title}" "1" "" "{source}" "Kist Manual"\n'
        f".nh\n.SH NAME\n{_text(name)} \\- {_text(summary)}\n"
    )


def _section(title: str, body: str) -> str:
    return f'.SH "{title}"\n{body}'


def _synopsis(name: str, words: str) -> str:
    return f"\\fB{_text(name)}\\fR {_text(words)}".rstrip() + "\n"


def _paragraph(text: str) -> str:
    return f".PP\n{_text(text)}\n"


def _terms(rows: "Iterable[tuple[str, str]]") -> str:
    return "".join(f".TP\n\\fB{_text(term)}\\fR\n{_text(what)}\n" for term, what in rows)


def _options(options: "Iterable[Option]") -> str:
    shown = [option for option in options if not option.hidden]
    return _terms((left_of(option).strip(), _about(option)) for option in shown)


def _about(option: Option) -> str:
    return option.help + (" (may be repeated)" if option.kind == REPEAT else "") + "."


def _text(text: str) -> str:
    """Text that roff prints as it stands: no word of it is a request or an escape, and a hyphen is a minus."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return "\\&" + escaped if escaped[:1] in {".", "'"} else escaped
