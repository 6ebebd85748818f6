"""The code between clone and execve: it performs the plan's operations and becomes the command.

Everything here was imported before the fork. A failure travels to the monitor as one message that names the operation,
the errno and the path; the end of the report socket, which closes on execve, says that the command runs.
"""

from __future__ import annotations

import errno
import os
import select

from kist.kernel import process
from kist.kernel.lean import signal
from kist.runtime import diagnose, messages, operations
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

# Characters of what a user wrote, in a message about it.
_LONGEST = 4096
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    text: str,
    context: operations.Context,
    stdio: tuple[int, int, int] | None,
    plan: dict[str, Any] | None = None,
) -> NoReturn:
    """Perform the plan's operations, then execute its command.

    Args:
        text: ``{"operations": [[name, arguments], …], "command": {"args": […], "env": […], "init": bool}}``, parsed
            only here: what the monitor does not read costs it no memory.
        context: what the operations share; its ``report`` is the socket to the monitor.
        stdio: descriptors for 0, 1 and 2; None when an operation opens a terminal.
        plan: what the text says, where somebody has parsed it already.
    """
    try:
        context.enter()
        if stdio is not None:
            for number, descriptor in enumerate(stdio):
                os.dup2(descriptor, number)
        # Neither a reaper that stays nor a link of the image into /proc/self/fd is to reach what is the monitor's, and
        # the other ends of pipes are to see that they have been closed.
        process.close_all_but(context.report.fileno(), *context.trees.values(), *context.volumes.values())
        os.setsid()
        reset_signals()
        end_if_abandoned(hang_up(context.report))
        os.umask(0o022)
        plan = jsontext.loads(text) if plan is None else plan
        if "bundle" in plan:
            from kist.runtime import outside  # noqa: PLC0415 - few containers have an outside runtime

            outside.run(plan["bundle"], context)
        command = plan["command"]
        operations.perform(context, plan["operations"])
        if command.get("init"):
            _reap_for(command, context)
        _execute(Command(command, context), context)
    except BaseException as error:  # noqa: BLE001 - this process has nobody above it; the monitor tells the user
        _send_failure(context.report, error)
    finally:
        os._exit(1)


def go_on(
    calls: Iterable[tuple[str, operations.Call]],
    command: Command,
    context: operations.Context,
    told: Mapping[str, dict[str, Any]],
) -> NoReturn:
    """Make calls that somebody has prepared, each with the name of its operation, then execute the command.

    ``told`` are arguments of operations that a failure is told with.
    """
    name = ""
    try:
        for name, (call, arguments) in calls:  # noqa: B007 - the one that failed is told
            call(*arguments)
        _execute(command, context)
    except BaseException as error:  # noqa: BLE001 - as above
        if not hasattr(error, "operation"):
            error.operation = name  # type: ignore[attr-defined]
            error.arguments = told.get(name, {})  # type: ignore[attr-defined]
        _send_failure(context.report, error)
    finally:
        os._exit(1)


def hang_up(report: socket.socket) -> select.poll:
    """What tells that the other end of the report socket has gone."""
    poll = select.poll()
    poll.register(report, 0)
    return poll


def end_if_abandoned(by_monitor: select.poll) -> None:
    """End where the monitor died before its death would have been this process's too (``hang_up``)."""
    if by_monitor.poll(0):
        os._exit(1)


def reset_signals() -> None:
    """Have signals do what a command expects of them."""
    # What CPython ignores (the first two) and what the spawner does; a command expects the default.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class Command:
    """What is executed.

    Attributes:
        args: its words.
        environment: by name.
        candidates: paths to try, in this order.
    """

    def __init__(self, command: dict[str, Any], context: operations.Context) -> None:
        self.args: list[str] = command["args"]
        self.environment: dict[str, str] = dict(entry.partition("=")[::2] for entry in command["env"])
        self.environment |= context.environment
        self.environment.setdefault("HOME", context.identity.home or "/")
        self.candidates = _candidates(self.args[0], self.environment.get("PATH", DEFAULT_PATH))

    def leave_out_missing(self) -> None:
        """Try only what is there now, as seen by somebody who is elsewhere, and in another pid namespace."""
        if "/" not in self.args[0]:
            self.candidates = [
                path
                for path in self.candidates
                if not path.startswith("/") or path.startswith("/proc/") or os.path.lexists(path)
            ]


def _execute(command: Command, context: operations.Context) -> None:
    """Execve; comes back only after telling the monitor why it could not."""
    name = command.args[0]
    error, found = errno.ENOENT, None
    for path in command.candidates:
        try:
            os.execve(path, command.args, command.environment)  # noqa: S606 - this is what a container is
        except OSError as failure:
            # As in execvp(3): what is there and cannot run is worth telling more than what is not there.
            if found is None and os.path.lexists(path) and not (os.path.isdir(path) and "/" not in name):
                error, found = failure.errno or errno.ENOEXEC, path
    if found is None and "/" in name:
        found = name
    exit_code, message, hint = diagnose.explain(name, found, error)
    told = {"operation": "execute", "exit_code": exit_code, "message": _tellable(message), "hint": _tellable(hint)}
    messages.send(context.report, {"failed": told})


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [f"{directory or '.'}/{name}" for directory in path.split(":")] if name else []


def _reap_for(command: dict[str, Any], context: operations.Context) -> NoReturn:
    """Stay as the first process (``--init``): pass signals on to the command, reap orphans, end as the command ends."""
    process.set_title("kist-init")
    everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    # Blocked signals are kept for a namespace's first process too, where ones with the default action are not.
    signal.pthread_sigmask(signal.SIG_SETMASK, everything)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setpgid(0, 0)
        if context.terminal:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
            os.tcsetpgrp(0, os.getpgrp())
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _execute(Command(command, context), context)
        os._exit(1)
    context.report.close()
    while True:
        received = signal.sigwait(everything)
        if received == signal.SIGCHLD:
            _reap(child)
        else:
            os.kill(child, received)


def _reap(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            os._exit(process.exit_code(status))


def _send_failure(report: socket.socket, error: BaseException) -> None:
    name = getattr(error, "filename", None)
    words = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    failure: dict[str, Any] = {
        "operation": getattr(error, "operation", "prepare"),
        "arguments": tellable(error),
        "errno": getattr(error, "errno", None) or 0,
        "path": _tellable(os.fsdecode(name)) if isinstance(name, (str, bytes)) else "",
        "message": _tellable(words),
    }
    messages.send(report, {"failed": failure})


def tellable(error: BaseException) -> dict[str, str | bool]:
    """The texts and switches among the arguments of the operation that failed."""
    arguments = getattr(error, "arguments", {})
    texts = {key: _tellable(value) for key, value in arguments.items() if isinstance(value, str)}
    return texts | {key: value for key, value in arguments.items() if isinstance(value, bool)}


def _tellable(text: str) -> str:
    """``text`` for a message: of valid characters, and not so long that the packet would be too large."""
    valid = text.encode(errors="replace").decode()
    return valid if len(valid) <= _LONGEST else valid[:_LONGEST] + "…"
