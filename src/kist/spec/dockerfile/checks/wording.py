"""The words of an instruction in which variables are replaced before it is carried out."""

from collections.abc import Iterator, Mapping

from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.source import Word


def words_of(one: ins.Instruction, build_args: Mapping[str, str]) -> Iterator[tuple[Word, bool]]:
    """Each with whether it is a here-document's text. Those of EXPOSE and of commands have rules of their own."""
    match one:
        case ins.Copy():
            words = (*one.sources, one.destination, *filter(None, (one.owner, one.mode)))
            yield from ((word, False) for word in words)
            yield from ((heredoc.content, True) for heredoc in one.documents if heredoc.expands)
        case ins.Env(pairs=pairs) | ins.Label(pairs=pairs):
            yield from ((word, False) for pair in pairs for word in pair)
        case ins.Workdir(path=word) | ins.User(user=word) | ins.Stopsignal(signal=word):
            yield word, False
        case ins.Volume(paths=words):
            yield from ((word, False) for word in words)
        case ins.Arg(arguments=arguments):
            yield from ((value, False) for name, value in arguments if value and name.text not in build_args)
