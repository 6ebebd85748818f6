"""Rules of how a file is written: upper and lower case, empty lines, comments."""

from collections.abc import Iterator

from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.subject import Subject, Written
from kist.spec.dockerfile.instructions import Arg, From
from kist.spec.dockerfile.source import Location, Word


def stage_name(subject: Subject) -> Iterator[Found]:
    """``FROM x AS Name``."""
    for one in subject.of(From):
        name = _words(one)[2:]
        if name and name[0].text != name[0].text.lower():
            yield one, f"Stage name '{name[0].text}' should be lowercase", name[0].location


def from_as(subject: Subject) -> Iterator[Found]:
    """``FROM x as name``. A FROM of mixed case is another rule's."""
    for one in subject.of(From):
        words, keyword = _words(one), one.keyword
        if len(words) < 3 or keyword not in {keyword.lower(), keyword.upper()}:
            continue
        wanted = words[1].text.lower() if keyword == keyword.lower() else words[1].text.upper()
        if words[1].text != wanted:
            yield one, f"'{words[1].text}' and '{keyword}' keywords' casing do not match", words[1].location


def empty_continuation(subject: Subject) -> Iterator[Found]:
    """An empty line in the midst of an instruction."""
    lines = subject.dockerfile.source.lines
    for one in subject.written:
        end = one.head.line.origins[-1].line
        empty = next((at for at in range(one.instruction.location.line, end + 1) if not lines[at - 1].strip()), None)
        if empty is not None:
            yield one, "Empty continuation line", Location(empty, 1)


def instruction_casing(subject: Subject) -> Iterator[Found]:
    """Keywords are of one case, that of most; those before the first FROM do not count."""
    written = [one for one in subject.written if one.stage >= 0]
    lower = sum(one.keyword == one.keyword.lower() for one in written)
    upper = sum(one.keyword == one.keyword.upper() for one in written)
    casing, cased = ("lowercase", str.lower) if lower > upper else ("uppercase", str.upper)
    for one in written:
        if one.keyword != cased(one.keyword):
            yield one, f"Command '{one.keyword}' should match the case of the command majority ({casing})"


def description(subject: Subject) -> Iterator[Found]:
    """A comment right above a FROM or ARG begins with the name that it describes."""
    for one in subject.of(From, Arg):
        names = _defined(one)
        if not one.comment or not names or one.comment.split(" ")[0] in names:
            continue
        example = names[0] if len(names) == 1 else "<arg_key>"
        keyword = one.instruction.keyword
        yield one, f"Comment for {keyword} should follow the format: `# {example} <description>`"


def _defined(one: Written) -> list[str]:
    if isinstance(one.instruction, From):
        return [one.instruction.name] if one.instruction.name else []
    assert isinstance(one.instruction, Arg)
    return [name.text for name, _ in one.instruction.arguments]


def _words(one: Written) -> list[Word]:
    return one.head.rest.split()
