"""The rule about variables that nobody has defined."""

from collections.abc import Iterator

from kist.errors import ParseError
from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.subject import Subject, Variables, Written
from kist.spec.dockerfile.checks.suggesting import nearest
from kist.spec.dockerfile.expand import expand_text
from kist.spec.dockerfile.source import Word


def undefined(subject: Subject) -> Iterator[Found]:
    """``$x`` that neither an ARG, an ENV nor the base image defines."""
    for one in subject.written:
        if one.stage < 0 or isinstance(one.instruction, ins.From) or "$" not in _text(one):
            continue
        known = Variables(one.variables)
        places: dict[str, Word] = {}
        for word in _words(subject, one.instruction):
            _look(subject, word, known)
            for name in known.missing:
                places.setdefault(name, word)
        for name, word in places.items():
            if name in one.declared:
                continue
            if not subject.stages[one.stage].is_known:
                base = subject.stages[_lowest(subject, one.stage)].base
                place = f"${name} on line {word.location.line}"
                subject.notes[f"{place}: which variables {base} has is not known here"] = None
                continue
            near = nearest(name, one.variables)
            meant = f" (did you mean ${near}?)" if near else ""
            yield one, f"Usage of undefined variable '${name}'{meant}", word.location


def _look(subject: Subject, word: Word, known: Variables) -> None:
    if "\n" not in word.text:
        subject.expand(word, known)
        return
    try:
        expand_text(word, known, subject.dockerfile.source, subject.dockerfile.escape)
    except ParseError:
        return  # the build itself tells of it


def _text(one: Written) -> str:
    return one.head.line.text + "".join(heredoc.text for heredoc in one.head.line.heredocs if heredoc.expands)


def _lowest(subject: Subject, stage: int) -> int:
    while (parent := subject.stages[stage].parent) is not None:
        stage = parent
    return stage


def _words(subject: Subject, one: ins.Instruction) -> Iterator[Word]:
    """The words in which variables are replaced; those of EXPOSE and of commands have other rules."""
    match one:
        case ins.Env(pairs=pairs) | ins.Label(pairs=pairs):
            for name, value in pairs:
                yield from (name, value)
        case ins.Copy():
            yield from (*one.sources, one.destination)
            yield from filter(None, (one.owner, one.mode))
            yield from (heredoc.content for heredoc in one.documents if heredoc.expands)
        case ins.Workdir(path=word) | ins.User(user=word) | ins.Stopsignal(signal=word):
            yield word
        case ins.Volume(paths=words):
            yield from words
        case ins.Arg(arguments=arguments):
            given = subject.facts.build_args
            yield from (value for name, value in arguments if value and name.text not in given)
