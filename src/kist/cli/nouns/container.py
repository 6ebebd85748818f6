"""Containers as ``kist ps`` lists them, from the JSON of ``GET /containers/json``."""

from kist.cli.listing import Noun
from kist.cli.table import one_line, shorten
from kist.cli.units import ago, moment, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.listing import Row, View

_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15


def _id(row: "Row", view: "View") -> str:
    return str(row["Id"] if view.whole_text else row["Id"][:12])


def _image(row: "Row", view: "View") -> str:
    """An image that is named by its id is shown by the id's beginning."""
    name = str(row["Image"])
    digest = name.removeprefix("sha256:")
    if view.whole_text or len(digest) != 64 or digest.strip("0123456789abcdef"):
        return name or "<no image>"
    return digest[:12]


def _command(row: "Row", view: "View") -> str:
    command = one_line(row["Command"])
    return f'"{command if view.whole_text else shorten(command, _COMMAND_WIDTH)}"'


def _names(row: "Row", view: "View") -> str:
    """Its names; those that links give it (``/web/db``) only at length."""
    names = [name.removeprefix("/") for name in row["Names"]]
    return ",".join(name for name in names if view.whole_text or "/" not in name)


def _size(row: "Row", _view: "View") -> str:
    whole = row.get("SizeRootFs", 0)
    return size(row.get("SizeRw", 0)) + (f" (virtual {size(whole)})" if whole else "")


def labels(row: "Row", _view: "View") -> str:
    """All labels, as ``NAME=VALUE`` with commas between."""
    found = row.get("Labels") or {}
    return ",".join(f"{name}={found[name]}" for name in sorted(found))


def label(row: "Row", name: "Any") -> str:
    """The value of one label, empty where there is none."""
    return str((row.get("Labels") or {}).get(name, ""))


def _mounts(row: "Row", view: "View") -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in row.get("Mounts") or ()]
    return ",".join(name if view.whole_text else shorten(name, _MOUNT_WIDTH) for name in names)


def _volumes(row: "Row", _view: "View") -> str:
    return str(sum(mount.get("Driver") == "local" for mount in row.get("Mounts") or ()))


def _networks(row: "Row", _view: "View") -> str:
    return ",".join((row.get("NetworkSettings") or {}).get("Networks") or ())


def _platform(row: "Row", _view: "View") -> str:
    platform = (row.get("ImageManifestDescriptor") or {}).get("platform") or {}
    return "/".join(filter(None, (platform.get("os"), platform.get("architecture"), platform.get("variant"))))


def _port_key(port: "Row") -> "tuple[int, str, int, str]":
    return port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]


def ports(row: "Row", _view: "View") -> str:
    """``0.0.0.0:8000-8002->8000-8002/tcp, 443/tcp``: published and exposed ports, neighbours joined to ranges."""
    if not row.get("Ports"):
        return ""
    groups: dict[tuple[str, str], list[list[int]]] = {}
    mapped = []
    for port in sorted(row["Ports"], key=_port_key):
        address, inside, outside = port.get("IP", ""), port["PrivatePort"], port.get("PublicPort", 0)
        if address and outside != inside:
            mapped.append(f"{_host(address)}:{outside}->{inside}/{port['Type']}")
            continue
        ranges = groups.setdefault((address, port["Type"]), [])
        if ranges and ranges[-1][1] == inside - 1:
            ranges[-1][1] = inside
        elif not ranges or ranges[-1][1] != inside:
            ranges.append([inside, inside])
    shown = []
    for (address, protocol), ranges in groups.items():
        for first, last in ranges:
            span = str(first) if first == last else f"{first}-{last}"
            shown.append(f"{_host(address)}:{span}->{span}/{protocol}" if address else f"{span}/{protocol}")
    return ", ".join(shown + mapped)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _usage(row: "Row", key: str) -> "int | None":
    """What the last run used; nothing is known of one that runs or never ran."""
    found = (row.get("Usage") or {}).get(key)
    return None if found is None else int(found)


def _bytes(row: "Row", *keys: str) -> str:
    found = [_usage(row, key) for key in keys]
    return " / ".join(size(count) for count in found if count is not None)


def _cpu_time(row: "Row", _view: "View") -> str:
    used = _usage(row, "CPUTime")
    return "" if used is None else f"{used / 1e9:.3f}s"


def _oom(row: "Row", _view: "View") -> str:
    kills = _usage(row, "OOMKills")
    return "" if kills is None else str(kills > 0).lower()


# What the engine's JSON must hold for the usual table, and for ids.
TABLE_NEEDS = "Id,Names,Image,Command,Created,Status,Ports"
ID_NEEDS = "Id"

CONTAINER = Noun(
    "a container",
    {
        "ID": ("CONTAINER ID", _id),
        "Image": ("IMAGE", _image),
        "Command": ("COMMAND", _command),
        "RunningFor": ("CREATED", lambda row, view: ago(view.now - row["Created"])),
        "CreatedAt": ("CREATED AT", lambda row, _view: moment(row["Created"])),
        "State": ("STATE", lambda row, _view: row["State"]),
        "Status": ("STATUS", lambda row, _view: row["Status"]),
        "Ports": ("PORTS", ports),
        "Names": ("NAMES", _names),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", labels),
        "Mounts": ("MOUNTS", _mounts),
        "LocalVolumes": ("LOCAL VOLUMES", _volumes),
        "Networks": ("NETWORKS", _networks),
        "Platform": ("PLATFORM", _platform),
        "CPUTime": ("CPU TIME", _cpu_time),
        "MemPeak": ("MEM PEAK", lambda row, _view: _bytes(row, "MemoryPeak")),
        "NetIO": ("NET I/O", lambda row, _view: _bytes(row, "NetworkReceived", "NetworkSent")),
        "BlockIO": ("BLOCK I/O", lambda row, _view: _bytes(row, "BlockRead", "BlockWrite")),
        "OOMKilled": ("OOM KILLED", _oom),
    },
    ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"),
    methods={"Label": label},
    setting="psFormat",
)
