"""The options that ``run`` and ``create`` share, as Docker spells them, and Kist's and Podman's own beside them.

What takes more than a few lines to read is read in ``kist.cli.words``, imported when the option is given.
"""

from kist.cli import streams, values
from kist.cli.option import REPEAT, Option, later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _later(module: str, name: str) -> "Callable[[str], Any]":
    """The parser ``kist.cli.words.MODULE.NAME``, imported by its first use."""
    return later(f"kist.cli.words.{module}", name)


def _network(text: str) -> "tuple[str, dict[str, Any]]":
    """A network's name and the settings that stand beside it; the usual name alone needs no further reading."""
    if "=" not in text and not text.startswith("container:"):
        return text, {}
    from kist.cli.words import networks  # noqa: PLC0415 - for the long form only

    return networks.network(text)


_LIFE = "Container"
_PROCESS = "Process"
_FILES = "Files"
_LIMITS = "Limits"
_BLOCK = "Limits of block devices"
_NETWORK = "Network"
_ISOLATION = "Isolation"
_DEVICES = "Devices"
_HEALTH = "Health"
_LOGGING = "Logging"

_LIFE_OPTIONS = (
    Option("--name", "Name of the container (default: one is made up)", "NAME",
           parse=values.container_name, group=_LIFE),
    Option("--rm", "Remove the container when it has ended", group=_LIFE),
    Option("--replace", "Remove the container that has the name now", group=_LIFE),
    Option("--restart", "When to start it again: no, always, unless-stopped, on-failure[:COUNT] (default: no)",
           "POLICY", parse=_later("life", "restart"), group=_LIFE),
    Option("--timeout", "Seconds after which it is ended; 0 for never", "SECONDS",
           parse=values.whole(0, "a time"), group=_LIFE),
    Option("--stop-signal", "Signal that stops it (default: the image's, else TERM)", "SIGNAL",
           parse=values.known_signal, group=_LIFE),
    Option("--stop-timeout", "Seconds between the stop signal and KILL (default: 10)", "SECONDS",
           parse=values.whole(-1, "a time"), group=_LIFE),
    Option("-l --label", "Label of the container", "KEY[=VALUE]", kind=REPEAT, parse=values.assignment, group=_LIFE),
    Option("--label-file", "File with one label per line", "FILE", kind=REPEAT, group=_LIFE),
    Option("--annotation", "Annotation of the runtime specification", "KEY=VALUE", kind=REPEAT,
           parse=values.pair, group=_LIFE),
    Option("--cidfile", "Write the container's id to this file, which must not be there yet", "FILE", group=_LIFE),
    Option("--pull", "When to pull the image: always, missing or never (default: missing)", "WHEN",
           parse=values.choice("always", "missing", "never"), group=_LIFE),
    Option("--platform", "Platform that the image must be for", "OS/ARCHITECTURE[/VARIANT]",
           parse=_later("life", "platform"), group=_LIFE),
    Option("-q --quiet", "Print nothing of pulling", group=_LIFE),
    Option("--disable-content-trust", "Accepted, and without effect", group=_LIFE, hidden=True),
    Option("--use-api-socket", "Give the container the engine's socket (refused)", group=_LIFE, hidden=True),
)  # fmt: skip

_PROCESS_OPTIONS = (
    Option("-e --env", "Environment variable; without a value, the caller's", "NAME[=VALUE]", kind=REPEAT,
           parse=values.assignment, group=_PROCESS),
    Option("--env-file", "File with one environment variable per line", "FILE", kind=REPEAT, group=_PROCESS),
    Option("--env-host", "The caller's variables whose names match; none without this", "PATTERN", kind=REPEAT,
           parse=values.variables, group=_PROCESS),
    Option("-w --workdir", "Working directory in the container", "PATH", parse=values.absolute, group=_PROCESS),
    Option("-u --user", "User, and group, that the command runs as: names or ids", "USER[:GROUP]", group=_PROCESS),
    Option("--group-add", "Further group of the command: a name or an id", "GROUP", kind=REPEAT, group=_PROCESS),
    Option("--as-me", "Run as the caller: your ids, groups and a home, so that files on binds are yours",
           group=_PROCESS),
    Option("--entrypoint", "Program in place of the image's entrypoint; empty for none", "PROGRAM", group=_PROCESS),
    Option("--init", "Run a small init that forwards signals and reaps processes", group=_PROCESS),
)  # fmt: skip

