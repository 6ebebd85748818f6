"""The body of ``POST /containers/create`` and back (Engine API, ContainerCreate)."""

import re
from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput
from kist.spec.container import Caller, ContainerOptions
from kist.spec.docker import fields, host_config, networking
from kist.spec.docker.mounts import read_mounts
from kist.spec.image import Healthcheck
from kist.spec.json import convert, to_builtins

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_DEFAULT_STOP_TIMEOUT = ContainerOptions(image="").stop_timeout

_READ = frozenset(
    {
        "AttachStderr", "AttachStdin", "AttachStdout", "Cmd", "Domainname", "Entrypoint", "Env", "ExposedPorts",
        "Healthcheck", "HostConfig", "Hostname", "Image", "KistCaller", "KistHealthOnFailure", "KistRootfs",
        "KistTimeout", "Labels", "NetworkDisabled", "NetworkingConfig", "OpenStdin", "StdinOnce",
        "StopSignal", "StopTimeout", "Tty", "User", "Volumes", "WorkingDir",
    }
)  # fmt: skip
# The build's own, or Windows only.
_WITHOUT_EFFECT = frozenset({"ArgsEscaped", "OnBuild", "Shell"})


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


def read_create(body: Mapping[str, Any], name: str = "", platform: str = "") -> ContainerOptions:
    """The options that a create body and the parameters ``name`` and ``platform`` spell.

    Raises:
        InvalidInput: a field has the wrong type or an impossible value.
        Unsupported: a field asks for what Kist does not do; the message names it.
    """
    host = fields.table(body, "HostConfig")
    fields.refuse_unknown(body, _READ | _WITHOUT_EFFECT, {})
    host_config.refuse(host)
    image, rootfs = fields.text(body, "Image"), fields.text(body, "KistRootfs")
    if not image and not rootfs:
        raise InvalidInput("no image specified", hint="set Image to a name or an id")
    stop_timeout = body.get("StopTimeout")
    caller = body.get("KistCaller")
    network = networking.read_network_mode(body, host)
    return ContainerOptions(
        image=image,
        name=check_name(name),
        rootfs=rootfs,
        platform=platform,
        command=fields.command(body, "Cmd") or None,
        entrypoint=_read_entrypoint(body),
        caller=None if caller is None else convert(caller, Caller, what="KistCaller"),
        mounts=read_mounts(host, fields.table(body, "Volumes")),
        network=network,
        networking=networking.read_networking(body, host, network),
        stop_timeout=_DEFAULT_STOP_TIMEOUT if stop_timeout is None else fields.number(body, "StopTimeout"),
        healthcheck=_read_healthcheck(body),
        timeout=fields.number(body, "KistTimeout"),
        env=fields.texts(body, "Env"),
        labels=fields.text_table(body, "Labels"),
        attach_stdout=fields.flag(body, "AttachStdout") if "AttachStdout" in body else True,
        attach_stderr=fields.flag(body, "AttachStderr") if "AttachStderr" in body else True,
        health_on_failure=fields.text(body, "KistHealthOnFailure"),
        **_read_plain(body),
        **host_config.read_settings(host),
    )


def _read_plain(body: Mapping[str, Any]) -> dict[str, Any]:
    texts = {key: fields.text(body, field) for key, field in _TEXTS.items()}
    return texts | {key: fields.flag(body, field) for key, field in _FLAGS.items()}


_TEXTS = {
    "working_dir": "WorkingDir",
    "user": "User",
    "hostname": "Hostname",
    "domainname": "Domainname",
    "stop_signal": "StopSignal",
}
_FLAGS = {"tty": "Tty", "open_stdin": "OpenStdin", "stdin_once": "StdinOnce", "attach_stdin": "AttachStdin"}


def _read_entrypoint(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``[""]`` (what ``--entrypoint ""`` sends) and ``[]`` clear the image's entry point."""
    entrypoint = fields.command(body, "Entrypoint")
    return () if entrypoint == ("",) else entrypoint


def _read_healthcheck(body: Mapping[str, Any]) -> Healthcheck | None:
    """None where nothing is set, which is how clients write that the image's is to hold."""
    check = fields.table(body, "Healthcheck")
    if fields.is_empty(check):
        return None
    numbers = {name: fields.number(check, name) for name in _HEALTH_NUMBERS}
    return convert({"Test": fields.texts(check, "Test"), **numbers}, Healthcheck, what="Healthcheck")


_HEALTH_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")


def write_create(options: ContainerOptions) -> dict[str, Any]:
    """The create body of these options (name and platform travel in the query); ``read_create`` gives them back."""
    network, host = networking.write_networking(options.networking, options.network)
    body: dict[str, Any] = {
        **{field: getattr(options, key) for key, field in (_TEXTS | _FLAGS).items()},
        "AttachStdout": options.attach_stdout,
        "AttachStderr": options.attach_stderr,
        "Env": list(options.env) or None,
        "Cmd": None if options.command is None else list(options.command),
        "Image": options.image,
        "Entrypoint": None if options.entrypoint is None else list(options.entrypoint) or [""],
        "Labels": options.labels,
        "StopTimeout": options.stop_timeout,
        "HostConfig": host_config.write_settings(options) | host,
        **network,
    }
    if options.healthcheck is not None:
        body["Healthcheck"] = to_builtins(options.healthcheck)
    if options.caller is not None:
        body["KistCaller"] = to_builtins(options.caller)
    return body | {name: value for name, value in _own(options).items() if value}


def _own(options: ContainerOptions) -> dict[str, Any]:
    """What Docker's API has no word for."""
    return {
        "KistRootfs": options.rootfs,
        "KistTimeout": options.timeout,
        "KistHealthOnFailure": options.health_on_failure,
    }
