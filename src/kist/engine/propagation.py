"""Whether the host's mounts can do what ``rshared`` and ``rslave`` ask for."""

from collections.abc import Sequence

from kist.errors import InvalidInput
from kist.kernel import mount_table
from kist.spec.mount import Mount

_SHARED, _SLAVE = frozenset({"shared", "rshared"}), frozenset({"slave", "rslave"})


def check(mounts: Sequence[Mount]) -> None:
    """Refuse a propagation that the source's mount does not have, as Docker does.

    Raises:
        InvalidInput: names the source and the mount.
    """
    for mount in mounts:
        shared, slave = _SHARED & set(mount.options), _SLAVE & set(mount.options)
        if mount.type != "bind" or not (shared or slave):
            continue
        found = mount_table.mount_of(mount.source)
        if found.shared or (slave and found.slave):
            continue
        kind = "a shared" if shared else "a shared or slave"
        raise InvalidInput(
            f"path {mount.source} is mounted on {found.point} but it is not {kind} mount",
            hint=f"mount --make-rshared {found.point}, or leave {next(iter(shared or slave))} out",
        )
