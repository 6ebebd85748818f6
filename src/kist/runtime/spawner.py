"""The process that monitors are forked from: small, single-threaded, everything imported once.

The engine executes it at its start and asks for one monitor after the other over a socket. A start costs no interpreter
and no import, and not even a fork: one spare is always there. Monitors outlive the spawner, and the spawner ends with
the engine that it belongs to.
"""

from __future__ import annotations

import gc
import os
import select
import sys

from kist.kernel import process
from kist.kernel.lean import signal, socket
from kist.runtime import messages
from kist.runtime.monitor import Machine, Monitor
from kist.runtime.rehearsal import rehearse
from kist.runtime.streams import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def main(descriptor: int, run_root: str) -> None:
    """Serve requests from the socket ``descriptor`` until its other end is closed; ``run_root`` is the engine's."""
    process.set_title("kist-spawner")
    # Nobody but root looks into these processes: not the container's processes that share a pid namespace with init.
    process.set_dumpable(dumpable=False)
    # Whoever started the engine may have had signals ignored (nohup, a shell's &); containers are not to inherit that.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Reference cycles are rare here, and a collection would copy every page that the monitors share.
    gc.disable()
    machine = Machine()
    rehearse(machine, os.path.join(run_root, f"rehearsal-{os.getpid()}"))
    gc.collect()
    gc.freeze()
    _keep_a_spare(socket.socket(fileno=descriptor), machine)


def _keep_a_spare(requests: socket.socket, machine: Machine) -> None:
    """Have a monitor ready that waits for the next request itself, so that a start need not wait for a fork.

    The spare says so when it has taken a request, and another one takes its place. Ends when the engine has gone.
    """
    taken, take = os.pipe2(os.O_CLOEXEC)
    poll = select.poll()
    poll.register(requests, 0)  # only for its end: requests are read by the spares
    poll.register(taken, select.POLLIN)
    while True:
        spare = os.fork()
        if spare == 0:
            os.close(taken)
            _be_spare(requests, take, machine)
        # Somebody may kill it while it waits.
        life = os.pidfd_open(spare)
        poll.register(life, select.POLLIN)
        events = dict(poll.poll())
        poll.unregister(life)
        os.close(life)
        if taken in events:
            os.read(taken, 1)
        elif requests.fileno() in events:
            return


def _be_spare(requests: socket.socket, take: int, machine: Machine) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir("/")
    request, descriptors = messages.receive(requests)
    if request is None:
        os._exit(0)
    try:
        os.write(take, b"x")
    except BrokenPipeError as error:
        # The spawner was killed. This start is still ours; the engine finds out at the next.
        messages.complain(error)
    os.close(take)
    requests.close()
    _become_monitor(request, descriptors, machine)


def _become_monitor(request: dict[str, Any], descriptors: list[int], machine: Machine) -> NoReturn:
    try:
        control, *streams = (socket.socket(fileno=each) for each in descriptors)
        attached = [Client(stream, **wants) for stream, wants in zip(streams, request["attached"], strict=True)]
        plan = messages.read_json(request["plan"])
        process.set_title(f"kist-monitor {plan['id'][:12]}")
        Monitor(plan, request["directory"], request["run_directory"], control, machine).run(attached)
    except BaseException:  # noqa: BLE001 - the last frame of this process: what went wrong goes to the engine's log
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
