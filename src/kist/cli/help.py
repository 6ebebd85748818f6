"""``--help``: of the program and of each verb, from their descriptions."""

from kist.cli.verbs import GROUPS, NAMES, VERBS, members, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.cli.option import Command, Option

_WIDTH_LIMIT = 100
_GAP = 3
_LEFT_LIMIT = 34

_USAGE = "Usage:  kist [OPTIONS] COMMAND\n"
_ABOUT = "Build, share and run containers. The engine starts by itself with the first command."


class Style:
    """Bold headings where the reader's terminal shows them."""

    __slots__ = ("_on",)

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def bold(self, text: str) -> str:
        """``text``, bold on a terminal."""
        return f"\x1b[1m{text}\x1b[0m" if self._on else text


def program_help(options: "Sequence[Option]", style: Style, width: int) -> str:
    """The text of ``kist --help``; ``options`` are the program's own."""
    headings: dict[str, list[tuple[str, str]]] = {}
    for verb in VERBS.values():
        if verb.heading:
            headings.setdefault(verb.heading, []).append((verb.name, verb.summary))
    headings["Groups"] = [*GROUPS.items()]
    shown = [option for option in options if not option.hidden]
    headings["Options"] = [(left_of(option), option.help) for option in shown] + [("-h, --help", "Print this")]
    parts = [_USAGE.replace("Usage:", style.bold("Usage:")), wrap(_ABOUT, min(width, _WIDTH_LIMIT)) + "\n"]
    column = 2 + max(len(left) for rows in headings.values() for left, _ in rows) + _GAP
    for heading, rows in headings.items():
        parts.append(style.bold(heading + ":") + "\n" + "".join(_row(a, b, column, width) for a, b in rows))
    parts.append("Run 'kist COMMAND --help' for more about a command.\n")
    return "\n".join(parts)


def group_help(group: str, style: Style, width: int) -> str:
    """The text of ``kist GROUP --help``."""
    verbs = members(group)
    column = 2 + max(map(len, verbs)) + _GAP
    rows = "".join(_row(word, verb.summary, column, width) for word, verb in sorted(verbs.items()))
    return "\n".join(
        (
            f"{style.bold('Usage:')}  kist {group} COMMAND\n",
            GROUPS[group] + "\n",
            style.bold("Commands:") + "\n" + rows,
            f"Run 'kist {group} COMMAND --help' for more about a command.\n",
        )
    )


def command_help(command: "Command", style: Style, width: int) -> str:
    """The text of ``kist VERB --help``."""
    usage = f"kist {command.name} [OPTIONS]" if command.options else f"kist {command.name}"
    parts = [f"{style.bold('Usage:')}  {usage} {command.operands}".rstrip() + "\n", summary(command.name) + "\n"]
    if len(names := NAMES[command.name].names) > 1:
        lines = wrap(", ".join(f"kist {name}" for name in names), width - 2).split("\n")
        parts.append(style.bold("Aliases:") + "\n" + "".join(f"  {line}\n" for line in lines))
    if command.about:
        parts.append("\n".join(wrap(paragraph, width) for paragraph in command.about.split("\n")) + "\n")
    shown = [option for option in command.options if not option.hidden]
    column = 2 + max((len(left_of(o)) for o in shown if len(left_of(o)) <= _LEFT_LIMIT), default=0) + _GAP
    for group in dict.fromkeys(option.group for option in shown):
        rows = "".join(_row(left_of(o), o.help, column, width) for o in shown if o.group == group)
        parts.append(style.bold(group + ":") + "\n" + rows)
    if command.examples:
        parts.append(style.bold("Examples:") + "\n" + "".join(f"  {line}\n" for line in command.examples))
    return "\n".join(parts)


def left_of(option: "Option") -> str:
    """The left column: ``-e, --env NAME[=VALUE]``, long names aligned."""
    names = ", ".join(option.names)
    if option.names[0].startswith("--"):
        names = "    " + names
    return f"{names} {option.metavar}".rstrip()


def _row(left: str, text: str, column: int, width: int) -> str:
    lines = wrap(text, max(20, min(width, _WIDTH_LIMIT) - column)).split("\n")
    if len(left) > column - 2 - _GAP:
        lines.insert(0, "")
    first = f"  {left:<{column - 2}}{lines[0]}".rstrip() + "\n"
    return first + "".join(" " * column + line + "\n" for line in lines[1:])


def wrap(text: str, width: int) -> str:
    """``text`` in lines of at most ``width`` columns, broken at spaces."""
    lines: list[str] = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n".join(lines)
