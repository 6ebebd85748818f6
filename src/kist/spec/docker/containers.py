"""Containers as ``inspect`` and ``list`` answer them (Engine API, ContainerInspect and ContainerList)."""

from collections.abc import Callable, Iterable
from typing import Any

from kist.spec.container import Container, ContainerOptions, ContainerState, Health, Usage
from kist.spec.docker.host_config import write_host_config
from kist.spec.docker.images import write_config
from kist.spec.docker.mounts import write_mount_points
from kist.spec.docker.networking import write_endpoints, write_port_list, write_published
from kist.spec.docker.times import describe_duration, write_time


def write_inspect(container: Container, *, driver: str = "overlay", exec_ids: tuple[str, ...] = ()) -> dict[str, Any]:
    """The whole of a container, in Docker's shape and order."""
    directory = container.log_path.rpartition("/")[0]
    command = container.argv or ("",)
    return {
        "Id": container.id,
        "Created": write_time(container.created_at),
        "Path": command[0],
        "Args": list(command[1:]),
        "State": write_state(container.state),
        "Image": str(container.image_id),
        "ResolvConfPath": f"{directory}/resolv.conf" if directory else "",
        "HostnamePath": f"{directory}/hostname" if directory else "",
        "HostsPath": f"{directory}/hosts" if directory else "",
        "LogPath": container.log_path if container.options.log.keeps_file else "",
        "Name": "/" + container.name,
        "RestartCount": container.state.restart_count,
        "Driver": driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(exec_ids) or None,
        "HostConfig": write_host_config(container.options),
        "GraphDriver": {"Data": {}, "Name": driver},
        "Mounts": write_mount_points(container.options.mounts, container.volume_root),
        "Config": _write_config(container),
        "NetworkSettings": _write_network_settings(container),
    }


def write_state(state: ContainerState) -> dict[str, Any]:
    """The ``State`` object of inspect."""
    return {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": write_time(state.started_at),
        "FinishedAt": write_time(state.finished_at),
        **({"Health": _write_health(state.health)} if state.health is not None else {}),
        **({"Usage": write_usage(state.usage)} if state.usage is not None else {}),
    }


def write_usage(usage: Usage) -> dict[str, int]:
    """What an ended run used; Docker has no such object. Nanoseconds and bytes."""
    return {
        "CPUTime": usage.cpu_ns,
        "MemoryPeak": usage.memory_peak,
        "BlockRead": usage.block_read,
        "BlockWrite": usage.block_write,
        "NetworkReceived": usage.network_received,
        "NetworkSent": usage.network_sent,
        "OOMKills": usage.oom_kills,
    }


def _write_health(health: Health) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.streak,
        "Log": [
            {
                "Start": write_time(result.start),
                "End": write_time(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.log
        ],
    }


def _write_config(container: Container) -> dict[str, Any]:
    options = container.options
    return {
        "Hostname": options.hostname or container.id[:12],
        "Domainname": options.domainname,
        "User": container.config.user,
        "AttachStdin": options.attach_stdin,
        "AttachStdout": options.attach_stdout,
        "AttachStderr": options.attach_stderr,
        "Tty": options.tty,
        "OpenStdin": options.open_stdin,
        "StdinOnce": options.stdin_once,
        "Image": options.image,
        "StopTimeout": options.stop_timeout,
        **_write_own_mac(container),
        **{name: value for name, value in write_config(container.config).items() if value or name != "OnBuild"},
    }


def _write_own_mac(container: Container) -> dict[str, str]:
    """The address that its first network was to have: what ``MacAddress`` is in versions that have it."""
    first = next(iter(container.options.networking.endpoints), None)
    return {"MacAddress": first.mac} if first and first.mac and first.network == container.options.network else {}


def _write_network_settings(container: Container) -> dict[str, Any]:
    return {
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": write_published(container) if container.state.running else {},
        "Networks": write_endpoints(container),
    }


def write_summaries(
    containers: Iterable[Container], now: int, only: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """The entries of the list.

    Args:
        containers: with their states.
        now: nanoseconds since the epoch, what ``Status`` counts from.
        only: the fields that are wanted; empty for all.
    """
    chosen = [(name, write) for name, write in _SUMMARY.items() if not only or name in only]
    return [{name: write(container, now) for name, write in chosen} for container in containers]


_SUMMARY: dict[str, Callable[[Container, int], Any]] = {
    "Id": lambda container, _now: container.id,
    "Names": lambda container, _now: ["/" + container.name],
    "Image": lambda container, _now: container.options.image,
    "ImageID": lambda container, _now: str(container.image_id),
    "Command": lambda container, _now: _write_command(container.argv),
    "Created": lambda container, _now: container.created_at // 1_000_000_000,
    "Ports": lambda container, _now: write_port_list(container),
    "Labels": lambda container, _now: container.config.labels or {},
    "State": lambda container, _now: container.state.status,
    "Status": lambda container, now: describe_status(container.state, now),
    "Health": lambda container, _now: _write_health_summary(container.state.health),
    "HostConfig": lambda container, _now: _write_host_summary(container.options),
    "NetworkSettings": lambda container, _now: {"Networks": write_endpoints(container)},
    "Mounts": lambda container, _now: write_mount_points(container.options.mounts, container.volume_root),
    "Usage": lambda container, _now: write_usage(container.state.usage) if container.state.usage else None,
}


def _write_health_summary(health: Health | None) -> dict[str, Any]:
    if health is None:
        return {"Status": "none", "FailingStreak": 0}
    return {"Status": health.status, "FailingStreak": health.streak}


def _write_host_summary(options: ContainerOptions) -> dict[str, Any]:
    annotations = {"Annotations": options.annotations} if options.annotations else {}
    return {"NetworkMode": options.network, **annotations}


def _write_command(argv: tuple[str, ...]) -> str:
    return " ".join([*argv[:1], *(f"'{word}'" if " " in word else word for word in argv[1:])])


def describe_status(state: ContainerState, now: int) -> str:
    """The state in Docker's words: ``Up 2 minutes (healthy)``, ``Exited (0) 3 hours ago``, ``Created``."""
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {describe_duration(now - state.finished_at)} ago"
    if state.running:
        return f"Up {describe_duration(now - state.started_at)}{_describe_condition(state)}"
    if state.status == "created":
        return "Created"
    if state.status == "dead":
        return "Dead"
    if not state.finished_at:  # nobody saw it
        return f"Exited ({state.exit_code})"
    return f"Exited ({state.exit_code}) {describe_duration(now - state.finished_at)} ago"


def _describe_condition(state: ContainerState) -> str:
    if state.status == "paused":
        return " (Paused)"
    if state.health is None:
        return ""
    return " (health: starting)" if state.health.status == "starting" else f" ({state.health.status})"
