"""``kist engine``."""

import gc
import os
import sys
from functools import partial

from kist.cli.option import REPEAT, Command, Option
from kist.cli.socket_options import SOCKET_OPTIONS, read_sockets
from kist.cli.usage import UsageError
from kist.cli.values import whole
from kist.errors import KistError, NotFound, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.api.places import Place
    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.transport import Connection
    from kist.spec.listening import Listening

_STOP_SECONDS = 30


def run(context: "Context", arguments: "Arguments") -> int:
    """Be the engine, or stop the one that runs."""
    if arguments.operands:
        word, *rest = arguments.operands
        if word == "units":
            return _units(context, rest[0] if rest else "")
        if word != "stop" or rest:
            raise UsageError(f"unknown words {' '.join(arguments.operands)!r}: there is stop, and units [DIRECTORY]")
        return stop(context)
    if arguments.flag("detach") and "ready_fd" not in arguments.values:
        return _begin(context)
    if arguments.flag("detach") and os.fork():
        # The parent's end tells the starter that the engine is nobody's child; the child says when it is ready.
        os._exit(0)
    gc.disable()  # little is garbage until the engine has been loaded, which freezes it and enables this again
    if (caller := arguments.get("caller_fd", -1)) >= 0:
        return _serve_caller(context, caller)
    return _serve(context, arguments)


def _begin(context: "Context") -> int:
    """Have the engine that these words ask for begun in the background, as a command begins the usual one."""
    from kist.client.endpoint import data_root, run_root  # noqa: PLC0415 - for this verb only
    from kist.client.start import launch, make_run_root  # noqa: PLC0415 - the same

    uid = os.getuid()
    data = os.path.abspath(data_root(context.environment, uid))
    run_directory = os.path.abspath(run_root(context.environment, uid))
    make_run_root(run_directory)
    launch(data, run_directory, sys.argv[1:])
    return 0


def _units(context: "Context", directory: str) -> int:
    """Print systemd's units for an engine of this user's, or write them to a directory."""
    from kist.cli.service_units import units  # noqa: PLC0415 - for this verb only
    from kist.client.endpoint import run_root  # noqa: PLC0415 - the same

    if directory and not os.path.isdir(directory):
        raise NotFound(f"no such directory: {directory}", hint=f"make it first: mkdir -p {directory}")
    root = os.getuid() == 0
    environment = {name: value for name in ("KIST_ROOT", "KIST_RUN") if (value := context.environment.get(name, ""))}
    place = os.path.abspath(run_root(context.environment, os.getuid())) if "KIST_RUN" in environment else "%t/kist"
    program = os.path.abspath(sys.argv[0]).removesuffix("-python")  # the launcher, where there is one beside us
    made = units(program, place, environment, root=root)
    for name, text in made.items():
        if directory:
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)
        else:
            context.say(f"# {name}\n{text}")
    if directory:
        user = "" if root else "--user "
        context.note(f"systemctl {user}daemon-reload && kist engine stop; systemctl {user}enable --now kist.socket")
    return 0


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


def _serve(context: "Context", arguments: "Arguments") -> int:
    from kist.api.activation import take_sockets  # noqa: PLC0415 - the whole engine
    from kist.api.server import serve  # noqa: PLC0415 - the same
    from kist.client.endpoint import data_root, run_root  # noqa: PLC0415 - for this verb only
    from kist.engine import rootless  # noqa: PLC0415 - the same

    uid = os.getuid()
    data, run_directory = data_root(context.environment, uid), run_root(context.environment, uid)
    asked = listening(context, arguments)
    # Nothing of the caller's: neither its working directory, which it may want to remove, nor its file mode mask.
    data, run_directory = os.path.abspath(data), os.path.abspath(run_directory)
    os.chdir("/")
    os.umask(0o022)
    storage, ready_fd = arguments.text("storage_driver"), arguments.get("ready_fd", -1)
    try:
        if asked.group and uid:
            raise Unsupported("--group: an ordinary user's engine serves that user alone", hint="root's can be shared")
        inherited = take_sockets(os.environ, os.getpid())
        # Who started it in the background waits for the word on that descriptor; others look on.
        tell = None if ready_fd >= 0 else partial(_tell, context, run_directory)
        serve(data, run_directory, rootless.enter(run_directory, data), asked, ready_fd, storage, inherited, tell)
    except KistError as error:
        context.fail(error)
        return 1
    return 0


