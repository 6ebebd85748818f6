"""What a container uses at one moment."""

from typing import Any

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """Measurements of one container, all since its start but for memory and processes.

    Attributes:
        container, name: id and name.
        time: nanoseconds since the epoch; ``before`` the same of the sample before, 0 for the first.
        running: whether it runs; else the rest is what its last run used, as far as it was recorded.
        cpu: ``total``, ``user``, ``system`` in ns, ``each``: ns of each CPU (cgroup version 1), ``periods``,
            ``throttled_periods``, ``throttled_time``; ``cpu_before`` of the sample before.
        machine_cpu: CPU time of the machine in ns, idle time and all; ``machine_cpu_before`` of the sample before.
        cpus: how many there are.
        memory: ``usage`` and ``limit`` in bytes (without one, the machine's memory), ``peak``, ``failures``, ``stats``.
        blocks: ``bytes`` and ``operations``: device, ``Read`` or ``Write``, number.
        processes: ``current`` and ``limit``, 0 for none.
        networks: interface -> counters, in Docker's words.
        version: of the cgroups, 1 or 2.
    """

    container: str
    name: str
    time: int
    before: int
    running: bool
    cpu: dict[str, Any]
    cpu_before: dict[str, Any]
    machine_cpu: int
    machine_cpu_before: int
    cpus: int
    memory: dict[str, Any]
    blocks: dict[str, list[tuple[str, str, int]]]
    processes: dict[str, int]
    networks: dict[str, dict[str, int]]
    version: int
