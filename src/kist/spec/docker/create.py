"""The body of ``POST /containers/create`` and back (Engine API, ContainerCreate)."""

import re
from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Caller, ContainerOptions, NetworkMode
from kist.spec.docker import fields, host_config
from kist.spec.docker.mounts import read_mounts
from kist.spec.json import convert, to_builtins

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_DEFAULT_STOP_TIMEOUT = ContainerOptions(image="").stop_timeout

_READ = frozenset(
    {
        "Cmd", "Entrypoint", "Env", "Healthcheck", "HostConfig", "Hostname", "Image", "KistCaller", "Labels",
        "NetworkDisabled", "NetworkingConfig", "OpenStdin", "StdinOnce", "StopSignal", "StopTimeout", "Tty", "User",
        "Volumes", "WorkingDir",
    }
)  # fmt: skip
# Told by the attach request instead, or notes for other tools, or the build's own, or Windows only.
_WITHOUT_EFFECT = frozenset(
    {"ArgsEscaped", "AttachStderr", "AttachStdin", "AttachStdout", "ExposedPorts", "OnBuild", "Shell"}
)


def check_name(name: str) -> str:
    """A container's name without Docker's leading slash; empty for one that the engine is to choose.

    Raises:
        InvalidInput: it has characters that no name has.
    """
    bare = name.removeprefix("/")
    if name and not _NAME.match(bare):
        raise InvalidInput(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            hint="a name begins with a letter or a digit",
        )
    return bare


def read_create(body: Mapping[str, Any], name: str = "") -> ContainerOptions:
    """The options that a create body and the ``name`` parameter spell.

    Raises:
        InvalidInput: a field has the wrong type or an impossible value.
        Unsupported: a field asks for what Kist does not do; the message names it.
    """
    host = fields.table(body, "HostConfig")
    fields.refuse_unknown(body, _READ | _WITHOUT_EFFECT, {})
    host_config.refuse(host)
    _refuse_healthcheck(fields.table(body, "Healthcheck"))
    image = fields.text(body, "Image")
    if not image:
        raise InvalidInput("no image specified", hint="set Image to a name or an id")
    stop_timeout = body.get("StopTimeout")
    caller = body.get("KistCaller")
    return ContainerOptions(
        image=image,
        name=check_name(name),
        command=fields.command(body, "Cmd") or None,
        entrypoint=_read_entrypoint(body),
        env=fields.texts(body, "Env"),
        working_dir=fields.text(body, "WorkingDir"),
        user=fields.text(body, "User"),
        hostname=fields.text(body, "Hostname"),
        mounts=read_mounts(host, fields.table(body, "Volumes")),
        network=_read_network(body, host),
        resources=host_config.read_resources(host),
        cap_add=fields.texts(host, "CapAdd"),
        cap_drop=fields.texts(host, "CapDrop"),
        read_only=fields.flag(host, "ReadonlyRootfs"),
        init=fields.flag(host, "Init"),
        tty=fields.flag(body, "Tty"),
        open_stdin=fields.flag(body, "OpenStdin"),
        stdin_once=fields.flag(body, "StdinOnce"),
        auto_remove=fields.flag(host, "AutoRemove"),
        labels=fields.text_table(body, "Labels"),
        stop_signal=fields.text(body, "StopSignal"),
        stop_timeout=_DEFAULT_STOP_TIMEOUT if stop_timeout is None else fields.number(body, "StopTimeout"),
        caller=None if caller is None else convert(caller, Caller, what="KistCaller"),
    )


def _read_entrypoint(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``[""]`` (what ``--entrypoint ""`` sends) and ``[]`` clear the image's entry point."""
    entrypoint = fields.command(body, "Entrypoint")
    return () if entrypoint == ("",) else entrypoint


def _read_network(body: Mapping[str, Any], host: Mapping[str, Any]) -> NetworkMode:
    if fields.flag(body, "NetworkDisabled"):
        return "none"
    mode = host_config.read_network(host)
    endpoints = fields.table(fields.table(body, "NetworkingConfig"), "EndpointsConfig")
    for network, settings in endpoints.items():
        if network not in {"default", "", host.get("NetworkMode"), mode}:
            raise Unsupported(
                f"network {network!r} is not supported yet", hint="the networks are bridge, host and none"
            )
        if not fields.is_empty(settings):
            name = next(name for name, value in settings.items() if not fields.is_empty(value))
            raise Unsupported(f"NetworkingConfig.EndpointsConfig.{name} is not supported yet", hint=f"leave {name} out")
    return mode


def _refuse_healthcheck(check: dict[str, Any]) -> None:
    if check.get("Test") not in (None, [], ["NONE"]) or any(
        value not in (None, 0) for name, value in check.items() if name != "Test"
    ):
        raise Unsupported("Healthcheck is not supported yet", hint="leave Healthcheck out, or set its Test to NONE")


def write_create(options: ContainerOptions) -> dict[str, Any]:
    """The create body of these options (the name travels in the query); ``read_create`` gives them back."""
    body: dict[str, Any] = {
        "Hostname": options.hostname,
        "User": options.user,
        "AttachStdin": options.open_stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": options.tty,
        "OpenStdin": options.open_stdin,
        "StdinOnce": options.stdin_once,
        "Env": list(options.env) or None,
        "Cmd": None if options.command is None else list(options.command),
        "Image": options.image,
        "WorkingDir": options.working_dir,
        "Entrypoint": None if options.entrypoint is None else list(options.entrypoint) or [""],
        "Labels": options.labels,
        "StopTimeout": options.stop_timeout,
        "HostConfig": host_config.write_settings(options),
    }
    if options.stop_signal:
        body["StopSignal"] = options.stop_signal
    if options.caller is not None:
        body["KistCaller"] = to_builtins(options.caller)
    return body
