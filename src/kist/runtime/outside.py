"""The guard of a container that an outside OCI runtime makes (``--runtime``): between the monitor and the command.

It is the monitor's child in place of init. It mounts the root file system in a mount namespace of its own, writes the
bundle, has the runtime create and start the container, which becomes its child (it is a subreaper), and ends as the
command ends. The monitor gets a pidfd of the command, and does everything else by that: signals, exec, the network.
"""

from __future__ import annotations

import errno
import os
import select
import stat

from kist.kernel import mounts, process, tty
from kist.kernel.lean import accept, signal, socket
from kist.runtime import bundle, crossing, diagnose, identity, messages
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from kist.runtime.operations import Context

_LONGEST = 4096
# What a runtime may take to clear up; a container's end is not to hang on it.
_PATIENCE = 10_000
_NAMESPACE_FILES = {"network": "net", "mount": "mnt"}
_SHARED = {"shared", "rshared"}


class RuntimeFailure(Exception):
    """The runtime could not do it; the message is its own last word."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(plan: dict[str, Any], context: Context) -> NoReturn:
    """Make the container of the plan, and end as it ends.

    Args:
        plan: ``id``; ``program``, the runtime's path; ``directory``, the container's run directory; ``root``, its mount
            (``type``, ``source``, ``options``); ``user``, as the operation of that name has it; ``passwd``, as
            ``passwd_entry`` has it, or None; ``joined``, namespaces of others; ``wait_for_network``; ``config``, the
            bundle's.
        context: of which ``report`` is used.
    """
    try:
        pid, pidfd = _Guard(plan, context).make()
    except RuntimeFailure as failure:
        told: dict[str, Any] = {"operation": "runtime", "message": str(failure)[:_LONGEST]}
        if failure.exit_code is not None:
            told["exit_code"] = failure.exit_code
        messages.send(context.report, {"failed": {"arguments": {}, "errno": 0, "path": "", "hint": "", **told}})
        os._exit(1)
    # From here on it goes on when the monitor does not.
    process.set_parent_death_signal(0)
    context.report.close()
    _stay(pid, pidfd)


def _stay(pid: int, pidfd: int) -> NoReturn:
    """Hand signals on, reap, and end as the command does."""
    while True:
        received = signal.sigwait(_SIGNALS)
        if received != signal.SIGCHLD:
            _send(pidfd, received)
            continue
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(255)  # somebody took its end away
            if ended == 0:
                break
            if ended == pid:
                os._exit(process.exit_code(status))


def _send(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return  # its end is about to be seen


class _Guard:
    def __init__(self, plan: dict[str, Any], context: Context) -> None:
        self._plan = plan
        self._config: dict[str, Any] = plan["config"]
        self._report = context.report
        # Of an earlier run, whose addresses and cables are still there; -1 in a first one.
        self._network = context.trees.get("network", -1)
        self._directory: str = plan["directory"]
        self._bundle = f"{self._directory}/bundle"
        self._root = f"{self._bundle}/rootfs"
        self._console: socket.socket | None = None

    def make(self) -> tuple[int, int]:
        """From nothing to a command that runs: its process id, and a pidfd of it."""
        process.set_title("kist-outside")
        process.adopt_orphans()
        # Kept for whom they are meant for; the default action would end this process.
        signal.pthread_sigmask(signal.SIG_SETMASK, _SIGNALS)
        self._prepare()
        arguments = ["create", "--bundle", self._bundle, "--pid-file", f"{self._bundle}/pid"]
        if self._config["process"]["terminal"]:
            self._listen()
            arguments += ["--console-socket", "console.sock"]
        self._call("create", [*arguments, self._plan["id"]], (0, 1, 2))
        pid = int(process.read_file(f"{self._bundle}/pid"))
        # Its parent has ended, so it is this process's child: the number cannot come to mean another one.
        pidfd = os.pidfd_open(pid)
        self._let_go_of_streams()
        if self._console is not None:
            master = self._receive_terminal()
            messages.send(self._report, {"terminal": 0}, [master, tty.open_peer(master)])
        messages.send(self._report, {"inside": pid}, [pidfd])
        self._await({"noted", "go"} if self._plan["wait_for_network"] else {"noted"})
        self._call("start", ["start", self._plan["id"]], (0, 1, 1))
        return pid, pidfd

    def _await(self, words: set[str]) -> None:
        """Wait until the monitor has looked at the command's process, which may end at once, and for the network."""
        while words:
            message, _ = messages.receive(self._report)
            if message is None or ("go" in words and message.get("go") is False):
                raise RuntimeFailure("the engine did not attach the network")
            words -= set(message)

    # the bundle

    def _prepare(self) -> None:
        os.makedirs(self._root, 0o700, exist_ok=True)
        trees = {
            place: mounts.clone_tree(mount["source"])
            for place, mount in enumerate(self._config["mounts"])
            if mount["type"] == "bind" and _SHARED & set(mount["options"])
        }
        self._join(trees)
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)
        self._mount_root()
        self._attach(trees)
        self._settle_user()
        self._config["root"]["path"] = self._root
        messages.write_json(f"{self._bundle}/config.json", self._config)
        os.chdir(self._bundle)

    def _mount_root(self) -> None:
        root = self._plan["root"]
        if self._plan["disk"]:
            from kist.kernel import disks  # noqa: PLC0415 - few containers have one

            disks.mount_at(**self._plan["disk"])
        if root["type"] == "bind":
            tree = mounts.clone_tree(root["source"])
            mounts.attach_tree(tree, self._root)
            os.close(tree)
        else:
            mounts.mount_layers(root["type"], root["source"], root["options"], self._root)
        mounts.set_propagation(self._root, mounts.MS_PRIVATE)

    def _attach(self, trees: dict[int, int]) -> None:
        """Show the runtime, at places of our own, what it could not find by a path."""
        for place, tree in trees.items():
            at = f"{self._bundle}/mount{place}"
            if stat.S_ISDIR(os.fstat(tree).st_mode):
                os.makedirs(at, exist_ok=True)
            else:
                os.close(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            mounts.attach_tree(tree, at)
            os.close(tree)
            self._config["mounts"][place]["source"] = at

    def _join(self, trees: dict[int, int]) -> None:
        """Name the namespaces of others by descriptors of this process: a number may come to mean another one."""
        own = f"/proc/{os.getpid()}/fd"
        listed: list[dict[str, str]] = self._config["linux"]["namespaces"]
        paths: dict[str, str] = {}
        for other in self._plan["joined"]:
            alive = crossing.open_living(other["pid"], other["started"])
            for kind in other["kinds"]:
                descriptor = process.namespace_descriptor(other["pid"], _NAMESPACE_FILES.get(kind, kind))
                paths[kind] = f"{own}/{descriptor}"
                if kind == "ipc":
                    place = next(n for n, m in enumerate(self._config["mounts"]) if m["destination"] == "/dev/shm")  # noqa: S108
                    trees[place] = crossing.open_shared_memory(alive)
            # Looked at again: what was opened by its number was its own.
            signal.pidfd_send_signal(alive, 0)
        if self._network >= 0:
            paths["network"] = f"{own}/{self._network}"
        for kind, path in paths.items():
            listed[:] = [each for each in listed if each["type"] != kind]
            listed.append({"type": kind, "path": path})

    def _settle_user(self) -> None:
        if self._plan["passwd"]:
            self._in_root(self._plan["passwd"])
        try:
            who = bundle.find_user(self._plan["user"], self._root)
        except LookupError as error:
            error.operation = "user"  # type: ignore[attr-defined]
            raise
        bundle.take_user(self._config, who)
        for descriptor in range(3):
            # Pipes of root's, which the command's user could not open anew by their names (/dev/stdout).
            if who.uid and not self._config["process"]["terminal"] and descriptor != 0:
                os.fchown(descriptor, who.uid, who.gid)

    def _in_root(self, entry: dict[str, Any]) -> None:
        """Make the caller known in the container, by a process that sees nothing but its root."""
        child = os.fork()
        if child == 0:
            try:
                os.chroot(self._root)
                os.chdir("/")
                owner = entry.pop("owner")
                identity.add_user(**entry)
                identity.make_home(entry["home"], owner)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError(errno.EIO, "the entry in the container's passwd could not be made", self._root)

    # streams

    def _listen(self) -> None:
        os.chdir(self._bundle)  # by a short name: that of a socket is limited to 107 bytes
        if os.path.lexists("console.sock"):
            os.unlink("console.sock")
        self._console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._console.bind("console.sock")
        self._console.listen(1)

    def _receive_terminal(self) -> int:
        """The master side of the terminal that the runtime has made, which waits in the socket by now."""
        assert self._console is not None
        self._console.setblocking(False)
        try:
            connection = accept(self._console)
            connection.setblocking(True)
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            ancillary = []
        if not ancillary:
            raise RuntimeFailure(f"{self._plan['program']} sent no terminal over its console socket")
        self._console.close()
        return int.from_bytes(ancillary[0][2][:4], "little")

    def _let_go_of_streams(self) -> None:
        """Their end is to be seen when the command lets go of them."""
        nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        os.close(nothing)

    # the runtime

    def _call(self, verb: str, arguments: list[str], stdio: tuple[int, int, int]) -> None:
        log = f"{self._directory}/runtime.log"
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        program = self._plan["program"]
        try:
            child = _spawn(program, [*_global(self._directory, log), *arguments], stdio)
        except OSError as error:
            raise RuntimeFailure(f"{program}: {(error.strerror or '').lower()}") from error
        _, status = os.waitpid(child, 0)
        if status:
            words = _last_words(log) or f"{program} {verb} ended with {os.waitstatus_to_exitcode(status)}"
            raise RuntimeFailure(
                f"OCI runtime {verb} failed: {words}", _exit_code(words, self._config["process"]["args"][0])
            )


def delete(plan: dict[str, Any], directory: str) -> None:
    """Have the runtime forget the container, with what its hooks have to say; one that hangs is ended."""
    if os.path.isdir(f"{_state(directory)}/{plan['id']}"):
        try:
            _delete(plan["runtime"]["program"], plan["id"], directory)
        except OSError as error:
            messages.complain(error)


def _delete(program: str, identifier: str, directory: str) -> None:
    log = f"{directory}/runtime.log"
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    arguments = [*_global(directory, log), "delete", "--force", identifier]
    child = _spawn(program, arguments, (nothing, nothing, nothing))
    os.close(nothing)
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(_PATIENCE):
        _send(pidfd, signal.SIGKILL)
    os.close(pidfd)
    _, status = os.waitpid(child, 0)
    if status:
        raise OSError(errno.EIO, _last_words(log) or f"wait status {status}", f"{program} delete")


def _state(directory: str) -> str:
    """Where the runtime keeps what it knows: it goes with the run directory, whatever happens to the runtime."""
    return f"{directory}/runtime"


def _global(directory: str, log: str) -> list[str]:
    return ["--root", _state(directory), "--log", log, "--log-format", "json"]


def _spawn(program: str, arguments: list[str], stdio: tuple[int, int, int]) -> int:
    """Start the runtime, which dies when this process does."""
    child = os.fork()
    if child == 0:
        try:
            process.set_parent_death_signal(signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number, descriptor in enumerate(stdio):
                os.dup2(descriptor, number)
            os.execv(program, [program, *arguments])  # noqa: S606 - the user's runtime
        finally:
            os._exit(diagnose.NOT_EXECUTABLE)
    return child


def _last_words(log: str) -> str:
    """The last error that the runtime has logged."""
    words = ""
    for line in process.read_file(log).decode(errors="replace").splitlines():
        try:
            entry = jsontext.loads(line)
            words = entry["msg"] if entry.get("level") in {"error", "fatal"} else words
        except (ValueError, KeyError, AttributeError):
            words = line.strip() or words
    return words


def _exit_code(words: str, command: str) -> int | None:
    """Docker's exit code for a failed start, which it finds in the words too; None for its usual one."""
    if command in words and ("executable file not found" in words or "no such file or directory" in words.lower()):
        return diagnose.NOT_FOUND
    if "permission denied" in words.lower() or "is a directory" in words.lower():
        return diagnose.NOT_EXECUTABLE
    return None


_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
