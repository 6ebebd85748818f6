"""What ``run`` and ``create`` were told, as the body of ``POST /containers/create`` (Engine API, ContainerCreate)."""

import os

from kist.cli.usage import UsageError
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kist.cli.option import Arguments

# Options that are taken over as they are, when they were written: the field of the body, and the one of HostConfig.
_BODY = {
    "workdir": "WorkingDir",
    "user": "User",
    "hostname": "Hostname",
    "domainname": "Domainname",
    "tty": "Tty",
    "stop_signal": "StopSignal",
    "stop_timeout": "StopTimeout",
    "timeout": "KistTimeout",
    "health_on_failure": "KistHealthOnFailure",
}
HOST_FIELDS = {
    "memory": "Memory",
    "cpus": "NanoCpus",
    "pids_limit": "PidsLimit",
    "shm_size": "ShmSize",
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "read_only": "ReadonlyRootfs",
    "init": "Init",
    "rm": "AutoRemove",
    "privileged": "Privileged",
    "restart": "RestartPolicy",
    "group_add": "GroupAdd",
    "volumes_from": "VolumesFrom",
    "volume_driver": "VolumeDriver",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "memory_swappiness": "MemorySwappiness",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_rt_period": "CpuRealtimePeriod",
    "cpu_rt_runtime": "CpuRealtimeRuntime",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "cpu_count": "CpuCount",
    "cpu_percent": "CpuPercent",
    "io_maxbandwidth": "IOMaximumBandwidth",
    "io_maxiops": "IOMaximumIOps",
    "ulimit": "Ulimits",
    "blkio_weight": "BlkioWeight",
    "blkio_weight_device": "BlkioWeightDevice",
    "device_read_bps": "BlkioDeviceReadBps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_iops": "BlkioDeviceWriteIOps",
    "device_cgroup_rule": "DeviceCgroupRules",
    "cgroup_parent": "CgroupParent",
    "publish_all": "PublishAllPorts",
    "add_host": "ExtraHosts",
    "dns": "Dns",
    "dns_search": "DnsSearch",
    "dns_option": "DnsOptions",
    "userns": "UsernsMode",
    "pid": "PidMode",
    "ipc": "IpcMode",
    "uts": "UTSMode",
    "cgroupns": "CgroupnsMode",
    "runtime": "Runtime",
    "isolation": "Isolation",
    "cidfile": "ContainerIDFile",
}
# Options of the client alone, and those that this module reads itself.
_OTHER = frozenset(
    {
        "as_me", "detach", "detach_keys", "disable_content_trust", "dry_run", "entrypoint", "env", "env_file",
        "env_host", "interactive", "kernel_memory", "label", "label_file", "local", "mount", "name", "platform", "pull",
        "quiet", "replace", "rootfs", "sig_proxy", "tmpfs", "volume",
    }
)  # fmt: skip


def create_body(arguments: "Arguments", environment: "Mapping[str, str]", directory: str) -> "dict[str, Any]":
    """The body for ``IMAGE [COMMAND...]`` and the options; ``directory`` is what relative paths are relative to.

    Raises:
        InvalidInput: an unreadable env file, or options that exclude each other.
        UsageError: there is no image.
    """
    body: dict[str, Any] = {}
    host: dict[str, Any] = {}
    _add_image(body, arguments, directory)
    rare = _take_over(body, host, arguments)
    if "entrypoint" in arguments.values:
        body["Entrypoint"] = [arguments.text("entrypoint")] if arguments.text("entrypoint") else [""]
    if env := environment_of(arguments, environment):
        body["Env"] = env
    labels = [line for path in arguments.all("label_file") for line in read_env_file(path, "label")]
    if labels := labels + arguments.all("label"):
        body["Labels"] = dict(_pair(label) for label in labels)
    if arguments.flag("interactive"):
        body["OpenStdin"] = True
        body["StdinOnce"] = True
    _add_mounts(body, host, arguments, directory)
    if arguments.flag("as_me") and "user" in arguments.values:
        raise InvalidInput("conflicting options: --as-me and --user", hint="--as-me is the caller's own user")
    if arguments.flag("as_me") or arguments.text("userns").startswith("keep-id"):
        from kist.cli.caller import caller  # noqa: PLC0415 - for these options only

        body["KistCaller"] = caller(environment)
    if rare:
        from kist.cli.rare_body import add_rare  # noqa: PLC0415 - few give such options

        add_rare(body, host, arguments)
    _refuse_conflicts(arguments)
    if host:
        body["HostConfig"] = host
    return body


