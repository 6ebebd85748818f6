"""One function for each instruction: from its cut line to its value (Dockerfile reference, one section each)."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from kist.errors import ParseError
from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.duration import parse_duration
from kist.spec.dockerfile.heredocs import is_opening, is_parted
from kist.spec.dockerfile.lines import Span
from kist.spec.dockerfile.mounts import check_mount, read_device
from kist.spec.dockerfile.source import Location, Word
from kist.spec.dockerfile.words import Flag, Head, cut, json_words, quoted_words
from kist.spec.image import Healthcheck as HealthcheckConfig

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_MIN_DURATION = 10**6
_NETWORKS, _SECURITY = ("default", "none", "host"), ("sandbox", "insecure")

_REPEATED = frozenset({"--exclude", "--mount", "--device"})
_SWITCHES = {"--link", "--parents", "--keep-git-dir", "--unpack"}
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})

_FLAGS = {
    "FROM": {"platform"},
    "COPY": {"from", "chown", "chmod", "link", "parents", "exclude"},
    "ADD": {"chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"},
    "RUN": {"mount", "network", "security", "device"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}


def parse_instruction(head: Head) -> ins.Instruction:
    """The value of one instruction.

    Raises:
        ParseError: points at what is wrong, says what was expected.
    """
    keyword = head.keyword.text.upper()
    parse = _PARSERS.get(keyword)
    if parse is None:
        raise fail(head, f"unknown instruction: {keyword}", head.keyword.location, hint=_nearest(keyword, _PARSERS))
    _check_flags(head, keyword)
    return parse(head, {"location": head.keyword.location, "text": f"{keyword} {head.body.text}".rstrip()})


def fail(head: Head, message: str, location: Location | None = None, *, hint: str = "") -> ParseError:
    """An error at ``location``, else at the arguments of the instruction."""
    return head.line.source.error(location or head.rest.location, message, hint=hint)


def _nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return f"known are {', '.join(prefix + name for name in sorted(known))}"


# Flags


def _check_flags(head: Head, keyword: str) -> None:
    known = _FLAGS.get(keyword, set())
    seen = set()
    for flag in head.flags:
        if flag.name[2:] not in known:
            hint = _nearest(flag.name[2:], known, "--") if known else f"{keyword} takes no flags"
            raise fail(head, f"unknown flag: {flag.name}", flag.location, hint=hint)
        if (flag.value is None or not flag.value.text) and flag.name not in _SWITCHES:
            raise fail(head, f"missing a value on flag {flag.name}: expected {flag.name}=VALUE", flag.location)
        if flag.name in seen and flag.name not in _REPEATED:
            raise fail(head, f"duplicate flag: {flag.name}", flag.location, hint="keep one of them")
        seen.add(flag.name)


def _flag(head: Head, name: str) -> Flag | None:
    return next((flag for flag in head.flags if flag.name == "--" + name), None)


def _flag_word(head: Head, name: str) -> Word | None:
    flag = _flag(head, name)
    return flag.value if flag else None


def _switch(head: Head, name: str) -> bool | None:
    """``--name`` or ``--name=BOOL``; None where it is not there."""
    flag = _flag(head, name)
    if flag is None or flag.value is None:
        return None if flag is None else True
    word = flag.value.text.lower()
    if word not in _TRUE | _FALSE:
        raise fail(head, f"--{name}={flag.value.text}: expected true or false", flag.value.location)
    return word in _TRUE


# Arguments


def _require(head: Head, expected: str) -> Span:
    if not head.rest.text:
        raise fail(head, f"{head.keyword.text.upper()} needs an argument: expected {expected}")
    return head.rest


def _command(span: Span) -> ins.Command:
    words = json_words(span)
    if words is not None:
        return ins.Command(words, in_shell=False)
    return ins.Command((span.text,), in_shell=True)


def _list(span: Span) -> list[Word]:
    words = json_words(span)
    return span.split() if words is None else [Word(word, span.location) for word in words]


def _pairs(head: Head) -> tuple[tuple[Word, Word], ...]:
    """``name=value …`` or ``name value``: the first word tells which spelling it is."""
    keyword = head.keyword.text.upper()
    words = quoted_words(_require(head, "NAME=value"))
    if words and "=" not in words[0].text:
        parts = head.rest.split(limit=1)
        if len(parts) < 2:
            raise fail(head, f"{keyword} {parts[0].text} has no value: expected {keyword} {parts[0].text}=value")
        return ((parts[0], parts[1]),)
    return tuple(_pair(head, word) for word in words)


def _pair(head: Head, word: Word) -> tuple[Word, Word]:
    name, equals, value = word.text.partition("=")
    if not equals:
        raise fail(
            head,
            f"expected NAME=value, found {word.text!r}",
            word.location,
            hint="put a value that holds white space in double quotes",
        )
    if not name:
        raise fail(head, f"{head.keyword.text.upper()} names can not be blank: expected NAME=value", word.location)
    place = Location(word.location.line, word.location.column + len(name) + 1)
    return Word(name, word.location), Word(value, place)


# The instructions


def _from(head: Head, common: Any) -> ins.From:
    words = _require(head, "the name of an image, or scratch").split()
    if len(words) == 1:
        return ins.From(image=words[0], platform=_flag_word(head, "platform"), **common)
    if len(words) != 3 or words[1].text.upper() != "AS":
        at = words[1].location if words[1].text.upper() != "AS" else head.rest.location
        raise fail(head, "expected FROM image or FROM image AS name", at)
    name = words[2].text.lower()
    if not _STAGE_NAME.match(name):
        raise fail(
            head,
            f"invalid name for a build stage: {words[2].text!r}: expected a letter, then letters, digits or -_.",
            words[2].location,
        )
    return ins.From(image=words[0], platform=_flag_word(head, "platform"), name=name, **common)


def _arg(head: Head, common: Any) -> ins.Arg:
    words = quoted_words(_require(head, "NAME or NAME=default"))
    arguments = tuple(_pair(head, word) if "=" in word.text else (word, None) for word in words)
    return ins.Arg(arguments=arguments, **common)


def _env(head: Head, common: Any) -> ins.Env:
    return ins.Env(pairs=_pairs(head), **common)


def _label(head: Head, common: Any) -> ins.Label:
    return ins.Label(pairs=_pairs(head), **common)


def _run(head: Head, common: Any) -> ins.Run:
    command = _command(_require(head, "a command"))
    if not command.words:
        raise fail(head, "RUN needs a command: the array is empty")
    documents = head.line.heredocs
    whole = len(documents) == 1 and is_opening(head.rest)
    source = head.line.source
    mounts = tuple(flag.value for flag in head.flags if flag.name == "--mount" and flag.value)
    for mount in mounts:
        check_mount(mount, source)
    devices = tuple(read_device(flag.value, source) for flag in head.flags if flag.name == "--device" and flag.value)
    return ins.Run(
        command=command,
        documents=documents,
        is_document=whole,
        mounts=mounts,
        network=_choice(head, "network", _NETWORKS),
        security=_choice(head, "security", _SECURITY),
        devices=devices,
        **common,
    )


def _choice(head: Head, name: str, choices: tuple[str, ...]) -> Word | None:
    word = _flag_word(head, name)
    if word is not None and word.text not in choices:
        raise fail(head, f"invalid value {word.text!r} for --{name}", word.location, hint=_nearest(word.text, choices))
    return word


def _cmd(head: Head, common: Any) -> ins.Cmd:
    return ins.Cmd(command=_clearable(head), **common)


def _entrypoint(head: Head, common: Any) -> ins.Entrypoint:
    return ins.Entrypoint(command=_clearable(head), **common)


def _clearable(head: Head) -> ins.Command:
    return _command(head.rest) if head.rest.text else ins.Command((), in_shell=False)


def _copy(head: Head, common: Any) -> ins.Copy:
    origin, parents = _flag_word(head, "from"), _switch(head, "parents") or False
    return ins.Copy(origin=origin, parents=parents, **_copy_fields(head), **common)


def _add(head: Head, common: Any) -> ins.Add:
    return ins.Add(
        checksum=_flag_word(head, "checksum"),
        keep_git_dir=_switch(head, "keep-git-dir"),
        unpack=_switch(head, "unpack"),
        **_copy_fields(head),
        **common,
    )


def _copy_fields(head: Head) -> dict[str, Any]:
    keyword = head.keyword.text.upper()
    words = _list(_require(head, "a source and a destination"))
    if len(words) < 2:
        raise (
            fail(head, f"{keyword} needs at least two arguments: expected a destination after {words[0].text!r}")
            if words
            else fail(head, f"{keyword} needs a source and a destination: the array is empty")
        )
    documents = {heredoc.word.location: heredoc for heredoc in head.line.heredocs}
    if words[-1].location in documents:
        raise fail(head, f"{keyword} cannot accept a here-document as a destination", words[-1].location)
    begun = {at for at, word in enumerate(words) if word.location in documents}
    begun |= {at + 1 for at in begun if is_parted(words[at])}
    return {
        "sources": tuple(word for at, word in enumerate(words[:-1]) if at not in begun),
        "documents": tuple(documents.values()),
        "destination": words[-1],
        "owner": _flag_word(head, "chown"),
        "mode": _flag_word(head, "chmod"),
        "link": _switch(head, "link") or False,
        "excludes": tuple(flag.value for flag in head.flags if flag.name == "--exclude" and flag.value),
    }


def _expose(head: Head, common: Any) -> ins.Expose:
    return ins.Expose(ports=tuple(_require(head, "a port: 80, 80/tcp or 8000-8010").split()), **common)


def _volume(head: Head, common: Any) -> ins.Volume:
    words = _list(_require(head, "a path in the container"))
    if not words or not all(word.text for word in words):
        raise fail(head, "VOLUME specified can not be an empty string: expected a path in the container")
    return ins.Volume(paths=tuple(words), **common)


def _one(head: Head, expected: str) -> Word:
    return _require(head, expected).word()


def _user(head: Head, common: Any) -> ins.User:
    return ins.User(user=_one(head, "a user, or user:group"), **common)


def _workdir(head: Head, common: Any) -> ins.Workdir:
    return ins.Workdir(path=_one(head, "a directory"), **common)


def _stopsignal(head: Head, common: Any) -> ins.Stopsignal:
    return ins.Stopsignal(signal=_one(head, "a signal: SIGTERM, TERM or 15"), **common)


def _maintainer(head: Head, common: Any) -> ins.Maintainer:
    return ins.Maintainer(name=_one(head, "a name").text, **common)


def _shell(head: Head, common: Any) -> ins.Shell:
    words = json_words(_require(head, '["program", "argument"]'))
    if not words:
        raise fail(head, 'SHELL requires the arguments to be in JSON form: expected ["program", "argument"]')
    return ins.Shell(words=words, **common)


def _onbuild(head: Head, common: Any) -> ins.Onbuild:
    span = _require(head, "an instruction")
    inner = cut(head.line, span.start)
    keyword = inner.keyword.text.upper()
    if keyword in {"ONBUILD", "FROM", "MAINTAINER"}:
        why = "chaining ONBUILD is not allowed" if keyword == "ONBUILD" else f"{keyword} isn't allowed as a trigger"
        raise fail(head, f"{why}: expected another instruction after ONBUILD", inner.keyword.location)
    instruction = parse_instruction(inner)
    documents = "".join(f"\n{heredoc.text}{heredoc.name}" for heredoc in head.line.heredocs)
    return ins.Onbuild(trigger=span.text + documents, instruction=instruction, **common)


def _healthcheck(head: Head, common: Any) -> ins.Healthcheck:
    words = _require(head, "CMD command, or NONE").split(limit=1)
    kind = words[0].text.upper()
    if kind == "NONE":
        if len(words) > 1 or head.flags:
            place = words[1].location if len(words) > 1 else head.flags[0].location
            raise fail(head, "HEALTHCHECK NONE takes no arguments and no flags", place)
        return ins.Healthcheck(check=HealthcheckConfig(test=("NONE",)), **common)
    if kind != "CMD":
        raise fail(head, f"unknown type {words[0].text!r} in HEALTHCHECK: expected CMD or NONE", words[0].location)
    command = _command(head.line.span(head.rest.start + len(words[0].text), head.rest.end))
    if not any(command.words):
        raise fail(head, "missing command after HEALTHCHECK CMD: expected the command that checks")
    check = HealthcheckConfig(
        test=("CMD-SHELL" if command.in_shell else "CMD", *command.words),
        interval=_duration(head, "interval"),
        timeout=_duration(head, "timeout"),
        start_period=_duration(head, "start-period"),
        start_interval=_duration(head, "start-interval"),
        retries=_retries(head),
    )
    return ins.Healthcheck(check=check, **common)


def _duration(head: Head, name: str) -> int:
    word = _flag_word(head, name)
    if word is None:
        return 0
    try:
        value = parse_duration(word.text)
    except ValueError:
        raise fail(head, f"--{name}={word.text}: expected a duration such as 30s or 1m30s", word.location) from None
    if 0 < value < _MIN_DURATION:
        raise fail(head, f"--{name}={word.text}: expected at least 1ms, or 0 for the default", word.location)
    return value


def _retries(head: Head) -> int:
    word = _flag_word(head, "retries")
    if word is None:
        return 0
    if not (word.text.isascii() and word.text.isdecimal()) or len(word.text) > 9:
        raise fail(head, f"--retries={word.text}: expected a whole number, 0 or more", word.location)
    return int(word.text)


_PARSERS: dict[str, Callable[[Head, Any], ins.Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
