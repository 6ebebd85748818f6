"""Options that can be asked for and that the engine does not do yet: each is refused by name.

Who makes one work takes its row out; the last one takes the file.
"""

from collections.abc import Callable

from kist.errors import Unsupported
from kist.spec.container import ContainerOptions, Namespaces, RestartPolicy
from kist.spec.resources import Resources

_DONE_RESOURCES = ("memory", "nano_cpus", "pids", "shm_size")

_UNDONE: tuple[tuple[str, Callable[[ContainerOptions], object]], ...] = (
    ("--rootfs", lambda o: o.rootfs),
    ("--platform", lambda o: o.platform),
    ("--group-add", lambda o: o.group_add),
    ("--storage-opt", lambda o: o.storage_options),
    ("--network", lambda o: o.network not in {"bridge", "host", "none"}),
    ("published ports", lambda o: o.networking.ports or o.networking.publish_all),
    ("namespaces of others (--ipc, --pid, --uts, --cgroupns, --userns)", lambda o: o.namespaces not in (
        Namespaces(), Namespaces(ipc="private"), Namespaces(cgroup="private"), Namespaces(user="host"))),
    *(
        (f"the limit {name}", lambda o, name=name: getattr(o.resources, name) != getattr(Resources(), name))
        for name in Resources.__struct_fields__ if name not in _DONE_RESOURCES
    ),
    ("--cgroup-parent", lambda o: o.cgroup_parent),
    ("--device", lambda o: o.devices),
    ("--gpus", lambda o: o.device_requests),
    ("--privileged", lambda o: o.privileged),
    ("--security-opt", lambda o: o.security_options),
    ("other masked paths", lambda o: o.masked_paths is not None),
    ("other read-only paths", lambda o: o.readonly_paths is not None),
    ("--sysctl", lambda o: o.sysctls),
    ("--oom-score-adj", lambda o: o.oom_score_adj),
    ("--annotation", lambda o: o.annotations),
    ("--timeout", lambda o: o.timeout),
    ("--restart", lambda o: o.restart != RestartPolicy()),
    ("health checks", lambda o: o.healthcheck is not None and o.healthcheck.test[:1] != ("NONE",)),
    ("--health-on-failure", lambda o: o.health_on_failure not in {"", "none"}),
    ("--runtime", lambda o: o.runtime not in {"", "runc"}),
)  # fmt: skip


def refuse(options: ContainerOptions) -> None:
    """Raise ``Unsupported`` for the first option that is set and not done yet."""
    for name, is_set in _UNDONE:
        if is_set(options):
            raise Unsupported(f"{name}: not supported yet", hint="leave it out")
