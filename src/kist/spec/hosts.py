"""``tcp://`` and ``ssh://`` as text; imports next to nothing, for every command reads one of these."""

from kist.errors import InvalidInput

TLS_PORT = 2376
"""Docker's port for TLS, registered as docker-s."""


def parse_tcp(host: str, default: int) -> "tuple[str, int]":
    """Address and port of ``tcp://ADDRESS[:PORT][/]``; an address of IPv6 is in brackets.

    Raises:
        InvalidInput: it is none.
    """
    rest = host.removeprefix("tcp://").removesuffix("/")
    if rest.startswith("["):
        address, bracket, port = rest[1:].partition("]")
        good = bool(bracket) and (not port or port[0] == ":")
        port = port[1:]
    else:
        address, colon, port = rest.partition(":")
        good = bool(colon) == bool(port)
    number = _port(port) if port else default
    if not good or not address or number is None or any(mark in address for mark in "/@?#"):
        raise InvalidInput(f"{host!r} is no address of an engine", hint="write tcp://ADDRESS:PORT")
    return address, number


def _port(text: str) -> "int | None":
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
    return number if 0 < number < 65536 else None
