"""A RUN that failed: what is said of it, and a shell in the state that it has left (``kist build --debug-shell``)."""

import posixpath
from collections.abc import Callable, Sequence

from kist.build.plan import Run
from kist.engine.step_mounts import Terminal
from kist.errors import CommandNotExecutable, CommandNotFound, StepFailed
from kist.spec.provision import Provision

_SHELLS = frozenset({"ash", "bash", "dash", "fish", "ksh", "sh", "zsh"})
_USUAL = "/bin/sh"


def failed(action: Run, place: str, code: int, last: Sequence[str]) -> StepFailed:
    """The error of a command that ended with a code other than 0.

    Args:
        action: what was run.
        place: the file and line of its instruction.
        code: its exit code.
        last: the last lines that it printed.
    """
    lines = "".join(f"  | {line}\n" for line in last)
    return StepFailed(
        f"The command '{' '.join(action.argv)}' returned a non-zero code: {code}",
        hint=(f"its last lines:\n{lines}" if lines else "")
        + f"it is in {place}. The steps before it are kept: correct it and build again, or open a shell where it "
        "failed: kist build --debug-shell",
        exit_code=code,
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
