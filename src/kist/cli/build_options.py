"""The options of ``build`` that not every build has; among them those of ``run`` that say what its commands have.

Making them takes longer than what a cached build does, so they are made where one of them is written.
"""

from kist.cli import build_check, build_given, values
from kist.cli.build_result import parse_annotation
from kist.cli.container_options import CONTAINER_OPTIONS
from kist.cli.option import REPEAT, Option
from kist.cli.progress import KINDS
from kist.spec.outputs import parse_output

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


def _platforms(text: str) -> str:
    """One platform or several, with commas between them."""
    parse = next(each.parse for each in CONTAINER_OPTIONS if each.key == "platform")
    assert parse is not None
    return ",".join(str(parse(each.strip())) for each in text.split(","))


def _taken(key: str) -> Option:
    option = next(each for each in CONTAINER_OPTIONS if each.key == key)
    return Option(
        " ".join(option.names), option.help, option.metavar, kind=option.kind, parse=option.parse, group=_COMMANDS
    )


PROGRESS = Option(
    "--progress",
    "How to show progress: auto, plain, tty, rawjson or quiet (default: auto)",
    "KIND",
    parse=values.choice(*KINDS),
)

_OF_COMMANDS = (
    *map(_taken, (*_PARAMETERS, "ulimit")),
    Option("--network", "Network: bridge, none, host, container:NAME or a network's name (default: bridge)", "NETWORK",
           group=_COMMANDS),
    Option("--allow", "Give it to steps that ask for it: network.host, security.insecure, device", "ENTITLEMENT",
           kind=REPEAT, group=_COMMANDS),
    Option("--cache-from", "Take steps where they are the same: of an image, type=local,src=DIRECTORY, or "
           "type=registry,ref=NAME", "CACHE", kind=REPEAT),
    Option("--cache-to", "Bring steps elsewhere: type=local,dest=DIRECTORY[,mode=max], "
           "type=registry,ref=NAME[,mode=max] or type=inline", "CACHE", kind=REPEAT),
    Option("--platform", "Platform to build for, and of bases whose FROM names none; several make an image for each",
           "OS/ARCHITECTURE[/VARIANT][,…]", parse=_platforms),
    Option("--pull", "Ask for newer base images (no registry is asked yet)"),
    Option("--iidfile", "Write the image's id to this file", "FILE"),
    Option("--rm", "Accepted, and without effect: no container of a build is ever left", hidden=True),
    Option("--force-rm", "Accepted, and without effect: no container of a build is ever left", hidden=True),
)  # fmt: skip


OPTIONS = (
    Option("--no-cache-filter", "Run every step of this stage", "STAGE", kind=REPEAT),
    Option("--label", "Label of the image", "KEY[=VALUE]", kind=REPEAT, parse=values.assignment),
    Option("--sbom", "Attach a bill of materials to the image (kist image referrers)"),
    Option("--provenance", "Attach what the image was made of, and how (SLSA v1)"),
    Option("--locked", "Fail where something is not as in kist.lock"),
    Option("--update-lock", "Write kist.lock anew, with the images and packages of now"),
    Option("--no-lock", "Neither read nor write kist.lock"),
    Option("--annotation", "Annotation of the image's manifest", "KEY=VALUE", kind=REPEAT, parse=parse_annotation),
    Option("-o --output", "Where the result goes: a directory, - for a tar, or type=local|tar|oci|docker|image,…",
           "OUTPUT", kind=REPEAT, parse=parse_output),
    Option("--metadata-file", "Write what came of the build to this file, in JSON", "FILE"),
    Option("--reproducible", "Let no time and no trace of this machine into the result (see SOURCE_DATE_EPOCH)"),
    Option("--verify", "Build twice, and tell which file of which step differs; includes --reproducible"),
    Option("--squash", "Make one layer of all that the build adds to its base"),
    PROGRESS,
    *build_check.OPTIONS,
    *build_given.OPTIONS,
    *_OF_COMMANDS,
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
