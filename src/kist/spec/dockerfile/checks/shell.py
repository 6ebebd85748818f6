"""The simple commands of a RUN, as far as they can be told without a shell (POSIX, Shell Command Language, 2.9)."""

import re
import shlex
from collections.abc import Iterator

from kist.spec.dockerfile.instructions import Run

_ENDS = re.compile(r"[;&|()\n]+\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BEFORE = frozenset({"sudo", "env", "exec", "command", "time", "if", "then", "else", "do", "while", "until", "!", "{"})
_LARGEST = 256 << 10  # characters; the reader below goes through them one by one


def commands(run: Run) -> Iterator[tuple[str, ...]]:
    """The words of each command, without assignments before it; none where a quote is not closed."""
    if not run.command.in_shell:
        yield run.command.words
        return
    texts = [heredoc.content.text for heredoc in run.documents]
    if not run.is_document:
        texts.append(run.command.words[0])
    for text in texts:
        if len(text) <= _LARGEST:
            yield from _simple(text)


def _simple(text: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace = " \t\r"
    lexer.commenters = ""
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for token in lexer:
            if not _ENDS.match(token):
                words.append(token)
            elif words:
                yield _bare(words)
                words = []
    except ValueError:
        return
    if words:
        yield _bare(words)


def _bare(words: list[str]) -> tuple[str, ...]:
    at = 0
    while at < len(words) and (words[at] in _BEFORE or _ASSIGNMENT.match(words[at])):
        at += 1
    return tuple(words[at:])
