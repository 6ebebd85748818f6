"""Starts the engine when the first command finds none."""

import os
import sys

from kist.client.transport import Connection
from kist.errors import Forbidden, Unavailable, see_doctor
from kist.spec.roots import fault_of_run_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.client.endpoint import Endpoint

START_SECONDS = 60
_END_SECONDS = 10
_TAIL = 2000
_READY = b"ready"
# What a service manager tells a service is not for the engine that outlives it (sd_notify(3), sd_listen_fds(3)).
OF_A_SERVICE = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")


def connect(endpoint: "Endpoint", *, may_start: bool = True) -> Connection:
    """A connection to the engine, which may be started when it does not run and the endpoint is its own.

    One on another machine is called by TCP or by ssh.

    Raises:
        Unavailable: it cannot be reached or started; the message has the end of its log.
        Forbidden: the socket belongs to somebody else.
    """
    if not endpoint.socket:
        return _far(endpoint)
    try:
        connection = Connection(endpoint.socket)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        if endpoint.roots is None or not may_start:
            raise Unavailable(
                f"cannot connect to the engine at unix://{endpoint.socket}: nobody listens there",
                hint="is it running? Kist starts an engine where neither -H, DOCKER_HOST nor a context names one",
            ) from None
    except PermissionError:
        raise _forbidden(endpoint.socket) from None
    else:
        if endpoint.roots is not None and not connection.is_own():
            connection.close()
            raise _forbidden(endpoint.socket)
        return connection
    data_root, run_root = endpoint.roots
    return start(endpoint.socket, data_root, run_root)


def _far(endpoint: "Endpoint") -> Connection:
    if endpoint.host.startswith("ssh://"):
        from kist.client import ssh  # noqa: PLC0415 - for engines on other machines only

        return ssh.connect(endpoint.host)
    from kist.client import tls  # noqa: PLC0415 - the same

    return tls.connect(endpoint)


