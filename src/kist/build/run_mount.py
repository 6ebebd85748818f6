"""The mounts of a RUN as the plan has them: every default settled, every path absolute."""

import posixpath
from collections.abc import Callable

import msgspec

from kist.spec.dockerfile import Source, Word
from kist.spec.dockerfile.mounts import RunMount

_SECRETS = "/run/secrets"
_AGENTS = "/run/buildkit/ssh_agent"


class BindMount(msgspec.Struct, frozen=True, tag="bind"):
    """Files of the context or of another tree, which the command may change only for itself.

    Attributes:
        target: where it is seen.
        source: the path in that tree, absolute.
        origin: the step whose result the tree is; empty for the build context.
        origin_name: what the Dockerfile calls it.
        writable: what the command writes there is thrown away.
    """

    target: str
    source: str = "/"
    origin: str = ""
    origin_name: str = ""
    writable: bool = False


class CacheMount(msgspec.Struct, frozen=True, tag="cache"):
    """A directory that stays from one build to the next.

    Attributes:
        target: where it is seen.
        id: what it is called.
        sharing: ``shared``, ``private`` or ``locked``.
        origin, origin_name, source: of which tree it begins as a copy; none by default.
        mode, uid, gid: of the directory when it is made.
        read_only: the command may not write to it.
    """

    target: str
    id: str
    sharing: str = "shared"
    origin: str = ""
    origin_name: str = ""
    source: str = "/"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    read_only: bool = False


class TmpfsMount(msgspec.Struct, frozen=True, tag="tmpfs"):
    """An empty directory in memory; ``size`` in bytes, 0 for no limit but the memory."""

    target: str
    size: int = 0


class SecretMount(msgspec.Struct, frozen=True, tag="secret"):
    """A secret that the client has, as a file (``target``), as a variable (``env``) or both; empty for neither."""

    id: str
    target: str = ""
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class SshMount(msgspec.Struct, frozen=True, tag="ssh"):
    """The socket of an ssh agent that the client has."""

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mounted = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


def settle(
    asked: RunMount, flag: Word, source: Source, working_dir: str, origin: Callable[[Word], str], agents: int
) -> Mounted:
    """The mount of one flag.

    Args:
        asked: what it says.
        flag: where it says so.
        source: of the text.
        working_dir: what a relative target is below.
        origin: finds the step that ``from=`` names.
        agents: how many agents the same instruction has before this.

    Raises:
        ParseError: it cannot be mounted there.
    """
    if asked.type == "secret":
        return _secret(asked, flag, source)
    if asked.type == "ssh":
        target = _not_root(posixpath.join("/", asked.target or f"{_AGENTS}.{agents}"), flag, source)
        return SshMount(asked.id or "default", target, asked.required, *_owner(asked, 0o600))
    target = _not_root(posixpath.join("/", working_dir, asked.target), flag, source)
    if asked.type == "tmpfs":
        return TmpfsMount(target, asked.size)
    path = posixpath.normpath(posixpath.join("/", asked.source.lstrip("/")))
    step, name = (origin(asked.origin), asked.origin.text) if asked.origin else ("", "")
    if asked.type == "cache":
        identity = asked.id or posixpath.normpath(asked.target or target)
        owner = _owner(asked, 0o755)
        return CacheMount(target, identity, asked.sharing, step, name, path, *owner, read_only=asked.read_only)
    return BindMount(target, path, step, name, writable=not asked.read_only)


def _secret(asked: RunMount, flag: Word, source: Source) -> SecretMount:
    """A secret is called by its id or source, else by the name of its file; with a variable it needs no file."""
    identity = asked.source or asked.id or posixpath.basename(asked.target)
    target = asked.target
    if asked.env is None and not target:
        target = f"{_SECRETS}/{posixpath.basename(identity)}"
    if target:
        target = _not_root(posixpath.join("/", target), flag, source)
    return SecretMount(identity, target, asked.env or "", asked.required, *_owner(asked, 0o400))


def _owner(asked: RunMount, mode: int) -> tuple[int, int, int]:
    """Mode, user and group."""
    return mode if asked.mode is None else asked.mode, asked.uid or 0, asked.gid or 0


def _not_root(path: str, flag: Word, source: Source) -> str:
    """The path in its clean form.

    Raises:
        ParseError: nothing is left of it.
    """
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if clean == "/":
        raise source.error(flag.location, 'invalid mount target "/"', hint="name a directory below it with target=")
    return clean
