"""What the rules look at: a Dockerfile as it is written, with the variables that each of its instructions sees."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import msgspec

from kist.errors import ParseError
from kist.spec.dockerfile.checks.settings import Settings, of_comments
from kist.spec.dockerfile.expand import expand
from kist.spec.dockerfile.ignore import Ignore
from kist.spec.dockerfile.instructions import Arg, Dockerfile, Env, From, Instruction, Shell, Stage
from kist.spec.dockerfile.lines import LogicalLine
from kist.spec.dockerfile.reading import directives, logical_lines
from kist.spec.dockerfile.scope import GlobalScope, StageScope, platform_arguments
from kist.spec.dockerfile.source import Word
from kist.spec.dockerfile.stages import find_target
from kist.spec.dockerfile.words import Head, cut
from kist.spec.platform import Platform

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Environment = Callable[[str], tuple[str, ...] | None]
"""The environment (``NAME=value``) of an image; None where that is not known."""


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
    """

    platform: Platform
    host: Platform
    build_args: Mapping[str, str] = {}
    target: str = ""
    ignore: Ignore | None = None
    locked: frozenset[str] = frozenset()
    environment: Environment = lambda _: None


class Variables(dict[str, str]):
    """Variables that note which of them were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.used: dict[str, None] = {}
        self.missing: dict[str, None] = {}

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # of text alone
        """The value of one."""
        (self.used if name in self else self.missing)[name] = None
        return super().get(name, default)


class Written(msgspec.Struct, frozen=True):
    """An instruction as it stands in the file.

    Attributes:
        instruction: what it means.
        head: its words.
        stage: the index of its stage; -1 before the first.
        last: its last line.
        settings: which rules count for it.
        comment: the line of comment right above it; empty where there is none.
        variables: what it sees; empty where no variable is used.
        declared: ARGs without a value that it sees.
        has_shell: a SHELL stands above it.
    """

    instruction: Instruction
    head: Head
    stage: int
    last: int
    settings: Settings
    comment: str = ""
    variables: Mapping[str, str] = {}
    declared: frozenset[str] = frozenset()
    has_shell: bool = False

    @property
    def keyword(self) -> str:
        """Its keyword as it was written."""
        return self.head.keyword.text


class StageFacts(msgspec.Struct, frozen=True):
    """What is known of a stage.

    Attributes:
        base: the name of what it stands on, its variables replaced.
        parent: the index of the stage that it stands on; None for an image.
        is_known: all variables that it begins with are known.
    """

    stage: Stage
    base: str
    parent: int | None
    is_known: bool


class _Above(msgspec.Struct):
    """What one stage leaves to those that stand on it."""

    environment: dict[str, str]
    arguments: dict[str, str]
    declared: frozenset[str] = frozenset()
    has_shell: bool = False


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
        self._walk(settings)

    def expand(self, word: Word, variables: Mapping[str, str]) -> str | None:
        """The value of a word; None where it has none, because a variable is missing or cannot be replaced."""
        if "$" not in word.text and self.dockerfile.escape not in word.text and not set("'\"") & set(word.text):
            return word.text
        try:
            return expand(word, variables, self.dockerfile.source, self.dockerfile.escape)
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
            has_variables = "$" in line.text or bool(line.heredocs)
            last = _last_line(line)
            before, comment = comments.above(line.origins[0].line, last)
            self.written.append(
                Written(
                    instruction,
                    cut(line),
                    len(self.stages) - 1,
                    last,
                    settings.merged(of_comments(before)) if before else settings,
                    comment,
                    scope.variables if has_variables else {},
                    above.declared,
                    above.has_shell,
                )
            )
            self._step(instruction, scope, above)

    def _begin(self, stage: Stage) -> tuple[StageScope, _Above]:
        base = self.expand(stage.base.image, self.globals.values) or ""
        named = [one.stage.index for one in self.stages if one.stage.base.name == base.lower()] if base else []
        parent = named[-1] if named else None
        if parent is not None:
            is_known, below = self.stages[parent].is_known, self._above[parent]
        else:
            environment = () if base == "scratch" else self.facts.environment(base)
            is_known = environment is not None
            below = _Above(dict(entry.partition("=")[::2] for entry in (_PATH, *(environment or ()))), {})
        scope = StageScope(self.globals, ())
        scope.environment, scope.arguments = dict(below.environment), dict(below.arguments)
        above = _Above(scope.environment, scope.arguments, below.declared, below.has_shell)
        self.stages.append(StageFacts(stage, base, parent, is_known))
        self._above.append(above)
        return scope, above

    def _step(self, one: Instruction, scope: StageScope, above: _Above) -> None:
        """Go over one instruction of a stage."""
        if not self.stages:
            return
        if isinstance(one, Arg):
            try:
                scope.declare(one, self.dockerfile.source)
            except ParseError:
                pass_over = {name.text: "" for name, _ in one.arguments}
                scope.arguments.update(pass_over)
            above.declared |= {name.text for name, _ in one.arguments}
        elif isinstance(one, Env):
            seen = scope.variables
            pairs = {self.expand(name, seen) or name.text: self.expand(value, seen) or "" for name, value in one.pairs}
            scope.environment.update(pairs)
        elif isinstance(one, Shell):
            above.has_shell = True


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
