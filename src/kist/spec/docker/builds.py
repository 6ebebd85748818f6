"""The query of ``POST /build`` as BuildOptions (Engine API, ImageBuild)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.spec import build_cache
from kist.spec.build import BuildOptions, BuildOutput, StepOptions, lock_use
from kist.spec.docker.resources import read_resources, write_resources
from kist.spec.json import decode, encode
from kist.spec.outputs import IMAGE, check_output
from kist.spec.platform import Platform

# Fields of HostConfig, by the parameters that are numbers, and those that are texts.
_NUMBERS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {"cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems"}
_NOTHING = ("", "[]", "{}", "null")
_FALSE = frozenset({"", "0", "no", "false", "none"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_SESSION = "client-session"

Get = Callable[[str], str]


class _Output(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="Type", default="")
    attributes: dict[str, str] = msgspec.field(name="Attrs", default={})


def read_build(get: Get, get_all: Callable[[str], Sequence[str]]) -> BuildOptions:
    """The options of a build.

    ``remote``, ``buildid`` and ``q`` are read by who has the context and the answer; ``rm`` and ``forcerm`` are about
    containers of steps, which never stay; ``session`` is a build session's (``kist.api.build_sessions``).

    Args:
        get: the value of a query parameter, empty where there is none.
        get_all: all values of a repeated parameter.

    Raises:
        InvalidInput: a parameter is not of the right shape, or asks for what no classic builder does; names it.
    """
    _check_builder(get)
    return BuildOptions(
        dockerfile=get("dockerfile") or "Dockerfile",
        tags=tuple(tag for tag in get_all("t") if tag),
        build_args=_read_table(get("buildargs"), "buildargs"),
        target=get("target"),
        no_cache=_flag(get("nocache")),
        no_cache_filter=_read_list(get_all("nocachefilter"), "nocachefilter"),
        labels=_read_table(get("labels"), "labels"),
        platform=",".join(str(Platform.parse(each.strip())) for each in get("platform").split(",") if each.strip()),
        pull=_flag(get("pull")),
        cache_from=_read_images(get_all("cachefrom")),
        cache_to=_read_cache_to(get_all("cacheto")),
        steps=_read_steps(get, get_all),
        lock=lock_use(get("lock")),
        sbom=_flag(get("sbom")),
        provenance=_flag(get("provenance")),
        allow=_read_list(get_all("allow"), "allow"),
        contexts=_read_table(get("contexts"), "contexts"),
        outputs=_read_outputs(get),
        annotations=_read_table(get("annotations"), "annotations"),
        squash=_flag(get("squash")),
        reproducible=_flag(get("reproducible")),
        verify=_flag(get("verify")),
    )


def _read_images(values: Sequence[str]) -> tuple[str, ...]:
    """Names of images, and caches in registries; a directory is the client's, which brings it here before it builds."""
    names = _read_list(values, "cachefrom")
    build_cache.read_sources(names)
    return names


def _read_cache_to(values: Sequence[str]) -> tuple[str, ...]:
    """What is told at the end (``min`` or ``max``), goes into the image (``inline``), or to a registry."""
    found = tuple(dict.fromkeys(values))
    build_cache.read_targets(found)
    return found


def _check_builder(get: Get) -> None:
    """Refuse what is BuildKit's."""
    if (version := get("version")) not in {"", "1"}:
        if version != "2":
            raise InvalidInput(f"invalid version {version!r}", hint="the builder is version 1, the classic one")
        raise InvalidInput(
            "the BuildKit builder (version 2) is not supported: there is the classic one (version 1)",
            hint="set DOCKER_BUILDKIT=0, or build with kist build",
        )
    if get("remote") == _SESSION:
        raise InvalidInput(
            "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead",
            hint="send the context as the request's body",
        )
    if (isolation := get("isolation")) not in {"", "default"}:
        raise InvalidInput(f"unsupported isolation: {isolation!r}", hint="it is Windows's; leave it out")


def _read_outputs(get: Get) -> tuple[BuildOutput, ...]:
    """The outputs but ``moby``, which is the image that the engine keeps anyway."""
    if get("outputs") in _NOTHING:
        return ()
    found = []
    for each in decode(get("outputs"), list[_Output], what="outputs"):
        if each.kind == "moby":
            found.append(BuildOutput(IMAGE))
            continue
        try:
            check_output(each.kind, each.attributes)
        except ValueError as error:
            raise InvalidInput(f"invalid outputs: {error}") from None
        found.append(BuildOutput(each.kind, attributes=each.attributes))
    return () if found == [BuildOutput(IMAGE)] else tuple(found)


def _read_steps(get: Get, get_all: Callable[[str], Sequence[str]]) -> StepOptions:
    host: dict[str, Any] = {field: _number(get(name), name) for name, field in _NUMBERS.items()}
    host |= {field: get(parameter) for parameter, field in _TEXTS.items()}
    if get("ulimits") not in _NOTHING:
        host["Ulimits"] = decode(get("ulimits"), list[dict[str, Any]], what="ulimits")
    network = get("networkmode")
    return StepOptions(
        network="bridge" if network in {"", "default"} else network,
        extra_hosts=_read_list(get_all("extrahosts"), "extrahosts"),
        resources=read_resources(host),
        cgroup_parent=get("cgroupparent"),
        security_options=_read_list(get_all("securityopt"), "securityopt"),
    )


def write_steps(steps: StepOptions) -> list[tuple[str, str]]:
    """The query parameters that ``read_build`` reads back."""
    usual, host = write_resources(StepOptions().resources), write_resources(steps.resources)
    limits = [(name, str(host[field])) for name, field in (_NUMBERS | _TEXTS).items() if host[field] != usual[field]]
    ulimits = [("ulimits", encode(host["Ulimits"]).decode())] if host["Ulimits"] else []
    return [
        *limits,
        *ulimits,
        *([("networkmode", steps.network)] if steps.network != "bridge" else []),
        *(("extrahosts", host) for host in steps.extra_hosts),
        *([("cgroupparent", steps.cgroup_parent)] if steps.cgroup_parent else []),
        *(("securityopt", option) for option in steps.security_options),
    ]


def _flag(value: str) -> bool:
    return value.strip().lower() not in _FALSE


def _number(value: str, name: str) -> int:
    if value and not _INTEGER.fullmatch(value):
        raise InvalidInput(f"invalid {name}: {value[:40]!r} is not an integer")
    return int(value or 0)


def _read_list(values: Sequence[str], name: str) -> tuple[str, ...]:
    """Texts that are repeated, or one JSON array of them: clients write both."""
    found: list[str] = []
    for value in values:
        if value.startswith(("[", "{")):
            found += decode(value, list[str], what=name)
        elif value not in _NOTHING:
            found.append(value)
    return tuple(found)


def _read_table(value: str, name: str) -> dict[str, str]:
    """A JSON object of strings; a null value (``--build-arg NAME`` without one) is left out."""
    if value in {"", "null"}:
        return {}
    found: Mapping[str, Any] = decode(value, dict[str, Any], what=name)
    kept = {key: part for key, part in found.items() if part is not None}
    if not all(isinstance(part, str) for part in kept.values()):
        raise InvalidInput(f"invalid {name}: the values must be strings")
    return kept
