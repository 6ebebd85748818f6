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
    return dataclasses.replace(surroundings, joined=joined, devices=nodes, device_rules=rules)