def _take_over(body: "dict[str, Any]", host: "dict[str, Any]", arguments: "Arguments") -> bool:
    """Fill the fields that hold what was written; whether there are options that few give."""
    rare = False
    for key, value in arguments.values.items():
        if key in HOST_FIELDS:
            host[HOST_FIELDS[key]] = value
        elif key in _BODY:
            body[_BODY[key]] = value
        elif key == "network" and len(value) == 1 and not value[0][1]:
            host["NetworkMode"] = value[0][0]
        else:
            rare = rare or key not in _OTHER
    return rare


def _add_image(body: "dict[str, Any]", arguments: "Arguments", directory: str) -> None:
    operands = list(arguments.operands)
    if rootfs := arguments.text("rootfs"):
        body["Image"] = ""
        body["KistRootfs"] = host_path(rootfs, directory)
    elif not operands:
        raise UsageError("an image is needed: IMAGE [COMMAND] [ARG...]", hint="`kist images` lists those that are here")
    else:
        body["Image"] = operands.pop(0)
    if operands:
        body["Cmd"] = operands


def _refuse_conflicts(arguments: "Arguments") -> None:
    """What Docker's client refuses; what any client may say wrong, the engine refuses (``kist.engine.conflicts``)."""
    if arguments.flag("rm") and arguments.get("restart", {"Name": "no"})["Name"] != "no":
        raise UsageError(
            "Conflicting options: --restart and --rm", hint="a container that is removed cannot start again"
        )
    if arguments.flag("detach") and "attach" in arguments.values:
        raise UsageError("Conflicting options: -a and -d", hint="-d attaches nothing")
    if arguments.flag("replace") and not arguments.get("name"):
        raise UsageError("--replace needs --name: the name of the container to replace")


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def environment_of(arguments: "Arguments", environment: "Mapping[str, str]") -> list[str]:
    """The variables of ``--env-host``, then of ``--env-file``, then of ``-e``, without those that are given anew.

    A bare name takes the caller's value, if there is one.
    """
    lines = [line for path in arguments.all("env_file") for line in read_env_file(path)]
    given = []
    for line in (*lines, *arguments.all("env")):
        if "=" in line:
            given.append(line)
        elif line in environment:
            given.append(f"{line}={environment[line]}")
    if not (patterns := arguments.all("env_host")):
        return given
    from kist.cli.host_environment import chosen  # noqa: PLC0415 - for --env-host only

    named = {line.partition("=")[0] for line in given}
    return [f"{name}={value}" for name, value in chosen(patterns, environment).items() if name not in named] + given


def read_env_file(path: str, what: str = "variable") -> list[str]:
    """The variables in a file: one per line, ``NAME=value`` or ``NAME``; empty lines and ``#`` comments are skipped.

    Raises:
        InvalidInput: names the file and line.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        kind = "env" if what == "variable" else what
        raise InvalidInput(f"cannot read the {kind} file {path!r}: {cause}") from None
    found = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or any(character.isspace() for character in name):
            raise InvalidInput(
                f"{path}:{number}: {name!r} is not the name of a {what}", hint="write NAME=value, without spaces"
            )
        found.append(line)
    return found


def _add_mounts(body: "dict[str, Any]", host: "dict[str, Any]", arguments: "Arguments", directory: str) -> None:
    for parts in arguments.all("volume"):
        if len(parts) == 1:
            body.setdefault("Volumes", {})[parts[0]] = {}
            continue
        source = host_path(parts[0], directory) if parts[0][0] in ".~/" else parts[0]
        host.setdefault("Binds", []).append(":".join((source, *parts[1:])))
    for mount in arguments.all("mount"):
        if mount["Type"] == "bind":
            mount["Source"] = host_path(mount["Source"], directory)
        host.setdefault("Mounts", []).append(mount)
    if tmpfs := arguments.all("tmpfs"):
        host["Tmpfs"] = dict(tmpfs)


def host_path(path: str, directory: str) -> str:
    """The absolute form of a path on this machine; ``~`` is the caller's home.

    Raises:
        InvalidInput: it is relative to a directory that is not there (``directory`` is empty).
    """
    if path == "~" or path.startswith("~/"):
        path = os.path.expanduser(path)
    if not directory and not path.startswith("/"):
        raise InvalidInput(
            f"{path}: the current directory has been removed",
            hint="change to one that is there, or write the whole path",
        )
    return os.path.normpath(os.path.join(directory, path))
