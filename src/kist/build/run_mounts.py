"""What one RUN sees besides its snapshot (``RUN --mount``): made before its command runs, and gone with it."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from kist.build import agents, secrets, trees
from kist.build.contents import digest
from kist.build.context_binds import ContextBinds
from kist.build.plan import Plan, Run
from kist.build.result import Result
from kist.build.run_mount import BindMount, CacheMount, SecretMount, SshMount, TmpfsMount
from kist.build.selection import Selected
from kist.build.tree import Tree
from kist.build.work import opened
from kist.engine.build_caches import key_of
from kist.engine.step_mounts import NO_MOUNTS, StepMounts
from kist.engine.stop import Stop
from kist.errors import InvalidInput
from kist.image import pretence
from kist.kernel.paths import make_directories
from kist.spec.mount import Mount
from kist.spec.provision import Provision
from kist.spec.volume import VolumeSource

if TYPE_CHECKING:
    from kist.engine.engine import Engine
    from kist.store.cache_mounts import Sharing

M = TypeVar("M", BindMount, CacheMount, TmpfsMount, SecretMount, SshMount)

_LOCK = "kist-cache-lock"
_AGENT = "SSH_AUTH_SOCK"


class RunMounts:
    """The mounts of one command.

    Args:
        engine: keeps the trees that they are of.
        binds: of the build's context.
        action: the command.
        results: of the steps that it requires.
        given: the same as the attribute.
        stop: ends what waits.
        complain: told what the writer of the Dockerfile should know, from any thread.

    Attributes:
        given: what the client gives.
    """

    def __init__(
        self,
        engine: "Engine",
        binds: ContextBinds,
        action: Run,
        results: Mapping[str, Result],
        given: Provision,
        stop: Stop,
        complain: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._binds = binds
        # Rights, or a device, may do more to a mount than it says.
        self._apart = action.insecure or bool(action.devices)
        self._mounts = action.mounts
        # What was told of parts of the context, by their paths.
        self._parts: dict[str, str] = {}
        self._environment = action.environment
        self._results = results
        self.given = given
        self._stop = stop
        self._complain = complain

    @property
    def variables(self) -> tuple[str, ...]:
        """What the command has in its environment for them, but for what is secret."""
        if any(each.startswith(f"{_AGENT}=") for each in self._environment):
            return ()
        there = [mount for mount in self._of(SshMount) if mount.id in self.given.agents]
        return tuple(f"{_AGENT}={mount.target}" for mount in there[:1])

    @property
    def reads(self) -> bool:
        """Whether ``contents`` reads files."""
        return any(not mount.origin or mount.source != "/" for mount in self._of(BindMount))

    def contents(self) -> tuple[str, ...]:
        """Digests of the files that are shown, for the command's cache key; caches, secrets and agents do not count.

        Raises:
            NotFound: one is not there.
        """
        found = []
        for mount in self._of(BindMount):
            found.append(mount.target)
            if not mount.origin:
                found.append(self._told(mount.source))
            elif mount.source == "/":
                found.append(self._results[mount.origin].identity)
            else:
                found.append(self._digest_of_result(mount))
        for cache in self._of(CacheMount):
            found += [cache.target, self._results[cache.origin].identity] if cache.origin else []
        return ("mounts", *found) if found else ()

    def _digest_of_result(self, mount: BindMount) -> str:
        chain = self._results[mount.origin].chain
        mounts = self._engine.store.snapshots.mounts(chain) if chain is not None else ()
        if not mounts:
            return "nothing"  # and no such file, which the command's start tells
        with opened(mounts) as root:
            return _digest(Tree(root, f'"{mount.origin_name}"'), mount.source)

    @contextmanager
    def opened(self) -> Iterator[StepMounts]:
        """All of them, for the time of the block.

        Raises:
            KistError: one cannot be had.
        """
        with ExitStack() as stack:
            stack.callback(self._binds.note_command)
            if not self._mounts:
                yield NO_MOUNTS
                return
            place = stack.enter_context(self._engine.store.temporary())

            def empty(name: str) -> str:
                os.mkdir(f"{place}/{name}")
                return f"{place}/{name}"

            parts = [
                stack.enter_context(agents.opened(self._of(SshMount), self.given, empty("ssh"), self._complain)),
                *(self._bound(stack, mount, empty(f"bind-{n}")) for n, mount in enumerate(self._of(BindMount))),
                *self._caches(stack),
                *(StepMounts((_tmpfs(mount),)) for mount in self._of(TmpfsMount)),
                # As late as can be: others may be waited for.
                stack.enter_context(secrets.opened(self._of(SecretMount), self.given, empty("secrets"))),
            ]
            yield _together(parts)

    def _of(self, kind: type[M]) -> list[M]:
        return [mount for mount in self._mounts if isinstance(mount, kind)]

    def _told(self, source: str) -> str:
        """The identity of a part of the context as the command's key has it."""
        if source not in self._parts:
            self._parts[source] = self._binds.digest(source)
        return self._parts[source]

    def _bound(self, stack: ExitStack, mount: BindMount, place: str) -> StepMounts:
        if not mount.origin:
            return self._binds.shown(mount, place, self._told(mount.source), apart=self._apart)
        origin = self._results[mount.origin]
        return stack.enter_context(trees.of_result(self._engine, origin, mount, place))

    def _caches(self, stack: ExitStack) -> Iterator[StepMounts]:
        """Each cache once, however often it is mounted; in an order that all commands have in common."""
        caches: dict[str, list[CacheMount]] = {}
        for mount in self._of(CacheMount):
            caches.setdefault(self._key(mount), []).append(mount)
        for number, (key, mounts) in enumerate(sorted(caches.items())):
            sharing = next((each.sharing for each in mounts if each.sharing != "shared"), "shared")
            taken = stack.enter_context(
                self._engine.store.cache_mounts.taken(
                    key, cast("Sharing", sharing), partial(self._begin, mounts[0]), self._wait
                )
            )
            shown = tuple(_shown(mount, taken.path) for mount in mounts)
            yield StepMounts(
                shown, {mount.source: VolumeSource(mount.source) for mount in shown}, {f"{_LOCK}-{number}": taken.lock}
            )

    def _wait(self, event: threading.Event) -> None:
        with self._stop.heard_by(event.set):
            event.wait()
        self._stop.check()

    def _key(self, mount: CacheMount) -> str:
        if not mount.origin:
            return key_of(self._engine.catalogue.scope, mount.id)
        return key_of(self._engine.catalogue.scope, mount.id, self._results[mount.origin].identity, mount.source)

    def _begin(self, mount: CacheMount, path: str) -> None:
        """Fill a cache's new directory."""
        if mount.origin:
            os.rmdir(path)
            whole = BindMount(mount.target, mount.source, mount.origin, mount.origin_name)
            trees.copy_of(self._engine, self._results[mount.origin], whole, path)
            if not os.path.isdir(path):
                raise InvalidInput(f'"{mount.source}" in "{mount.origin_name}" is no directory: a cache begins as one')
            return
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pretence.give(directory, mount.uid, mount.gid)
            os.fchmod(directory, mount.mode)
        finally:
            os.close(directory)