_STREAM_OPTIONS = (
    Option("-i --interactive", "Keep standard input open", group=streams.GROUP),
    Option("-t --tty", "Give the command a terminal", group=streams.GROUP),
    Option("-a --attach", "Attach this stream only: stdin, stdout or stderr", "STREAM", kind=REPEAT,
           parse=_later("life", "attach"), group=streams.GROUP),
)  # fmt: skip

_FILE_OPTIONS = (
    Option("-v --volume", "Show a host path, or a volume, in the container", "SOURCE:TARGET[:ro,U]", kind=REPEAT,
           parse=values.volume, group=_FILES),
    Option("--mount", "Mount in words: type=bind,source=PATH,target=PATH[,readonly]", "WORDS",
           kind=REPEAT, parse=_later("mounts", "mount"), group=_FILES),
    Option("--tmpfs", "An empty file system in memory", "TARGET[:OPTIONS]", kind=REPEAT, parse=values.tmpfs,
           group=_FILES),
    Option("--volumes-from", "All mounts of another container too", "CONTAINER[:ro]", kind=REPEAT, group=_FILES),
    Option("--volume-driver", "Driver of the volumes that are made for it", "DRIVER", group=_FILES),
    Option("--read-only", "Make the container's root file system read-only", group=_FILES),
    Option("--rootfs", "Directory of the host in place of an image; the first operand is the command then", "DIR",
           group=_FILES),
    Option("--shm-size", "Size of /dev/shm (default: 64m)", "SIZE", parse=values.size, group=_FILES),
    Option("--storage-opt", "Limit on its own files: size=10g", "NAME=VALUE", kind=REPEAT, parse=values.pair,
           group=_FILES),
)  # fmt: skip

_LIMIT_OPTIONS = (
    Option("-m --memory", "Limit of memory", "SIZE", parse=values.memory, group=_LIMITS),
    Option("--memory-reservation", "Memory that it is pushed back to when the machine runs short", "SIZE",
           parse=values.size, group=_LIMITS),
    Option("--memory-swap", "Limit of memory and swap together, -1 for as much swap as there is", "SIZE",
           parse=values.swap, group=_LIMITS),
    Option("--memory-swappiness", "How readily its memory is swapped, from 0 to 100", "NUMBER",
           parse=values.within(-1, 100), group=_LIMITS),
    Option("--oom-kill-disable", "Let it wait for memory rather than be killed", group=_LIMITS),
    Option("--oom-score-adj", "How early the kernel kills it for memory, from -1000 to 1000", "NUMBER",
           parse=values.within(-1000, 1000), group=_LIMITS),
    Option("--cpus", "Limit of CPUs", "NUMBER", parse=values.cpus, group=_LIMITS),
    Option("-c --cpu-shares", "Relative weight of CPU time (default: 1024)", "NUMBER",
           parse=values.whole(0, "a weight"), group=_LIMITS),
    Option("--cpu-period", "Length of the scheduler's period in microseconds", "NUMBER",
           parse=values.within(1000, 1_000_000, zero=True), group=_LIMITS),
    Option("--cpu-quota", "CPU time in each period in microseconds", "NUMBER",
           parse=values.whole(-1, "a quota"), group=_LIMITS),
    Option("--cpu-rt-period", "Length of the real-time period in microseconds", "NUMBER",
           parse=values.whole(0, "a period"), group=_LIMITS),
    Option("--cpu-rt-runtime", "Real-time CPU time in each period in microseconds", "NUMBER",
           parse=values.whole(0, "a time"), group=_LIMITS),
    Option("--cpuset-cpus", "CPUs that it may use: 0-2,5", "LIST", parse=_later("limits", "number_list"),
           group=_LIMITS),
    Option("--cpuset-mems", "Memory nodes that it may use: 0,1", "LIST", parse=_later("limits", "number_list"),
           group=_LIMITS),
    Option("--pids-limit", "Limit of processes and threads; -1 for none", "NUMBER",
           parse=values.whole(-1, "a limit of processes"), group=_LIMITS),
    Option("--ulimit", "Limit of each process: nofile=1024:2048", "NAME=SOFT[:HARD]", kind=REPEAT,
           parse=_later("limits", "ulimit"), group=_LIMITS),
    Option("--cgroup-parent", "Control group that its own is made in", "CGROUP", group=_LIMITS),
    Option("--kernel-memory", "Of old kernels; without effect", "SIZE", parse=values.size, group=_LIMITS, hidden=True),
    Option("--cpu-count", "Windows only", "NUMBER", parse=values.whole(0, "a count"), group=_LIMITS, hidden=True),
    Option("--cpu-percent", "Windows only", "NUMBER", parse=values.whole(0, "a percentage"), group=_LIMITS,
           hidden=True),
    Option("--io-maxbandwidth", "Windows only", "SIZE", parse=values.size, group=_LIMITS, hidden=True),
    Option("--io-maxiops", "Windows only", "NUMBER", parse=values.whole(0, "a rate"), group=_LIMITS, hidden=True),
)  # fmt: skip

