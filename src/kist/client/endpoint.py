"""Where the engine is, from ``-H``, a context, the environment and the user id."""

import os

from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.roots import data_root, run_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT", "Endpoint", "Tls", "config_directory", "data_root", "resolve", "run_root"]

DEFAULT = "default"
"""The context that is not stored: ``$DOCKER_HOST``, else Kist's own engine."""
MAX_SOCKET_PATH = 107  # sun_path of unix(7), without its NUL
_MAX_CONFIG = 1 << 20


class Tls:
    """What a client shows to an engine on TCP, and how it knows that one: paths of PEM files, empty for none.

    Attributes:
        ca: who may sign engines' certificates; empty for whoever this machine trusts.
        cert, key: the client's own.
        verify: whether the engine has to show such a certificate at all.
    """

    __slots__ = ("ca", "cert", "key", "verify")

    def __init__(self, ca: str = "", cert: str = "", key: str = "", *, verify: bool = True) -> None:
        self.ca = ca
        self.cert = cert
        self.key = key
        self.verify = verify


class Endpoint:
    """An engine's place.

    Attributes:
        host: ``unix://PATH``, ``tcp://ADDRESS[:PORT]`` or ``ssh://…``.
        socket: the path of a Unix socket; empty for the others.
        roots: of the engine that may be started there; None for a foreign one.
        tls: for TCP; None where bytes travel as they are.
    """

    __slots__ = ("host", "roots", "socket", "tls")

    def __init__(self, socket: str, roots: "tuple[str, str] | None", host: str = "", tls: "Tls | None" = None) -> None:
        self.socket = socket
        self.roots = roots
        self.host = host or f"unix://{socket}"
        self.tls = tls


def resolve(
    environment: "Mapping[str, str]",
    uid: int,
    host: str = "",
    *,
    context: str = "",
    tls: "Tls | None" = None,
    config: str = "",
) -> Endpoint:
    """The endpoint, by Docker's order, in which who names a run root has named an engine.

    That is ``-H`` or ``--context``, ``$DOCKER_HOST``, ``$DOCKER_CONTEXT``, ``$KIST_RUN``, the current context.

    Args:
        environment: as ``os.environ``.
        uid: the user's.
        host: the value of ``-H``.
        context: the value of ``--context``.
        tls: for a host on TCP; None for what ``$DOCKER_TLS_VERIFY`` and ``$DOCKER_CERT_PATH`` say.
        config: the directory of Docker's client configuration; empty for the usual one.

    Raises:
        Unsupported: there is no such kind of host.
        InvalidInput: both a host and a context, a host that is none, or a socket path that the kernel cannot hold.
        NotFound: there is no such context.
    """
    if host and context:
        raise InvalidInput("conflicting options: cannot specify both --host and --context")
    config = config or config_directory(environment)
    chosen = context or ("" if host else chosen_context(environment, config))
    if chosen not in {"", DEFAULT}:
        from kist.client.contexts import Store  # noqa: PLC0415 - for those who have one

        try:
            found = Store(config).get(chosen)
        except NotFound as error:
            if context:
                raise
            way = "unset DOCKER_CONTEXT" if environment.get("DOCKER_CONTEXT") else "`kist context use default`"
            raise NotFound(str(error), hint=f"{way} goes back to Kist's own engine; {error.hint}") from None
        host, tls = found.host, found.tls
    else:
        host = host or environment.get("DOCKER_HOST", "")
        tls = tls or tls_of(environment, config)
    run = os.path.abspath(run_root(environment, uid))
    own = run + "/engine.sock"
    scheme, separator, path = host.partition("://")
    if not separator:
        scheme, path = "unix", host or own
    if scheme in {"tcp", "ssh"}:
        return Endpoint("", None, host, tls if scheme == "tcp" else None)
    if scheme != "unix" or not path.startswith("/"):
        raise Unsupported(
            f"cannot connect to the host {host!r}",
            hint="there are unix:///PATH, tcp://ADDRESS:PORT and ssh://USER@HOST; without any Kist's own engine",
        )
    roots = (os.path.abspath(data_root(environment, uid)), run) if path == own else None
    return Endpoint(_checked(path), roots)


def config_directory(environment: "Mapping[str, str]") -> str:
    """The directory of Docker's client configuration."""
    return environment.get("DOCKER_CONFIG") or environment.get("HOME", "") + "/.docker"


def chosen_context(environment: "Mapping[str, str]", config: str) -> str:
    """The context that holds where neither ``-H`` nor ``--context`` is given; empty for the default one.

    What somebody stored once does not go before what the environment says now.
    """
    if environment.get("DOCKER_HOST"):
        return ""
    if name := environment.get("DOCKER_CONTEXT"):
        return name
    return "" if environment.get("KIST_RUN") else str(read_config(config).get("currentContext") or "")


def read_config(config: str) -> "Mapping[str, object]":
    """Docker's client configuration (``config.json``); empty where there is none.

    Raises:
        InvalidInput: it is not JSON.
    """
    path = config + "/config.json"
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}
    from kist.spec.jsontext import loads  # noqa: PLC0415 - a shared object to load, where there is such a file

    try:
        found = loads(os.read(file, _MAX_CONFIG))
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}", hint="mend the file, or remove it") from None
    finally:
        os.close(file)
    return found if isinstance(found, dict) else {}


def tls_of(environment: "Mapping[str, str]", config: str) -> "Tls | None":
    """What the environment says of TLS, as Docker's client reads it; None for none."""
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not environment.get("DOCKER_TLS"):
        return None
    return tls_in(environment.get("DOCKER_CERT_PATH") or config, verify=verify)


def tls_in(directory: str, *, verify: bool, ca: str = "", cert: str = "", key: str = "") -> Tls:
    """The files of those names in a directory, a client's own only where they are; others where they are named."""
    own = directory + "/cert.pem", directory + "/key.pem"
    there = os.path.exists(own[0]) and os.path.exists(own[1])
    usual = own if there else ("", "")
    return Tls(ca or directory + "/ca.pem", cert or usual[0], key or usual[1], verify=verify)


def _checked(path: str) -> str:
    if len(path.encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH:
        raise InvalidInput(
            f"the socket path {path!r} is longer than {MAX_SOCKET_PATH} bytes, the kernel's limit",
            hint="choose a shorter run directory with KIST_RUN",
        )
    return path