def _tell(context: "Context", run_directory: str, places: "Sequence[Place]") -> None:
    """Where it listens, and how it ends; a journal has a line of it. From here on faults are told, too."""
    from kist import __version__  # noqa: PLC0415 - read from the package's metadata, for this only
    from kist.api.logfile import show  # noqa: PLC0415 - loaded with the engine

    names = [f"{each.name} ({each.scope.role})" if each.scope else each.name for each in places]
    begin = f"Kist {__version__} listens at "
    if os.isatty(2):
        context.note(begin + ("\n" + " " * len(begin)).join(names))
        context.note(f"Ctrl-C ends it, and containers go on. Faults are told here and in {run_directory}/engine.log")
    else:
        context.note(begin + ", ".join(names))
    if os.isatty(2) or "JOURNAL_STREAM" in context.environment:
        show()  # a pipe that nobody reads would hold the engine up


def listening(context: "Context", arguments: "Arguments") -> "Listening":
    """Where the command line has the engine listen; paths made absolute."""
    from kist.spec.listening import DOCKER_SOCKET, Listening, TlsFiles  # noqa: PLC0415 - for this verb only

    if not arguments.get("tlsverify", True):
        raise UsageError("--tlsverify=false: TCP is listened at with mutual TLS only")
    tcp = [f"tcp://{address}" for address in arguments.all("tcp")]
    hosts = ([context.host] if context.host else []) + arguments.all("host") + tcp
    paths = [arguments.text(key) for key in ("tls_ca", "tls_cert", "tls_key")]
    return Listening(
        tuple(hosts),
        DOCKER_SOCKET if arguments.flag("docker_socket") else "",
        arguments.text("group"),
        TlsFiles(*(path and os.path.abspath(path) for path in paths)),
        read_sockets(arguments),
    )


def stop(context: "Context", *, told: bool = True) -> int:
    """Stop the engine and wait for its end; containers go on. Where none runs, that is ``told``."""
    from kist.client.transport import Connection  # noqa: PLC0415 - for this verb only

    endpoint = context.wire.endpoint
    if endpoint.roots is None:
        raise Unsupported(
            "only Kist's own engine can be stopped", hint="name none by -H, -c, DOCKER_HOST or the current context"
        )
    try:
        connection = Connection(endpoint.socket, timeout=_STOP_SECONDS)
    except (FileNotFoundError, ConnectionRefusedError):
        if told:
            context.note("no engine runs")
        return 0
    try:
        _end(_pid_of(connection, endpoint.roots[1]))
    finally:
        connection.close()
    return 0


def _pid_of(connection: "Connection", run_root: str) -> int:
    """The engine's process: who listens, or whom a service manager has listened for."""
    listens = connection.peer_pid()
    if not listens or _written_pid(run_root) == listens:
        return listens
    try:
        connection.send("GET", "/_ping")
        connection.receive("GET").read()
    except TimeoutError:
        raise Unavailable(f"the engine did not answer in {_STOP_SECONDS} s") from None
    return _written_pid(run_root)  # by now it has written its own


def _written_pid(run_root: str) -> int:
    try:
        with open(f"{run_root}/engine.pid", encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def _end(pid: int) -> None:
    """Ask the process to end, by a descriptor that cannot come to mean another one, and wait until it has.

    Raises:
        Unsupported: it is in a pid namespace that is not ours.
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
    "[stop | units [DIRECTORY]]",
    most=2,
    options=(
        Option("--docker-socket", "Listen at /var/run/docker.sock too: for root, and a group's members as guests"),
        Option("--group", "Let this group's members use root's engine, within its policy", "NAME"),
        Option(
            "-H --host", "Listen there too: unix://PATH, tcp://ADDRESS:PORT, fd:// (repeatable)", "HOST", kind=REPEAT
        ),
        Option("--storage-driver", "How files are kept: overlay, btrfs, copy or loop", "DRIVER"),
        Option("--tcp", "Listen there too, with mutual TLS (repeatable)", "ADDRESS:PORT", kind=REPEAT),
        Option("--tlscacert --tls-ca", "Certificates of those who sign clients' certificates", "FILE"),
        Option("--tlscert --tls-cert", "The engine's certificate for TCP", "FILE"),
        Option("--tlskey --tls-key", "The key of the engine's certificate", "FILE"),
        Option("--tlsverify", "As it always is: clients on TCP show a certificate", hidden=True),
        *SOCKET_OPTIONS,
        Option("--detach", "Go to the background, and return when it serves"),
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
    "it. Stopping it changes nothing for containers. `units` prints a socket and a service for systemd, which starts "
    "the engine when somebody calls; with a directory it writes them there.",
)
