"""The names of what the engine has, for completion. An engine that does not run, or does not answer, has none."""

from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from kist.cli.context import Context

    Candidates = list[tuple[str, str]]  # a word, and what it is in a few others


def _ask(context: "Context", path: str) -> "Any":
    from kist.client.transport import Connection  # noqa: PLC0415 - options complete without an engine

    if not context.wire.endpoint.socket:
        return None  # on another machine: a key's press is not to wait for that
    try:
        Connection(context.wire.endpoint.socket).close()  # no engine is started for this
        return context.wire.call("GET", path)
    except (KistError, OSError):
        return None


def containers(context: "Context", states: "Iterable[str]" = ()) -> "Candidates":
    """Names of containers in one of these states, or in any."""
    from kist.client.http1 import quote  # noqa: PLC0415 - options complete without an engine
    from kist.spec.jsontext import dumps  # noqa: PLC0415 - the same

    wanted = f"&filters={quote(dumps({'status': list(states)}))}" if states else ""
    found = _ask(context, "/containers/json?all=1&fields=Names,Status" + wanted)
    rows = found if isinstance(found, list) else []
    return [(name.removeprefix("/"), row["Status"]) for row in rows for name in row["Names"]]


def images(context: "Context") -> "Candidates":
    """Names of images, with their tags."""
    found = _ask(context, "/images/json")
    return [(name, "image") for row in found or () for name in row.get("RepoTags") or () if name != "<none>:<none>"]


def networks(context: "Context") -> "Candidates":
    """Names of networks: those that are always there, and the user's own."""
    found = _ask(context, "/networks")
    names = [str(row["Name"]) for row in found] if isinstance(found, list) else []
    return [(name, "network") for name in dict.fromkeys(("bridge", "host", "none", *names))]


def volumes(context: "Context") -> "Candidates":
    """Names of volumes."""
    found = _ask(context, "/volumes")
    rows = (found.get("Volumes") or ()) if isinstance(found, dict) else ()
    return [(str(row["Name"]), "volume") for row in rows]


def container_prefixes(context: "Context") -> "Candidates":
    """``container:NAME`` of all that run."""
    return [("container:" + name, what) for name, what in containers(context, ("running",))]


def variables(context: "Context") -> "Candidates":
    """Names of the caller's environment variables."""
    return [(name, "") for name in sorted(context.environment)]


def signals(_context: "Context") -> "Candidates":
    """Names of signals, those first that people send."""
    common = ("TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH")
    rest = ("ABRT", "ALRM", "BUS", "CHLD", "FPE", "ILL", "IO", "PIPE", "PROF", "PWR", "SEGV", "SYS", "TRAP", "TSTP")
    return [("SIG" + name, "") for name in (*common, *rest, "TTIN", "TTOU", "URG", "VTALRM", "XCPU", "XFSZ")]


def capabilities(_context: "Context") -> "Candidates":
    """Names of capabilities (capabilities(7))."""
    return [(name, "") for name in _CAPABILITIES.split()]


_CAPABILITIES = (
    "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH "
    "FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN "
    "NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT "
    "SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
)


def codes(_context: "Context") -> "Candidates":
    """Codes of the doctor's findings."""
    from kist.doctor.codes import ABOUT  # noqa: PLC0415 - for this verb only

    return [*ABOUT.items()]


SOURCES: "Mapping[str, Callable[[Context], Candidates]]" = {
    "containers": containers,
    "images": images,
    "networks": networks,
    "volumes": volumes,
    "container:": container_prefixes,
    "variables": variables,
    "signals": signals,
    "capabilities": capabilities,
    "codes": codes,
}
