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
from kist.engine.volume_rules import named_in
from kist.errors import Forbidden, InvalidInput, KistError, Unavailable, Unsupported
from kist.kernel import mount_holders
from kist.runtime import launch
from kist.spec.container import Container
from kist.spec.volume import Volume
from kist.spec.volume_options import LocalOptions, read_local_options, with_address
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
                found[volume.name] = descriptor = self._existing(volume, container) or self._made(volume, container)
                stack.callback(os.close, descriptor)
            yield found

    def _mounted(self, container: Container) -> list[Volume]:
        """In the order of their names, which all go by who wait for several."""
        volumes = [self._store.volumes.get(name) for name in sorted(named_in(container.options.mounts))]
        return [volume for volume in volumes if read_local_options(volume.options).is_mounted]

    def _existing(self, volume: Volume, container: Container) -> int:
        """What a container that runs has of it; 0 where none has."""
        for other in self._store.records.containers():
            if other.id == container.id or volume.name not in named_in(other.options.mounts):
                continue
            run = self._roster.places(other).run
            descriptor = launch.take_descriptor(run, {"op": "volume", "name": volume.name})
            if descriptor >= 0:
                return descriptor
        return 0

    def _made(self, volume: Volume, container: Container) -> int:
        options = read_local_options(volume.options)
        try:
            options = with_address(options, partial(_address, volume))
            tree = mount_holders.open_file_system(options.kind, options.device, options.words)
        except OSError as error:
            raise _failure(volume, options, error) from error
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

    def _fill(self, volume: Volume, container: Container, tree: int) -> None:
        """Give it what the image has at its place, when it is empty."""
        for mount in container.options.mounts:
            if mount.source == volume.name and volume_filling.is_wanted(mount):
                with volume_filling.opened(roots.root_mounts(self._store, container)) as root:
                    volume_filling.fill_in_place(mount, root, partial(os.open, ".", _DIRECTORY, dir_fd=tree))
                return


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
