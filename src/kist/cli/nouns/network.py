"""Networks as ``kist network ls`` lists them, from the JSON of ``GET /networks``."""

from kist.cli.listing import Noun
from kist.cli.nouns.container import label, labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.listing import Row, View

_SHORT = 12


def _identity(row: "Row", view: "View") -> str:
    return str(row["Id"] if view.whole_text else row["Id"][:_SHORT])


def _flag(field: str) -> "tuple[str, Any]":
    header = field.removeprefix("Enable").upper()
    return header, lambda row, _view: str(bool(row.get(field))).lower()


def _subnets(row: "Row", _view: "View") -> str:
    return ",".join(each["Subnet"] for each in row["IPAM"]["Config"] or ())


NETWORK = Noun(
    "a network",
    {
        "ID": ("NETWORK ID", _identity),
        "Name": ("NAME", lambda row, _view: row["Name"]),
        "Driver": ("DRIVER", lambda row, _view: row["Driver"]),
        "Scope": ("SCOPE", lambda row, _view: row["Scope"]),
        "IPv4": _flag("EnableIPv4"),
        "IPv6": _flag("EnableIPv6"),
        "Internal": _flag("Internal"),
        "Labels": ("LABELS", labels),
        "CreatedAt": ("CREATED AT", lambda row, _view: row["Created"]),
        "Subnets": ("SUBNETS", _subnets),
    },
    ("ID", "Name", "Driver", "Scope"),
    methods={"Label": label},
    setting="networksFormat",
)
