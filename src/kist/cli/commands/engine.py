"""``kist engine``."""

import gc
import os

from kist.cli.option import Command, Option
from kist.cli.usage import UsageError
from kist.cli.values import whole
from kist.errors import KistError, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

_STOP_SECONDS = 30


def run(context: "Context", arguments: "Arguments") -> int:
    """Be the engine, or stop the one that runs."""
    if arguments.operands:
        if arguments.operands[0] != "stop":
            raise UsageError(f"unknown word {arguments.operands[0]!r}: the only one is stop")
        return stop(context)
    if arguments.flag("detach") and os.fork():
        # The parent's end tells the starter that the engine is nobody's child; the child says when it is ready.
        os._exit(0)
    gc.disable()  # little is garbage until the engine has been loaded, which freezes it and enables this again
    if (caller := arguments.get("caller_fd", -1)) >= 0:
        return _serve_caller(context, caller)
    return _serve(context, arguments.get("ready_fd", -1), arguments.text("group"), arguments.text("storage_driver"))


def _serve_caller(context: "Context", descriptor: int) -> int:
    """Be the engine of one process alone."""
    import socket  # noqa: PLC0415 - for this verb only

    from kist.api.private import serve, tell_failure  # noqa: PLC0415 - the whole engine
    from kist.client.endpoint import data_root, run_root  # noqa: PLC0415 - for this verb only
    from kist.engine import rootless  # noqa: PLC0415 - the same

    uid = os.getuid()
    data, run_directory = data_root(context.environment, uid), run_root(context.environment, uid)
    os.set_inheritable(descriptor, False)
    os.chdir("/")
    os.umask(0o022)
    with socket.socket(fileno=descriptor) as line:
        try:
            serve(data, run_directory, line, rootless.enter(run_directory, data, mounts_too=False))
        except KistError as error:
            tell_failure(line, error)
            return 1
    return 0


def _serve(context: "Context", ready_fd: int, group: str, storage: str) -> int:
    from kist.api.server import serve  # noqa: PLC0415 - the whole engine
    from kist.client.endpoint import data_root, resolve, run_root  # noqa: PLC0415 - for this verb only
    from kist.engine import rootless  # noqa: PLC0415 - the same

    uid = os.getuid()
    data, run_directory = data_root(context.environment, uid), run_root(context.environment, uid)
    socket_path = resolve({}, uid, context.host).socket if context.host else ""
    # Nothing of the caller's: neither its working directory, which it may want to remove, nor its file mode mask.
    data, run_directory = os.path.abspath(data), os.path.abspath(run_directory)
    os.chdir("/")
    os.umask(0o022)
    try:
        if group and uid:
            raise Unsupported("--group: an ordinary user's engine serves that user alone", hint="root's can be shared")
        serve(data, run_directory, rootless.enter(run_directory, data), socket_path, ready_fd, group, storage)
    except KistError as error:
        context.fail(error)
        return 1
    return 0


def stop(context: "Context", *, told: bool = True) -> int:
    """Stop the engine and wait for its end; containers go on. Where none runs, that is ``told``."""
    from kist.client.transport import Connection  # noqa: PLC0415 - for this verb only

    endpoint = context.wire.endpoint
    if endpoint.roots is None:
        raise Unsupported("only Kist's own engine can be stopped", hint="leave out -H and DOCKER_HOST")
    try:
        connection = Connection(endpoint.socket)
    except (FileNotFoundError, ConnectionRefusedError):
        if told:
            context.note("no engine runs")
        return 0
    try:
        _end(connection.peer_pid())
    finally:
        connection.close()
    return 0


def _end(pid: int) -> None:
    """Ask the process to end, by a descriptor that cannot come to mean another one, and wait until it has.

    Raises:
        Unsupported: it listens for somebody else (systemd), or in a pid namespace that is not ours.
        Unavailable: it does not end.
    """
    import select  # noqa: PLC0415 - for this verb only
    import signal  # noqa: PLC0415 - the same

    if pid <= 1:
        raise Unsupported("the engine's process cannot be seen from here", hint="stop it where it was started")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(_STOP_SECONDS * 1000):
            raise Unavailable(f"the engine (process {pid}) did not end in {_STOP_SECONDS} s")
    except ProcessLookupError:
        return
    finally:
        os.close(process)


COMMAND = Command(
    "engine",
    run,
    "[stop]",
    most=1,
    options=(
        Option("--group", "Let this group's members use root's engine, within its policy", "NAME"),
        Option("--storage-driver", "How files are kept: overlay, btrfs, copy or loop", "DRIVER"),
        Option("--detach", "Go to the background", hidden=True),
        Option(
            "--ready-fd", "Descriptor that is told when it serves", "FD", parse=whole(0, "a descriptor"), hidden=True
        ),
        Option(
            "--caller-fd",
            "Socket to the one process that this is for",
            "FD",
            parse=whole(0, "a descriptor"),
            hidden=True,
        ),
    ),
    about="Every command starts the engine when it does not run, so this is for service managers and for looking at "
    "it. Stopping it changes nothing for containers.",
)
