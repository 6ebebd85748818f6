"""Where the engine listens, from ``-H``, the environment and the user id."""

from kist.errors import InvalidInput, Unsupported
from kist.spec.roots import data_root, run_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Endpoint", "data_root", "resolve", "run_root"]

MAX_SOCKET_PATH = 107  # sun_path of unix(7), without its NUL


class Endpoint:
    """A Unix socket, and the roots of the engine that may be started there (``roots`` is None for a foreign one)."""

    __slots__ = ("roots", "socket")

    def __init__(self, socket: str, roots: "tuple[str, str] | None") -> None:
        self.socket = socket
        self.roots = roots


def resolve(environment: "Mapping[str, str]", uid: int, host: str = "") -> Endpoint:
    """The endpoint that ``host`` (``-H``), else ``$DOCKER_HOST``, else the run root names.

    Raises:
        Unsupported: a host that is not a Unix socket.
        InvalidInput: a socket path that the kernel cannot hold.
    """
    run = run_root(environment, uid)
    own = run + "/engine.sock"
    host = host or environment.get("DOCKER_HOST", "")
    if not host:
        return Endpoint(_checked(own), (data_root(environment, uid), run))
    scheme, separator, path = host.partition("://")
    if not separator:
        scheme, path = "unix", host
    if scheme != "unix" or not path.startswith("/"):
        raise Unsupported(
            f"cannot connect to the host {host!r}: only Unix sockets are supported yet",
            hint="write unix:///path/of/the/socket, or unset DOCKER_HOST for Kist's own engine",
        )
    return Endpoint(_checked(path), (data_root(environment, uid), run) if path == own else None)


def _checked(path: str) -> str:
    if len(path.encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH:
        raise InvalidInput(
            f"the socket path {path!r} is longer than {MAX_SOCKET_PATH} bytes, the kernel's limit",
            hint="choose a shorter run directory with KIST_RUN",
        )
    return path
