"""Reads a command line by a command's option table, with Docker's rules (docs/decisions/0004-own-argument-parser.md).

``--name value``, ``--name=value``, ``-e value``, ``-evalue``, ``-e=value``, clusters of flags (``-it``), flags with a
truth value (``--rm=false``), ``--`` as the end of options.
"""

from kist.cli.option import FLAG, REPEAT, Arguments
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from kist.cli.option import Command, Option

_TRUTH = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}


class HelpWanted(Exception):
    """``--help`` was written."""


def parse(command: "Command", argv: "Sequence[str]") -> Arguments:
    """The arguments of ``command`` in ``argv`` (without program and verb).

    Raises:
        HelpWanted: ``--help`` is among the options.
        UsageError: names the option, the value and what is allowed.
    """
    reader = _Reader(command, argv)
    reader.read()
    _check_count(command, reader.operands)
    return Arguments(reader.values, tuple(reader.operands))


class _Reader:
    def __init__(self, command: "Command", argv: "Sequence[str]") -> None:
        self.command = command
        self.by_name = {name: option for option in command.common for name in option.names}
        self.rest = list(reversed(argv))
        self.values: dict[str, Any] = {}
        self.operands: list[str] = []

    def read(self) -> None:
        while self.rest:
            word = self.rest.pop()
            if word == "--":
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._cluster(word)
            else:
                self.operands.append(word)
                if self.command.ends_at_operand:
                    break
        self.operands += reversed(self.rest)

    def _long(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self._find(name)
        self._store(option, name, value if equals else None)

    def _cluster(self, word: str) -> None:
        """``-it``: flags one after another; the first that takes a value takes the rest of the word."""
        position = 1
        while position < len(word):
            name = "-" + word[position]
            option = self._find(name, word)
            rest = word[position + 1 :]
            if option.kind != FLAG:
                return self._store(option, name, rest.removeprefix("=") if rest else None)
            if rest.startswith("="):
                return self._store(option, name, rest[1:])
            self._store(option, name, None)
            position += 1
        return None

    def _find(self, name: str, word: str = "") -> "Option":
        if option := self.by_name.get(name):
            return option
        self.by_name = {name: option for option in self.command.options for name in option.names}
        if option := self.by_name.get(name):
            return option
        if name in {"--help", "-h"}:
            raise HelpWanted
        inside = f" in {word!r}" if word and word != name else ""
        raise UsageError(
            f"unknown {'option' if name.startswith('--') else 'short option'} {name!r}{inside}",
            command=self.command.name,
            hint=_meant(name if not inside else "-" + word, self.by_name),
        )

    def _store(self, option: "Option", name: str, text: "str | None") -> None:
        if option.kind == FLAG:
            self.values[option.key] = True if text is None else self._truth(option, text)
            return
        if text is None:
            if not self.rest:
                raise UsageError(f"option {name!r} needs a value: {name} {option.metavar}", command=self.command.name)
            text = self.rest.pop()
        try:
            value = option.parse(text)
        except ValueError as error:
            raise self._invalid(option, text, str(error)) from None
        if option.kind == REPEAT:
            self.values.setdefault(option.key, []).append(value)
        else:
            self.values[option.key] = value

    def _truth(self, option: "Option", text: str) -> bool:
        if text not in _TRUTH:
            raise self._invalid(option, text, "allowed are true and false")
        return _TRUTH[text]

    def _invalid(self, option: "Option", text: str, allowed: str) -> UsageError:
        return UsageError(
            f'invalid argument "{text}" for "{", ".join(option.names)}": {allowed}', command=self.command.name
        )


def _meant(name: str, known: "Iterable[str]") -> str:
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(name if name.startswith("--") else "-" + name, [k for k in known if k.startswith("--")])
    return f"did you mean {near}?" if near else ""


def _check_count(command: "Command", operands: "Sequence[str]") -> None:
    if len(operands) < command.least:
        raise UsageError(f"'kist {command.name}' needs {_count(command)}", command=command.name)
    if command.most is not None and len(operands) > command.most:
        raise UsageError(
            f"'kist {command.name}' takes {_count(command)}; unexpected: {operands[command.most]!r}",
            command=command.name,
        )


def _count(command: "Command") -> str:
    if command.most == 0:
        return "no arguments"
    noun = "argument" if command.least == 1 else "arguments"
    if command.most == command.least:
        return f"exactly {command.least} {noun}: {command.operands}"
    if command.least == 0:
        return f"at most {command.most} argument{'s' if command.most != 1 else ''}: {command.operands}"
    return f"at least {command.least} {noun}: {command.operands}"