_BLOCK_OPTIONS = (
    Option("--blkio-weight", "Relative weight of block I/O, from 10 to 1000", "NUMBER",
           parse=values.within(10, 1000, zero=True), group=_BLOCK),
    Option("--blkio-weight-device", "The same for one device", "DEVICE:NUMBER", kind=REPEAT,
           parse=_later("devices", "weight"), group=_BLOCK),
    Option("--device-read-bps", "Limit of reading, bytes a second", "DEVICE:SIZE", kind=REPEAT,
           parse=_later("devices", "byte_rate"), group=_BLOCK),
    Option("--device-write-bps", "Limit of writing, bytes a second", "DEVICE:SIZE", kind=REPEAT,
           parse=_later("devices", "byte_rate"), group=_BLOCK),
    Option("--device-read-iops", "Limit of reading, operations a second", "DEVICE:NUMBER", kind=REPEAT,
           parse=_later("devices", "operation_rate"), group=_BLOCK),
    Option("--device-write-iops", "Limit of writing, operations a second", "DEVICE:NUMBER", kind=REPEAT,
           parse=_later("devices", "operation_rate"), group=_BLOCK),
)  # fmt: skip

_NETWORK_OPTIONS = (
    Option("--net --network", "Network: bridge, none, host, container:NAME, a network's name, or in words "
           "name=NAME,alias=NAME,ip=ADDRESS (default: bridge)", "NETWORK", kind=REPEAT,
           parse=_network, group=_NETWORK),
    Option("-p --publish", "Publish a port on the host", "[[ADDRESS:]PORT:]PORT[/udp]", kind=REPEAT,
           parse=_later("ports", "publish"), group=_NETWORK),
    Option("-P --publish-all", "Publish every exposed port on one that is free", group=_NETWORK),
    Option("--expose", "Port, or range of ports, that the container listens on", "PORT[/udp]", kind=REPEAT,
           parse=_later("ports", "expose"), group=_NETWORK),
    Option("-h --hostname", "Host name in the container (default: its short id)", "NAME", group=_NETWORK),
    Option("--domainname", "NIS domain name in the container", "NAME", group=_NETWORK),
    Option("--net-alias --network-alias", "Further name of the container on its network", "NAME", kind=REPEAT,
           group=_NETWORK),
    Option("--ip", "IPv4 address on its network", "ADDRESS", parse=_later("addresses", "ipv4"), group=_NETWORK),
    Option("--ip6", "IPv6 address on its network", "ADDRESS", parse=_later("addresses", "ipv6"), group=_NETWORK),
    Option("--link-local-ip", "Further address of the container", "ADDRESS", kind=REPEAT,
           parse=_later("addresses", "address"), group=_NETWORK),
    Option("--mac-address", "Hardware address on its network", "ADDRESS", parse=_later("addresses", "mac"),
           group=_NETWORK),
    Option("--link", "Name another container in /etc/hosts", "CONTAINER[:ALIAS]", kind=REPEAT,
           parse=_later("addresses", "link"), group=_NETWORK),
    Option("--add-host", "Line of /etc/hosts; host-gateway stands for the host's address", "NAME:ADDRESS",
           kind=REPEAT, parse=_later("addresses", "extra_host"), group=_NETWORK),
    Option("--dns", "Name server in place of the host's", "ADDRESS", kind=REPEAT,
           parse=_later("addresses", "address"), group=_NETWORK),
    Option("--dns-search", "Search domain; . for none", "DOMAIN", kind=REPEAT, parse=_later("addresses", "domain"),
           group=_NETWORK),
    Option("--dns-opt --dns-option", "Option of the resolver", "OPTION", kind=REPEAT, group=_NETWORK),
)  # fmt: skip

