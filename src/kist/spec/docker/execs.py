"""Bodies and answers of exec (Engine API, tag Exec)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.spec.container import ExecOptions
from kist.spec.detach import parse_keys
from kist.spec.docker import fields

_READ = frozenset({"AttachStdin", "Cmd", "ConsoleSize", "DetachKeys", "Env", "Privileged", "Tty", "User", "WorkingDir"})
# Told by the start request instead, or the client's own.
_WITHOUT_EFFECT = frozenset({"AttachStderr", "AttachStdout", "Container", "Detach"})


class ExecStart(msgspec.Struct, frozen=True):
    """How an exec is started; ``size`` is (height, width) of its terminal, (0, 0) for that of its making."""

    detach: bool = False
    size: tuple[int, int] = (0, 0)


def read_exec(body: Mapping[str, Any]) -> ExecOptions:
    """The options that a ContainerExec body spells.

    Raises:
        InvalidInput: there is no command, keys to detach are none, or a field has the wrong type.
        Unsupported: names a field that asks for what Kist does not do.
    """
    fields.refuse_unknown(body, _READ | _WITHOUT_EFFECT, {})
    command = fields.command(body, "Cmd")
    if not command:
        raise InvalidInput("No exec command specified", hint="set Cmd to the command and its arguments")
    detach_keys = fields.text(body, "DetachKeys")
    read_keys(detach_keys, "escape")
    return ExecOptions(
        command=command,
        env=fields.texts(body, "Env"),
        user=fields.text(body, "User"),
        working_dir=fields.text(body, "WorkingDir"),
        tty=fields.flag(body, "Tty"),
        open_stdin=fields.flag(body, "AttachStdin"),
        privileged=fields.flag(body, "Privileged"),
        console_size=fields.console_size(body),
        detach_keys=detach_keys,
    )


def read_keys(text: str, kind: str = "detach") -> bytes:
    """The keys that a parameter names by their words, as a terminal sends them; empty for none.

    Raises:
        InvalidInput: there is no such key; ``kind`` is what Docker calls them where they are named.
    """
    try:
        return parse_keys(text)
    except ValueError as error:
        raise InvalidInput(f"Invalid {kind} keys ({text}) provided", hint=str(error)) from None


def write_exec(options: ExecOptions) -> dict[str, Any]:
    """The ContainerExec body of these options; ``read_exec`` gives them back."""
    return {
        "AttachStdin": options.open_stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Privileged": options.privileged,
        "Tty": options.tty,
        "ConsoleSize": list(options.console_size),
        "Env": list(options.env) or None,
        "Cmd": list(options.command),
        "User": options.user,
        "WorkingDir": options.working_dir,
        "DetachKeys": options.detach_keys,
    }


def read_exec_start(body: Mapping[str, Any]) -> ExecStart:
    """The body of ExecStart; an absent body starts attached."""
    return ExecStart(detach=fields.flag(body, "Detach"), size=fields.console_size(body))


def write_exec_state(
    exec_id: str, container: str, *, running: bool, exit_code: int | None, pid: int, options: ExecOptions
) -> dict[str, Any]:
    """The answer of ExecInspect."""
    return {
        "ID": exec_id,
        "Running": running,
        "ExitCode": None if running else exit_code,
        "ProcessConfig": {
            "tty": options.tty,
            "entrypoint": options.command[0],
            "arguments": list(options.command[1:]),
            "privileged": options.privileged,
            "user": options.user,
        },
        "OpenStdin": options.open_stdin,
        "OpenStderr": True,
        "OpenStdout": True,
        "CanRemove": False,
        "ContainerID": container,
        "DetachKeys": options.detach_keys,
        "Pid": pid,
    }