def start(socket_path: str, data_root: str, run_root: str) -> Connection:
    """Start the engine unless somebody else just did, and connect.

    ``start.lock`` in the run directory is held while a start is under way, so of several first commands one starts the
    engine and the others wait for it.
    """
    import fcntl  # noqa: PLC0415 - a shared object to load, for the command that starts the engine only

    make_run_root(run_root)
    try:
        lock = os.open(run_root + "/start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"cannot start the engine: {error.strerror}: {error.filename}",
            hint=see_doctor("run-root", "choose another place with KIST_RUN"),
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return Connection(socket_path)
        except (FileNotFoundError, ConnectionRefusedError):
            _await_predecessor(run_root)
            launch(data_root, run_root)
        try:
            return Connection(socket_path)
        except OSError as error:
            raise Unavailable(f"the engine has started and cannot be reached: {error.strerror}") from None
    except PermissionError:
        raise _forbidden(socket_path) from None
    finally:
        os.close(lock)


def make_run_root(run_root: str) -> None:
    """Make the directory where it is missing.

    Raises:
        Unavailable: that is not possible.
        Forbidden: somebody else has made it, or could change it.
    """
    try:
        # The mode is that of the last directory only, so the one above is made first.
        os.makedirs(os.path.dirname(run_root), mode=0o700, exist_ok=True)
        os.makedirs(run_root, mode=0o700, exist_ok=True)
        _check_owner(run_root)
    except OSError as error:
        raise Unavailable(
            f"cannot start the engine: {error.strerror}: {error.filename}",
            hint=see_doctor("run-root", "choose another place with KIST_RUN"),
        ) from None


def _check_owner(run_root: str) -> None:
    """Refuse a run root that somebody else has made or could change.

    Raises:
        Forbidden: names the directory.
    """
    for path in (run_root, os.path.dirname(run_root)):
        status = os.lstat(path)
        if fault := fault_of_run_root(status.st_uid, status.st_mode, os.geteuid()):
            raise Forbidden(
                f"the engine cannot be in {path}: {fault}", hint=see_doctor("run-root", "choose another with KIST_RUN")
            )


def launch(data_root: str, run_root: str, words: "Sequence[str]" = ("engine", "--detach")) -> None:
    """Run ``kist engine`` detached and return when it serves.

    It tells so by a word on a pipe; the pipe's end without the word is a failed start. ``--detach`` makes it fork
    before it works, so that it is nobody's child and leaves no zombie in a long-lived caller. It has a session of its
    own and nothing of the caller's streams: whoever waits for a pipe's end does not wait for the engine's.

    Args:
        data_root: the engine's.
        run_root: the engine's, which is there; its log is in it.
        words: the command line, which begins an engine and detaches.

    Raises:
        Unavailable: the engine does not serve; the message has the end of its log.
    """
    import subprocess  # noqa: PLC0415 - 10 ms that only the command that starts the engine pays

    log_path = run_root + "/engine.log"
    environment = {**os.environ, "KIST_ROOT": data_root, "KIST_RUN": run_root}
    for name in ("DOCKER_HOST", *OF_A_SERVICE):
        environment.pop(name, None)
    read_end, write_end = os.pipe()
    try:
        with open(log_path, "ab") as log:
            began = log.tell()
            try:
                subprocess.run(
                    # -P: what lies in the caller's working directory must not be imported by the engine
                    [sys.executable, "-P", "-m", "kist.cli", *words, "--ready-fd", str(write_end)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(write_end,),
                    start_new_session=True,
                    env=environment,
                    check=False,
                )
            finally:
                os.close(write_end)
        told = _await_word(read_end)
    finally:
        os.close(read_end)
    if told != _READY:
        raise _failed(log_path, began, late=told is None)


def _await_predecessor(run_root: str) -> None:
    """Let an engine that is about to end do so: it has given up its socket, and holds its lock for a moment yet."""
    import fcntl  # noqa: PLC0415 - as in start()
    import select  # noqa: PLC0415 - only the command that starts the engine needs it

    try:
        with open(run_root + "/engine.lock", "rb") as lock, open(run_root + "/engine.pid", encoding="ascii") as file:
            process = os.pidfd_open(int(file.read(32)))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                poll = select.poll()
                poll.register(process, select.POLLIN)
                poll.poll(_END_SECONDS * 1000)
            finally:
                os.close(process)
    except (OSError, ValueError):
        return  # there was none, or it has gone meanwhile


def _await_word(fd: int) -> "bytes | None":
    """What the engine says before it closes the pipe; None when it says nothing in time."""
    import select  # noqa: PLC0415 - only the command that starts the engine needs it

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    said = b""
    while poll.poll(START_SECONDS * 1000):
        data = os.read(fd, 64)
        said += data
        if not data or said.startswith(_READY):
            return said[: len(_READY)]
    return None


def _failed(log_path: str, began: int, *, late: bool) -> Unavailable:
    cause = f"the engine did not become ready in {START_SECONDS} s" if late else "the engine could not be started"
    try:
        with open(log_path, "rb") as log:
            log.seek(max(began, os.fstat(log.fileno()).st_size - _TAIL))
            text = log.read().decode(errors="replace").strip()
    except OSError as error:
        text = f"({error.strerror})"
    lines = "".join(f"\n  {line}" for line in text.splitlines()) or "\n  (nothing)"
    # What refused to be the engine may have named the finding itself, or said what else to do on a second line.
    said = "`kist doctor " in text or (text.startswith("kist: ") and "\n" in text)
    hint = "" if said else "`kist doctor` tells what this machine lacks, and what mends it"
    return Unavailable(f"{cause}; the end of {log_path}:{lines}", hint=hint)


def _forbidden(path: str) -> Forbidden:
    return Forbidden(
        f"permission denied at the engine's socket {path}",
        hint="the engine belongs to another user; set KIST_RUN and KIST_ROOT for one of your own",
    )
