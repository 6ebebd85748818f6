"""Where an engine is to listen, as somebody asks for it: on the command line, or in ``engine.toml``."""

import os
from typing import Any

import msgspec

from kist.errors import InvalidInput, Unsupported
from kist.spec.hosts import TLS_PORT, parse_tcp
from kist.spec.scope import ScopedSocket

DOCKER_SOCKET = "/var/run/docker.sock"
_TLS_KEYS = ("tls-ca", "tls-cert", "tls-key")
_TOML = 'write [listen] and then docker-socket = true, hosts = ["tcp://0.0.0.0:2376"]'
_GUIDE = "docs/guide/remote.md shows how certificates are made, with openssl"


class TlsFiles(msgspec.Struct, frozen=True):
    """Paths of PEM files.

    Attributes:
        ca: the certificates of those who may sign clients' certificates.
        cert: the engine's own certificate, and those between it and a root.
        key: its private key.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""


class Listening(msgspec.Struct, frozen=True):
    """Where to listen beside ``engine.sock`` in the run root.

    Attributes:
        hosts: ``unix://PATH``, ``tcp://ADDRESS[:PORT]``, or ``fd://[NAME]`` for what a service manager hands over.
        docker_socket: the path of Docker's own socket; empty for none.
        group: whose members may use root's engine, as guests; empty for nobody's.
        tls: for every ``tcp://``.
        sockets: those that give a role.
    """

    hosts: tuple[str, ...] = ()
    docker_socket: str = ""
    group: str = ""
    tls: TlsFiles = TlsFiles()
    sockets: tuple[ScopedSocket, ...] = ()

    def with_defaults(self, other: "Listening") -> "Listening":
        """Both: the hosts and the sockets of both, and of everything else this one's where it says something."""
        return Listening(
            tuple(dict.fromkeys((*self.hosts, *other.hosts))),
            self.docker_socket or other.docker_socket,
            self.group or other.group,
            TlsFiles(self.tls.ca or other.tls.ca, self.tls.cert or other.tls.cert, self.tls.key or other.tls.key),
            (*self.sockets, *other.sockets),
        )


NOWHERE_ELSE = Listening()


def read_listening(table: Any, group: str) -> Listening:
    """``[listen]`` of ``engine.toml``, with the group that the file names above all tables.

    Raises:
        InvalidInput: what is wrong, and what is allowed.
    """
    if not isinstance(table, dict):
        raise InvalidInput("it must be a table", hint=_TOML)
    known = ("docker-socket", "hosts", *_TLS_KEYS)
    if unknown := [name for name in table if name not in known]:
        raise InvalidInput(f"there is no setting {unknown[0]!r}: there are {', '.join(known)}", hint=_TOML)
    hosts, docker = table.get("hosts", []), table.get("docker-socket", False)
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise InvalidInput(f"hosts is a list of texts, not {hosts!r}", hint=_TOML)
    if not isinstance(docker, bool | str) or (isinstance(docker, str) and not os.path.isabs(docker)):
        raise InvalidInput(f"docker-socket is true, false or a path, not {docker!r}", hint=_TOML)
    files = [table.get(key, "") for key in _TLS_KEYS]
    if not all(isinstance(path, str) and (not path or os.path.isabs(path)) for path in files):
        raise InvalidInput("tls-ca, tls-cert and tls-key are absolute paths", hint=_TOML)
    return Listening(tuple(hosts), DOCKER_SOCKET if docker is True else docker or "", group, TlsFiles(*files))


def unix_path(host: str) -> str:
    """The path of ``unix://PATH``, or of a path alone; empty for another kind of host.

    Raises:
        InvalidInput: the path is not absolute.
    """
    scheme, separator, path = host.partition("://")
    if not separator:
        scheme, path = "unix", host
    if scheme != "unix":
        return ""
    if not os.path.isabs(path):
        raise InvalidInput(f"cannot listen at {host!r}: the path is not absolute", hint="write unix:///path/of/it")
    return path


def handed_name(host: str) -> str | None:
    """The name in ``fd://NAME``; empty where any socket that was handed over is meant, None for another kind."""
    scheme, separator, name = host.partition("://")
    return name.removeprefix("*") if separator and scheme == "fd" else None


def tcp_address(host: str) -> tuple[str, int]:
    """Address and port of ``tcp://ADDRESS[:PORT]``, the port that of Docker with TLS where there is none.

    Raises:
        Unsupported: it is another kind of host, and which there are.
        InvalidInput: it is no address.
    """
    if not host.startswith("tcp://"):
        raise Unsupported(
            f"cannot listen at {host!r}", hint="there are unix:///PATH, tcp://ADDRESS:PORT (with TLS) and fd://"
        )
    return parse_tcp(host, TLS_PORT)


def check_tls(host: str, tls: TlsFiles) -> None:
    """Refuse to listen on TCP for everybody who gets there.

    Raises:
        InvalidInput: certificates are missing, and how they are made.
    """
    missing = [name for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)) if not path]
    if missing:
        raise InvalidInput(
            f"{host} is not listened at without mutual TLS, on loopback neither: whoever calls there has all rights of "
            f"the engine's user. There is no {', '.join(f'--tls-{name}' for name in missing)}",
            hint=f"{_GUIDE}; then: --tls-ca ca.pem --tls-cert server-cert.pem --tls-key server-key.pem",
        )
