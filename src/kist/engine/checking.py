"""``kist system check``: what is here and should not be, what should be here and is not, and what can be done about it.

Each finder looks at one kind of thing and yields what it found, with a function that mends it where that is safe: where
nothing is lost by it that somebody could still want. Finders hold the lock of what they look at, so that what is just
being made or removed is not taken for a leftover.
"""

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from kist.engine import migration, port_checking, state, volume_checking
from kist.engine.containers import Containers
from kist.engine.listing import names_in
from kist.engine.networks import Networks
from kist.engine.remnants import clear_run
from kist.errors import Conflict, KistError, NotFound
from kist.kernel import cgroup, leftovers, mounts, process
from kist.network import room
from kist.runtime import launch, messages
from kist.spec.check import Check, Problem
from kist.spec.container import Container, ContainerState
from kist.store import Store, checking, directories

# A cgroup that a container is just being started in is empty for milliseconds.
_EMPTY_SECONDS = 60
_CABLE_SECONDS = 0.3
_ASIDE = re.compile(r".*\.json\.(\d+)")
_REHEARSAL = re.compile(r"rehearsal-(\d+)")


class Finding(msgspec.Struct, frozen=True):
    """A problem, what it says when it has been mended, and how (None: only a person can)."""

    problem: Problem
    done: str = ""
    mend: Callable[[], object] | None = None


