"""Calls as ``kist system audit`` lists them, from the lines of ``GET /kist/audit``."""

from kist.cli.listing import Noun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.listing import Row, View


def _who(row: "Row", _view: "View") -> str:
    return str(row.get("subject") or row.get("address") or row.get("uid", ""))


def _process(row: "Row", _view: "View") -> str:
    number = str(row.get("pid") or "")
    return f"{number} {row['program']}" if row.get("program") else number


def _place(row: "Row", _view: "View") -> str:
    return " ".join(filter(None, (row.get("role", ""), row.get("socket", ""))))


def _asked(row: "Row", _view: "View") -> str:
    query = row.get("query", "")
    return f"{row['path']}?{query}" if query else str(row["path"])


def _status(row: "Row", _view: "View") -> str:
    return "end" if row.get("end") else str(row["status"])


AUDITED = Noun(
    "a call",
    {
        "Time": ("TIME", lambda row, _view: row["time"]),
        "Call": ("CALL", lambda row, _view: str(row["call"])),
        "Who": ("WHO", _who),
        "UID": ("UID", lambda row, _view: str(row.get("uid", ""))),
        "GID": ("GID", lambda row, _view: str(row.get("gid", ""))),
        "Process": ("PROCESS", _process),
        "Place": ("ROLE, SOCKET", _place),
        "Role": ("ROLE", lambda row, _view: row.get("role", "")),
        "Method": ("METHOD", lambda row, _view: row["method"]),
        "Status": ("STATUS", _status),
        "Milliseconds": ("MS", lambda row, _view: f"{row['ms']:.1f}"),
        "Container": ("CONTAINER", lambda row, _view: row.get("container", "")),
        "Path": ("PATH", _asked),
    },
    ("Time", "Who", "Process", "Role", "Method", "Status", "Milliseconds", "Path"),
    identity="Call",
)
