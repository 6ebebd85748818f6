"""What containers use, as ``kist stats`` shows it, from the JSON of ``GET /containers/{id}/stats``."""

from kist.cli.listing import Noun
from kist.cli.units import binary_size, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.listing import Row, View

_NONE = "--"


def cpu_percent(row: "Row") -> float:
    """Per cent of one CPU since the sample before; 0 without one."""
    now, before = row["cpu_stats"], row["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    if not before.get("system_cpu_usage") or used <= 0 or passed <= 0:
        return 0.0
    return float(used / passed * now.get("online_cpus", 1) * 100)


def memory_used(row: "Row") -> int:
    """Bytes without the cached files that can be let go, as both versions of the cgroups count them."""
    memory = row["memory_stats"]
    stats = memory.get("stats") or {}
    usage = memory.get("usage", 0)
    cached = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return int(usage - cached) if cached < usage else int(usage)


def memory_percent(row: "Row") -> float:
    """Per cent of the limit."""
    limit = row["memory_stats"].get("limit", 0)
    return memory_used(row) / limit * 100 if limit else 0.0


def _runs(row: "Row") -> bool:
    return bool(row["cpu_stats"].get("system_cpu_usage"))


def _memory(row: "Row", _view: "View") -> str:
    """Of a container that has ended, the most that it had at one moment."""
    memory = row["memory_stats"]
    if not _runs(row):
        return f"{binary_size(memory['max_usage'])} / {_NONE}" if memory.get("max_usage") else f"{_NONE} / {_NONE}"
    return f"{binary_size(memory_used(row))} / {binary_size(memory.get('limit', 0))}"


def _network(row: "Row", _view: "View") -> str:
    networks = (row.get("networks") or {}).values()
    return " / ".join(size(sum(each[key] for each in networks)) for key in ("rx_bytes", "tx_bytes"))


def _block(row: "Row", _view: "View") -> str:
    entries = row["blkio_stats"].get("io_service_bytes_recursive") or ()
    return " / ".join(
        size(sum(entry["value"] for entry in entries if entry["op"][:1].lower() == letter)) for letter in "rw"
    )


def _percent(value: float, row: "Row") -> str:
    return f"{value:.2f}%" if _runs(row) else _NONE


def _id(row: "Row", view: "View") -> str:
    return str(row["id"] if view.whole_text else row["id"][:12])


def _name(row: "Row", _view: "View") -> str:
    return str(row["name"]).removeprefix("/") or _NONE


STATS = Noun(
    "measurements",
    {
        "Container": ("CONTAINER", _id),
        "ID": ("CONTAINER ID", _id),
        "Name": ("NAME", _name),
        "CPUPerc": ("CPU %", lambda row, _view: _percent(cpu_percent(row), row)),
        "MemUsage": ("MEM USAGE / LIMIT", _memory),
        "MemPerc": ("MEM %", lambda row, _view: _percent(memory_percent(row), row)),
        "NetIO": ("NET I/O", _network),
        "BlockIO": ("BLOCK I/O", _block),
        "PIDs": ("PIDS", lambda row, _view: str(row["pids_stats"].get("current", 0)) if _runs(row) else _NONE),
        "CPUTime": ("CPU TIME", lambda row, _view: f"{row['cpu_stats']['cpu_usage']['total_usage'] / 1e9:.3f}s"),
    },
    ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
    setting="statsFormat",
)
