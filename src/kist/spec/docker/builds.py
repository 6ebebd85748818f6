"""The query of ``POST /build`` as BuildOptions (Engine API, ImageBuild)."""

from collections.abc import Callable, Sequence
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.build import BuildOptions
from kist.spec.json import decode

# Parameters that change what is built or how, and that Kist does not do: each with the values that ask for nothing.
_UNSUPPORTED: dict[str, tuple[str, ...]] = {
    "cachefrom": ("", "[]", "null"),
    "cgroupparent": ("",),
    "cpuperiod": ("", "0"),
    "cpuquota": ("", "0"),
    "cpusetcpus": ("",),
    "cpusetmems": ("",),
    "cpushares": ("", "0"),
    "extrahosts": ("", "[]", "null"),
    "memory": ("", "0"),
    "memswap": ("", "0"),
    "networkmode": ("", "default", "bridge"),
    "outputs": ("", "[]", "null"),
    "platform": ("",),
    "pull": ("", "0", "false"),
    "remote": ("", "client-session"),
    "securityopt": ("", "[]", "null"),
    "session": ("",),
    "shmsize": ("", "0"),
    "squash": ("", "0", "false"),
    "ulimits": ("", "[]", "null"),
}


def read_build(get: Callable[[str], str], get_all: Callable[[str], Sequence[str]]) -> BuildOptions:
    """The options of a build.

    Args:
        get: the value of a query parameter, empty where there is none.
        get_all: all values of a repeated parameter.

    Raises:
        InvalidInput: a parameter is not JSON of the right shape.
        Unsupported: names the parameter.
    """
    if get("version") == "2":
        raise Unsupported("the BuildKit protocol is not supported yet", hint="set DOCKER_BUILDKIT=0")
    for name, harmless in _UNSUPPORTED.items():
        if get(name).lower() not in harmless:
            raise Unsupported(
                f"the build parameter {name} is not supported yet (it was {get(name)!r})", hint=f"leave {name} out"
            )
    return BuildOptions(
        dockerfile=get("dockerfile") or "Dockerfile",
        tags=tuple(tag for tag in get_all("t") if tag),
        build_args=_read_table(get("buildargs"), "buildargs"),
        target=get("target"),
        no_cache=get("nocache").lower() in {"1", "true", "t"},
        labels=_read_table(get("labels"), "labels"),
    )


def _read_table(value: str, name: str) -> dict[str, str]:
    """A JSON object of strings; a null value (``--build-arg NAME`` without one) is left out."""
    if value in {"", "null"}:
        return {}
    found = decode(value, dict[str, Any], what=name)
    kept = {key: part for key, part in found.items() if part is not None}
    if not all(isinstance(part, str) for part in kept.values()):
        raise InvalidInput(f"invalid {name}: the values must be strings")
    return kept
