"""Addresses and names of hosts: ``--ip``, ``--mac-address``, ``--dns``, ``--add-host`` and their kin."""

import _socket

_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
GATEWAY = "host-gateway"


def is_address(text: str) -> bool:
    """Whether it is an address of IPv4 or IPv6."""
    return _reads(_socket.AF_INET, text) or _reads(_socket.AF_INET6, text)


def _reads(family: int, text: str) -> bool:
    try:
        _socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


def address(text: str) -> str:
    """An address of either kind."""
    if not is_address(text):
        raise ValueError("it is an IP address: 10.0.0.5 or fd00::5")
    return text


def ipv4(text: str) -> str:
    """An address of IPv4."""
    if not _reads(_socket.AF_INET, text):
        raise ValueError("it is an IPv4 address: 172.30.100.104")
    return text


def ipv6(text: str) -> str:
    """An address of IPv6."""
    if not _reads(_socket.AF_INET6, text):
        raise ValueError("it is an IPv6 address: 2001:db8::33")
    return text


def mac(text: str) -> str:
    """Six pairs of hexadecimal digits, with colons or hyphens between."""
    pairs = text.replace("-", ":").split(":")
    if len(pairs) != 6 or not all(len(pair) == 2 and _HEXADECIMAL.issuperset(pair) for pair in pairs):
        raise ValueError("it is a hardware address: 92:d0:c6:0a:29:33")
    if int(pairs[0], 16) & 1:
        raise ValueError("it is the address of one card; an odd first byte is for groups (multicast)")
    return ":".join(pairs).lower()


def extra_host(text: str) -> str:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS``, as the API has it (with a colon); ``host-gateway`` for the host."""
    name, equals, value = text.partition("=")
    if not equals:
        name, _, value = text.partition(":")
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    if not name or not value:
        raise ValueError(f"it is NAME:ADDRESS or NAME:{GATEWAY}")
    if value != GATEWAY and not is_address(value):
        raise ValueError(f"{value!r} is no IP address; it is NAME:ADDRESS or NAME:{GATEWAY}")
    return f"{name}:{value}"


def domain(text: str) -> str:
    """A search domain; ``.`` for none."""
    name = text.strip()
    if name == ".":
        return name
    labels = name.removesuffix(".").split(".")
    if len(name) > 255 or not all(0 < len(label) < 64 and _NAME.issuperset(label) for label in labels):
        raise ValueError("it is a domain like example.com, or . for none")
    return name


def link(text: str) -> str:
    """``CONTAINER`` or ``CONTAINER:ALIAS``."""
    parts = text.split(":")
    if len(parts) > 2 or not all(parts):
        raise ValueError("it is CONTAINER or CONTAINER:ALIAS")
    return text if len(parts) == 2 else f"{text}:{text}"
