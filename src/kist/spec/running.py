"""``run`` in a script: the short arguments as options, and the error for a command that failed."""

from collections.abc import Mapping, Sequence

import msgspec

from kist.errors import StepFailed
from kist.spec.container import ContainerOptions, RunResult
from kist.spec.mount import Mount
from kist.spec.summary import Image


def run_options(
    image: str | Image,
    command: Sequence[str] | None = None,
    *,
    mounts: Sequence[Mount] = (),
    env: Mapping[str, str] | None = None,
    options: ContainerOptions | None = None,
    stdin: bool = False,
) -> ContainerOptions:
    """The options of one ``run``: the given ones, with the short arguments laid over them; it is removed at its end."""
    reference = image if isinstance(image, str) else str(image.id)
    base = options or ContainerOptions(image=reference)
    return msgspec.structs.replace(
        base,
        image=reference,
        command=base.command if command is None else tuple(command),
        mounts=(*base.mounts, *mounts),
        env=(*base.env, *(f"{name}={value}" for name, value in (env or {}).items())),
        auto_remove=True,
        open_stdin=stdin or base.open_stdin,
        stdin_once=stdin or base.stdin_once,
    )


def failed_run(options: ContainerOptions, result: RunResult) -> StepFailed:
    """The error for a command that ended with a code other than 0, with the last line that it printed."""
    words = " ".join(options.command or ()) or options.image
    last = (result.stderr or result.stdout).strip().splitlines()[-1:]
    detail = f": {last[0]}" if last else ""
    return StepFailed(f"{words!r} ended with exit code {result.exit_code}{detail}", exit_code=result.exit_code)
