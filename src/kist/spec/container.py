"""A container as its users see it: what they ask for, and what became of it."""

from typing import Literal

import msgspec

from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount

NetworkMode = Literal["bridge", "host", "none"]
Status = Literal["created", "running", "exited", "dead"]


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """Limits; 0 means none.

    Attributes:
        memory: bytes.
        nano_cpus: thousand-millionths of a CPU (1.5 CPUs is 1_500_000_000).
        pids: processes and threads.
        shm_size: bytes of /dev/shm; Docker's default is 64 MiB.
    """

    memory: int = 0
    nano_cpus: int = 0
    pids: int = 0
    shm_size: int = 64 << 20


class Caller(msgspec.Struct, frozen=True):
    """Who calls, for ``--as-me``: the command runs with these ids, a passwd entry and a home."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str


class ContainerOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that ``create`` is told. None means: as the image says.

    Attributes:
        image: the reference or id as the caller wrote it.
        command: replaces the image's Cmd.
        entrypoint: replaces the image's Entrypoint (and then its Cmd is not used); ``()`` clears it.
        env: ``NAME=value``, added to the image's.
        mounts: binds, tmpfs and volumes.
        hostname: empty for the short container id.
        open_stdin: keep standard input open while nobody is attached (``-i``).
        stdin_once: close standard input when the first attached client goes.
        cap_add, cap_drop: names with or without ``CAP_``, or ``ALL``.
        auto_remove: remove the container when it has ended (``--rm``).
        caller: set for ``--as-me``.
        stop_timeout: seconds between the stop signal and SIGKILL.
    """

    image: str
    name: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    network: NetworkMode = "bridge"
    resources: Resources = Resources()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    init: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    auto_remove: bool = False
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int = 10
    caller: Caller | None = None


class ContainerState(msgspec.Struct, frozen=True):
    """What the monitor recorded.

    Attributes:
        status: ``created`` before the first start.
        pid: of the container's first process in the host's pid namespace; 0 when it does not run.
        exit_code: 0 to 255 (128 + n for signal n); meaningful when ``status`` is ``exited``.
        started_at, finished_at: nanoseconds since the epoch; 0 for never.
        oom_killed: the kernel killed a process of it for lack of memory.
        error: why the last start failed.
    """

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    started_at: int = 0
    finished_at: int = 0
    oom_killed: bool = False
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        return self.status == "running"


class NetworkAttachment(msgspec.Struct, frozen=True):
    """A container's end on a network; ``address`` as ``10.88.0.2/16``."""

    network: str
    address: str
    gateway: str
    mac: str


class Container(msgspec.Struct, frozen=True):
    """One container, as ``inspect`` and ``list`` see it.

    Attributes:
        id: 64 hexadecimal digits.
        image_id: the config digest of the image that it was made from.
        created_at: nanoseconds since the epoch.
        config: the image's config with the options laid over it: what really runs.
        argv: entrypoint and command together.
        log_path: the current log file on the engine's machine.
    """

    id: str
    name: str
    image_id: Digest
    created_at: int
    options: ContainerOptions
    config: ContainerConfig
    argv: tuple[str, ...]
    state: ContainerState = ContainerState()
    networks: tuple[NetworkAttachment, ...] = ()
    log_path: str = ""


class RunResult(msgspec.Struct, frozen=True):
    """What ``run`` gives back after the end: the exit code and all output, decoded leniently from UTF-8."""

    container: str
    exit_code: int
    stdout: str
    stderr: str


class ExecOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """One more process in a running container; empty fields are as the container's own process has them."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    open_stdin: bool = False


class ExecState(msgspec.Struct, frozen=True):
    """An exec'd process; ``exit_code`` is None until it has ended."""

    id: str
    container: str
    running: bool
    exit_code: int | None
    pid: int
    options: ExecOptions


class LogRecord(msgspec.Struct, frozen=True):
    """A line of a container's output, with its line end unless the output had none; ``time`` in ns since the epoch."""

    stream: Literal["stdout", "stderr"]
    time: int
    data: bytes
