"""What was found on this machine: plain values, from which the judgement is made.

A field that tells of a trial is the kernel's refusal in words, empty where it worked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kist.doctor.distribution import Distribution


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks.

    Attributes:
        uid, gid: the ids.
        name: empty where nobody knows it.
        local: whether /etc/passwd has the name, and not a directory service.
        machines_root: root of the machine, and not of a user namespace.
        sudo: how a command is given to root: ``sudo``, ``doas``, or empty.
    """

    uid: int
    gid: int
    name: str = ""
    local: bool = True
    machines_root: bool = False
    sudo: str = ""

    @property
    def root(self) -> bool:
        """Whether the engine needs no user namespace of its own."""
        return self.uid == 0


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as a whole.

    Attributes:
        kernel: as ``uname -r`` tells it.
        distribution: which one.
        confining: of ``apparmor`` and ``selinux`` those at work.
        modules: all security modules at work, where that is told.
        seccomp: a filter was set.
        fuse: /dev/fuse can be opened.
        systemd: whether it runs.
        chroot: whether this process is in a chroot.
    """

    kernel: str
    distribution: Distribution
    confining: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    seccomp: str = ""
    fuse: str = ""
    systemd: bool = True
    chroot: bool = False


@dataclass(frozen=True, slots=True)
class Helper:
    """``newuidmap`` or ``newgidmap``: where it is, and whether it has the right to set ids."""

    path: str
    sets_ids: bool


@dataclass(frozen=True, slots=True)
class Namespaces:
    """User namespaces and what is mounted in them.

    Attributes:
        made: one was made.
        settings: files of /proc/sys that forbid them, and their values.
        most: how many there may be at once, for each user.
        proc: a /proc of a new pid namespace was mounted.
        mapped: an id-mapped mount was made of the data root; None where only root could try.
    """

    made: str
    settings: Mapping[str, str] = field(default_factory=dict)
    most: str = ""
    proc: str = ""
    mapped: str | None = None


@dataclass(frozen=True, slots=True)
class SubordinateIds:
    """Subordinate ids and what gives them.

    Attributes:
        subuid, subgid: the texts of the two files.
        lacks: why there is one id, in the engine's words; empty where there is a range.
        count: how many ids there are with the range, the user's own among them.
        helpers: by name; None for one that is not installed.
        locked: this process may get no rights from set-uid programs.
        mapped: the range was written by the helpers; None where nothing was tried.
        owned: a file of the data root was given to an id of the range; None as well.
        left: files of a range may be in the data root, from an engine that had one.
    """

    subuid: str
    subgid: str
    lacks: str = ""
    count: int = 1
    helpers: Mapping[str, Helper | None] = field(default_factory=dict)
    locked: bool = False
    mapped: str | None = None
    owned: str | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of Kist's.

    Attributes:
        path: where it is or will be.
        variable: of the environment, that chooses another one.
        existing: the nearest directory that is there.
        refusal: a file was made there.
        file_system: its type.
        mount_point: where that is mounted.
        noexec: it is mounted so that no program on it can be executed.
        free, size: bytes that this user may still write, and all; 0 of 0 where the file system does not count them.
        free_inodes, inodes: files; 0 of 0 where the file system does not count them.
    """

    path: str
    variable: str
    existing: str
    refusal: str = ""
    file_system: str = ""
    mount_point: str = "/"
    noexec: bool = False
    free: int = 0
    size: int = 0
    free_inodes: int = 0
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class Storage:
    """What the file system of the data root can do; the trials' words."""

    overlay: str
    attributes: str
    trusted: str | None
    reflink: str


@dataclass(frozen=True, slots=True)
class Disks:
    """What a container's own disk takes.

    Attributes:
        devices: why loop devices cannot be had, in words; empty where they can.
        program: where the program is that makes a file system; empty where it is not installed.
    """

    devices: str
    program: str


@dataclass(frozen=True, slots=True)
class Controls:
    """Control groups.

    Attributes:
        mode: ``v1``, ``hybrid``, ``v2``, or ``none`` where this user can use none.
        controllers: that this user's containers can have.
        mounted: the version that is mounted on the machine: 0 for none, 1 also for both.
    """

    mode: str
    controllers: frozenset[str]
    mounted: int


@dataclass(frozen=True, slots=True)
class Links:
    """Networks of containers.

    Attributes:
        bridge: a bridge with a cable was made.
        rules: packet rules with address translation were set.
        dropping: chains of other firewalls that drop what bridges forward, as ``ip filter FORWARD``.
        programs: ``pasta`` and ``slirp4netns``, and where they are; empty where they are not.
        old_pasta: pasta is one of those that slirp4netns is better than.
        tun: /dev/net/tun was opened.
        first_port: the lowest that an ordinary user may have.
        pingers: the first and last group whose members may ping.
    """

    bridge: str
    rules: str
    dropping: Sequence[str]
    programs: Mapping[str, str]
    old_pasta: bool
    tun: str
    first_port: int
    pingers: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that Kist runs by.

    Attributes:
        version: as ``3.13.1``.
        path: of the program.
        prefix: where it is installed.
        configured: what configure was told when it was built; empty where that is not known.
        flags: what the compiler was told.
    """

    version: str
    path: str
    prefix: str = "/usr"
    configured: str = ""
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time: of this clock, of the newest file that must be older, and whether somebody keeps it right."""

    now: float
    newest: float
    kept: bool | None


@dataclass(frozen=True, slots=True)
class Names:
    """Name servers of /etc/resolv.conf, what each answered about ``asked`` (``""`` for an address), and the file."""

    asked: str
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Where ``kist bootstrap`` takes packages from, with what went wrong there; ``configured`` says by whom."""

    configured: str
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """The engine as a client sees it, nothing being started for it.

    Attributes:
        socket: where it listens; empty where that cannot be told.
        refusal: why it did not answer; empty when it did or none runs.
        info: what it told of itself (``/kist/info``); None when it did not.
        hint: what is to be done where it cannot be told.
        elsewhere: the host of another machine whose engine is the one that commands go to; empty for none.
    """

    socket: str
    refusal: str = ""
    info: Mapping[str, Any] | None = None
    hint: str = ""
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The file of the engine's settings, whether it is there, what is wrong in it, and what is to be done."""

    path: str
    there: bool = True
    fault: str = ""
    hint: str = ""
