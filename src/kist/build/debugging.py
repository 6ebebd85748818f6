"""A RUN that failed: what is said of it, and a shell in the state that it has left (``kist build --debug-shell``)."""

import posixpath
from collections.abc import Callable, Sequence

from kist.build.plan import Run
from kist.engine.step_mounts import Terminal
from kist.errors import CommandNotExecutable, CommandNotFound, StepFailed
from kist.spec.provision import Provision

_SHELLS = frozenset({"ash", "bash", "dash", "fish", "ksh", "sh", "zsh"})
_USUAL = "/bin/sh"
_LONGEST_LINE = 80


def failed(action: Run, place: str, code: int, last: Sequence[str]) -> StepFailed:
    """The error of a command that ended with a code other than 0.

    Args:
        action: what was run.
        place: the file and line of its instruction.
        code: its exit code.
        last: the last lines that it printed.
    """
    lines = "".join(f"  | {line}\n" for line in last)
    if code in {CommandNotFound.exit_code, CommandNotExecutable.exit_code} and (line := interpreter_line(action)):
        lines += f"its script begins with {line}: is that interpreter in the image?\n"
    return StepFailed(
        f"The command '{' '.join(action.argv)}' returned a non-zero code: {code}",
        hint=("its last lines:\n" if last else "")
        + lines
        + f"it is in {place}. The steps before it are kept: correct it and build again, or open a shell where it "
        "failed: kist build --debug-shell",
        exit_code=code,
    )


def interpreter_line(action: Run) -> str:
    """The first line of a script that names its interpreter; empty for a command without one."""
    first = action.script.text.partition("\n")[0].rstrip("\r") if action.script else ""
    return first[:_LONGEST_LINE] if first.startswith("#!") else ""


def not_found(action: Run, error: CommandNotFound) -> CommandNotFound:
    """What is told of a command that is not there; of a shell that nobody has named, how to do without."""
    program = action.argv[0]
    if posixpath.basename(program) not in _SHELLS or action.argv[1:2] != ("-c",):
        return error
    return CommandNotFound(
        error.message,
        hint=f"the image has no {program} (FROM scratch has nothing): run a program that it has with "
        'RUN ["/program", "argument"], name another shell with SHELL, or do it in a stage that has one and take the '
        "result with COPY --from",
    )


def open_shell(client: Provision, action: Run, code: int, run: Callable[..., int]) -> None:
    """Let whoever sits at the client's terminal look around, with the tree, mounts, environment and user of a command.

    Args:
        client: has the terminal.
        action: the command, which has failed.
        code: its exit code.
        run: runs an argv there; takes a ``terminal``.

    Raises:
        Unavailable: the client has gone.
    """
    shell = action.argv[0] if posixpath.basename(action.argv[0]) in _SHELLS else _USUAL
    with client.open("shell", f"{code} {' '.join(action.argv)}") as stream:
        try:
            run((shell,), terminal=Terminal(stream, client.watch_size, client.check))
        except (CommandNotFound, CommandNotExecutable) as error:
            # The command's failure is the news; this is for who waits for a shell.
            stream.sendall(f"{error.message}\r\n".encode())
