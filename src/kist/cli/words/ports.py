"""Published and exposed ports: ``-p 127.0.0.1:8080:80/udp``, ``-p published=8080,target=80``, ``--expose 53/udp``."""

from kist.cli.words import addresses, commas

_LARGEST = 0xFFFF
_PROTOCOLS = ("tcp", "udp", "sctp")
_LONG = ("published", "target", "protocol", "mode")
_FORM = "it is [[ADDRESS:]HOST_PORT:]PORT[-PORT][/tcp|udp|sctp]"
_EXPOSED = "it is PORT[-PORT][/tcp|udp|sctp]"


def publish(text: str) -> "list[tuple[str, str, str]]":
    """One entry for each port of the container: (``80/tcp``, address of the host, port or range of the host).

    An empty port of the host, or 0 as in bind(2), lets the engine choose one; a range for a single port of the
    container is one to choose from.

    Raises:
        ValueError: says what is allowed.
    """
    if "=" in text:
        text = _standard(text)
    address, host, inside = _parts(text)
    inside, protocol = _protocol(inside)
    first, last = _range(inside, "the container", _FORM)
    if not host.strip("0"):
        return [(f"{port}/{protocol}", address, "") for port in range(first, last + 1)]
    low, high = _range(host, "the host", _FORM)
    if first == last and low != high:
        return [(f"{first}/{protocol}", address, f"{low}-{high}")]
    if high - low != last - first:
        raise ValueError(f"the ranges {host} and {inside} are not of the same length")
    return [(f"{first + n}/{protocol}", address, str(low + n)) for n in range(last - first + 1)]


def expose(text: str) -> "list[str]":
    """``8000-8002/udp`` as ``8000/udp``, ``8001/udp``, ``8002/udp``."""
    if ":" in text:
        raise ValueError(f"{_EXPOSED}; -p publishes a port on the host")
    inside, protocol = _protocol(text)
    first, last = _range(inside, "the container", _EXPOSED)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _standard(text: str) -> str:
    """The long form (``published=8080,target=80,protocol=udp,mode=host``) in the short one."""
    found: dict[str, str] = {}
    for name, value, _ in commas.pairs(text):
        if name not in _LONG:
            raise commas.unknown(name, _LONG)
        found[name] = value
    if not found.get("target"):
        raise ValueError("target=PORT is missing")
    protocol = "/" + found["protocol"] if found.get("protocol") else ""
    published = found["published"] + ":" if found.get("published") else ""
    return published + found["target"] + protocol


def _parts(text: str) -> "tuple[str, str, str]":
    """Address, port of the host, port of the container; an address of IPv6 may stand in brackets."""
    head, colon, inside = text.rpartition(":")
    if not colon:
        return "", "", text
    address, colon, host = head.rpartition(":")
    if not colon:
        return "", host, inside
    address = address.removeprefix("[").removesuffix("]") if address.startswith("[") else address
    if address and not addresses.is_address(address):
        raise ValueError(f"{address!r} is no IP address; {_FORM}")
    return address, host, inside


def _protocol(text: str) -> "tuple[str, str]":
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"the protocol is tcp, udp or sctp, not {protocol!r}")
    return ports, protocol


def _range(text: str, whose: str, form: str) -> "tuple[int, int]":
    low, dash, high = text.partition("-")
    first = _port(low, whose, form)
    last = _port(high, whose, form) if dash else first
    if last < first:
        raise ValueError(f"the range {text} ends before it begins")
    return first, last


def _port(text: str, whose: str, form: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _LARGEST):
        raise ValueError(f"a port of {whose} is a number from 1 to {_LARGEST}, not {text!r}; {form}")
    return int(text)
