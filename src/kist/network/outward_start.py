"""Starting the program that is the way out (``kist.network.outward``), so that it is known from its first moment.

An engine may be killed at any time. What it has started by then must be found by the next one, or not have begun.
"""

import contextlib
import os
import select
import subprocess
from collections.abc import Callable

from kist.errors import Unavailable
from kist.kernel import faults, process
from kist.network.outward import Helper, Running, Subnet, pasta_command, slirp_command

_SECONDS = 10
# Waits for the word before it becomes the program; where nobody can say it any more, it ends.
_WAITING = ("/bin/sh", "-c", 'read -r word && exec "$@" < /dev/null', "sh")

Note = Callable[[Running], None]


def start(helper: Helper, subnet: Subnet, namespace: str, pid_file: str, note: Note, *, resolves: bool) -> Running:
    """Start the program for the namespace that is mounted at ``namespace``, and wait until its device is there.

    Args:
        helper: the program.
        subnet: on the device.
        namespace: the file.
        pid_file: in a directory for what it writes; pasta's process id is there before ``note`` is called.
        note: called with the process, slirp4netns's before it begins.
        resolves: have it ask the host's name servers, for a host whose own are all on loopback addresses.

    Raises:
        Unavailable: it could not be started; with its own words.
    """
    resolver = subnet.resolver if resolves else ""
    directory = os.path.dirname(pid_file)
    if helper.name == "slirp4netns":
        return _start_slirp(helper, subnet, namespace, directory, resolver, note)
    found = _started(helper, _start_pasta(helper, subnet, namespace, pid_file, resolves=resolves), resolver)
    faults.point("way out: pasta runs")
    note(found)
    os.unlink(pid_file)
    return found


def read_pid_file(path: str, namespace: str) -> Running | None:
    """The pasta that was started for this namespace and not noted yet; None when it has ended."""
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        words = process.read_file(f"/proc/{pid}/cmdline").decode(errors="replace").split("\0")
        started = process.start_time(pid)
    except (OSError, ValueError):
        return None
    if namespace not in words:
        return None  # another process has got the number
    resolver = words[words.index("--dns-forward") + 1] if "--dns-forward" in words else ""
    return Running("pasta", pid, started, resolver)


def _started(helper: Helper, pid: int, resolver: str) -> Running:
    try:
        return Running(helper.name, pid, process.start_time(pid), resolver)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _failed(helper, "it ended at once") from error


def _start_pasta(helper: Helper, subnet: Subnet, namespace: str, pid_file: str, *, resolves: bool) -> int:
    run_root = os.path.dirname(pid_file)
    log = os.path.join(run_root, "pasta.log")
    command = pasta_command(helper, subnet, namespace, log, pid_file, resolves=resolves)
    try:
        # What it says goes to a file: a pipe would stay open with the process that goes on.
        with open(os.path.join(run_root, "pasta.err"), "w+b") as words:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, check=False,
                                  start_new_session=True, timeout=_SECONDS)  # fmt: skip
            words.seek(0)
            if done.returncode:
                raise _failed(helper, _last_line(words.read()))
        with open(pid_file, encoding="ascii") as file:
            return int(file.read())
    except subprocess.TimeoutExpired as error:
        raise _failed(helper, f"it was not ready after {_SECONDS} s") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(run_root, "pasta.err"))


def _start_slirp(helper: Helper, subnet: Subnet, namespace: str, run_root: str, resolver: str, note: Note) -> Running:
    ready, tell = os.pipe2(os.O_CLOEXEC)
    try:
        with open(os.path.join(run_root, "slirp4netns.log"), "w+b") as words:
            command = (*_WAITING, *slirp_command(helper, subnet, namespace, tell))
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words, stderr=words, pass_fds=[tell],
                                     start_new_session=True)  # fmt: skip
            os.close(tell)
            tell = -1
            found = _started(helper, child.pid, resolver)
            faults.point("way out: waits for the word")
            note(found)
            faults.point("way out: noted")
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError), child.stdin as word:  # where it was killed, ``ready`` tells
                word.write(b"go\n")
            if select.select([ready], [], [], _SECONDS)[0] and os.read(ready, 1):
                faults.point("way out: ready")
                _children.append(child)
                return found
            child.kill()
            child.wait()
            words.seek(0)
            raise _failed(helper, _last_line(words.read()))
    finally:
        for descriptor in (ready, tell):
            if descriptor >= 0:
                os.close(descriptor)


# Looked at again where the next one is started, so that no dead one stays a zombie.
_children: "list[subprocess.Popen[bytes]]" = []


def reap() -> None:
    """Take the ends of those that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def _last_line(words: bytes) -> str:
    lines = words.decode(errors="replace").strip().splitlines()
    # Where there is no system logger, passt tells of that after every line.
    told = [line for line in lines if "syslog" not in line]
    return told[-1].strip() if told else "it says nothing"


def _failed(helper: Helper, words: str) -> Unavailable:
    return Unavailable(
        f"{helper.name} cannot be the way out of the containers' network: {words}",
        hint="--network host and --network none work without it",
    )
