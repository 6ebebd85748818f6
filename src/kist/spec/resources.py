"""What a container may use: memory, CPUs, processes, block devices, and limits of each process."""

import msgspec


class DeviceRate(msgspec.Struct, frozen=True):
    """A number for one block device: a weight, bytes a second, or operations a second."""

    path: str
    rate: int


class Ulimit(msgspec.Struct, frozen=True):
    """One limit of getrlimit(2) by its short name (``nofile``); -1 stands for none."""

    name: str
    soft: int
    hard: int


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """Limits; 0 and empty mean none, unless said otherwise.

    Attributes:
        memory, memory_reservation: bytes.
        memory_swap: bytes of memory and swap together; 0 for twice the memory, -1 for as much swap as there is.
        memory_swappiness: 0 to 100; -1 for the machine's own.
        oom_kill_disable: let processes wait for memory rather than be killed (cgroup v1 only).
        cpu_shares: relative weight, 1024 for an ordinary one.
        nano_cpus: thousand-millionths of a CPU (1.5 CPUs is 1_500_000_000).
        cpu_period, cpu_quota, cpu_realtime_period, cpu_realtime_runtime: microseconds.
        cpuset_cpus, cpuset_mems: lists such as ``0-2,4``.
        pids: processes and threads.
        blkio_weight: 10 to 1000; ``blkio_weight_devices`` the same for single devices.
        read_bps, write_bps: bytes a second of devices; ``read_iops``, ``write_iops`` operations a second.
        shm_size: bytes of /dev/shm; Docker's default is 64 MiB.
        ulimits: of each process.
        device_rules: further entries of the device allow-list, as ``c 1:3 rwm``.
    """

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int = -1
    oom_kill_disable: bool = False
    cpu_shares: int = 0
    nano_cpus: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    blkio_weight_devices: tuple[DeviceRate, ...] = ()
    read_bps: tuple[DeviceRate, ...] = ()
    write_bps: tuple[DeviceRate, ...] = ()
    read_iops: tuple[DeviceRate, ...] = ()
    write_iops: tuple[DeviceRate, ...] = ()
    shm_size: int = 64 << 20
    ulimits: tuple[Ulimit, ...] = ()
    device_rules: tuple[str, ...] = ()
