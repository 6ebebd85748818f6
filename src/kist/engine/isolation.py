"""What a container may see and do, put together: checked before it is made, found out at each start."""

import dataclasses
import os
from collections.abc import Callable

from kist.engine import bundle, devices, namespaces, propagation, security, starter, ulimits
from kist.kernel import process
from kist.spec.container import Container, ContainerOptions


def check_profile(options: ContainerOptions) -> None:
    """Refuse a seccomp profile that cannot be loaded, now rather than at the first start.

    Raises:
        InvalidInput: it is none.
    """
    held = bundle.capabilities(options.cap_add, options.cap_drop)
    starter.seccomp_filter(security.read(options).seccomp, frozenset(held))


def warnings(options: ContainerOptions) -> tuple[str, ...]:
    """What of these options this engine cannot do, and starts containers all the same."""
    raises = bool(process.permitted_capabilities() & process.capability_mask(["CAP_SYS_RESOURCE"]))
    return ulimits.warnings(options.resources.ulimits, may_raise=raises)


def with_shared(
    container: Container, surroundings: bundle.Surroundings, get: Callable[[str], Container]
) -> bundle.Surroundings:
    """The surroundings with what the container is given of others: namespaces of containers, devices of the host.

    Args:
        container: to be started.
        surroundings: the rest.
        get: finds containers by name.
    """
    options = container.options
    for mount in options.mounts:
        if mount.type == "bind" and "create" in mount.options:
            os.makedirs(mount.source, exist_ok=True)
    propagation.check(options.mounts)
    nodes, rules = devices.nodes(options)
    joined = namespaces.join(container, get)
    made = dataclasses.replace(surroundings, joined=joined, devices=nodes, device_rules=rules)
    return (
        _with_described(options, made) if options.device_requests or any(map(devices.is_cdi, options.devices)) else made
    )


def _with_described(options: ContainerOptions, surroundings: bundle.Surroundings) -> bundle.Surroundings:
    """The surroundings with the devices that vendors' specifications describe."""
    from kist.engine import cdi  # noqa: PLC0415 - few containers have such devices

    edits = cdi.wanted(options)
    if not options.runtime:
        cdi.refuse_hooks(edits)
    nodes, rules = cdi.nodes(edits)
    return dataclasses.replace(
        surroundings,
        env=(*surroundings.env, *edits.env),
        devices=(*surroundings.devices, *nodes),
        device_rules=(*surroundings.device_rules, *rules),
        mounts=cdi.mounts(edits),
        groups=tuple(map(str, edits.additional_gids)),
        hooks=edits.hooks,
    )
