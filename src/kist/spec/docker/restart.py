"""Restart policies in HostConfig and in the body of an update (Engine API, "RestartPolicy")."""

from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput
from kist.spec.container import RestartPolicy
from kist.spec.docker import fields

_POLICIES = ("no", "always", "unless-stopped", "on-failure")


def read_restart(policy: Mapping[str, Any]) -> RestartPolicy:
    """The policy, its count checked; raises ``InvalidInput``."""
    name = fields.text(policy, "Name") or "no"
    if name not in _POLICIES:
        raise InvalidInput(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    count = fields.number(policy, "MaximumRetryCount")
    if count < 0:
        raise InvalidInput("invalid restart policy: maximum retry count cannot be negative")
    if count and name != "on-failure":
        raise InvalidInput(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            hint=f"write {name} without a count, or on-failure:{count}",
        )
    return RestartPolicy(name, count)


def write_restart(policy: RestartPolicy) -> dict[str, Any]:
    """The object; ``read_restart`` gives the policy back."""
    return {"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count}
