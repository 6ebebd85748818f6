"""Connections to an engine on another machine by ssh: ``dial-stdio`` there is the engine's socket."""

import _thread
import shlex
import shutil
import socket
import subprocess

from kist.client.transport import Connection
from kist.errors import KistError, Unavailable
from kist.spec.hosts import parse_ssh

_CONNECT_SECONDS = 30
_END_SECONDS = 5
_NOT_FOUND, _OF_SSH = 127, 255


def connect(host: str) -> Connection:
    """A connection to ``ssh://[USER@]HOST[:PORT][/PATH]``; what ssh has to say is on standard error.

    The program there is kist; docker where there is no kist.

    Raises:
        InvalidInput: the host is none.
        Unavailable: there is no ssh here.
    """
    there = parse_ssh(host)
    program = shutil.which("ssh")
    if program is None:
        raise Unavailable(f"cannot connect to {host}: there is no ssh here", hint="apt install openssh-client")
    options = ["-o", f"ConnectTimeout={_CONNECT_SECONDS}", "-T"]
    options += ["-l", there.user] if there.user else []
    options += ["-p", str(there.port)] if there.port else []
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [program, *options, "--", there.host, remote_command(there.path)],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            start_new_session=True,  # Ctrl-C is the container's, and not the end of the connection
        )
    _thread.start_new_thread(process.wait, ())  # nobody else is there for its end
    return Connection(connected=ours.detach(), why=lambda: _why(host, process))


def remote_command(path: str) -> str:
    """What a shell on the other machine is to run; whatever shell that is, it knows single quotes."""
    where = f" --host {shlex.quote(f'unix://{path}')}" if path else ""
    kist, docker = (f"exec {name}{where} system dial-stdio" for name in ("kist", "docker"))
    return f"sh -c {shlex.quote(f'command -v kist >/dev/null 2>&1 && {kist}; {docker}')}"


def _why(host: str, process: "subprocess.Popen[bytes]") -> KistError | None:
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    if code == _NOT_FOUND:
        return Unavailable(
            f"there is neither kist nor docker at {host}", hint="install it for the user who logs in there"
        )
    if code != _OF_SSH:
        return Unavailable(f"what ssh ran has ended with {code} before {host} answered", hint="above is what it said")
    return Unavailable(
        f"ssh has ended with {code} before {host} answered",
        hint="above is what it said; it cannot ask for a password here, so it needs a key, or an agent",
    )
