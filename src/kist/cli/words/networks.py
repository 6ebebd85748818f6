"""``--network``: a name, or ``name=NAME,alias=WEB,ip=10.1.0.5,driver-opt=KEY=VALUE``, or ``NAME:alias=WEB,ip=…``.

The first two are Docker's spellings, the last one is Podman's.
"""

from kist.cli.words import addresses, commas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONG = ("name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "driver-opt", "gw-priority")
_BUILT_IN = frozenset({"", "default", "bridge", "host", "none"})


def network(text: str) -> "tuple[str, dict[str, Any]]":
    """The network's name, and the settings of the endpoint (Engine API, "EndpointSettings").

    Raises:
        ValueError: names the word and what is allowed.
    """
    if "=" not in text:
        if text == "container:":
            raise ValueError("it is container:NAME")
        return text, {}
    # Docker's words have no colon before the first equals sign.
    name, colon, words = text.partition(":")
    text, name = (words, name) if colon and "=" not in name else (text, "")
    endpoint: dict[str, Any] = {}
    for word, value, given in commas.pairs(text):
        if word not in _LONG:
            raise commas.unknown(word, _LONG)
        if not given or not value:
            raise ValueError(f"{word} needs a value: {word}=…")
        if word == "name":
            name = value
        else:
            _put(endpoint, word, value)
    if not name:
        raise ValueError("name=NETWORK is missing")
    return name, endpoint


def priority(text: str) -> int:
    """A network's priority as the way out.

    Raises:
        ValueError: it is no whole number.
    """
    if not text.removeprefix("-").isdigit():
        raise ValueError("it is a whole number")
    return int(text)


def is_made_by_users(name: str) -> bool:
    """Whether the network is one that somebody created: only there have containers names and addresses of choice."""
    return name not in _BUILT_IN and not name.startswith("container:")


def is_joined_alone(name: str) -> bool:
    """Whether no other network goes with it."""
    return name in {"host", "none"} or name.startswith("container:")


def _put(endpoint: "dict[str, Any]", word: str, value: str) -> None:
    if word == "alias":
        endpoint.setdefault("Aliases", []).append(value)
    elif word == "driver-opt":
        key, equals, text = value.partition("=")
        if not equals:
            raise ValueError(f"driver-opt is KEY=VALUE, not {value!r}")
        endpoint.setdefault("DriverOpts", {})[key] = text
    elif word == "gw-priority":
        endpoint["GwPriority"] = _told(word, priority, value)
    elif word == "mac-address":
        endpoint["MacAddress"] = _told(word, addresses.mac, value)
    elif word == "link-local-ip":
        fixed = endpoint.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", [])
        fixed.append(_told(word, addresses.address, value))
    else:
        field, parse = ("IPv4Address", addresses.ipv4) if word == "ip" else ("IPv6Address", addresses.ipv6)
        endpoint.setdefault("IPAMConfig", {})[field] = _told(word, parse, value)


def _told(word: str, parse: "Any", value: str) -> "Any":
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f"{word} is not {value!r}: {error}") from None
