"""``--ulimit``: limits of each process by their short names (getrlimit(2))."""

import resource

from kist.errors import InvalidInput
from kist.spec.resources import Ulimit
from kist.spec.runtime import Rlimit

NAMES = {
    name: f"RLIMIT_{name.upper()}"
    for name in (
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio", "rttime", "sigpending", "stack",
    )
}  # fmt: skip
_NUMBERS = {"RLIMIT_LOCKS": 10}
_UNLIMITED = -1


def rlimits(limits: tuple[Ulimit, ...]) -> tuple[Rlimit, ...]:
    """The limits for the runtime; the last of a name counts.

    Raises:
        InvalidInput: an unknown name, or a soft limit above the hard one.
    """
    found = {}
    for limit in limits:
        if limit.name not in NAMES:
            raise InvalidInput(f"invalid ulimit type: {limit.name}", hint="allowed are " + ", ".join(NAMES))
        for value in (limit.soft, limit.hard):
            if value < _UNLIMITED:
                raise InvalidInput(f"invalid ulimit {limit.name}: {value}", hint="a number from 0 up, or -1 for none")
        soft, hard = (_endless(value) for value in (limit.soft, limit.hard))
        if soft > hard:
            raise InvalidInput(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}",
                hint=f"--ulimit {limit.name}=SOFT:HARD",
            )
        found[limit.name] = Rlimit(NAMES[limit.name], limit.soft, limit.hard)
    return tuple(found.values())


def _endless(value: int) -> float:
    return float("inf") if value == _UNLIMITED else value


def warnings(limits: tuple[Ulimit, ...], *, may_raise: bool) -> tuple[str, ...]:
    """A sentence for each limit that this engine cannot grant.

    Args:
        limits: what was asked for.
        may_raise: whether the engine may raise hard limits (CAP_SYS_RESOURCE).
    """
    if may_raise:
        return ()
    told = []
    for limit in limits:
        allowed = resource.getrlimit(_number(NAMES[limit.name]))[1]
        if allowed != resource.RLIM_INFINITY and _endless(limit.hard) > allowed:
            told.append(
                f"the engine lacks CAP_SYS_RESOURCE and cannot raise the limit {limit.name} above its own of "
                f"{allowed}: the container gets that"
            )
    return tuple(told)


def _number(name: str) -> int:
    return _NUMBERS.get(name) or int(getattr(resource, name))
