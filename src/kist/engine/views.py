"""A container's files as descriptors: those of a running one as its processes see them, else those it would start with.

Everything goes through the root's descriptor with RESOLVE_IN_ROOT (``kist.kernel.paths``): whatever links a container
puts where, and whenever, no path leads out of it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from kist.engine import image_mounts, namespaces
from kist.engine.containers import Containers
from kist.engine.roots import root_mounts
from kist.errors import Conflict, InvalidInput, NotFound, Unavailable
from kist.kernel import paths, views
from kist.spec.container import Container
from kist.spec.files import PathStatus, go_mode
from kist.spec.mount import Mount
from kist.store import Store

_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 255
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV})
_ETC = {"resolv.conf": "/etc/resolv.conf", "hostname": "/etc/hostname", "hosts": "/etc/hosts"}
_EVERYBODY = ((0, 0, 0xFFFFFFFF),)
_NOBODY = 65534
_TRIES = 10

Ranges = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class View:
    """A container's root.

    Attributes:
        container: whose it is, with its state as of now.
        root: a descriptor of the root directory.
        uids, gids: its user namespace's maps; see ``kist.kernel.views``.
        kernel_devices: file systems that are not gone through from outside of them.
    """

    container: Container
    root: int
    uids: Ranges = _EVERYBODY
    gids: Ranges = _EVERYBODY
    kernel_devices: frozenset[int] = field(default_factory=frozenset)

    def owners_inside(self, uid: int, gid: int) -> tuple[int, int]:
        """The container's ids for ids of the host; nobody for those that it has no name for."""
        return _inside(uid, self.uids), _inside(gid, self.gids)

    def owners_outside(self, uid: int, gid: int) -> tuple[int, int]:
        """The host's ids for the container's.

        Raises:
            InvalidInput: the container's user namespace has no such id.
        """
        return _outside(uid, self.uids), _outside(gid, self.gids)

    def parent(self, path: str) -> tuple[int, bytes]:
        """A new descriptor of the directory that a cleaned absolute path lies in, and its last component.

        The root itself lies nowhere: its component is ``.``.
        """
        above, _, name = path.rstrip("/").rpartition("/")
        try:
            directory = paths.open_in_root(self.root, above or "/", os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise self._missing(path, error) from error
        return directory, os.fsencode(name or ".")

    def hold(self, path: str) -> int:
        """A new descriptor (O_PATH) of what is at a path, a symbolic link itself.

        A slash or ``/.`` at the end asks for a directory, through a link too.

        Raises:
            NotFound: nothing is there, or no directory where one is asked for.
        """
        if path.endswith(("/", "/.")):
            return self.directory(path)
        directory, name = self.parent(path)
        try:
            return os.open(name, _HOLD, dir_fd=directory)
        except OSError as error:
            raise self._missing(path, error) from error
        finally:
            os.close(directory)

    def directory(self, path: str) -> int:
        """A new descriptor (O_PATH) of the directory at a path.

        Raises:
            NotFound: nothing is there.
            InvalidInput: it is no directory.
        """
        try:
            return paths.open_in_root(self.root, path, os.O_PATH | os.O_DIRECTORY)
        except NotADirectoryError as error:
            raise InvalidInput(f"{path} in container {self.container.name} is not a directory") from error
        except OSError as error:
            raise self._missing(path, error) from error

    def status(self, path: str) -> PathStatus:
        """What is at a path (``/`` at its end asks for a directory)."""
        held = self.hold(path)
        try:
            found = os.fstat(held)
            link = self.follow(path) if stat.S_ISLNK(found.st_mode) else ""
        finally:
            os.close(held)
        name = path.rstrip("/").rpartition("/")[2] or "/"
        return PathStatus(name, found.st_size, go_mode(found.st_mode), found.st_mtime_ns, link)

    def follow(self, path: str) -> str:
        """Where a path leads to, as far as its links can be followed."""
        todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = done[:-1]
                continue
            target = self._link("/".join(("", *done, part)))
            if not target or links == _MAX_LINKS:
                done.append(part)
                continue
            links += 1
            if target.startswith("/"):
                done = []
            todo += reversed(target.split("/"))
        return "/" + "/".join(done)

    def _link(self, path: str) -> str:
        try:
            directory, name = self.parent(path)
        except (NotFound, InvalidInput):
            return ""
        try:
            return os.fsdecode(os.readlink(name, dir_fd=directory))
        except OSError:  # no link, or nothing
            return ""
        finally:
            os.close(directory)

    def _missing(self, path: str, error: OSError) -> NotFound | InvalidInput:
        if error.errno not in _GONE:
            raise error
        shown = path.rstrip("/") or "/"
        return NotFound(f"Could not find the file {shown} in container {self.container.name}")


@contextlib.contextmanager
def opened(containers: Containers, store: Store, name: str | Container, *, mounts: bool = True) -> Iterator[View]:
    """The view of a container for the length of a block; one that does not run is not started meanwhile.

    One that its monitor is about to start again is not either, until the block is over.

    Args:
        containers: knows it.
        store: has its snapshot.
        name: of the container.
        mounts: with what is mounted in it; without, its own files alone (``export``).

    Raises:
        Conflict: somebody is at work on it.
        Unavailable: it ends and is started again faster than one can look.
    """
    for _ in range(_TRIES):
        with contextlib.ExitStack() as stack:
            container = containers.get(name)
            found = _running(containers, container, mounts=mounts) or _at_rest(
                containers, store, container, stack, mounts=mounts
            )
            if found is not None:
                stack.callback(os.close, found.root)
                yield found
                return
    raise Unavailable(f"container {container.name} ends and is started again all the time", hint="try again")


def _running(containers: Containers, container: Container, *, mounts: bool) -> View | None:
    """The view of a container that runs; None for any other."""
    if not container.state.running:
        return None
    try:
        inside = containers.first_inside(container)
        pid, started = namespaces.first_process(containers.get(container), containers.get)
        if pid != inside:
            return None
        found = views.of_process(pid, started, mounts_too=mounts)
    except (ProcessLookupError, Conflict):  # it has ended, or rests
        return None
    return View(container, found.root, found.uids, found.gids, found.kernel_devices)


def _at_rest(
    containers: Containers, store: Store, container: Container, stack: contextlib.ExitStack, *, mounts: bool
) -> View | None:
    """The view of a container that is not started as long as the stack is open; None where it has been."""
    stack.enter_context(containers.alone(container))
    container = containers.get(container)
    if container.state.status == "restarting":
        try:
            stack.enter_context(containers.held_at_rest(container))
        except Conflict:
            return None
    elif container.state.running:
        return None
    else:
        containers.unmounted(container)
    return View(container, _stopped_root(containers, store, container, mounts=mounts))


def _stopped_root(containers: Containers, store: Store, container: Container, *, mounts: bool) -> int:
    (mount,) = root_mounts(store, container)
    binds: list[views.Bind] = []
    if mounts:
        data = containers.places(container).data
        binds += [
            (f"{data}/{file}", "", target, False) for file, target in _ETC.items() if os.path.exists(f"{data}/{file}")
        ]
        for each in container.options.mounts:
            if each.type == "bind" and container.owner is not None:
                continue  # only the container's own start opens it with its owner's rights, and maps it
            if each.type == "image":
                binds += _image_bind(store, each)
                continue
            source = each.source if each.type == "bind" else _volume_path(store, each.source)
            within = (each.option("subpath") or "") if each.type == "volume" else ""
            if each.type in {"bind", "volume"} and _is_there(source, within):
                binds.append((source, within, each.target, each.read_only))
    read_only = mounts and container.options.read_only
    return views.put_together((mount.type, mount.source, mount.options), binds, read_only=read_only)


def _image_bind(store: Store, mount: Mount) -> list[views.Bind]:
    """What shows a mounted image; nothing where a start would have to unpack it, or has nothing to show."""
    within = mount.option("subpath") or ""
    try:
        view = image_mounts.view_of(store, mount)
    except NotFound:
        return []
    if within and image_mounts.lacks(view, within):
        return []
    return [((shown.type, shown.source, shown.options), within, mount.target, True) for shown in view]


def _volume_path(store: Store, name: str) -> str:
    """Where a volume is on the host; empty for what is mounted only while containers run."""
    try:
        source = store.volumes.source(store.volumes.get(name))
    except NotFound:
        return ""
    return "" if source.is_held else source.path


def _is_there(source: str, within: str) -> bool:
    try:
        top = os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(paths.open_in_root(top, within, os.O_PATH) if within else os.dup(top))
    except OSError:
        return False
    finally:
        os.close(top)
    return True


def _inside(number: int, ranges: Ranges) -> int:
    for inside, outside, count in ranges:
        if outside <= number < outside + count:
            return inside + number - outside
    return _NOBODY


def _outside(number: int, ranges: Ranges) -> int:
    for inside, outside, count in ranges:
        if inside <= number < inside + count:
            return outside + number - inside
    raise InvalidInput(
        f"the container has no id {number}", hint="its user namespace is smaller; choose another owner or --userns=host"
    )
