"""The candidates for the last word of a command line."""

from kist.cli.completion import names, values
from kist.cli.context import Context
from kist.cli.dispatch import PROGRAM, load
from kist.cli.option import FLAG
from kist.cli.verbs import GROUPS, NAMES, VERBS, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kist.cli.completion.names import Candidates
    from kist.cli.option import Command, Option

FILES, DIRS, GOES_ON = ":files", ":dirs", ":nospace"


class Answer:
    """What the shell shows.

    Attributes:
        candidates: whole words that begin like the one at the cursor, each with what it is.
        directives: ``:files`` and ``:dirs`` for paths that the shell adds; ``:nospace`` where more follows a word.
    """

    def __init__(self) -> None:
        self.candidates: Candidates = []
        self.directives: list[str] = []

    def lines(self, cut: int = 0, *, plain: bool = False) -> "list[str]":
        """A line for each candidate, without its first ``cut`` characters, then the directives."""
        found = dict(self.candidates)
        told = [word[cut:] if plain or not what else f"{word}\t{what}" for word, what in found.items()]
        return told + self.directives


def complete(words: "Sequence[str]", environment: "Mapping[str, str]") -> Answer:
    """The answer for ``words``, what is written after ``kist``; the last is the one at the cursor, perhaps empty."""
    *before, word = words or [""]
    return _Completer(environment).complete(before, word)


def in_bash(line: str, breaks: str, environment: "Mapping[str, str]") -> "list[str]":
    """Lines for bash, which replaces only what follows the last of its word breaks (``=``, ``:``).

    Args:
        line: the command line up to the cursor.
        breaks: ``$COMP_WORDBREAKS``.
        environment: as ``os.environ``.
    """
    words = split(line)[1:]
    word = words[-1] if words else ""
    cut = max((word.rfind(character) + 1 for character in breaks if not character.isspace()), default=0)
    return complete(words, environment).lines(cut, plain=True)


def split(line: str) -> "list[str]":
    """The words of a command line as a shell splits it; the last one is empty after a space."""
    words: list[str] = []
    word, quote, escaped = "", "", False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote = character
        elif character.isspace():
            words.append(word)
            word = ""
        else:
            word += character
    return [each for each in words if each] + [word]


