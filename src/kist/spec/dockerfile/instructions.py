"""The instructions of a Dockerfile as values (Dockerfile reference).

Variables are still in the words where Docker expands them later (``Word``); plain ``str`` fields are never expanded.
"""

from typing import ClassVar

import msgspec

from kist.spec.dockerfile.lines import Heredoc
from kist.spec.dockerfile.mounts import RunDevice
from kist.spec.dockerfile.source import Location, Source, Word
from kist.spec.image import Healthcheck as HealthcheckConfig


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """What all have: where it begins, and its text with continuations joined."""

    keyword: ClassVar[str] = ""
    location: Location
    text: str


class Command(msgspec.Struct, frozen=True):
    """A command line: one text for the shell, or the words of the exec form."""

    words: tuple[str, ...]
    in_shell: bool


class From(Instruction, frozen=True, kw_only=True):
    """``FROM [--platform=P] image [AS name]``; ``name`` is in lower case, empty when there is none."""

    keyword = "FROM"
    image: Word
    platform: Word | None = None
    name: str = ""


class Arg(Instruction, frozen=True, kw_only=True):
    """``ARG name[=default] …``."""

    keyword = "ARG"
    arguments: tuple[tuple[Word, Word | None], ...]


class Env(Instruction, frozen=True, kw_only=True):
    """``ENV name=value …`` or ``ENV name value``."""

    keyword = "ENV"
    pairs: tuple[tuple[Word, Word], ...]


class Label(Instruction, frozen=True, kw_only=True):
    """``LABEL name=value …`` or ``LABEL name value``."""

    keyword = "LABEL"
    pairs: tuple[tuple[Word, Word], ...]


class Run(Instruction, frozen=True, kw_only=True):
    """``RUN [--mount=M …] [--network=N] [--security=S] [--device=D …] command``, with its here-documents.

    Attributes:
        is_document: the command is a here-document and nothing else: its text is the script.
    """

    keyword = "RUN"
    command: Command
    documents: tuple[Heredoc, ...] = ()
    is_document: bool = False
    mounts: tuple[Word, ...] = ()
    network: Word | None = None
    security: Word | None = None
    devices: tuple[RunDevice, ...] = ()


class Cmd(Instruction, frozen=True, kw_only=True):
    """``CMD command``; an empty exec form clears it."""

    keyword = "CMD"
    command: Command


class Entrypoint(Instruction, frozen=True, kw_only=True):
    """``ENTRYPOINT command``; an empty exec form clears it."""

    keyword = "ENTRYPOINT"
    command: Command


class Copy(Instruction, frozen=True, kw_only=True):
    """``COPY [flags] source… destination``.

    Attributes:
        sources: paths; here-documents are not among them.
        documents: each becomes a file of its name.
        origin: where the files come from, in place of the context.
        link: the files are a layer of their own, whatever is below it.
        parents: the directories on the way to a source are made too.
        excludes: patterns of what is left out.
    """

    keyword = "COPY"
    sources: tuple[Word, ...]
    destination: Word
    documents: tuple[Heredoc, ...] = ()
    origin: Word | None = None
    owner: Word | None = None
    mode: Word | None = None
    link: bool = False
    parents: bool = False
    excludes: tuple[Word, ...] = ()


class Add(Copy, frozen=True, kw_only=True):
    """``ADD [flags] source… destination``: a copy that unpacks local tar archives, and fetches.

    Attributes:
        checksum: what must be fetched.
        keep_git_dir: a repository is kept with its history; None where nothing is said.
        unpack: archives are unpacked; None where nothing is said: local ones.
    """

    keyword = "ADD"
    checksum: Word | None = None
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class Expose(Instruction, frozen=True, kw_only=True):
    """``EXPOSE port[/protocol] …``."""

    keyword = "EXPOSE"
    ports: tuple[Word, ...]


class Volume(Instruction, frozen=True, kw_only=True):
    """``VOLUME path …``."""

    keyword = "VOLUME"
    paths: tuple[Word, ...]


class User(Instruction, frozen=True, kw_only=True):
    """``USER name[:group]``."""

    keyword = "USER"
    user: Word


class Workdir(Instruction, frozen=True, kw_only=True):
    """``WORKDIR path``."""

    keyword = "WORKDIR"
    path: Word


class Shell(Instruction, frozen=True, kw_only=True):
    """``SHELL ["program", "argument"]``."""

    keyword = "SHELL"
    words: tuple[str, ...]


class Stopsignal(Instruction, frozen=True, kw_only=True):
    """``STOPSIGNAL signal``."""

    keyword = "STOPSIGNAL"
    signal: Word


class Healthcheck(Instruction, frozen=True, kw_only=True):
    """``HEALTHCHECK [options] CMD command`` or ``HEALTHCHECK NONE``, in the form of the image's config."""

    keyword = "HEALTHCHECK"
    check: HealthcheckConfig


class Onbuild(Instruction, frozen=True, kw_only=True):
    """``ONBUILD instruction``; ``trigger`` is the instruction's text as the image's config keeps it."""

    keyword = "ONBUILD"
    trigger: str
    instruction: Instruction


class Maintainer(Instruction, frozen=True, kw_only=True):
    """``MAINTAINER name``."""

    keyword = "MAINTAINER"
    name: str


class Stage(msgspec.Struct, frozen=True):
    """A FROM and what follows it; ``index`` counts from 0."""

    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """The name after AS, else the number."""
        return self.base.name or str(self.index)


class Directives(msgspec.Struct, frozen=True):
    """``# name=value`` at the top of a file: which program should read it, its escape character, what is checked."""

    syntax: str = ""
    escape: str = "\\"
    check: str = ""


class Dockerfile(msgspec.Struct, frozen=True):
    """A whole file.

    Attributes:
        arguments: the ARGs before the first FROM.
        warnings: what its writer should know; work goes on.
    """

    source: Source
    directives: Directives
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...] = ()

    @property
    def escape(self) -> str:
        """The escape character that its words use."""
        return self.directives.escape
