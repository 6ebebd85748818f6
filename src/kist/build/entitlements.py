"""What a RUN asks for that is not every command's to have: the build has to be given it (``--allow``)."""

from typing import TYPE_CHECKING

from msgspec import structs

from kist.build.plan import Plan, Run
from kist.engine import cdi
from kist.errors import Forbidden, InvalidInput, NotFound
from kist.spec.build import BuildOptions, StepOptions

if TYPE_CHECKING:
    from kist.engine.engine import Engine

HOST, INSECURE, DEVICE = "network.host", "security.insecure", "device"
KNOWN = (HOST, INSECURE, DEVICE)


def check_allowed(plan: Plan, options: BuildOptions) -> None:
    """Look, before anything is done, whether the build may have what its steps ask for.

    Raises:
        InvalidInput: there is no such entitlement.
        Forbidden: one is lacking; names the line.
    """
    for name in options.allow:
        if name not in KNOWN and not name.startswith(f"{DEVICE}="):
            raise InvalidInput(f"invalid entitlement {name!r}", hint=f"known are {', '.join(KNOWN)}")
    for step in plan.steps:
        if isinstance(step.action, Run):
            for needed, words in _needed(step.action, options):
                if not {needed, needed.partition("=")[0]} & set(options.allow):
                    raise Forbidden(
                        f"{step.place}: RUN {words} needs the entitlement {needed}, which the build was not given",
                        hint=f"if you trust this Dockerfile: kist build --allow {needed}",
                    )


def _needed(action: Run, options: BuildOptions) -> list[tuple[str, str]]:
    """The entitlements that a command needs, and the flags it needs them for."""
    found = []
    if action.network == "host" and options.steps.network != "host":
        found.append((HOST, "--network=host"))
    if action.insecure:
        found.append((INSECURE, "--security=insecure"))
    return found + [(f"{DEVICE}={each.name}", f"--device={each.name}") for each in action.devices]


def options_of(engine: "Engine", action: Run, usual: StepOptions) -> StepOptions:
    """What one command has: what all have, and what it asks for.

    Raises:
        NotFound: a device that it requires is not described here.
        KistError: the engine cannot give it.
    """
    if not (action.network or action.insecure or action.devices):
        return usual
    described = cdi.discovered() if action.devices else ()
    for device in action.devices:
        if device.required and device.name not in described:
            raise NotFound(f"the device {device.name} is required, and nothing here describes it",
                           hint=f"described are: {', '.join(described) or 'none'}")  # fmt: skip
    wanted = structs.replace(
        usual,
        network=action.network or usual.network,
        privileged=action.insecure,
        devices=tuple(device.name for device in action.devices if device.name in described),
    )
    return engine.settle_steps(wanted)[0]
