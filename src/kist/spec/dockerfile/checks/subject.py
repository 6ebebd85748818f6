"""What the rules look at: a Dockerfile as it is written, with the variables that each of its instructions sees."""

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import msgspec

from kist.errors import ParseError
from kist.spec.dockerfile.checks.settings import Settings, of_comments
from kist.spec.dockerfile.checks.suggesting import nearest
from kist.spec.dockerfile.checks.wording import words_of
from kist.spec.dockerfile.expand import expand, expand_text, expand_words
from kist.spec.dockerfile.ignore import Ignore
from kist.spec.dockerfile.instructions import Arg, Dockerfile, Env, Expose, From, Instruction, Shell, Stage, Workdir
from kist.spec.dockerfile.lines import LogicalLine
from kist.spec.dockerfile.reading import directives, logical_lines
from kist.spec.dockerfile.scope import GlobalScope, StageScope, platform_arguments
from kist.spec.dockerfile.source import Word
from kist.spec.dockerfile.stages import find_target
from kist.spec.dockerfile.words import Head, cut
from kist.spec.platform import Platform
from kist.spec.reference import comparable

_SPECIAL = re.compile("[$'\"]")
# A file that means harm has many names: what is looked at of them has a bound.
_MOST_COPIED = 1_000_000
_MOST_SUGGESTED, _MOST_SUGGESTED_OF = 20, 500
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Environment = Callable[[str], tuple[str, ...] | None]
"""The environment (``NAME=value``) of an image; None where that is not known."""
BasePlatform = Callable[[str, Platform], Platform | None]
"""The platform of the image that a name has for a wanted one, or has at all; None where that is not known."""
IMAGE_CONTEXT = "docker-image://"
"""How a context begins that is an image."""


class Facts(msgspec.Struct, frozen=True):
    """What a check knows besides the file.

    Attributes:
        build_args: values of ARGs.
        target: the stage that is to be built; empty for the last.
        platform: that the build is for.
        host: this machine's.
        ignore: what COPY does not find; None where there is no such file.
        locked: the names of images whose digests are in a ``kist.lock``.
        environment: of base images.
        contexts: what names stand for, as a build is told (``BuildOptions.contexts``).
        base_platform: the platforms of base images.
    """

    platform: Platform
    host: Platform
    build_args: Mapping[str, str] = {}
    target: str = ""
    ignore: Ignore | None = None
    locked: frozenset[str] = frozenset()
    environment: Environment = lambda _: None
    contexts: Mapping[str, str] = {}
    base_platform: BasePlatform = lambda _, __: None

    def context(self, name: str) -> str | None:
        """What stands for a name; None where nothing does."""
        if not self.contexts or not name:
            return None
        wanted = comparable(name)
        return next((value for known, value in self.contexts.items() if comparable(known) == wanted), None)

    def environment_of(self, base: str) -> tuple[str, ...] | None:
        """What a stage on this base begins with; None where that is not known."""
        image = self._image(base)
        if image is None:
            return None if (self.context(base) or "").startswith("oci-layout:") else ()  # files have none
        return () if image == "scratch" else self.environment(image)

    def platform_of(self, base: str, wanted: Platform) -> Platform | None:
        """The platform of the image that is taken for a base; None where that is not known, or it is no image."""
        image = self._image(base)
        return None if image in {None, "", "scratch"} else self.base_platform(str(image), wanted)

    def _image(self, base: str) -> str | None:
        """The image that stands for a base; None where a context does that is none of an engine's."""
        value = self.context(base)
        if value is not None and not value.startswith(IMAGE_CONTEXT):
            return None
        return base if value is None else value.removeprefix(IMAGE_CONTEXT)