_ISOLATION_OPTIONS = (
    Option("--cap-add", "Add a capability, or ALL", "CAPABILITY", kind=REPEAT,
           parse=values.capability, group=_ISOLATION),
    Option("--cap-drop", "Drop a capability, or ALL", "CAPABILITY", kind=REPEAT,
           parse=values.capability, group=_ISOLATION),
    Option("--privileged", "All capabilities and devices, and nothing hidden", group=_ISOLATION),
    Option("--security-opt", "seccomp=FILE|unconfined, apparmor=PROFILE, label=…, no-new-privileges, "
           "systempaths=unconfined", "OPTION", kind=REPEAT, parse=_later("security", "security"), group=_ISOLATION),
    Option("--userns", "User namespace: host, auto, keep-id", "MODE", parse=_later("life", "userns"),
           group=_ISOLATION),
    Option("--pid", "Processes that it sees: host or container:NAME (default: its own)", "MODE",
           parse=_later("life", "pid"), group=_ISOLATION),
    Option("--ipc", "Shared memory: private, shareable, none, host or container:NAME (default: private)", "MODE",
           parse=_later("life", "ipc"), group=_ISOLATION),
    Option("--uts", "Host name: host for the host's own", "MODE", parse=_later("life", "uts"), group=_ISOLATION),
    Option("--cgroupns", "Control groups that it sees: private or host (default: private)", "MODE",
           parse=values.choice("private", "host"), group=_ISOLATION),
    Option("--sysctl", "Kernel parameter of its namespaces", "NAME=VALUE", kind=REPEAT, parse=values.pair,
           group=_ISOLATION),
    Option("--runtime", "Outside runtime: runc, crun, or the path of one (default: Kist's own)", "RUNTIME",
           group=_ISOLATION),
    Option("--isolation", "Windows only; default is accepted", "KIND", parse=values.choice("", "default"),
           group=_ISOLATION, hidden=True),
)  # fmt: skip

_DEVICE_OPTIONS = (
    Option("--device", "Device of the host, or a name of a CDI specification", "PATH[:PATH][:rwm]", kind=REPEAT,
           parse=_later("devices", "device"), group=_DEVICES),
    Option("--device-cgroup-rule", "Further rule of the devices that may be used: 'c 189:* rwm'", "RULE", kind=REPEAT,
           parse=_later("devices", "rule"), group=_DEVICES),
    Option("--gpus", "GPUs: all, a number, or device=ID in words", "GPUS", kind=REPEAT,
           parse=_later("devices", "gpus"), group=_DEVICES),
)  # fmt: skip

_HEALTH_OPTIONS = (
    Option("--health-cmd", "Command that tells whether it is well", "COMMAND", group=_HEALTH),
    Option("--health-interval", "Time between two checks (default: 30s)", "DURATION",
           parse=_later("life", "duration"), group=_HEALTH),
    Option("--health-timeout", "Longest that one check may take (default: 30s)", "DURATION",
           parse=_later("life", "duration"), group=_HEALTH),
    Option("--health-retries", "Failures in a row that make it unhealthy (default: 3)", "NUMBER",
           parse=values.whole(0, "a number"), group=_HEALTH),
    Option("--health-start-period", "Time after the start in which failures do not count", "DURATION",
           parse=_later("life", "duration"), group=_HEALTH),
    Option("--health-start-interval", "Time between two checks in that period (default: 5s)", "DURATION",
           parse=_later("life", "duration"), group=_HEALTH),
    Option("--health-on-failure", "What follows when it is unhealthy: none, kill, restart or stop (default: none)",
           "ACTION", parse=values.choice("none", "kill", "restart", "stop"), group=_HEALTH),
    Option("--no-healthcheck", "Leave out the image's health check", group=_HEALTH),
)  # fmt: skip

_LOGGING_OPTIONS = (
    Option("--log-driver", "Where the output is kept: json-file, local, none, journald or syslog", "DRIVER",
           group=_LOGGING),
    Option("--log-opt", "Option of the log driver: max-size=10m", "NAME=VALUE", kind=REPEAT, parse=values.pair,
           group=_LOGGING),
)  # fmt: skip

CONTAINER_OPTIONS = (
    *_LIFE_OPTIONS,
    *_PROCESS_OPTIONS,
    *_STREAM_OPTIONS,
    *_FILE_OPTIONS,
    *_LIMIT_OPTIONS,
    *_BLOCK_OPTIONS,
    *_NETWORK_OPTIONS,
    *_ISOLATION_OPTIONS,
    *_DEVICE_OPTIONS,
    *_HEALTH_OPTIONS,
    *_LOGGING_OPTIONS,
)

DRY_RUN = Option("--dry-run", "Print the operations of the container's set-up and stop", group=_LIFE)
LOCAL = Option("--local", "Run it as a part of this command, without an engine process: it ends with its caller, and "
               "is in its control group", group=_LIFE)  # fmt: skip
DETACH = Option("-d --detach", "Run in the background and print the container's id", group=_LIFE)
