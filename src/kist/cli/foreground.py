"""A container in the foreground: from the attached stream to the exit code, also when the engine dies on the way."""

import time

from kist.cli.attached import DETACHED, Session
from kist.cli.common import container_path
from kist.client.frames import STDERR, Demultiplexer
from kist.client.part import write_all
from kist.client.transport import NoAnswer
from kist.errors import KistError, NotFound, Unavailable
from kist.spec.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.pump import Stream
    from kist.client.wire import Exchange


class Foreground:
    """One container that somebody waits for.

    Args:
        context: the command's.
        arguments: for ``--sig-proxy`` and ``--detach-keys``.
        container: its id.
        tty: whether it has a terminal.
        stdin: whether our standard input goes to it.
        outputs: which of ``stdout`` and ``stderr`` are wanted.
        condition: what the exit code is waited for with: ``removed`` for a container that goes when it ends.
    """

    def __init__(
        self,
        context: "Context",
        arguments: "Arguments",
        container: str,
        *,
        tty: bool,
        stdin: bool,
        outputs: "tuple[str, ...]" = ("stdout", "stderr"),
        condition: str,
    ) -> None:
        self._context = context
        self._arguments = arguments
        self._container = container
        self._tty = tty
        self._stdin = stdin
        self._condition = condition
        self._outputs = [(name, 1) for name in outputs]
        query = [("stream", 1), *self._outputs, ("stdin", 1 if stdin else None)]
        # Both are under way at once, and both are to be answered before a start: nothing printed and no exit is missed.
        self._attaching = context.wire.begin_hijack(container_path(container, "attach"), query)
        self._waiting = self._wait(condition)
        self._stream: Stream | None = None

    def _wait(self, condition: str) -> "Exchange":
        return self._context.wire.begin("POST", container_path(self._container, "wait"), [("condition", condition)])

    def attach(self) -> None:
        """Have the engine's word that it is attached; raises its error."""
        self._stream, _ = self._attaching.stream()

    def stay(self) -> int:
        """Until the container's end; its exit code. 0 when the reader detached, 128 + n when signal n ended us."""
        assert self._stream is not None
        bound = self._arguments.flag("local")
        keys = self._context.detach_keys(self._arguments) if self._tty and not bound else b""
        session = Session(
            self._context,
            self._stream,
            tty=self._tty,
            stdin=self._stdin,
            resize_path=container_path(self._container, "resize"),
            kill=self._killer() if self._arguments.get("sig_proxy", True) else None,
            keys=keys,
            bound=bound,
        )
        if not session.run():
            return 0 if session.ended_by == DETACHED else 128 + session.ended_by
        lost_at = time.time()
        try:
            return exit_code(self._waiting)
        except Unavailable:
            return self._without_the_engine(lost_at)

    def _killer(self) -> "Callable[[str], None]":
        def kill(name: str) -> None:
            self._context.wire.call("POST", container_path(self._container, "kill"), [("signal", name)])

        return kill

    def _without_the_engine(self, lost_at: float) -> int:
        """The engine went away, the container goes on: start another one, and follow the log from there.

        Raises:
            KistError: the container was removed meanwhile, and nothing tells how it ended.
        """
        self._context.note("kist: the engine went away, the container goes on; its output is followed from the log")
        condition = "removed" if self._condition == "removed" else "not-running"
        try:
            try:
                self._context.wire.request("GET", "/_ping").read()  # the next engine, not one that is dying yet
                waiting = self._wait(condition)
                self._follow_log(f"{lost_at:.9f}")
                return exit_code(waiting)
            except NoAnswer:  # that one died too
                return exit_code(self._wait(condition))
        except NotFound:
            if (code := self._code_of_its_end()) is None:
                raise KistError(
                    "the engine went away, and the container was removed before its exit code was learnt"
                ) from None
            self._context.note("kist: the container ended meanwhile, and was removed with what it had printed since")
            return code

    def _code_of_its_end(self) -> int | None:
        """The exit code that the events tell of a container that is no more; None where they tell of no end."""
        only = dumps({"container": [self._container], "event": ["die"], "type": ["container"]})
        query = [("since", "0"), ("until", f"{time.time():.9f}"), ("filters", only)]
        code = None
        for event in self._context.wire.lines(self._context.wire.request("GET", "/events", query)):
            code = int(event["Actor"]["Attributes"]["exitCode"]) & 0xFF
        return code

    def _follow_log(self, since: str) -> None:
        path = container_path(self._container, "logs")
        response = self._context.wire.request("GET", path, [*self._outputs, ("follow", 1), ("since", since)])
        try:
            show(response, tty=self._tty)
        except Unavailable:
            return  # the log went together with the container


def show(pieces: "Iterable[bytes]", *, tty: bool) -> None:
    """Print a log or an attached stream: raw of a container with a terminal, in frames otherwise."""
    demultiplexer = Demultiplexer()
    for data in pieces:
        if tty:
            write_all(1, data)
            continue
        for stream, payload in demultiplexer.feed(data):
            write_all(2 if stream == STDERR else 1, payload)


def exit_code(waiting: "Exchange") -> int:
    """The exit code that a ``wait`` answers with.

    Raises:
        KistError: the engine could not tell it.
    """
    body = waiting.answer().read()
    if not body:
        raise Unavailable("the engine went away before the container ended")
    told = loads(body)
    if failure := told.get("Error"):
        raise KistError(str(failure.get("Message") or failure))
    return int(told["StatusCode"]) & 0xFF
