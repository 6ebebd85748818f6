"""Volumes as ``kist volume ls`` lists them, from the JSON of ``GET /volumes``."""

from kist.cli.listing import Noun
from kist.cli.nouns.container import label, labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.listing import Row, View


def _unknown(_row: "Row", _view: "View") -> str:
    return "N/A"  # as Docker: a list measures nothing, and there is no cluster


VOLUME = Noun(
    "a volume",
    {
        "Driver": ("DRIVER", lambda row, _view: row["Driver"]),
        "Name": ("VOLUME NAME", lambda row, _view: row["Name"]),
        "Labels": ("LABELS", labels),
        "Mountpoint": ("MOUNTPOINT", lambda row, _view: row["Mountpoint"]),
        "Scope": ("SCOPE", lambda row, _view: row["Scope"]),
        "Links": ("LINKS", _unknown),
        "Size": ("SIZE", _unknown),
        "Availability": ("AVAILABILITY", _unknown),
        "Group": ("GROUP", _unknown),
        "Status": ("STATUS", _unknown),
    },
    ("Driver", "Name"),
    methods={"Label": label},
    setting="volumesFormat",
    identity="Name",
)
