"""Rules about single instructions: deprecated forms, and what has no effect."""

import posixpath
import re
from collections.abc import Iterator

from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.checks.quoting import quoted
from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.subject import Subject, Written
from kist.spec.dockerfile.source import Word
from kist.spec.dockerfile.words import quoted_words

_SECRET = re.compile(
    r"(?:_|\A)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|\A)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.IGNORECASE)
_WHOLE = frozenset({"*", "**", "**/*"})


def shell_form(subject: Subject) -> Iterator[Found]:
    """``CMD text``, of which a shell is made the first process, in a file that chose none."""
    for one in subject.of(ins.Cmd, ins.Entrypoint):
        assert isinstance(one.instruction, ins.Cmd | ins.Entrypoint)
        if one.instruction.command.in_shell and not one.has_shell:
            message = f"JSON arguments recommended for {one.keyword} to prevent unintended behavior"
            yield one, f"{message} related to OS signals", one.head.rest.location


def maintainer(subject: Subject) -> Iterator[Found]:
    """``MAINTAINER``."""
    for one in subject.of(ins.Maintainer):
        yield one, "Maintainer instruction is deprecated in favor of using label"


def relative_workdir(subject: Subject) -> Iterator[Found]:
    """The first WORKDIR of a stage, and of those that it stands on, is relative."""
    for one in subject.of(ins.Workdir):
        assert isinstance(one.instruction, ins.Workdir)
        word = one.instruction.path
        path = one.value(word)
        if not one.has_workdir and path and not path.startswith("/") and not _may_be_absolute(subject, one, word):
            message = f"Relative workdir {quoted(path)} can have unexpected results if the base image changes"
            yield one, message, word.location


def only_last_counts(subject: Subject) -> Iterator[Found]:
    """Several CMD, ENTRYPOINT or HEALTHCHECK of one stage; told at those that have no effect."""
    last: dict[tuple[int, str], Written] = {}
    for one in subject.of(ins.Cmd, ins.Entrypoint, ins.Healthcheck):
        key = one.stage, one.instruction.keyword
        if key in last:
            why = "should not be used in the same stage because only the last one will be used"
            yield last[key], f"Multiple {one.keyword} instructions {why}"
        last[key] = one


def legacy_pair(subject: Subject) -> Iterator[Found]:
    """``ENV name value``."""
    for one in subject.of(ins.Env, ins.Label):
        if "=" not in quoted_words(one.head.rest)[0].text:
            word = one.keyword
            yield one, f'"{word} key=value" should be used instead of legacy "{word} key value" format'


def secret(subject: Subject) -> Iterator[Found]:
    """ARGs and ENVs by whose names one would call a secret: whoever has the image can read them."""
    for one in subject.of(ins.Arg, ins.Env):
        if one.stage < 0:
            continue
        for name in _names(one.instruction):
            if _SECRET.search(name.text) and not _NO_SECRET.search(name.text):
                what = f"{one.instruction.keyword} {quoted(name.text)}"
                yield one, f"Do not use ARG or ENV instructions for sensitive data ({what})", name.location


def ignored_file(subject: Subject) -> Iterator[Found]:
    """COPY of what ``.dockerignore`` leaves out; where that takes something in again, nobody can tell."""
    ignore = subject.facts.ignore
    if ignore is None or any(rule.takes_in for rule in ignore.rules):
        return
    is_empty = any(rule.pattern in _WHOLE for rule in ignore.rules)
    for one in subject.of(ins.Copy, ins.Add):
        assert isinstance(one.instruction, ins.Copy)
        if one.instruction.origin is not None:
            continue
        for word in one.instruction.sources:
            written = one.value(word)
            if not written or _REMOTE.match(written):
                continue
            path = posixpath.normpath(written)
            clean = path.lstrip("/")
            if is_empty if clean in {"", "."} else ignore.excludes(clean):
                what = f"{one.instruction.keyword.capitalize()} file {quoted(path)}"
                yield one, f"Attempting to {what} that is excluded by .dockerignore", word.location


def protocol_casing(subject: Subject) -> Iterator[Found]:
    """``EXPOSE 80/TCP``."""
    for one, word, port in _ports(subject):
        protocol = port.rpartition("/")[2] if "/" in port else ""
        if protocol != protocol.lower():
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield one, message, word.location


def published_port(subject: Subject) -> Iterator[Found]:
    """``EXPOSE 8080:80``."""
    for one, word, port in _ports(subject):
        if ":" in port:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            yield one, message, word.location


def _ports(subject: Subject) -> Iterator[tuple[Written, Word, str]]:
    return ((one, word, port) for one in subject.of(ins.Expose) for word, port in one.ports)


def _names(one: ins.Instruction) -> Iterator[Word]:
    match one:
        case ins.Arg(arguments=arguments):
            yield from (name for name, _ in arguments)
        case ins.Env(pairs=pairs):
            yield from (name for name, _ in pairs)


def _may_be_absolute(subject: Subject, one: Written, word: Word) -> bool:
    """Whether it begins with a variable that the base image may define."""
    return word.text.startswith("$") and not subject.stages[one.stage].is_known