def _shown(mount: CacheMount, path: str) -> Mount:
    options = ("ro",) if mount.read_only else ()
    if mount.origin or mount.source == "/":
        return Mount("volume", path, mount.target, options)
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        make_directories(root, mount.source, 0o755)  # a command may have put links there, which do not lead out
    finally:
        os.close(root)
    return Mount("volume", path, mount.target, (*options, f"subpath={mount.source.strip('/')}"))


def _digest(tree: Tree, path: str) -> str:
    return digest(tree, [Selected(tree, each) for each in tree.select(trees.pattern_of(path))])


def _tmpfs(mount: TmpfsMount) -> Mount:
    size = (f"size={mount.size}",) if mount.size else ()
    return Mount.tmpfs(mount.target, "exec", *size)


def _together(parts: list[StepMounts]) -> StepMounts:
    return StepMounts(
        tuple(mount for part in parts for mount in part.mounts),
        {name: source for part in parts for name, source in part.sources.items()},
        {name: descriptor for part in parts for name, descriptor in part.held.items()},
        frozenset().union(*(part.files for part in parts)),
    )


def check_given(plan: Plan, given: Provision) -> None:
    """Look, before anything is done, whether everything that a step requires of the client is there.

    Raises:
        InvalidInput: something is not; names it and its line.
    """
    for step in plan.steps:
        for mount in step.action.mounts if isinstance(step.action, Run) else ():
            if isinstance(mount, SecretMount) and mount.required and mount.id not in given.secrets:
                raise InvalidInput(
                    f"{step.place}: the secret {mount.id} is required and was not given",
                    hint=f"kist build --secret id={mount.id},src=FILE, or id={mount.id},env=VARIABLE",
                )
            if isinstance(mount, SshMount) and mount.required and mount.id not in given.agents:
                raise InvalidInput(
                    f"{step.place}: the ssh agent {mount.id} is required and was not given",
                    hint=f"kist build --ssh {mount.id}, or {mount.id}=SOCKET, or {mount.id}=KEY",
                )