class Variables(Mapping[str, str]):
    """Variables that note which of them were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.used: dict[str, None] = {}
        self.missing: dict[str, None] = {}

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # of text alone
        """The value of one."""
        (self.used if name in self._values else self.missing)[name] = None
        return self._values.get(name, default)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Missing(msgspec.Struct, frozen=True):
    """A variable that nobody has defined: its name, the word that it stands in, and the name that may be meant."""

    name: str
    word: Word
    near: str = ""


class Written(msgspec.Struct, frozen=True):
    """An instruction as it stands in the file.

    Attributes:
        instruction: what it means.
        head: its words.
        stage: the index of its stage; -1 before the first.
        last: its last line.
        settings: which rules count for it.
        comment: the line of comment right above it; empty where there is none.
        values: of those of its words that are another text than what was written; None for one that cannot be had.
        ports: of EXPOSE, with the words that they come from.
        missing: variables in its words that nothing above it defines.
        has_shell: a SHELL stands above it.
        has_workdir: a WORKDIR stands above it.
    """

    instruction: Instruction
    head: Head
    stage: int
    last: int
    settings: Settings
    comment: str = ""
    values: Mapping[Word, str | None] = {}
    ports: tuple[tuple[Word, str], ...] = ()
    missing: tuple[Missing, ...] = ()
    has_shell: bool = False
    has_workdir: bool = False

    def value(self, word: Word) -> str | None:
        """What one of its words is; None where its variables cannot be replaced."""
        return self.values.get(word, word.text)

    @property
    def keyword(self) -> str:
        """Its keyword as it was written."""
        return self.head.keyword.text


class StageFacts(msgspec.Struct, frozen=True):
    """What is known of a stage.

    Attributes:
        base: the name of what it stands on, its variables replaced.
        parent: the index of the stage that it stands on; None for an image.
        lowest: the base of the lowest stage below it, which is its own where it stands on an image.
        is_known: all variables that it begins with are known.
    """

    stage: Stage
    base: str
    parent: int | None
    lowest: str
    is_known: bool


class _Above(msgspec.Struct):
    """What one stage leaves to those that stand on it."""

    environment: dict[str, str]
    arguments: dict[str, str]
    declared: set[str] = msgspec.field(default_factory=set)
    has_shell: bool = False
    has_workdir: bool = False


class Subject:
    """A Dockerfile, for the rules.

    Attributes:
        written: all instructions, in order.
        stages: by index.
        notes: what cannot be looked at.
    """

    def __init__(self, dockerfile: Dockerfile, facts: Facts, settings: Settings) -> None:
        self.dockerfile = dockerfile
        self.facts = facts
        self.notes: dict[str, None] = {}
        predeclared = platform_arguments(facts.platform, facts.host, facts.target)
        self.globals = GlobalScope(dockerfile, facts.build_args, predeclared)
        self.stages: list[StageFacts] = []
        self.written: list[Written] = []
        self._above: list[_Above] = []
        self._named: dict[str, int] = {}
        self._copied = 0
        self._suggested = 0
        self._walk(settings)

    def expand(self, word: Word, variables: Mapping[str, str], *, is_text: bool = False) -> str | None:
        """The value of a word, or of the text of a here-document; None where a variable in it cannot be replaced."""
        try:
            return (expand_text if is_text else expand)(word, variables, self.dockerfile.source, self.dockerfile.escape)
        except ParseError:
            return None  # the build itself tells of it

    def of(self, *kinds: type[Instruction]) -> Iterator[Written]:
        """The instructions of these kinds."""
        return (one for one in self.written if isinstance(one.instruction, kinds))

    @cached_property
    def chain(self) -> list[int]:
        """The indices of the target and of the stages that it stands on, the lowest first."""
        at: int | None = find_target(self.dockerfile, self.facts.target).index
        found: list[int] = []
        while at is not None:
            found.append(at)
            at = self.stages[at].parent
        return found[::-1]

    def _walk(self, settings: Settings) -> None:
        instructions = [
            *self.dockerfile.arguments,
            *(one for stage in self.dockerfile.stages for one in (stage.base, *stage.instructions)),
        ]
        source = self.dockerfile.source
        comments = _Comments(source.lines, directives(source)[1])
        scope, above = StageScope(self.globals, ()), _Above({}, {})
        lines = logical_lines(source, self.dockerfile.escape, comments.at)
        for instruction, line in zip(instructions, lines, strict=True):
            if isinstance(instruction, From):
                scope, above = self._begin(self.dockerfile.stages[len(self.stages)])
            last = _last_line(line)
            before, comment = comments.above(line.origins[0].line, last)
            merged = settings.merged(of_comments(before)) if before else settings
            values, ports, missing = self._look(instruction, scope, above.declared)
            self.written.append(
                Written(
                    instruction,
                    cut(line),
                    len(self.stages) - 1,
                    last,
                    merged,
                    comment,
                    values,
                    ports,
                    missing,
                    above.has_shell,
                    above.has_workdir,
                )
            )
            self._step(instruction, scope, above)

    def _begin(self, stage: Stage) -> tuple[StageScope, _Above]:
        base = self.expand(stage.base.image, self.globals.values) or ""
        parent, lowest = self._named.get(base.lower()), base
        if parent is not None:
            is_known, below, lowest = self.stages[parent].is_known, self._above[parent], self.stages[parent].lowest
        else:
            environment = self.facts.environment_of(base)
            is_known = environment is not None
            below = _Above(dict(entry.partition("=")[::2] for entry in (_PATH, *(environment or ()))), {})
        self._copied += len(below.environment) + len(below.arguments)
        if self._copied > _MOST_COPIED:
            is_known, below = False, _Above({}, {}, has_shell=True, has_workdir=True)
        scope = StageScope(self.globals, ())
        scope.environment, scope.arguments = dict(below.environment), dict(below.arguments)
        above = _Above(scope.environment, scope.arguments, set(below.declared), below.has_shell, below.has_workdir)
        self.stages.append(StageFacts(stage, base, parent, lowest, is_known))
        self._above.append(above)
        if stage.base.name:
            self._named[stage.base.name] = stage.index
        return scope, above

    def _look(
        self, one: Instruction, scope: StageScope, declared: set[str]
    ) -> tuple[dict[Word, str | None], tuple[tuple[Word, str], ...], tuple[Missing, ...]]:
        """The values of an instruction's words, its ports, and what is missing for them."""
        if not self.stages or isinstance(one, From):
            return {}, (), ()
        seen = ChainMap(scope.environment, scope.arguments)
        if isinstance(one, Expose):
            return {}, tuple(self._ports(one, seen)), ()
        values: dict[Word, str | None] = {}
        missing: dict[str, Missing] = {}
        for word, is_text in words_of(one, self.facts.build_args):
            if not _SPECIAL.search(word.text) and self.dockerfile.escape not in word.text:
                continue
            known = Variables(seen)
            values[word] = self.expand(word, known, is_text=is_text)
            for name in known.missing:
                if name not in missing and name not in declared:
                    missing[name] = Missing(name, word, self._nearest(name, seen))
        return values, (), tuple(missing.values())

    def _ports(self, one: Expose, seen: Mapping[str, str]) -> Iterator[tuple[Word, str]]:
        for word in one.ports:
            try:
                ports = expand_words(word, seen, self.dockerfile.source, self.dockerfile.escape)
            except ParseError:
                continue  # the build itself tells of it
            yield from ((word, port) for port in ports)

    def _nearest(self, name: str, seen: Mapping[str, str]) -> str:
        """A name that may be meant; for the first that are missing, as it costs a look at all that are known."""
        if not self.stages[-1].is_known or self._suggested == _MOST_SUGGESTED or len(seen) > _MOST_SUGGESTED_OF:
            return ""
        self._suggested += 1
        return nearest(name, seen)

    def _step(self, one: Instruction, scope: StageScope, above: _Above) -> None:
        """Go over one instruction of a stage."""
        if not self.stages:
            return
        if isinstance(one, Arg):
            names = {name.text for name, _ in one.arguments}
            try:
                scope.declare(one, self.dockerfile.source)
            except ParseError:  # the build itself tells of it
                scope.arguments.update(dict.fromkeys(names, ""))
            above.declared |= names
        elif isinstance(one, Env):
            seen = ChainMap(scope.environment, scope.arguments)
            pairs = {self.expand(name, seen) or name.text: self.expand(value, seen) or "" for name, value in one.pairs}
            scope.environment.update(pairs)
        elif isinstance(one, Shell):
            above.has_shell = True
        elif isinstance(one, Workdir):
            above.has_workdir = True


class _Comments:
    """The comments above instructions, read along with these."""

    def __init__(self, lines: tuple[str, ...], at: int) -> None:
        self._lines = lines
        self.at = at

    def above(self, first: int, last: int) -> tuple[tuple[str, ...], str]:
        """All between the instruction before and that of these lines; and the one right above it."""
        found: list[str] = []
        right_above = ""
        for line in self._lines[self.at : first - 1]:
            text = line.strip().removeprefix("#").strip() if line.strip() else ""
            if text:
                found.append(text)
            elif line.strip():
                found.clear()  # an empty comment ends what is said of the next instruction
            right_above = text
        self.at = last
        return tuple(found), right_above


def _last_line(line: LogicalLine) -> int:
    if line.heredocs:
        end = line.heredocs[-1]
        return end.first + end.text.count("\n")
    return line.origins[-1].line
