"""One stage's instructions to steps: variables replaced, the config followed from step to step."""

import posixpath
import re
import signal
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from kist.build import describe
from kist.build.plan import (
    SCRIPTS,
    Action,
    Checkout,
    Configure,
    CopyFiles,
    Document,
    Download,
    MakeDirectory,
    Run,
    Step,
)
from kist.build.remotes import is_remote, read_remote
from kist.build.run_mount import BindMount, CacheMount, Mounted, SshMount, settle
from kist.engine.emulation import WAY as _EMULATED
from kist.errors import InvalidInput, ParseError
from kist.spec.dockerfile import Ignore, Instruction, Source, Stage, Word, expand, expand_text, expand_words
from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.lines import Heredoc
from kist.spec.dockerfile.mode import Mode
from kist.spec.dockerfile.mounts import read_mount
from kist.spec.dockerfile.scope import CACHE_NAMESPACE, HOSTNAME, GlobalScope, StageScope
from kist.spec.image import ContainerConfig, ImageConfig
from kist.spec.platform import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(?:.*:)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_SIGNAL = re.compile(r"(?:SIG)?(RTMIN(?:\+[0-9]+)?|RTMAX(?:-[0-9]+)?|[A-Z0-9]+)\Z")
_OTHER_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class StageBuilder:
    """Collects the steps of one stage.

    Args:
        image: what the stage begins with.
        config: its container config, without the triggers that are run now.
        origin: finds the step that ``COPY --from`` names.
        cannot: why programs of a platform do not run here; empty where they do.
        below: the stage that it begins with, if it is one.
    """

    def __init__(
        self,
        stage: Stage,
        outer: GlobalScope,
        image: ImageConfig,
        config: ContainerConfig,
        origin: Callable[[Word], str],
        cannot: Callable[[Platform], str],
        below: "StageBuilder | None" = None,
    ) -> None:
        self.stage = stage
        self.steps: list[Step] = []
        self.config = config
        self.author = image.author
        self._image = image
        self._source = outer.source
        self._escape = outer.escape
        self._origin = origin
        self._cannot = cannot
        self._scope = StageScope(outer, config.env or (), below.arguments if below else {})
        self._command_set = False
        self._hostname = outer.build_args.get(HOSTNAME, "")
        self._cache_namespace = outer.build_args.get(CACHE_NAMESPACE, "")

    @property
    def arguments(self) -> Mapping[str, str]:
        """The ARGs in scope, which a stage that builds on this one inherits."""
        return self._scope.arguments

    @property
    def last(self) -> str:
        """The id of the stage's newest step."""
        return self.steps[-1].id

    @property
    def source(self) -> Source:
        """Where the instruction stands that is being read."""
        return self._source

    @property
    def platform(self) -> Platform:
        """What the stage's programs run on."""
        return self._image.platform

    @property
    def image_config(self) -> ImageConfig:
        """What a stage that builds on this one begins with."""
        return msgspec.structs.replace(self._image, config=self.config, author=self.author)

    def add(
        self, instruction: Instruction, action: Action, *, requires: tuple[str, ...] = (), created_by: str = ""
    ) -> None:
        """Append a step; it stands on the one before it."""
        below = (self.last,) if self.steps else ()
        step = Step(
            id=f"{self.stage.index}.{len(self.steps)}",
            title=describe.one_line(instruction.text),
            action=action,
            place=f"{self._source.name}:{instruction.location.line}",
            created_by=created_by,
            requires=(*below, *requires),
            config=self.config,
        )
        self.steps.append(step)

    def instruct(self, instruction: Instruction, source: Source) -> None:
        """Append the step of one instruction, which stands in ``source``.

        Raises:
            ParseError: a variable or a value in it cannot be.
        """
        self._source = source
        self._HANDLERS[type(instruction)](self, instruction)

    # How the handlers see the world

    def _value(self, word: Word) -> str:
        value = expand(word, self._scope.variables, self._source, self._escape)
        return self._scope.counted(value, word, self._source)

    def _error(self, place: Word | Instruction, message: str, *, hint: str = "") -> ParseError:
        return self._source.error(place.location, message, hint=hint)

    def _configure(self, instruction: Instruction, created_by: str, **changes: object) -> None:
        self.config = msgspec.structs.replace(self.config, **changes)
        self.add(instruction, Configure(), created_by=created_by)

    def _command(self, command: ins.Command) -> tuple[str, ...]:
        return (*(self.config.shell or DEFAULT_SHELL), *command.words) if command.in_shell else command.words

    def _pairs(self, pairs: tuple[tuple[Word, Word], ...]) -> dict[str, str]:
        """The names and values of an ENV or LABEL; all are replaced with what held before the instruction."""
        found = {}
        for name_word, value_word in pairs:
            name = self._value(name_word)
            if not name:
                raise self._error(
                    name_word, "names can not be blank: this one is empty after its variables are replaced"
                )
            found[name] = self._value(value_word)
        return found

    # The instructions

    def _arg(self, one: ins.Arg) -> None:
        declared = self._scope.declare(one, self._source)
        words = (name if value is None else f"{name}={value}" for name, value in declared)
        self._configure(one, f"ARG {' '.join(words)}")

    def _env(self, one: ins.Env) -> None:
        pairs = self._pairs(one.pairs)
        self._scope.environment.update(pairs)
        env = tuple(f"{name}={value}" for name, value in self._scope.environment.items())
        self._configure(one, describe.assignments("ENV", pairs), env=env)

    def _label(self, one: ins.Label) -> None:
        pairs = self._pairs(one.pairs)
        self._configure(one, describe.assignments("LABEL", pairs), labels=(self.config.labels or {}) | pairs)

    def _run(self, one: ins.Run) -> None:
        if reason := self._cannot(self.platform):
            raise self._error(
                one,
                f"RUN needs to run programs of {self.platform}, and this machine cannot: {reason}",
                hint=f"{_EMULATED}; or have a stage of this machine do it (FROM --platform=$BUILDPLATFORM … AS build), "
                "and COPY --from=build",
            )
        arguments = self._scope.visible_arguments
        environment = self._scope.environment | arguments
        command, script = _script(one)
        argv = self._command(command)
        mounts = self._mounts(one)
        network = one.network.text if one.network else ""
        action = Run(
            argv=argv,
            environment=tuple(f"{name}={value}" for name, value in environment.items()),
            proxies=self._scope.proxies,
            user=self.config.user,
            working_dir=self.config.working_dir,
            script=script,
            mounts=mounts,
            network="" if network == "default" else network,
            insecure=one.security is not None and one.security.text == "insecure",
            devices=one.devices,
            hostname=self._hostname,
        )
        origins = (mount.origin for mount in mounts if isinstance(mount, BindMount | CacheMount) and mount.origin)
        words = describe.run(argv, arguments, script)
        self.add(one, action, requires=tuple(dict.fromkeys(origins)), created_by=words)

    def _mounts(self, one: ins.Run) -> tuple[Mounted, ...]:
        mounts: list[Mounted] = []
        for flag in one.mounts:
            asked = read_mount(flag, self._source, self._value)
            agents = sum(isinstance(mount, SshMount) for mount in mounts)
            mount = settle(asked, flag, self._source, self.config.working_dir, self._origin, agents)
            if isinstance(mount, CacheMount) and self._cache_namespace:
                mount = msgspec.structs.replace(mount, id=f"{self._cache_namespace}/{mount.id}")
            mounts.append(mount)
        return tuple(mounts)

    def _cmd(self, one: ins.Cmd) -> None:
        self._command_set = True
        argv = self._command(one.command)
        self._configure(one, describe.array("CMD", argv), cmd=argv)

    def _entrypoint(self, one: ins.Entrypoint) -> None:
        # A new entrypoint makes the base image's arguments meaningless; those of this stage stay.
        argv = self._command(one.command)
        cmd = self.config.cmd if self._command_set else None
        self._configure(one, describe.array("ENTRYPOINT", argv), entrypoint=argv or None, cmd=cmd)

    def _copy(self, one: ins.Copy) -> None:
        origin = self._origin(one.origin) if one.origin else ""
        destination, into_directory = self._destination(one.destination)
        written = [(word, self._value(word)) for word in one.sources]
        if isinstance(one, ins.Add):
            self._check_add(one, [source for _, source in written])
        remotes = tuple(self._remote(one, word, source) for word, source in written if is_remote(source))
        sources = [self._copy_source(one, word, source) for word, source in written if not is_remote(source)]
        documents = tuple(self._document(heredoc) for heredoc in one.documents)
        if len(written) + len(documents) > 1 and not into_directory:
            raise self._error(
                one.destination,
                f"when using {one.keyword} with more than one source file, the destination must be a directory",
                hint=f"end it with a slash: {one.destination.text}/",
            )
        action = CopyFiles(
            sources=tuple(source for source, _ in sources),
            destination=destination,
            into_directory=into_directory or one.parents,
            owner=self._value(one.owner) if one.owner else "",
            mode=self._mode(one.mode) if one.mode else None,
            unpack=isinstance(one, ins.Add) and one.unpack is not False,
            origin=origin,
            origin_name=one.origin.text if one.origin else "",
            documents=documents,
            excludes=tuple(self._exclude(word) for word in one.excludes),
            parents=tuple(below for _, below in sources) if one.parents else (),
            link=one.link,
            remotes=remotes,
        )
        requires = (origin,) if origin else ()
        self.add(one, action, requires=requires, created_by=describe.copy(one.keyword, action))

    def _destination(self, word: Word) -> tuple[str, bool]:
        written = self._value(word)
        into_directory = not written or written.endswith("/") or posixpath.basename(written) in {".", ".."}
        return _clean(posixpath.join("/", self.config.working_dir, written)), into_directory

    def _check_add(self, one: ins.Add, sources: list[str]) -> None:
        """Whether its flags are about something."""
        if one.checksum and len(sources) + len(one.documents) != 1:
            raise self._error(one.checksum, "checksum can't be specified for multiple sources", hint="give each an ADD")
        if one.checksum and not is_remote(sources[0]):
            raise self._error(one.checksum, "checksum requires HTTP(S) or Git sources", hint="leave --checksum out")

    def _remote(self, one: ins.Copy, word: Word, source: str) -> Download | Checkout:
        """What is fetched for a source that is an address."""
        if not isinstance(one, ins.Add):
            raise self._error(word, f"a source of {one.keyword} can't be a URL: {word.text}", hint="ADD fetches")
        checksum = self._value(one.checksum) if one.checksum else ""
        try:
            return read_remote(source, checksum=checksum, keep_git_dir=one.keep_git_dir, unpack=one.unpack is True)
        except InvalidInput as error:
            raise self._error(word, error.message, hint=error.hint) from error

    def _copy_source(self, one: ins.Copy, word: Word, written: str) -> tuple[str, str]:
        """A source in its clean form; with ``--parents`` the directory before the pivot, and the pattern behind it."""
        if not written:
            raise self._error(word, f"this source is empty: {one.keyword} needs a path")
        if _OTHER_REMOTE.match(written):
            raise self._error(word, f"{written} cannot be fetched", hint="ADD knows http, https, git and ssh addresses")
        above, pivot, below = written.partition("/./") if one.parents else (written, "", "")
        if one.parents and not pivot:
            above, below = "/", written
        self._inside(one, word, f"{above}/{below}")
        return self._inside(one, word, above), _clean("/" + below)[1:] or "."

    def _inside(self, one: ins.Copy, word: Word, written: str) -> str:
        """A source relative to the root of its tree, in its clean form."""
        source = posixpath.normpath(written.lstrip("/") or ".")
        if not one.origin and (source == ".." or source.startswith("../")):
            raise self._error(
                word,
                f"forbidden path outside the build context: {word.text}",
                hint="give a directory that holds all files as the context, and name the Dockerfile with -f",
            )
        return _clean("/" + source)[1:] or "."

    def _exclude(self, word: Word) -> str:
        pattern = self._value(word)
        try:
            Ignore.of((pattern,))
        except ValueError as error:
            raise self._error(word, f"--exclude: {error}") from None
        return pattern

    def _document(self, heredoc: Heredoc) -> Document:
        """The file that a here-document becomes."""
        if heredoc.name in {".", ".."} or "/" in heredoc.name:
            raise self._error(heredoc.word, f"{heredoc.name!r} is no name of a file", hint="name it after << without /")
        content = heredoc.content
        if heredoc.expands:
            text = expand_text(content, self._scope.variables, self._source, self._escape)
            content = Word(self._scope.counted(text, content, self._source), content.location)
        return Document(heredoc.name, content.text)

    def _mode(self, word: Word) -> Mode:
        written = self._value(word)
        try:
            return Mode.parse(written)
        except ValueError:
            raise self._error(
                word,
                f"invalid chmod parameter {written!r}: expected an octal number such as 755 or 0644, or u=rwX,go=rX",
            ) from None

    def _expose(self, one: ins.Expose) -> None:
        ports: dict[str, dict[str, object]] = {}
        for word in one.ports:
            for text in expand_words(word, self._scope.variables, self._source, self._escape):
                ports.update({key: {} for key in self._port(word, text)})
        exposed = (self.config.exposed_ports or {}) | ports
        self._configure(one, f"EXPOSE {' '.join(ports)}", exposed_ports=exposed)

    def _port(self, word: Word, text: str) -> list[str]:
        match = _PORT.match(text)
        low = int(match[1]) if match else 0
        high = int(match[2] or low) if match else 0
        if match is None or not 0 < low <= high <= 65535:
            raise self._error(word, f"invalid port {text!r}: expected 80, 80/tcp, 53/udp or 8000-8010")
        return [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(low, high + 1)]

    def _volume(self, one: ins.Volume) -> None:
        paths = [self._value(word) for word in one.paths]
        if not all(paths):
            raise self._error(one, "VOLUME specified can not be an empty string")
        volumes = (self.config.volumes or {}) | {path: {} for path in paths}
        self._configure(one, f"VOLUME [{' '.join(paths)}]", volumes=volumes)

    def _user(self, one: ins.User) -> None:
        user = self._value(one.user)
        if not user:
            raise self._error(one.user, "USER needs a name or a number: this is empty after its variables are replaced")
        self._configure(one, f"USER {user}", user=user)

    def _workdir(self, one: ins.Workdir) -> None:
        written = self._value(one.path)
        if not written:
            raise self._error(one.path, "WORKDIR needs a directory: this is empty after its variables are replaced")
        path = _clean(posixpath.join("/", self.config.working_dir, written))
        self.config = msgspec.structs.replace(self.config, working_dir=path)
        self.add(one, MakeDirectory(path), created_by=f"WORKDIR {path}")

    def _shell(self, one: ins.Shell) -> None:
        self._configure(one, describe.array("SHELL", one.words), shell=one.words)

    def _stopsignal(self, one: ins.Stopsignal) -> None:
        name = self._value(one.signal)
        match = _SIGNAL.match(name.upper())
        numbered = name.isascii() and name.isdecimal() and len(name) < 10 and 0 < int(name) <= signal.SIGRTMAX
        named = match is not None and (match[1].startswith("RTM") or f"SIG{match[1]}" in signal.Signals.__members__)
        if not (numbered or named):
            raise self._error(one.signal, f"invalid signal: {name}: expected a name such as SIGTERM, or a number")
        self._configure(one, f"STOPSIGNAL {name}", stop_signal=name)

    def _healthcheck(self, one: ins.Healthcheck) -> None:
        self._configure(one, describe.one_line(one.text), healthcheck=one.check)

    def _onbuild(self, one: ins.Onbuild) -> None:
        triggers = (*(self.config.on_build or ()), one.trigger)
        self._configure(one, f"ONBUILD {one.trigger}", on_build=triggers)

    def _maintainer(self, one: ins.Maintainer) -> None:
        self.author = one.name
        self._configure(one, f"MAINTAINER {one.name}")

    _HANDLERS: ClassVar[dict[type[Instruction], Callable[..., None]]] = {
        ins.Add: _copy,
        ins.Arg: _arg,
        ins.Cmd: _cmd,
        ins.Copy: _copy,
        ins.Entrypoint: _entrypoint,
        ins.Env: _env,
        ins.Expose: _expose,
        ins.Healthcheck: _healthcheck,
        ins.Label: _label,
        ins.Maintainer: _maintainer,
        ins.Onbuild: _onbuild,
        ins.Run: _run,
        ins.Shell: _shell,
        ins.Stopsignal: _stopsignal,
        ins.User: _user,
        ins.Volume: _volume,
        ins.Workdir: _workdir,
    }


def _script(one: ins.Run) -> tuple[ins.Command, Document | None]:
    """The command of a RUN with its here-documents in it, and a script that has an interpreter of its own.

    A document that is all of the command is the script itself. Others are the shell's to understand.
    """
    if not one.documents:
        return one.command, None
    first = one.documents[0]
    if not one.is_document:
        text = "".join(f"\n{heredoc.text}{heredoc.name}" for heredoc in one.documents)
        return ins.Command((one.command.words[0] + text,), in_shell=True), None
    if not first.content.text.startswith("#!"):
        return ins.Command((first.content.text,), in_shell=True), None
    name = posixpath.basename(first.name) or "EOF"
    return ins.Command((f"{SCRIPTS}/{name}",), in_shell=True), Document(name, first.content.text)


def _clean(path: str) -> str:
    """Go's ``filepath.Clean`` of an absolute path: one slash at its start, unlike ``normpath``."""
    return "/" + posixpath.normpath(path).lstrip("/")
