"""Files of containers: copied out and in, exported, compared with the image."""

import contextlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

from kist.engine.changes import changes
from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.engine.owners import user_of
from kist.engine.roots import need_image
from kist.engine.usage import Usage
from kist.engine.views import View, opened
from kist.errors import InvalidInput, NotFound, from_os_error
from kist.image.compression import plain
from kist.image.layers import unpack
from kist.image.pack import Packer
from kist.image.unpack import Manner
from kist.kernel import paths, userns
from kist.spec.container import Container
from kist.spec.files import Change, PathStatus
from kist.store import Store


class Files:
    """The files of the containers of one engine."""

    def __init__(self, containers: Containers, store: Store, events: Events, usage: Usage) -> None:
        self._containers = containers
        self._store = store
        self._events = events
        self._usage = usage

    def stat(self, name: str | Container, path: str) -> PathStatus:
        """What is at a path of a container; of a symbolic link, the link.

        Raises:
            NotFound: there is no such container, or nothing at this path.
            InvalidInput: the path is empty.
        """
        with self._opened(name) as view:
            return self.status(view, path)

    def get(self, name: str | Container, path: str, target: BinaryIO) -> None:
        """Write the tar of what is at a path; of a directory, with what is below it.

        Its members begin with the path's last component; with ``/.`` at the path's end with ``./``.

        Raises:
            NotFound, InvalidInput: as for ``stat``.
        """
        with self._opened(name) as view:
            self.pack(view, path, target)

    def open(self, name: str | Container) -> contextlib.AbstractContextManager[View]:
        """A view that several of ``status`` and ``pack`` go through."""
        return self._opened(name)

    def status(self, view: View, path: str) -> PathStatus:
        """As ``stat``, of an open view."""
        with _translated(f"look at {path}"):
            return view.status(_absolute(path))

    def pack(self, view: View, path: str, target: BinaryIO) -> None:
        """As ``get``, of an open view."""
        wanted = _absolute(path)
        with _translated(f"copy {path}"):
            held = view.hold(wanted)
            try:
                packer = Packer(target.write, owners=view.owners_inside, closed=view.kernel_devices)
                if stat.S_ISDIR(os.fstat(held).st_mode):
                    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)
                    try:
                        packer.directory(directory, _prefix(wanted))
                    finally:
                        os.close(directory)
                else:
                    packer.held(held, os.fsencode(posixpath.basename(wanted)))
                packer.close()
            finally:
                os.close(held)
        self._events.container("archive-path", view.container)

    def put(
        self, name: str | Container, path: str, source: BinaryIO, *, keep_kinds: bool = False, as_user: bool = False
    ) -> None:
        """Unpack a tar, plain or compressed, into a directory of a container.

        Args:
            name: of the container.
            path: the directory, which must be there.
            source: the tar; read as far as the archive goes.
            keep_kinds: refuse to put a file where a directory is, or the other way round.
            as_user: all that is made belongs to the container's user, where it has one.

        Raises:
            NotFound: there is no such container or directory.
            InvalidInput: the path is no directory, may not be written to, or the archive is refused.
            Corrupt: the archive is damaged; what came before the damage is there.
        """
        with self._opened(name) as view, _translated(f"copy to {path}"):
            wanted = _absolute(path)
            held = _extraction_point(view, wanted)
            try:
                root = view.owners_outside(0, 0)
                # On a bind of a guest's, a device that root makes would be the guest's, outside of the container too.
                theirs = view.container.owner is not None
                owners = _owners(view, as_user=as_user)
                manner = Manner(owners, keep_kinds, (view.root, wanted), root, harmless=theirs)
                # Some writers leave the end mark out, and Docker asks for none; each member has to be whole.
                unpack(plain(source), held, devices=not theirs, what="the archive", manner=manner, end_mark=False)
            finally:
                os.close(held)
        self._usage.forget(view.container)
        self._events.container("extract-to-dir", view.container)

    def export(self, name: str | Container, target: BinaryIO) -> None:
        """Write the tar of a container's own files, without what is mounted in it."""
        with opened(self._containers, self._store, name, mounts=False) as view, _translated("export"):
            packer = Packer(target.write, owners=view.owners_inside)
            directory = paths.open_in_root(view.root, "/", os.O_RDONLY | os.O_DIRECTORY)
            try:
                packer.contents(directory, b"")
                packer.close()
            finally:
                os.close(directory)
        self._events.container("export", view.container)

    def changes(self, name: str | Container) -> tuple[Change, ...]:
        """What is not as in the image, sorted by path."""
        container = self._containers.get(name)
        with _translated("compare with the image"):
            need_image(container, "tell the changes of")
            return changes(self._store, container.id)

    def _opened(self, name: str | Container) -> contextlib.AbstractContextManager[View]:
        return opened(self._containers, self._store, name)


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the archive went away
    except (FileNotFoundError, NotADirectoryError) as error:  # as a link of /proc that leads to another process
        raise NotFound(f"{doing}: no such file or directory") from error
    except OSError as error:
        raise from_os_error(error, doing) from error


def _absolute(path: str) -> str:
    """The path from the root, cleaned, with the slash or ``/.`` at its end that asks for a directory.

    Raises:
        InvalidInput: it is empty, or has a zero byte in it.
    """
    if not path:
        raise InvalidInput("bad parameter: path cannot be empty", hint="write CONTAINER:PATH")
    if "\0" in path:
        raise InvalidInput(f"bad parameter: path {path!r} has a zero byte in it")
    cleaned = posixpath.normpath(f"/{path}").lstrip("/")  # as Docker: ".." counts before links do
    last = path.rpartition("/")[2]
    if last == ".":
        return f"/{cleaned}/." if cleaned else "/."
    return f"/{cleaned}/" if cleaned and not last else f"/{cleaned}"


def _prefix(path: str) -> bytes:
    """What the names of a directory's members begin with."""
    if path.endswith("/."):
        return b"./"
    return os.fsencode(posixpath.basename(path.rstrip("/")) or ".") + b"/"


def _extraction_point(view: View, path: str) -> int:
    try:
        held = view.directory(path)
    except InvalidInput as error:
        raise InvalidInput("extraction point is not a directory") from error
    try:
        if os.fstatvfs(held).f_flag & os.ST_RDONLY:
            own = paths.mount_id(held) == paths.mount_id(view.root)
            raise InvalidInput(f"{'container rootfs' if own else 'mounted volume'} is marked read-only")
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)


def _owners(view: View, *, as_user: bool) -> Callable[[int, int], tuple[int, int]]:
    user = view.container.config.user
    if not as_user or not user:
        # Whose files are copied by an ordinary user is root in the containers.
        ids = userns.limited_ids()
        return view.owners_outside if ids is None else ids.of_outsider
    chosen = view.owners_outside(*user_of(view.root, user))
    return lambda _uid, _gid: chosen
