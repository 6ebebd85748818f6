"""Volumes that are file systems of their own (``-o type=…``): mounted for the first container, and shared by all.

What is mounted is held by descriptors alone (``kist.kernel.mount_holders``), which the containers' monitors have. So
the next container gets it from the monitor of one that runs, and it goes with the last one; engines come and go.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from kist.engine import roots, volume_filling
from kist.engine.roster import Roster
from kist.engine.volume_rules import IN_MEMORY, named_in
from kist.errors import Conflict, Forbidden, InvalidInput, KistError, NotFound, Unavailable, Unsupported
from kist.kernel import mount_holders
from kist.runtime import launch
from kist.spec.container import Container
from kist.spec.volume import Volume
from kist.spec.volume_options import LocalOptions, read_local_options, with_address, with_newer_version
from kist.store import Store

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_UNREACHABLE = frozenset({
    errno.ETIMEDOUT, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENOMEM,
})  # fmt: skip


class VolumeHolding:
    """The mounted volumes of one data root's containers."""

    def __init__(self, store: Store, roster: Roster) -> None:
        self._store = store
        self._roster = roster

    @contextmanager
    def held(self, container: Container) -> Iterator[dict[str, int]]:
        """Descriptors of a container's mounted volumes, by name; until the block ends nobody else mounts these.

        Raises:
            InvalidInput, Forbidden, Unsupported, Unavailable: one cannot be mounted, in the kernel's words.
        """
        found: dict[str, int] = {}
        with ExitStack() as stack:
            for volume in self._mounted(container):
                stack.enter_context(self._store.volumes.alone(volume.name))
                found[volume.name] = descriptor = self._existing(volume, container.id) or self._made(volume, container)
                stack.callback(os.close, descriptor)
            yield found

    @contextmanager
    def opened(self, volume: Volume, *, to_keep: bool = False) -> Iterator[int]:
        """A descriptor of a volume's directory, to read and to write in; what is mounted is mounted meanwhile.

        Args:
            volume: which.
            to_keep: something is to be put into it that is to be there afterwards.

        Raises:
            NotFound: it is a directory of the host's that is not there; or it was removed, whatever has its name now.
            Conflict: it is in memory, and no container has it.
        """
        options = read_local_options(volume.options)
        if options.is_mounted:
            with self._store.volumes.alone(volume.name):
                tree = self._tree(volume, options, to_keep=to_keep)
            try:
                directory = os.open(".", _DIRECTORY, dir_fd=tree)
            finally:
                os.close(tree)
        else:
            directory = self._directory(volume, options)
        try:
            self._check_still(volume)  # what was opened by its name was this one's, then
            yield directory
        finally:
            os.close(directory)

    def _directory(self, volume: Volume, options: LocalOptions) -> int:
        with self._store.volumes.kept():
            self._check_still(volume)
            self._store.volumes.ready(volume)
            try:
                return os.open(self._store.volumes.source(volume).path, _DIRECTORY)
            except OSError as error:
                raise NotFound(
                    f"the directory {options.device} of the volume {volume.name}: {(error.strerror or '').lower()}",
                    hint="make it first",
                ) from error

    def _check_still(self, volume: Volume) -> None:
        if self._store.volumes.get(volume.name) != volume:
            raise NotFound(
                f"the volume {volume.name} was removed meanwhile, and another one has its name", hint="try again"
            )

    def _tree(self, volume: Volume, options: LocalOptions, *, to_keep: bool) -> int:
        """A detached mount of it."""
        space = self._existing(volume)
        if space:
            try:
                return mount_holders.copy_in_thread(space)
            finally:
                os.close(space)
        if to_keep and options.kind in IN_MEMORY:
            raise Conflict(
                f"the volume {volume.name} is in memory, and no container that runs has it: nothing would be kept",
                hint="start a container that has it first",
            )
        return self._mount(volume, options)

    def _mounted(self, container: Container) -> list[Volume]:
        """In the order of their names, which all go by who wait for several."""
        volumes = [self._store.volumes.get(name) for name in sorted(named_in(container.options.mounts))]
        return [volume for volume in volumes if read_local_options(volume.options).is_mounted]

    def _existing(self, volume: Volume, but: str = "") -> int:
        """What a container that runs, ``but`` this one, has of it; 0 where none has."""
        for other in self._store.records.containers():
            if other.id == but or volume.name not in named_in(other.options.mounts):
                continue
            run = self._roster.places(other).run
            descriptor = launch.take_descriptor(run, {"op": "volume", "name": volume.name})
            if descriptor >= 0:
                return descriptor
        return 0

    def _made(self, volume: Volume, container: Container) -> int:
        options = read_local_options(volume.options)
        tree = self._mount(volume, options)
        try:
            if "ro" not in options.words:
                self._fill(volume, container, tree)
        except BaseException:
            os.close(tree)
            raise
        try:
            return mount_holders.hold(tree, self._roster.places(container).root)
        except OSError as error:
            raise _failure(volume, options, error) from error

    def _mount(self, volume: Volume, options: LocalOptions) -> int:
        try:
            return _opened(with_address(options, partial(_address, volume)))
        except OSError as error:
            raise _failure(volume, options, error) from error

    def _fill(self, volume: Volume, container: Container, tree: int) -> None:
        """Give it what the image has at its place, when it is empty."""
        for mount in container.options.mounts:
            if mount.source == volume.name and volume_filling.is_wanted(mount):
                with volume_filling.opened(roots.root_mounts(self._store, container)) as root:
                    volume_filling.fill_in_place(mount, root, partial(os.open, ".", _DIRECTORY, dir_fd=tree))
                return


def _opened(options: LocalOptions) -> int:
    try:
        return mount_holders.open_file_system(options.kind, options.device, options.words)
    except OSError as error:
        newer = with_newer_version(options)
        if newer is None or error.errno != errno.EPROTONOSUPPORT:
            raise
        return mount_holders.open_file_system(newer.kind, newer.device, newer.words)


def _address(volume: Volume, host: str) -> str:
    """The address of an nfs server.

    Raises:
        Unavailable: nobody knows it.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(
            f"the volume {volume.name} cannot be mounted: the server {host!r} is not known: {error.strerror}",
            hint="correct the device (HOST:/PATH), or give the address: -o o=addr=192.0.2.1",
        ) from error
    return str(found[0][4][0])


def _failure(volume: Volume, options: LocalOptions, error: OSError) -> KistError:
    said = getattr(error, "said", "")
    reason = said or (error.strerror or str(error)).lower()
    message = f"the volume {volume.name} cannot be mounted: type {options.kind}, device {options.device}: {reason}"
    if error.errno == errno.ENODEV and not said:
        return Unsupported(
            f"the volume {volume.name} cannot be mounted: this kernel has no file system {options.kind}",
            hint=f"load it, if there is one: modprobe {options.kind}",
        )
    if error.errno in {errno.EPERM, errno.EACCES}:
        return Forbidden(message, hint="only who may mount it by hand may mount it here")
    if error.errno in _UNREACHABLE:
        return Unavailable(message, hint="look whether its server can be reached from here")
    return InvalidInput(
        message,
        hint=f"'kist volume inspect {volume.name}' shows its options; to change them, remove it and make it anew",
    )