class Checker:
    """Looks at everything that belongs to one data root and one run root."""

    def __init__(self, store: Store, containers: Containers, networks: Networks, run_root: str) -> None:
        self._store = store
        self._containers = containers
        self._networks = networks
        self._run_root = run_root
        self._counts: Counter[str] = Counter()

    def check(self, *, repair: bool = False, verify: bool = False) -> Check:
        """Look at everything.

        Args:
            repair: mend what can be mended safely.
            verify: read every blob, to compare it with its digest.
        """
        self._counts.clear()
        self._containers.settle()
        problems = [self._settled(found, repair=repair) for found in self._all(verify=verify)]
        return Check(tuple(problems), dict(self._counts))

    def _settled(self, found: Finding, *, repair: bool) -> Problem:
        problem = found.problem
        if not repair or found.mend is None:
            return problem
        try:
            found.mend()
        except (KistError, OSError) as error:
            return Problem(problem.kind, problem.subject, f"{problem.message}; it could not be mended: {error}")
        return Problem(problem.kind, problem.subject, problem.message, found.done)

    def _all(self, *, verify: bool) -> Iterator[Finding]:
        yield from self._database()
        yield from self._each_container()
        yield from self._directories()
        yield from self._snapshots()
        yield from self._volumes()
        yield from self._blobs(verify=verify)
        yield from self._groups()
        yield from self._interfaces()
        yield from self._addresses()
        yield from self._mounts()
        yield from self._files()

    # the store

    def _database(self) -> Iterator[Finding]:
        self._counts["database"] += 1
        for line in checking.database(self._store):
            yield Finding(Problem("database", "kist.db", line, hint="restore it from a copy"))

    def _snapshots(self) -> Iterator[Finding]:
        self._counts["snapshot"] += len(self._store.snapshots.rows())
        for key, is_layer in checking.lost_snapshots(self._store):
            if is_layer:

                def forget(key: str = key) -> None:
                    self._store.snapshots.forget_lost(key)

                message = "the directory of an unpacked layer is gone"
                yield Finding(Problem("snapshot", key, message), "forgotten: it is unpacked again when needed", forget)
            else:
                hint = "its changes are lost: remove the container and make it anew"
                yield Finding(Problem("snapshot", key, "the directory of a container's files is gone", hint=hint))
        for path in self._store.snapshots.strays():
            problem = Problem("snapshot", path, "a directory that belongs to no snapshot")
            yield Finding(problem, "removed", self._store.snapshots.sweep)
        # Whoever makes one holds the store's lock until it has its record.
        with self._store.quiet() as quiet:
            left = migration.leftovers(self._store) if quiet else []
            orphans = self._store.orphans() if quiet else []
        if left:
            problem = Problem("snapshot", left[0], f"one of {len(left)} that a conversion of the data root has left")
            yield Finding(problem, "removed", self._collect)
        for key in orphans:
            problem = Problem("snapshot", key, "made for a container or build that does not exist")
            yield Finding(problem, "removed", self._store.discard_orphans)

    def _volumes(self) -> Iterator[Finding]:
        self._counts["volume"] += len(self._store.volumes.list())
        for problem, done, mend in volume_checking.found(self._store):
            yield Finding(problem, done, mend)

    def _collect(self) -> None:
        self._store.collect()

    def _blobs(self, *, verify: bool) -> Iterator[Finding]:
        self._counts["blob"] += len(self._store.blobs.list())
        hint = "load, pull or build the image again"
        for digest, image in checking.missing_blobs(self._store):
            yield Finding(Problem("blob", str(digest), f"is missing, and the image {image} needs it", hint=hint))
        for digest, message in checking.wrong_blobs(self._store) if verify else ():
            yield Finding(Problem("blob", str(digest), message, hint=hint))

    # containers

    def _each_container(self) -> Iterator[Finding]:
        for container in self._store.records.containers():
            self._counts["container"] += 1
            if not os.path.isdir(self._containers.places(container).data):
                places = self._containers.places(container)
                problem = Problem("container", container.id, "has a record and no directory: its log is lost")
                yield Finding(problem, "made an empty one", places.make)
                continue
            found: list[Finding] = []
            with contextlib.suppress(NotFound), self._containers.alone(container):
                found = list(self._one(container))
            yield from found  # mending takes the lock itself

    def _one(self, container: Container) -> Iterator[Finding]:
        places = self._containers.places(container)
        now = self._containers.state_of(container)
        if now.running:
            if state.left_alone(places.run):
                problem = Problem("process", container.id, "runs without a monitor: it and its keeper are dead")
                yield Finding(problem, "has a monitor again", partial(self._adopt, container))
            yield from self._execs(container)
            return
        if now.status == "exited" and not now.finished_at:
            problem = Problem("container", container.id, f"its end is not on record: {now.error}")
            yield Finding(problem, "recorded as ended with 255", partial(self._record_end, container, now.error))
        if now.status == "exited" and os.path.isdir(places.run):
            problem = Problem("directory", places.run, "of a run that is over")
            yield Finding(problem, "removed", partial(self._remove_run, container))

    def _adopt(self, container: Container) -> None:
        self._containers.guardians.adopt(self._containers.places(container))

    def _remove_run(self, container: Container) -> None:
        with self._containers.alone(container):
            if self._containers.state_of(container).status == "exited":
                clear_run(self._containers.places(container))

    def _record_end(self, container: Container, message: str) -> None:
        with self._containers.alone(container):
            ended = self._containers.state_of(container)
            if ended.status == "exited" and not ended.finished_at:
                self._write_end(container, ended, message)

    def _write_end(self, container: Container, ended: ContainerState, message: str) -> None:
        places = self._containers.places(container)
        end: dict[str, Any] = {
            "id": container.id, "status": "exited", "pid": 0, "exit_code": 255, "started_at": ended.started_at,
            "finished_at": time.time_ns(), "error": {"message": message, "exit_code": 255},
        }  # fmt: skip
        messages.write_json(os.path.join(places.data, state.FILE), end)

    def _execs(self, container: Container) -> Iterator[Finding]:
        run = self._containers.places(container).run
        for name in os.listdir(run):
            if not name.startswith("exec-") or not name.endswith(".json") or name.endswith(".options.json"):
                continue
            self._counts["exec"] += 1
            path = os.path.join(run, name)
            try:
                found = json.loads(process.read_file(path))
            except FileNotFoundError:
                continue  # forgotten just now
            if found["running"] and not process.exists(found["pid"]):
                problem = Problem("process", path, "says that an exec'd process runs which does not")
                yield Finding(problem, "recorded as ended with 255", partial(_end_exec, path, found))

    def _directories(self) -> Iterator[Finding]:
        with self._store.quiet() as quiet:
            strays = self._containers.strays() if quiet else []
        for identifier in strays:
            self._counts["directory"] += 1
            try:
                launch.connect(os.path.join(self._run_root, "containers", identifier)).close()
            except Conflict:
                problem = Problem("directory", identifier, "of a container that does not exist")
                yield Finding(problem, "removed", partial(self._containers.discard, identifier))

    # the kernel

    def _groups(self) -> Iterator[Finding]:
        """Groups of containers of ours that do not run, and such as have been empty for long, whoever had them."""
        stopped = {c.id for c in self._store.records.containers() if not self._containers.state_of(c).running}
        stopped |= self._store.events.destroyed()
        for name, places in leftovers.groups(cgroup.detect(), "kist").items():
            self._counts["cgroup"] += 1
            empty = min(map(leftovers.empty_for, places))
            if empty > _EMPTY_SECONDS or (empty >= 0 and name in stopped):
                problem = Problem("cgroup", f"kist/{name}", "of a container that does not run")
                remove = partial(self._unless_started, name, leftovers.remove_groups, places)
                yield Finding(problem, "removed", remove)

    def _interfaces(self) -> Iterator[Finding]:
        strays = self._stray_cables()
        holders = self._networks.cable_names(self._store.records.container_ids()) if strays else {}
        for name in strays:
            problem = Problem("interface", name, "on our bridge, and of no running container")
            remove = partial(self._unless_started, holders.get(name, ""), self._networks.remove_device, name)
            yield Finding(problem, "removed", remove)
        for name, alias in self._networks.stray_devices():
            self._counts["interface"] += 1
            problem = Problem("interface", name, f"of a network that does not exist: {alias.split(' ', 2)[2]}")
            yield Finding(problem, "removed", partial(self._networks.remove_device, name))
        yield from self._unplugged()
        yield from self._rules()
        for note, running in self._networks.stray_ways():
            self._counts["process"] += 1
            problem = Problem("process", f"{running.name} {running.pid}", "serves a network that nobody has any more")
            yield Finding(problem, "ended", partial(room.end, note, running))

    def _stray_cables(self) -> list[str]:
        """Cables of nobody. The kernel takes those of a container that has just ended away in its own time."""
        deadline = time.monotonic() + _CABLE_SECONDS
        while True:
            cables = self._networks.cables()
            here = self._networks.cable_names(self._present())
            strays = [name for name in cables if name not in here]
            if not strays or time.monotonic() > deadline:
                self._counts["interface"] += len(cables)
                return strays
            time.sleep(0.02)

    def _rules(self) -> Iterator[Finding]:
        for chains in self._networks.stray_chains():
            self._counts["rules"] += 1
            problem = Problem("rules", ", ".join(chains), "packet rules of a bridge that does not exist")
            yield Finding(problem, "removed", partial(self._networks.remove_chains, chains))
        for name in self._networks.flawed():
            hint = "kist network reload, after the host's firewall was loaded anew"
            problem = Problem("rules", name, "the network's bridge lacks an address or packet rules", hint=hint)
            yield Finding(problem, "made again", partial(self._networks.make_again, name))
        if self._networks.room_path:
            return
        for container, wrong in self._containers.republishing.mistaken():
            problem = Problem("rules", container.name, wrong, hint="kist network reload")
            yield Finding(problem, "mended", partial(self._containers.republishing.again, container))
        for stray in port_checking.strays(self._present()):
            self._counts["rules"] += 1
            problem = Problem("rules", stray.words, "a published port that nobody publishes any more")
            yield Finding(problem, "removed", partial(port_checking.remove, [stray]))

    def _unplugged(self) -> Iterator[Finding]:
        """Running containers that reach nobody, or nothing outside."""
        theirs = self._containers.bound_to_others()
        running = {c.id: c for c in self._store.records.containers() if c.id not in theirs}
        running = {key: c for key, c in running.items() if c.options.networking.endpoints}
        processes = {key: first for key, c in running.items() if (first := self._containers.first_process(c))}
        here = {key: running[key].options.networking.endpoints for key in processes}
        for identifier in self._networks.unplugged(here, processes.get):
            if self._containers.first_process(running[identifier]) != processes[identifier]:
                continue  # it has just ended
            container = running[identifier]
            names = ", ".join(each.network for each in here[identifier])
            message = f"{container.name} runs, and is not connected to all of its networks ({names})"
            problem = Problem("interface", identifier, message)
            yield Finding(problem, "connected", partial(self._containers.reconnecting.again, container))
        if processes and self._networks.lacks_way_out:
            problem = Problem("process", "way out", "containers run, and reach nothing outside: its program has died")
            yield Finding(problem, "started", self._networks.be_ready)

    def _addresses(self) -> Iterator[Finding]:
        holders = self._networks.holders()
        here = self._present()
        for holder in holders:
            self._counts["address"] += 1
            if holder in here:
                continue
            problem = Problem("address", holder, "has an address on our bridge and does not run")
            yield Finding(problem, "given back", partial(self._unless_started, holder, self._networks.release, holder))

    def _unless_started(self, identifier: str, mend: Callable[[Any], object], subject: object) -> None:
        """Take away what was found of a container that did not run, unless it was started since."""
        with contextlib.ExitStack() as stack:
            try:
                container = self._containers.get(identifier) if identifier else None
                if container is not None:
                    stack.enter_context(self._containers.alone(container))
            except NotFound:
                container = None
            runs = self._containers.state_of(container).running if container else identifier in self._present()
            if not runs:
                mend(subject)

    def _present(self) -> frozenset[str]:
        """The ids of all that runs, or is about to or was just now: their run directories are made first, go last."""
        return names_in(os.path.join(self._run_root, "containers"))

    def _mounts(self) -> Iterator[Finding]:
        """Containers mount in namespaces of their own; on the host nothing of ours is mounted."""
        places = [os.path.join(self._store.root, name) for name in ("snapshots", "tmp", "containers")]
        for place in (*places, self._run_root):
            for point in leftovers.mounts_below(place):
                if point == self._networks.room_path:
                    continue  # in an ordinary user's mounts, which nobody else sees
                self._counts["mount"] += 1
                problem = Problem("mount", point, "is mounted on the host")
                yield Finding(problem, "unmounted", partial(mounts.unmount, point, mounts.MNT_DETACH))

    def _files(self) -> Iterator[Finding]:
        for path, who in _made_aside(self._run_root, os.path.join(self._store.root, "containers")):
            self._counts["file"] += 1
            if not process.exists(who):
                problem = Problem("file", path, "half made, by a process that is dead")
                yield Finding(problem, "removed", partial(directories.remove_tree, path))
        for name in os.listdir(self._run_root):
            if name.startswith("keeper-") and name.endswith(".sock") and not launch.listens(self._run_root, name):
                path = os.path.join(self._run_root, name)
                yield Finding(
                    Problem("file", path, "a socket where nobody listens"), "removed", partial(os.unlink, path)
                )


def _end_exec(path: str, seen: dict[str, Any]) -> None:
    """Record the end of an exec'd process that nobody has recorded, unless its monitor has since."""
    with open(path, "rb") as file:
        found = json.load(file)
    if found == seen:
        messages.write_json(path, {"running": False, "exit_code": 255, "pid": seen["pid"]})


def _made_aside(run_root: str, containers: str) -> Iterator[tuple[str, int]]:
    """Paths that a process makes under a name of its own before they get their final name, or are removed."""
    for parent, names, files in os.walk(run_root):
        for name in (*names, *files):
            if found := _ASIDE.fullmatch(name) or _REHEARSAL.fullmatch(name):
                yield os.path.join(parent, name), int(found[1])
    for parent, _, files in os.walk(containers):
        for name in files:
            if found := _ASIDE.fullmatch(name):
                yield os.path.join(parent, name), int(found[1])
