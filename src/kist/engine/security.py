"""What ``--security-opt`` and ``--privileged`` say: pure."""

import msgspec

from kist.errors import InvalidInput, Unsupported, see_doctor
from kist.spec.container import ContainerOptions
from kist.spec.truth import FALSE, TRUE

_ALLOWED = "seccomp=PROFILE|unconfined, no-new-privileges[=true], apparmor=PROFILE, label=…, systempaths=unconfined"
_BUILT_IN = frozenset({"", "builtin", "default"})


class Security(msgspec.Struct, frozen=True):
    """What a container is held back by.

    Attributes:
        seccomp: ``default``, a profile in Docker's JSON, or empty for no filter.
        no_new_privileges: whether set-uid programs give nothing.
        apparmor: the profile that was asked for; empty for the machine's default.
        labels: what was asked for of SELinux (``disable``, ``type:NAME``, …).
        open_paths: whether nothing below /proc and /sys is hidden or read-only.
        writable_cgroups: whether it may write to its own cgroup.
    """

    seccomp: str = "default"
    no_new_privileges: bool = False
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    open_paths: bool = False
    writable_cgroups: bool = False


def read(options: ContainerOptions) -> Security:
    """The meaning of a container's security options.

    Raises:
        InvalidInput: an option that there is not, or a value that it does not take.
    """
    asked = [_split(text) for text in options.security_options]
    found = {name: value for name, value in asked if name != "label"}
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
        labels=tuple(value for name, value in asked if name == "label"),
        open_paths=options.privileged or found.get("systempaths") == "unconfined",
        writable_cgroups=options.privileged or _truth(found, "writable-cgroups"),
    )


def check_confinement(options: ContainerOptions, active: frozenset[str]) -> None:
    """Refuse what a security module of this machine was asked for and Kist does not have it do.

    Where there is no such module, Docker accepts the words, and so does Kist.

    Raises:
        Unsupported: a profile or a label that would be taken for a protection.
    """
    held = read(options)
    if "apparmor" in active and held.apparmor not in {"", "unconfined"}:
        raise Unsupported(f"--security-opt apparmor={held.apparmor}: Kist does not apply AppArmor's profiles yet",
                          hint=see_doctor("lsm", "leave it out; capabilities, seccomp and masked paths hold "
                                          "as always"))  # fmt: skip
    labels = [label for label in held.labels if label != "disable"]
    if "selinux" in active and labels:
        raise Unsupported(f"--security-opt label={labels[0]}: Kist does not set SELinux's labels yet",
                          hint=see_doctor("lsm", "leave it out, or write label=disable"))  # fmt: skip


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
