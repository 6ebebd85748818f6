"""``--subnet``, ``--gateway``, ``--ip-range`` and ``--aux-address``: what belongs to which subnet."""

from ipaddress import ip_address, ip_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def subnet(text: str) -> str:
    """A subnet.

    Raises:
        ValueError: it is none.
    """
    if "/" not in text:
        raise ValueError(f"a subnet is like 10.89.0.0/22, not {text!r}")
    return str(ip_network(text))


def reserved(text: str) -> "tuple[str, str]":
    """``NAME=ADDRESS``, as a pair.

    Raises:
        ValueError: it is not of that form.
    """
    name, equals, address = text.partition("=")
    if not name or not equals:
        raise ValueError(f"an auxiliary address is NAME=ADDRESS, not {text!r}")
    return name, str(ip_address(address))


def together(
    subnets: "Sequence[str]",
    gateways: "Iterable[str]",
    ranges: "Iterable[str]",
    auxiliary: "Iterable[tuple[str, str]]",
) -> "list[dict[str, Any]]":
    """Entries of IPAM.Config (Engine API, NetworkCreate): what is in a subnet belongs to it.

    Raises:
        ValueError: something is in none of them, or a subnet has two.
    """
    found: list[dict[str, Any]] = [{"Subnet": each} for each in subnets]
    for gateway in gateways:
        _put(_holding(found, gateway, "gateway"), "Gateway", gateway)
    for part in ranges:
        _put(_holding(found, part.partition("/")[0], "range"), "IPRange", part)
    for name, address in auxiliary:
        _holding(found, address, "auxiliary address").setdefault("AuxiliaryAddresses", {})[name] = address
    return found


def _holding(entries: "list[dict[str, Any]]", address: str, what: str) -> "dict[str, Any]":
    for entry in entries:
        if ip_address(address) in ip_network(entry["Subnet"]):
            return entry
    raise ValueError(f"no matching subnet for {what} {address}: name one with --subnet")


def _put(entry: "dict[str, Any]", field: str, value: str) -> None:
    if field in entry:
        raise ValueError(f"cannot configure multiple {_PLURAL[field]} on the subnet {entry['Subnet']}")
    entry[field] = value


_PLURAL = {"Gateway": "gateways", "IPRange": "ranges"}
