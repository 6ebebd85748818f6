"""What a container may see and do, put together: checked before it is made, found out at each start."""

import os
import zlib
from collections.abc import Callable, Sequence

import msgspec

from kist.engine import bundle, devices, namespaces, propagation, security, starter, ulimits, userns
from kist.errors import InvalidInput
from kist.kernel import lsm, process
from kist.kernel import userns as kernel_userns
from kist.spec.container import OWN_RUNTIMES, Container, ContainerOptions
from kist.spec.runtime import IdMaps
from kist.store.records import Records


def check_profile(options: ContainerOptions) -> None:
    """Refuse a seccomp profile that cannot be loaded, now rather than at the first start, and what would not be done.

    Raises:
        InvalidInput: it is none.
        Unsupported: a profile of AppArmor or a label of SELinux, where these are at work.
    """
    if options.security_options:
        security.check_confinement(options, lsm.active())
    held = bundle.capabilities(options.cap_add, options.cap_drop)
    starter.seccomp_filter(security.read(options).seccomp, frozenset(held))


def warnings(options: ContainerOptions) -> tuple[str, ...]:
    """What of these options this engine cannot do, and starts containers all the same."""
    raises = bool(process.permitted_capabilities() & process.capability_mask(["CAP_SYS_RESOURCE"]))
    return ulimits.warnings(options.resources.ulimits, may_raise=raises)


def with_shared(
    container: Container,
    surroundings: bundle.Surroundings,
    get: Callable[[str], Container],
    records: Records | None = None,
) -> bundle.Surroundings:
    """The surroundings with what the container is given of others: namespaces of containers, devices of the host.

    Args:
        container: to be started.
        surroundings: the rest.
        get: finds containers by name.
        records: where ranges of ids are leased; without them (``--dry-run``) one is only shown.
    """
    options = container.options
    for mount in options.mounts:
        if mount.type == "bind" and "create" in mount.options:
            os.makedirs(mount.source, exist_ok=True)
    propagation.check(options.mounts)
    nodes, rules = devices.nodes(options)
    giver = user_namespace_of(container, get)
    ids = _maps(giver, records) if giver is not None else None
    joined = namespaces.join(container, get, giver)
    made = msgspec.structs.replace(surroundings, joined=joined, devices=nodes, device_rules=rules, ids=ids)
    if options.device_requests or any(map(devices.is_cdi, options.devices)):
        made = _with_described(options, made)
    odd = [node.path for node in made.devices if not node.path.startswith("/dev/")]
    if ids is not None and odd:
        raise InvalidInput(f"the device {odd[0]} is not below /dev, and a user namespace cannot have it elsewhere")
    return made


def _with_described(options: ContainerOptions, surroundings: bundle.Surroundings) -> bundle.Surroundings:
    """The surroundings with the devices that vendors' specifications describe."""
    from kist.engine import cdi  # noqa: PLC0415 - few containers have such devices

    edits = cdi.wanted(options)
    if options.runtime in OWN_RUNTIMES:
        cdi.refuse_hooks(edits)
    nodes, rules = cdi.nodes(edits)
    return msgspec.structs.replace(
        surroundings,
        env=(*surroundings.env, *edits.env),
        devices=(*surroundings.devices, *nodes),
        device_rules=(*surroundings.device_rules, *rules),
        mounts=cdi.mounts(edits),
        groups=tuple(map(str, edits.additional_gids)),
        hooks=edits.hooks,
    )


def user_namespace_of(container: Container, get: Callable[[str], Container]) -> Container | None:
    """The container whose user namespace this one is in, itself or another; None for the host's.

    Who has namespaces of another container has its user namespace too: namespaces belong to one, and nobody else has
    rights over them.

    Raises:
        InvalidInput: it asks for namespaces of different ones.
    """
    if kernel_userns.limited_ids() is not None:
        return None  # all are in this engine's
    mode = userns.read(container.options.namespaces.user)
    others = [user_namespace_of(other, get) for other in namespaces.sharing(container, get)]
    if mode.kind == "container":
        found = user_namespace_of(get(mode.container), get)
    elif mode.kind != "host":
        found = container
    else:
        found = others[0] if others and not container.options.namespaces.user else None
    for other in others:
        if (other and other.id) != (found and found.id):
            raise InvalidInput(
                "cannot join namespaces of a container that is in another user namespace",
                hint="leave --userns out: who joins a container's namespaces is in its user namespace",
            )
    return found


def ids_of(container: Container, get: Callable[[str], Container], records: Records) -> IdMaps | None:
    """The ids of a container that runs, as its user namespace has them; None for the host's."""
    giver = user_namespace_of(container, get)
    return None if giver is None else _maps(giver, records)


def _maps(container: Container, records: Records | None) -> IdMaps:
    mode = userns.read(container.options.namespaces.user)
    # Engines with roots of their own do not know of each other: they begin at different places.
    first = zlib.crc32(container.id.encode())

    def choose(taken: Sequence[userns.Range]) -> userns.Range:
        busy = [*taken, *kernel_userns.ranges_in_use()]
        return userns.choose(userns.allowed_ranges(), busy, mode.size, first)

    start, _ = records.lease_ids(container.id, choose) if records is not None else choose(())
    caller = container.options.caller
    if container.owner is not None and container.owner.is_user:
        inside = (0, 0) if caller is None else (caller.uid, caller.gid)
        return userns.maps_of_owner(container.owner, inside, start, mode.size)
    return userns.maps(mode, caller, start)
