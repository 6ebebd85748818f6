"""``kist run --local``: the engine in this process, in place of the one over a socket.

It answers what ``run`` asks of an engine, in the same words (``kist.client.wire``), so that both ways of running are
one code. Everything that is asked of the caller (ids, environment, terminal) is known before: from ``enter`` on, an
ordinary user's process is root of a user namespace.
"""

import os

from kist.cli.usage import UsageError
from kist.client.pump import Stream
from kist.client.start import make_run_root
from kist.client.wire import encode
from kist.errors import KistError
from kist.spec.roots import data_root, run_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.engine import Engine
    from kist.spec.container import ContainerOptions

    Query = Iterable[tuple[str, str | int | None]]


def check(context: "Context", arguments: "Arguments") -> None:
    """Refuse what --local cannot be with.

    Raises:
        UsageError: another option, which contradicts it.
    """
    if arguments.flag("detach"):
        raise UsageError("conflicting options: --local and -d", hint="with --local a container ends with its caller")
    if "detach_keys" in arguments.values:
        raise UsageError("conflicting options: --local and --detach-keys", hint="nobody can detach from its container")
    if context.host or context.chosen:
        named = "-H" if context.host else "-c"
        raise UsageError(f"conflicting options: --local and {named}", hint="--local talks to no engine")


def begin(context: "Context") -> "InProcess":
    """The engine of this process, which becomes root for that in a user namespace where it is not root."""
    from kist.engine import in_process, rootless  # noqa: PLC0415 - for --local only

    uid = os.getuid()
    data = os.path.abspath(data_root(context.environment, uid))
    run = os.path.abspath(run_root(context.environment, uid))
    make_run_root(run)
    entry = rootless.enter(run, data, mounts_too=False)
    os.umask(0o022)
    return InProcess(in_process.begin(data, run, entry))


class InProcess:
    """What ``run`` asks of a ``Wire``, done here."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def close(self) -> None:
        """End everything that was started."""
        self._engine.close()

    def call(self, method: str, path: str, query: "Query" = (), value: "Any" = None) -> "Any":
        """As ``Wire.call``."""
        asked = {name: each for name, each in query if each is not None}
        if (method, path) == ("POST", "/containers/create"):
            return self._create(value, asked)
        if (method, path) == ("POST", "/kist/plan"):
            return {"operations": self._engine.plan(_options(value, asked))}
        container, _, verb = path.removeprefix("/containers/").partition("/")
        acts: dict[tuple[str, str], Callable[[], None]] = {
            ("POST", "start"): lambda: self._start(container),
            ("POST", "kill"): lambda: self._engine.kill(container, str(asked.get("signal", "KILL"))),
            ("POST", "resize"): lambda: self._engine.resize(container, int(asked["h"]), int(asked["w"])),
            ("DELETE", ""): lambda: self._engine.remove(container, force=bool(asked.get("force"))),
        }
        return acts[method, verb]()

    def begin(self, method: str, path: str, query: "Query" = ()) -> "Done | Awaited":
        """As ``Wire.begin``."""
        if path.endswith("/wait"):
            return Awaited(self._engine, path.split("/")[2], str(dict(query)["condition"]))
        self.call(method, path, query)
        return Done()

    def begin_hijack(self, path: str, query: "Query" = ()) -> "Attached":
        """As ``Wire.begin_hijack``."""
        wanted = {name: bool(value) for name, value in query}
        streams = {name: wanted.get(name, False) for name in ("stdin", "stdout", "stderr")}
        connection = self._engine.open_attach(path.split("/")[2], **streams)
        return Attached(Stream(connection))

    def _create(self, body: "dict[str, Any]", asked: "dict[str, Any]") -> "dict[str, Any]":
        options = _options(body, asked)
        container = self._engine.create(options)
        return {"Id": container.id, "Warnings": self._engine.warnings(options)}

    def _start(self, container: str) -> None:
        try:
            self._engine.start(container)
        except KistError:
            if self._engine.container(container).options.auto_remove:
                self._engine.remove(container, force=True)
            raise


def _options(body: "dict[str, Any]", asked: "dict[str, Any]") -> "ContainerOptions":
    from kist.spec.docker.create import read_create  # noqa: PLC0415 - after the keeper has been started

    encode(body)  # what no engine would be sent is refused here too
    return read_create(body, asked.get("name", ""), asked.get("platform", ""))


class Done:
    """What is done already, as ``Exchange`` has it."""

    __slots__ = ()

    def answer(self) -> "Done":
        """Itself."""
        return self

    def read(self) -> bytes:
        """Nothing."""
        return b""


class Awaited:
    """A container that is waited for."""

    __slots__ = ("_ended",)

    def __init__(self, engine: "Engine", container: str, condition: str) -> None:
        self._ended = engine.open_wait(container, condition)  # type: ignore[arg-type]  # as over HTTP, a word

    def answer(self) -> "Awaited":
        """Itself."""
        return self

    def read(self) -> bytes:
        """The line that tells its exit code; empty where nobody is left who could."""
        line = b""
        while not line.endswith(b"\n") and (data := self._ended.recv(4096)):
            line += data
        return line


class Attached:
    """A stream that is there, as ``Exchange`` gives it."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def stream(self) -> "tuple[Stream, dict[str, str]]":
        """The stream; there are no headers."""
        return self._stream, {}
