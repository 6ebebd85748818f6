"""What a client gives to a build: read where it is, checked before anything begins, sent when it is asked for."""

import os
import socket
from contextlib import suppress

from kist.client.agents import KeyAgent, relay
from kist.client.named_contexts import split
from kist.client.packing import pack
from kist.errors import InvalidInput, KistError, NotFound, Unavailable
from kist.spec.provision import LARGEST_SECRET, SECRET_HEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Self

    from kist.client.pump import Stream
    from kist.spec.build import BuildOptions

    Shell = Callable[[Stream, str, Callable[[int, int], None]], None]


class Offer:
    """What there is for a build; a context manager, which ends the agents that it has started.

    Args:
        environment: the caller's variables.
        secrets: by id: the path of a file, or the name of a variable where the path is empty.
        agents: by id: the path of an agent's socket, or paths of private keys; none for ``$SSH_AUTH_SOCK``.
        contexts: directories by name.
        shell: serves the terminal to the shell of a failed step: gets the stream, what failed, and what it calls with
            height and width; None where there is no terminal.
    """

    def __init__(
        self,
        environment: "Mapping[str, str]",
        secrets: "Mapping[str, tuple[str, str]]" = {},  # noqa: B006 - never changed
        agents: "Mapping[str, Sequence[str]]" = {},  # noqa: B006 - never changed
        contexts: "Mapping[str, str]" = {},  # noqa: B006 - never changed
        shell: "Shell | None" = None,
    ) -> None:
        self._environment = environment
        self._secrets = secrets
        self._agents = agents
        self._contexts = contexts
        self._shell = shell
        self._sockets: dict[str, str] = {}
        self._started: list[KeyAgent] = []
        self._failed: dict[str, KistError] = {}

    def __enter__(self) -> "Self":
        """Look at all of it, before there is a build.

        Raises:
            NotFound, InvalidInput, Unavailable: something is not there, or cannot be given.
        """
        try:
            for name in self._secrets:
                self._secret(name)
            for name, paths in self._agents.items():
                self._sockets[name] = self._socket(name, paths)
                self._connect(name).close()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self._started:
            self._started.pop().close()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given."""
        return not (self._secrets or self._agents or self._contexts or self._shell)

    @property
    def told(self) -> "dict[str, Any]":
        """The names of what there is, as the engine is told them."""
        return {
            "secrets": list(self._secrets),
            "agents": list(self._agents),
            "contexts": list(self._contexts),
            "terminal": self._shell is not None,
        }

    def opener(self, kind: str, name: str, tell: "Callable[[int, int], None]") -> "Callable[[Stream], None]":
        """What serves a stream of one thing; to be called with the stream, and done when that has ended.

        Args:
            kind: of what is wanted.
            name: its own.
            tell: of a terminal, to be called with its height and width.

        Raises:
            NotFound: there is no such thing.
            KistError: it cannot be had.
        """
        if kind == "secret" and name in self._secrets:
            data = self._secret(name)
            return lambda stream: _send(stream, (len(data).to_bytes(SECRET_HEAD, "big"), data))
        if kind == "context" and name in self._contexts:
            if name in self._failed:  # the engine has seen the end of it, and asks again for the reason
                raise self._failed[name]
            return lambda stream: self._send_context(stream, name)
        if kind == "ssh" and name in self._agents:
            agent = self._connect(name)
            return lambda stream: relay(stream, agent)
        if kind == "shell" and self._shell is not None:
            shell = self._shell
            return lambda stream: shell(stream, name, tell)
        raise NotFound(f"there is no {kind} {name!r} here")

    def _send_context(self, stream: "Stream", name: str) -> None:
        try:
            _send(stream, pack(self._contexts[name], ""))
        except KistError as error:
            self._failed[name] = type(error)(f"the build context {name}: {error.message}", hint=error.hint)
            raise

    def _secret(self, name: str) -> bytes:
        path, variable = self._secrets[name]
        if not path:
            if variable not in self._environment:
                raise NotFound(f"the secret {name}: the variable {variable} is not set", hint="set it, and export it")
            return os.fsencode(self._environment[variable])
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST_SECRET + 1)
        except OSError as error:
            raise NotFound(f"the secret {name}: {path}: {(error.strerror or str(error)).lower()}",
                           hint="--secret id=NAME,src=FILE, or id=NAME,env=VARIABLE") from None  # fmt: skip
        if len(data) > LARGEST_SECRET:
            raise InvalidInput(f"the secret {name}: {path} is larger than {LARGEST_SECRET >> 10} KiB",
                               hint="what is large is no secret: RUN --mount=type=bind shows files")  # fmt: skip
        return data

    def _socket(self, name: str, paths: "Sequence[str]") -> str:
        """The agent's socket."""
        if not paths:
            if found := self._environment.get("SSH_AUTH_SOCK"):
                return found
            raise Unavailable(f"--ssh {name}: there is no agent: SSH_AUTH_SOCK is not set",
                              hint="start one (eval $(ssh-agent); ssh-add), or name a key: --ssh NAME=KEY")  # fmt: skip
        if len(paths) == 1 and is_socket(paths[0]):
            return paths[0]
        self._started.append(KeyAgent(name, paths))
        return self._started[-1].path

    def _connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._sockets[name])
        except OSError as error:
            connection.close()
            raise Unavailable(
                f"--ssh {name}: the agent at {self._sockets[name]} does not answer: {(error.strerror or '').lower()}",
                hint="start one (eval $(ssh-agent); ssh-add), or name a key: --ssh NAME=KEY",
            ) from None
        return connection


def offer_of(options: "BuildOptions", environment: "Mapping[str, str]") -> Offer:
    """What a build's options give."""
    secrets = {secret.id: (secret.source, secret.env) for secret in options.secrets}
    return Offer(environment, secrets, {agent.id: agent.paths for agent in options.ssh}, split(options.contexts)[1])


def is_socket(path: str) -> bool:
    """Whether a socket is at this path."""
    import stat  # noqa: PLC0415 - for --ssh alone

    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _send(stream: "Stream", pieces: "Iterable[bytes]") -> None:
    """All of it, then the end; nothing more where the other side does not read on."""
    with suppress(BrokenPipeError):
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[stream.send(rest) :]
        stream.half_close()
        while stream.receive():
            pass
