"""The options of ``build`` that say what its commands have: those of ``run``, and the API's parameters for them."""

from kist.cli.container_options import CONTAINER_OPTIONS
from kist.cli.option import REPEAT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.option import Arguments

_COMMANDS = "What RUN has"
# Of ``run``: the parameter of each, which is repeated where the option is.
_PARAMETERS = {
    "add_host": "extrahosts",
    "cgroup_parent": "cgroupparent",
    "cpu_period": "cpuperiod",
    "cpu_quota": "cpuquota",
    "cpu_shares": "cpushares",
    "cpuset_cpus": "cpusetcpus",
    "cpuset_mems": "cpusetmems",
    "memory": "memory",
    "memory_swap": "memswap",
    "security_opt": "securityopt",
    "shm_size": "shmsize",
}


def _taken(key: str) -> Option:
    option = next(each for each in CONTAINER_OPTIONS if each.key == key)
    return Option(
        " ".join(option.names), option.help, option.metavar, kind=option.kind, parse=option.parse, group=_COMMANDS
    )


OPTIONS = (
    *map(_taken, (*_PARAMETERS, "ulimit")),
    Option("--network", "Network: bridge, none, host, container:NAME or a network's name (default: bridge)", "NETWORK",
           group=_COMMANDS),
    Option("--allow", "Give it to steps that ask for it: network.host, security.insecure, device", "ENTITLEMENT",
           kind=REPEAT, group=_COMMANDS),
    Option("--cache-from", "Take steps where they are the same: of an image, or type=local,src=DIRECTORY", "CACHE",
           kind=REPEAT),
    Option("--cache-to", "Bring steps elsewhere: type=local,dest=DIRECTORY[,mode=max] or type=inline", "CACHE",
           kind=REPEAT),
    Option("--platform", "Platform of bases whose FROM names none", "OS/ARCHITECTURE[/VARIANT]",
           parse=next(each.parse for each in CONTAINER_OPTIONS if each.key == "platform")),
    Option("--pull", "Ask for newer base images (no registry is asked yet)"),
    Option("--iidfile", "Write the image's id to this file", "FILE"),
    Option("--rm", "Accepted, and without effect: no container of a build is ever left", hidden=True),
    Option("--force-rm", "Accepted, and without effect: no container of a build is ever left", hidden=True),
)  # fmt: skip


def step_query(arguments: "Arguments") -> "list[tuple[str, str]]":
    """The query parameters of what commands have."""
    query = []
    for key, parameter in _PARAMETERS.items():
        if key in arguments.values:
            value = arguments.values[key]
            query += [(parameter, str(each)) for each in (value if isinstance(value, list) else [value])]
    if ulimits := arguments.all("ulimit"):
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for --ulimit only

        query.append(("ulimits", dumps(ulimits)))
    if network := arguments.text("network"):
        query.append(("networkmode", network))
    return query
