"""What one RUN sees besides its snapshot (``RUN --mount``): made before its command runs, and gone with it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kist.build import secrets
from kist.build.plan import Plan, Run
from kist.build.run_mount import SecretMount, SshMount, TmpfsMount
from kist.engine.step_mounts import NO_MOUNTS, StepMounts
from kist.errors import InvalidInput, Unsupported
from kist.spec.mount import Mount
from kist.spec.provision import Provision

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class RunMounts:
    """The mounts of one command.

    Args:
        engine: keeps the trees that they are of.
        action: the command.
        given: what the client gives.
    """

    def __init__(self, engine: "Engine", action: Run, given: Provision) -> None:
        self._engine = engine
        self._mounts = action.mounts
        self._given = given

    @contextmanager
    def opened(self) -> Iterator[StepMounts]:
        """All of them, for the time of the block.

        Raises:
            KistError: one cannot be had.
        """
        if not self._mounts:
            yield NO_MOUNTS
            return
        with ExitStack() as stack:
            place = stack.enter_context(self._engine.store.temporary())
            asked = [mount for mount in self._mounts if isinstance(mount, SecretMount)]
            parts = [stack.enter_context(secrets.opened(asked, self._given, place))]
            parts += [StepMounts((_tmpfs(mount),)) for mount in self._mounts if isinstance(mount, TmpfsMount)]
            for mount in self._mounts:
                if not isinstance(mount, SecretMount | TmpfsMount):
                    kind = "ssh" if isinstance(mount, SshMount) else "bind and cache"
                    raise Unsupported(f"RUN --mount of {kind} is not supported yet")
            yield _together(parts)


def _tmpfs(mount: TmpfsMount) -> Mount:
    size = (f"size={mount.size}",) if mount.size else ()
    return Mount.tmpfs(mount.target, "exec", *size)


def _together(parts: list[StepMounts]) -> StepMounts:
    return StepMounts(
        tuple(mount for part in parts for mount in part.mounts),
        {name: source for part in parts for name, source in part.sources.items()},
        {name: descriptor for part in parts for name, descriptor in part.held.items()},
    )


def check_given(plan: Plan, given: Provision) -> None:
    """Look, before anything is done, whether everything that a step requires of the client is there.

    Raises:
        InvalidInput: something is not; names it and its line.
    """
    for step in plan.steps:
        if isinstance(step.action, Run) and (step.action.insecure or step.action.devices):
            raise Unsupported(f"{step.place}: RUN --security and --device are not supported yet")
        if isinstance(step.action, Run) and step.action.network == "host":
            raise Unsupported(f"{step.place}: RUN --network=host is not supported yet")
        for mount in step.action.mounts if isinstance(step.action, Run) else ():
            if isinstance(mount, SecretMount) and mount.required and mount.id not in given.secrets:
                raise InvalidInput(
                    f"{step.place}: the secret {mount.id} is required and was not given",
                    hint=f"kist build --secret id={mount.id},src=FILE, or id={mount.id},env=VARIABLE",
                )
            if isinstance(mount, SshMount) and mount.required and mount.id not in given.agents:
                raise InvalidInput(
                    f"{step.place}: the ssh agent {mount.id} is required and was not given",
                    hint=f"kist build --ssh {mount.id}, or {mount.id}=SOCKET, or {mount.id}=KEY",
                )
