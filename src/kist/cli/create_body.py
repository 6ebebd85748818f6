"""What ``run`` and ``create`` were told, as the body of ``POST /containers/create`` (Engine API, ContainerCreate)."""

import os

from kist.cli.usage import UsageError
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kist.cli.option import Arguments

# option -> (field, whether it is one of HostConfig); taken over as they are, when they were written
_PLAIN = {
    "workdir": ("WorkingDir", False),
    "user": ("User", False),
    "hostname": ("Hostname", False),
    "tty": ("Tty", False),
    "stop_signal": ("StopSignal", False),
    "stop_timeout": ("StopTimeout", False),
    "memory": ("Memory", True),
    "cpus": ("NanoCpus", True),
    "pids_limit": ("PidsLimit", True),
    "shm_size": ("ShmSize", True),
    "network": ("NetworkMode", True),
    "cap_add": ("CapAdd", True),
    "cap_drop": ("CapDrop", True),
    "read_only": ("ReadonlyRootfs", True),
    "init": ("Init", True),
    "rm": ("AutoRemove", True),
}


def create_body(arguments: "Arguments", environment: "Mapping[str, str]", directory: str) -> "dict[str, Any]":
    """The body for ``IMAGE [COMMAND...]`` and the options; ``directory`` is what relative paths are relative to.

    Raises:
        InvalidInput: an unreadable env file, or options that exclude each other.
        UsageError: a volume or mount that cannot be right.
    """
    image, *command = arguments.operands
    body: dict[str, Any] = {"Image": image}
    host: dict[str, Any] = {}
    if command:
        body["Cmd"] = command
    for key, (field, in_host) in _PLAIN.items():
        if key in arguments.values:
            (host if in_host else body)[field] = arguments.values[key]
    if "entrypoint" in arguments.values:
        body["Entrypoint"] = [arguments.text("entrypoint")] if arguments.text("entrypoint") else [""]
    if env := environment_of(arguments, environment):
        body["Env"] = env
    if labels := arguments.all("label"):
        body["Labels"] = dict(_pair(label) for label in labels)
    if arguments.flag("interactive"):
        body["OpenStdin"] = True
        body["StdinOnce"] = True
    _add_mounts(host, arguments, directory)
    if arguments.flag("as_me"):
        if "user" in arguments.values:
            raise InvalidInput("conflicting options: --as-me and --user", hint="--as-me is the caller's own user")
        body["KistCaller"] = caller(environment)
    if host:
        body["HostConfig"] = host
    return body


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def caller(environment: "Mapping[str, str]") -> "dict[str, Any]":
    """Who calls: ids, supplementary groups, login name and home."""
    import pwd  # noqa: PLC0415 - for --as-me only

    uid, gid = os.getuid(), os.getgid()
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a user that the machine has no entry for, as in batch systems
        name, home = environment.get("USER") or f"user{uid}", environment.get("HOME") or "/"
    return {"uid": uid, "gid": gid, "groups": os.getgroups(), "name": name, "home": home}


def environment_of(arguments: "Arguments", environment: "Mapping[str, str]") -> list[str]:
    """The variables of ``--env-file`` and then of ``-e``; a bare name takes the caller's value, if there is one."""
    lines = [line for path in arguments.all("env_file") for line in read_env_file(path)]
    given = []
    for line in (*lines, *arguments.all("env")):
        if "=" in line:
            given.append(line)
        elif line in environment:
            given.append(f"{line}={environment[line]}")
    return given


def read_env_file(path: str) -> list[str]:
    """The variables in a file: one per line, ``NAME=value`` or ``NAME``; empty lines and ``#`` comments are skipped.

    Raises:
        InvalidInput: names the file and line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read the env file {path!r}: {cause}") from None
    found = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or any(character.isspace() for character in name):
            raise InvalidInput(
                f"{path}:{number}: {name!r} is not the name of a variable", hint="write NAME=value, without spaces"
            )
        found.append(line)
    return found


def _add_mounts(host: "dict[str, Any]", arguments: "Arguments", directory: str) -> None:
    if volumes := arguments.all("volume"):
        host["Binds"] = [absolute_bind(volume, directory) for volume in volumes]
    if mounts := arguments.all("mount"):
        from kist.cli.mount_words import mount_of  # noqa: PLC0415 - few use --mount

        host["Mounts"] = [mount_of(text, directory) for text in mounts]
    if tmpfs := arguments.all("tmpfs"):
        host["Tmpfs"] = dict(_tmpfs(text) for text in tmpfs)


def absolute_bind(text: str, directory: str) -> str:
    """``-v`` with its host path made absolute; the rest is the engine's to read.

    Raises:
        UsageError: it has no target, or an empty part.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UsageError(f'invalid argument "{text}" for "-v, --volume": it is SOURCE:TARGET or SOURCE:TARGET:ro')
    if len(parts) > 1 and parts[0][0] in ".~/":
        parts[0] = host_path(parts[0], directory)
    if not parts[1 if len(parts) > 1 else 0].startswith("/"):
        raise UsageError(f'invalid argument "{text}" for "-v, --volume": the target is an absolute path')
    return ":".join(parts)


def host_path(path: str, directory: str) -> str:
    """The absolute form of a path on this machine; ``~`` is the caller's home."""
    if path == "~" or path.startswith("~/"):
        path = os.path.expanduser(path)
    return os.path.normpath(os.path.join(directory, path))


def _tmpfs(text: str) -> tuple[str, str]:
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise UsageError(f'invalid argument "{text}" for "--tmpfs": the target is an absolute path')
    return target, options
