"""How each code comes to its finding."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from kist.doctor import facts
from kist.doctor.codes import ABOUT
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
        return look_ids.subordinate(self.data.existing, trial=not self.namespaces.made)

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
    def disks(self) -> facts.Disks:
        """What a container's own disk takes."""
        return look_storage.disks()

    @cached_property
    def controls(self) -> facts.Controls:
        """Control groups."""
        return look_machine.controls()

    @cached_property
    def links(self) -> facts.Links:
        """Networks of containers."""
        return look_networks.links()

    @cached_property
    def interpreter(self) -> facts.Interpreter:
        """Python."""
        return look_machine.interpreter()

    @cached_property
    def clock(self) -> facts.Clock:
        """The clock."""
        return look_machine.clock()

    @cached_property
    def settings(self) -> facts.Settings:
        """The engine's settings."""
        return look_machine.settings()

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
        judge: the finding.
        within: for an ordinary user, it is tried in a user namespace.
    """

    judge: Callable[[Sight], Finding]
    within: bool = False


CHECKS: Mapping[str, Check] = {
    "kernel": Check(lambda sight: machine.kernel(sight.machine)),
    "chroot": Check(lambda sight: machine.chroot(sight.person, sight.machine)),
    "userns": Check(lambda sight: ids.userns(sight.person, sight.namespaces)),
    "proc": Check(lambda sight: ids.proc(sight.namespaces), within=True),
    "subids": Check(lambda sight: ids.subids(sight.person, sight.subordinate)),
    "newuidmap": Check(lambda sight: ids.newuidmap(sight.person, sight.machine.distribution, sight.subordinate)),
    "owners": Check(lambda sight: ids.owners(sight.person, sight.data, sight.subordinate)),
    "mapped-mounts": Check(lambda sight: ids.mapped_mounts(sight.person, sight.namespaces)),
    "data-root": Check(lambda sight: storage.data_root(sight.data)),
    "run-root": Check(lambda sight: storage.run_root(sight.run)),
    "overlay": Check(lambda sight: storage.overlay(sight.data, sight.storage), within=True),
    "xattrs": Check(lambda sight: storage.attributes(sight.person, sight.data, sight.storage)),
    "reflink": Check(lambda sight: storage.reflink(sight.data, sight.storage)),
    "loop": Check(lambda sight: storage.disks(sight.person, sight.machine.distribution, sight.disks)),
    "exec": Check(lambda sight: storage.executables(sight.data)),
    "space": Check(lambda sight: storage.space(sight.data, sight.run)),
    "inodes": Check(lambda sight: storage.inodes(sight.data, sight.run)),
    "cgroups": Check(lambda sight: machine.cgroups(sight.person, sight.machine, sight.controls)),
    "seccomp": Check(lambda sight: machine.seccomp(sight.machine)),
    "lsm": Check(lambda sight: machine.modules(sight.machine)),
    "bridge": Check(lambda sight: networks.bridge(sight.links), within=True),
    "nftables": Check(lambda sight: networks.nftables(sight.links), within=True),
    "forwarding": Check(lambda sight: networks.forwarding(sight.person, sight.links)),
    "pasta": Check(lambda sight: networks.outward("pasta", sight.person, sight.machine.distribution, sight.links)),
    "slirp4netns": Check(
        lambda sight: networks.outward("slirp4netns", sight.person, sight.machine.distribution, sight.links)
    ),
    "tun": Check(lambda sight: networks.tun(sight.person, sight.links)),
    "low-ports": Check(lambda sight: networks.low_ports(sight.person, sight.links)),
    "ping": Check(lambda sight: networks.ping(sight.person, sight.links)),
    "fuse": Check(lambda sight: machine.fuse(sight.machine)),
    "python": Check(lambda sight: machine.python(sight.interpreter)),
    "clock": Check(lambda sight: machine.clock(sight.machine, sight.clock)),
    "settings": Check(lambda sight: machine.settings(sight.settings)),
    "engine": Check(lambda sight: machine.engine(sight.engine, 0 if sight.person.root else sight.subordinate.count)),
    "dns": Check(lambda sight: networks.dns(sight.names)),
    "mirrors": Check(lambda sight: networks.mirrors(sight.mirrors)),
}


def examine(sight: Sight, codes: Iterable[str] = ()) -> Iterator[Finding]:
    """The findings of these codes, or of all, in the order of ``ABOUT``; nothing else is looked at."""
    wanted = set(codes) or ABOUT.keys()
    for code in ABOUT:
        if code in wanted:
            yield _finding(code, CHECKS[code], sight)


def _finding(code: str, check: Check, sight: Sight) -> Finding:
    if check.within and not sight.person.root and sight.namespaces.made:
        return ids.untried(code)
    return check.judge(sight)
