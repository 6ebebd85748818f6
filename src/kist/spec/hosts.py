"""``tcp://`` and ``ssh://`` as text; imports next to nothing, for every command reads one of these."""

from kist.errors import InvalidInput

PLAIN_PORT = 2375
TLS_PORT = 2376
"""Docker's ports, registered as docker and docker-s."""


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


class SshHost:
    """``ssh://[USER@]HOST[:PORT][/PATH]``; a port of 0 and empty texts are those that are left out."""

    __slots__ = ("host", "path", "port", "user")

    def __init__(self, user: str, host: str, port: int, path: str) -> None:
        self.user = user
        self.host = host
        self.port = port
        self.path = path


def parse_ssh(host: str) -> SshHost:
    """Who is called where; the path is that of the engine's socket there.

    Raises:
        InvalidInput: it is none; a password has no place in it.
    """
    rest = host.removeprefix("ssh://")
    place, slash, path = rest.partition("/")
    user, at, place = place.rpartition("@")
    name, port = parse_tcp(f"tcp://{place}", -1) if place else ("", -1)
    bad = not name or name.startswith("-") or user.startswith("-") or bool(at) != bool(user)
    if bad or ":" in user or any(mark in rest for mark in "?#"):
        hint = "write ssh://USER@HOST:PORT; ssh itself has keys and passwords in its hands"
        raise InvalidInput(f"{host!r} is no host for ssh", hint=hint)
    return SshHost(user, name, max(port, 0), slash + path if path else "")
