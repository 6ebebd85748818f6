"""The options that ``run`` and ``create`` share."""

from kist.cli import values
from kist.cli.option import REPEAT, Option

_FILES = "Files"
_PROCESS = "Process"
_LIMITS = "Limits"
_ISOLATION = "Isolation"
_LIFE = "Container"

CONTAINER_OPTIONS = (
    Option("--name", "Name of the container (default: one is made up)", "NAME",
           parse=values.container_name, group=_LIFE),
    Option("--rm", "Remove the container when it has ended", group=_LIFE),
    Option("-l --label", "Label of the container", "KEY[=VALUE]", kind=REPEAT, parse=values.assignment, group=_LIFE),
    Option("--stop-signal", "Signal that stops it (default: the image's, else TERM)", "SIGNAL",
           parse=values.signal_name, group=_LIFE),
    Option("--stop-timeout", "Seconds between the stop signal and KILL (default: 10)", "SECONDS",
           parse=values.whole(-1, "a time"), group=_LIFE),
    Option("-i --interactive", "Keep standard input open", group=_PROCESS),
    Option("-t --tty", "Give the command a terminal", group=_PROCESS),
    Option("-e --env", "Environment variable; without a value, the caller's", "NAME[=VALUE]", kind=REPEAT,
           parse=values.assignment, group=_PROCESS),
    Option("--env-file", "File with one environment variable per line", "FILE", kind=REPEAT, group=_PROCESS),
    Option("-w --workdir", "Working directory in the container", "PATH", parse=values.absolute, group=_PROCESS),
    Option("-u --user", "User, and group, that the command runs as: names or ids", "USER[:GROUP]", group=_PROCESS),
    Option("--as-me", "Run as the caller: your ids, groups and a home, so that files on binds are yours",
           group=_PROCESS),
    Option("--entrypoint", "Program in place of the image's entrypoint; empty for none", "PROGRAM", group=_PROCESS),
    Option("--init", "Run a small init that forwards signals and reaps processes", group=_PROCESS),
    Option("-v --volume", "Show a host path in the container", "SOURCE:TARGET[:ro]", kind=REPEAT, group=_FILES),
    Option("--mount", "Mount in words: type=bind,source=PATH,target=PATH[,readonly]", "WORDS",
           kind=REPEAT, group=_FILES),
    Option("--tmpfs", "An empty file system in memory", "TARGET[:OPTIONS]", kind=REPEAT, group=_FILES),
    Option("--read-only", "Make the container's root file system read-only", group=_FILES),
    Option("--shm-size", "Size of /dev/shm (default: 64m)", "SIZE", parse=values.size, group=_FILES),
    Option("-m --memory", "Limit of memory", "SIZE", parse=values.memory, group=_LIMITS),
    Option("--cpus", "Limit of CPUs", "NUMBER", parse=values.cpus, group=_LIMITS),
    Option("--pids-limit", "Limit of processes and threads; -1 for none", "NUMBER",
           parse=values.whole(-1, "a limit of processes"), group=_LIMITS),
    Option("--net --network", "Network: none, host or bridge (default: bridge)", "NETWORK",
           parse=values.choice("none", "host", "bridge"), group=_ISOLATION),
    Option("-h --hostname", "Host name in the container (default: its short id)", "NAME", group=_ISOLATION),
    Option("--cap-add", "Add a capability, or ALL", "CAPABILITY", kind=REPEAT,
           parse=values.capability, group=_ISOLATION),
    Option("--cap-drop", "Drop a capability, or ALL", "CAPABILITY", kind=REPEAT,
           parse=values.capability, group=_ISOLATION),
)  # fmt: skip


def _keys(text: str) -> bytes:
    from kist.cli.detach import parse_keys  # noqa: PLC0415 - few give this option

    return parse_keys(text)


DRY_RUN = Option("--dry-run", "Print the operations of the container's set-up and stop", group=_LIFE)
DETACH = Option("-d --detach", "Run in the background and print the container's id", group=_LIFE)
SIG_PROXY = Option("--sig-proxy", "Pass signals on to the command (default: true)", group=_PROCESS)
DETACH_KEYS = Option(
    "--detach-keys",
    "Keys that detach from the container (default: ctrl-p,ctrl-q)",
    "KEYS",
    parse=_keys,
    group=_PROCESS,
)
