"""What ``--security-opt`` and ``--privileged`` say: pure."""

from dataclasses import dataclass

from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions
from kist.spec.truth import FALSE, TRUE

_ALLOWED = "seccomp=PROFILE|unconfined, no-new-privileges[=true], apparmor=PROFILE, label=…, systempaths=unconfined"
_BUILT_IN = frozenset({"", "builtin", "default"})


@dataclass(frozen=True, slots=True)
class Security:
    """What a container is held back by.

    Attributes:
        seccomp: ``default``, a profile in Docker's JSON, or empty for no filter.
        no_new_privileges: whether set-uid programs give nothing.
        apparmor: the profile that was asked for; empty for the machine's default.
        open_paths: whether nothing below /proc and /sys is hidden or read-only.
        writable_cgroups: whether it may write to its own cgroup.
    """

    seccomp: str = "default"
    no_new_privileges: bool = False
    apparmor: str = ""
    open_paths: bool = False
    writable_cgroups: bool = False


def read(options: ContainerOptions) -> Security:
    """The meaning of a container's security options.

    Raises:
        InvalidInput: an option that there is not, or a value that it does not take.
    """
    found = {name: value for name, value in map(_split, options.security_options) if name != "label"}
    seccomp = found.get("seccomp")
    if seccomp is None:
        profile = "" if options.privileged else "default"
    elif seccomp in _BUILT_IN:
        profile = "default"
    else:
        profile = "" if seccomp == "unconfined" else seccomp
    return Security(
        seccomp=profile,
        no_new_privileges=_truth(found, "no-new-privileges"),
        apparmor=found.get("apparmor", ""),
        open_paths=options.privileged or found.get("systempaths") == "unconfined",
        writable_cgroups=options.privileged or _truth(found, "writable-cgroups"),
    )


def _split(text: str) -> tuple[str, str]:
    if text in {"no-new-privileges", "disable"}:
        return ("label", text) if text == "disable" else (text, "true")
    name, separator, value = text.partition("=")
    if not separator or ":" in name:  # the separator of Docker's early days
        name, separator, value = text.partition(":")
    known = {"seccomp", "apparmor", "label", "no-new-privileges", "systempaths", "writable-cgroups"}
    if not separator or name not in known:
        raise InvalidInput(f'invalid --security-opt: "{text}"', hint=f"allowed are {_ALLOWED}")
    if name == "systempaths" and value != "unconfined":
        raise InvalidInput(f'invalid --security-opt: "{text}"', hint="systempaths is unconfined, or left out")
    return name, value


def _truth(found: dict[str, str], name: str) -> bool:
    value = found.get(name, "false")
    if value not in TRUE | FALSE:
        raise InvalidInput(f'invalid --security-opt: "{name}={value}"', hint=f"{name} is true or false")
    return value in TRUE