class _Completer:
    def __init__(self, environment: "Mapping[str, str]") -> None:
        self._context = Context(environment)
        self._answer = Answer()

    def complete(self, before: "Sequence[str]", word: str) -> Answer:
        """The answer for ``word`` after the words ``before``."""
        rest, open_option, operands = _walk(PROGRAM, before)
        host = [before[i + 1] for i, each in enumerate(before[:-1]) if each in {"-H", "--host"}]
        self._context.host = host[-1] if host else ""
        if open_option is not None:
            self._value(open_option, "", word)
        elif not operands:
            self._program(word)
        elif operands[0] in GROUPS and len(operands) == 1 and not rest:
            self._add(word, ((name, verb.summary) for name, verb in members(operands[0]).items()))
        else:
            self._verb(operands, rest, word)
        return self._answer

    def _program(self, word: str) -> None:
        if word.startswith("-"):
            self._options(PROGRAM, word)
            return
        self._add(word, ((verb.name, verb.summary) for verb in VERBS.values() if verb.heading))
        self._add(word, (*GROUPS.items(), ("help", "Show the help of a command")))

    def _verb(self, operands: "list[str]", rest: "Sequence[str]", word: str) -> None:
        following = [*operands[1:], *rest]
        name = operands[0]
        if name in GROUPS and following:
            name = f"{name} {following.pop(0)}"
        if name == "help":
            self._program(word)
            return
        if name not in NAMES:
            return
        command = load(name)
        rest, open_option, operands = _walk(command, following)
        ended = bool(rest) or (command.ends_at_operand and bool(operands))  # the rest is the container's own command
        if open_option is not None:
            self._value(open_option, command.name, word)
        elif ended or "--" in following:
            self._operand(command, len(operands) + len(rest), word)
        elif word.startswith("--") and "=" in word:
            self._joined(command, word)
        elif word.startswith("-"):
            self._options(command, word)
        else:
            self._operand(command, len(operands), word, taken=operands)

    def _joined(self, command: "Command", word: str) -> None:
        """``--name=value``."""
        name, _, begun = word.partition("=")
        option = next((each for each in command.options if name in each.names), None)
        if option is not None and option.kind != FLAG:
            self._value(option, command.name, begun, name + "=")

    def _options(self, command: "Command", word: str) -> None:
        shown = [option for option in command.options if not option.hidden]
        self._add(word, ((name, option.help) for option in shown for name in option.names if len(name) > 2))
        if not word.startswith("--"):
            self._add(word, ((name, option.help) for option in shown for name in option.names if len(name) == 2))
        self._add(word, [("--help", "Show what the command does")])

    def _value(self, option: "Option", verb: str, word: str, before: str = "") -> None:
        if option.key == "filter":
            self._filter(verb, word, before)
            return
        found: tuple[str, ...] = values.FORMATS if option.key == "format" else values.BY_KEY.get(option.key, ())
        found = found or getattr(option.parse, "allowed", ()) or values.BY_METAVAR.get(option.metavar, ())
        if option.key == "signal":
            found = ("@signals",)
        self._sources(found, word, verb, before)

    def _filter(self, verb: str, word: str, before: str) -> None:
        name, equals, begun = word.partition("=")
        if not equals:
            self._sources(values.FILTERS.get(verb, ()), word, verb, before)
        else:
            self._sources(values.FILTER_VALUES.get(name, ()), begun, "", f"{before}{name}=")

    def _operand(self, command: "Command", position: int, word: str, taken: "Sequence[str]" = ()) -> None:
        spelt = [each.strip("[]").removesuffix("...").strip("[]") for each in command.operands.split()]
        if not spelt or (command.most is not None and position >= command.most):
            return
        known = spelt[min(position, len(spelt) - 1)]
        names_of = values.OPERANDS.get(known) or values.OPERANDS.get(known.partition("|")[0], (FILES,))
        self._sources(names_of, word, command.name, taken=taken)

    def _sources(
        self, sources: "Iterable[str]", word: str, verb: str, before: str = "", taken: "Sequence[str]" = ()
    ) -> None:
        for source in sources:
            if source in {FILES, DIRS}:
                self._answer.directives.append(source)
            elif source == "@containers":
                found = names.containers(self._context, values.STATES.get(verb, ()))
                ending = ":" if verb == "cp" else ""
                self._add(word, ((name + ending, what) for name, what in found if name not in taken), before)
            elif source.startswith("@"):
                found = names.SOURCES[source[1:]](self._context)
                self._add(word, (each for each in found if each[0] not in taken), before)
            else:
                self._add(word, [(source, "")], before)

    def _add(self, word: str, found: "Iterable[tuple[str, str]]", before: str = "") -> None:
        fitting = [(before + name, what) for name, what in found if name.startswith(word)]
        self._answer.candidates += fitting
        if fitting and all(name[-1] in "=:.," for name, _ in fitting) and GOES_ON not in self._answer.directives:
            self._answer.directives.append(GOES_ON)


def _walk(command: "Command", words: "Sequence[str]") -> "tuple[Sequence[str], Option | None, list[str]]":
    """What ends the options, the option that waits for its value, and the operands before."""
    by_name = {name: option for option in command.options for name in option.names}
    operands: list[str] = []
    waiting: Option | None = None
    for at, word in enumerate(words):
        if waiting is not None:
            waiting = None
        elif word == "--":
            return words[at + 1 :], None, operands
        elif word.startswith("--"):
            option = by_name.get(word)
            waiting = option if option is not None and option.kind != FLAG else None
        elif word.startswith("-") and word != "-":
            waiting = _of_cluster(by_name, word)
        else:
            operands.append(word)
            if command.ends_at_operand:
                return words[at + 1 :], None, operands
    return (), waiting, operands


def _of_cluster(by_name: "Mapping[str, Option]", word: str) -> "Option | None":
    """The option of ``-it`` or ``-e`` that takes the next word."""
    for at, letter in enumerate(word[1:], 1):
        option = by_name.get("-" + letter)
        if option is None:
            return None
        if option.kind != FLAG:
            return option if at == len(word) - 1 else None
    return None
