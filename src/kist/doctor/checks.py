"""All that the doctor looks at, in the order in which it tells it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from kist.doctor import facts
from kist.doctor.finding import Finding
from kist.doctor.judgement import ids, machine, networks, storage
from kist.doctor.looking import ids as look_ids
from kist.doctor.looking import machine as look_machine
from kist.doctor.looking import networks as look_networks
from kist.doctor.looking import reach
from kist.doctor.looking import storage as look_storage


class Sight:
    """What is found here. Each part is looked at when it is first asked for, and once.

    To be used by a process with one thread: trials are made in its children.

    Args:
        data_root: of the engine that the person would talk to.
        run_root: and its other directory.
        ask_engine: asks that engine, and starts none.
    """

    def __init__(self, data_root: str, run_root: str, ask_engine: Callable[[], facts.EngineAnswer]) -> None:
        self._data_root = data_root
        self._run_root = run_root
        self._ask_engine = ask_engine

    @cached_property
    def person(self) -> facts.Person:
        """Who asks."""
        return look_machine.person()

    @cached_property
    def machine(self) -> facts.Machine:
        """The kernel and what runs on it."""
        return look_machine.machine()

    @cached_property
    def namespaces(self) -> facts.Namespaces:
        """User namespaces."""
        return look_ids.namespaces(self.data.existing)

    @cached_property
    def subordinate(self) -> facts.SubordinateIds:
        """Subordinate ids."""
        return look_ids.subordinate(trial=not self.namespaces.made)

    @cached_property
    def data(self) -> facts.Place:
        """The data root."""
        return look_storage.place(self._data_root, "KIST_ROOT")

    @cached_property
    def run(self) -> facts.Place:
        """The run root."""
        return look_storage.run_place(self._run_root)

    @cached_property
    def storage(self) -> facts.Storage:
        """What the data root's file system can do."""
        return look_storage.storage(self.data.existing)

    @cached_property
    def controls(self) -> facts.Controls:
        """Control groups."""
        return look_machine.controls()

    @cached_property
    def links(self) -> facts.Links:
        """Networks of containers."""
        return look_networks.links()

    @cached_property
    def clock(self) -> facts.Clock:
        """The clock."""
        return look_machine.clock()

    @cached_property
    def engine(self) -> facts.EngineAnswer:
        """The engine."""
        return self._ask_engine()

    @cached_property
    def names(self) -> facts.Names:
        """Name servers. Its threads may outlast it, so nothing that forks comes after."""
        return reach.names()

    @cached_property
    def mirrors(self) -> facts.Mirrors:
        """Mirrors; as ``names``."""
        return reach.mirrors()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        about: what it is for, as a sentence.
        judge: the finding.
        within: for an ordinary user, it is tried in a user namespace.
    """

    about: str
    judge: Callable[[Sight], Finding]
    within: bool = False


CHECKS: Mapping[str, Check] = {
    "kernel": Check(
        "Kist needs a Linux that is new enough.",
        lambda sight: machine.kernel(sight.machine),
    ),
    "userns": Check(
        "An ordinary user's engine is root of a user namespace; root's containers may have one each.",
        lambda sight: ids.userns(sight.person, sight.namespaces),
    ),
    "proc": Check(
        "Each container has a /proc of its own processes.",
        lambda sight: ids.proc(sight.namespaces),
        within=True,
    ),
    "subids": Check(
        "Subordinate ids are the other users and groups of an ordinary user's containers.",
        lambda sight: ids.subids(sight.person, sight.subordinate),
    ),
    "newuidmap": Check(
        "newuidmap and newgidmap hand the subordinate ids to the engine.",
        lambda sight: ids.newuidmap(sight.person, sight.machine.distribution, sight.subordinate),
    ),
    "mapped-mounts": Check(
        "With --userns auto, files keep their owners on the disk and have others in the container.",
        lambda sight: ids.mapped_mounts(sight.person, sight.namespaces),
    ),
    "data-root": Check(
        "Images, volumes and what containers have written.",
        lambda sight: storage.data_root(sight.data),
    ),
    "run-root": Check(
        "What an engine and its containers need while they run.",
        lambda sight: storage.run_root(sight.run),
    ),
    "overlay": Check(
        "A container's files are the layers of its image, stacked by overlayfs.",
        lambda sight: storage.overlay(sight.data, sight.storage),
        within=True,
    ),
    "xattrs": Check(
        "Extended attributes of files say what a layer replaces, and owners that the disk cannot hold.",
        lambda sight: storage.attributes(sight.person, sight.data, sight.storage),
    ),
    "reflink": Check(
        "A file system that shares blocks copies files at once.",
        lambda sight: storage.reflink(sight.data, sight.storage),
    ),
    "exec": Check(
        "Programs in volumes are executed from the data root's file system.",
        lambda sight: storage.executables(sight.data),
    ),
    "space": Check(
        "Room on the disk.",
        lambda sight: storage.space(sight.data, sight.run),
    ),
    "inodes": Check(
        "Room for files: many file systems have a limit on their number.",
        lambda sight: storage.inodes(sight.data, sight.run),
    ),
    "cgroups": Check(
        "Control groups limit and measure what a container uses.",
        lambda sight: machine.cgroups(sight.person, sight.machine, sight.controls),
    ),
    "seccomp": Check(
        "Containers may make only the system calls that programs need.",
        lambda sight: machine.seccomp(sight.machine),
    ),
    "lsm": Check(
        "Security modules of the kernel confine programs beside all that Kist does.",
        lambda sight: machine.modules(sight.machine),
    ),
    "bridge": Check(
        "A bridge connects containers with each other and with what is outside.",
        lambda sight: networks.bridge(sight.links),
        within=True,
    ),
    "nftables": Check(
        "Packet rules give what leaves a bridge the host's address, and protect the containers.",
        lambda sight: networks.nftables(sight.links),
        within=True,
    ),
    "pasta": Check(
        "pasta connects an ordinary user's bridges with what is outside.",
        lambda sight: networks.outward("pasta", sight.person, sight.machine.distribution, sight.links),
    ),
    "slirp4netns": Check(
        "slirp4netns does the work of pasta where that is not installed, more slowly.",
        lambda sight: networks.outward("slirp4netns", sight.person, sight.machine.distribution, sight.links),
    ),
    "tun": Check(
        "By /dev/net/tun, programs make network devices.",
        lambda sight: networks.tun(sight.person, sight.links),
    ),
    "low-ports": Check(
        "Ports that only root may have unless the kernel is told otherwise.",
        lambda sight: networks.low_ports(sight.person, sight.links),
    ),
    "ping": Check(
        "The groups whose members may send echo requests.",
        lambda sight: networks.ping(sight.person, sight.links),
    ),
    "fuse": Check(
        "By /dev/fuse, programs are file systems.",
        lambda sight: machine.fuse(sight.machine),
    ),
    "clock": Check(
        "Signatures and certificates are compared with the time.",
        lambda sight: machine.clock(sight.machine, sight.clock),
    ),
    "engine": Check(
        "The engine does the work of all commands.",
        lambda sight: machine.engine(sight.engine, 0 if sight.person.root else sight.subordinate.count),
    ),
    "dns": Check(
        "Name servers are asked for the addresses of mirrors.",
        lambda sight: networks.dns(sight.names),
    ),
    "mirrors": Check(
        "kist bootstrap takes packages from a mirror of the distribution.",
        lambda sight: networks.mirrors(sight.mirrors),
    ),
}


def examine(sight: Sight, codes: Iterable[str] = ()) -> Iterator[Finding]:
    """The findings of these codes, or of all, in the order of ``CHECKS``; nothing else is looked at."""
    wanted = set(codes) or CHECKS.keys()
    for code, check in CHECKS.items():
        if code in wanted:
            yield _finding(code, check, sight)


def _finding(code: str, check: Check, sight: Sight) -> Finding:
    if check.within and not sight.person.root and sight.namespaces.made:
        return ids.untried(code)
    return check.judge(sight)
