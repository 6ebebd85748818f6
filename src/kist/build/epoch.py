"""The moment that a reproducible build takes for the present (https://reproducible-builds.org/docs/source-date-epoch/).

With one, the time at which a build runs is nowhere in its result: files are no younger than that moment, an image and
its history are of it, and commands are told of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from kist.build.plan import Plan, Run
from kist.engine.image_files import nanoseconds
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import Dockerfile
from kist.spec.image import History, ImageConfig

VARIABLE = "SOURCE_DATE_EPOCH"
DEFAULT = 315532800
"""1980-01-01: an archive of zip's kind can tell no time before."""
_CONTEXT = "context"
_LATEST = 253402300799  # the last second of the year 9999, which RFC 3339 can tell


def with_epoch(
    options: BuildOptions, dockerfile: Dockerfile, of_context: int | None = None
) -> tuple[BuildOptions, int | None]:
    """The options with the build argument that tells the moment, and the moment (seconds since the epoch), if any.

    Args:
        options: of the build.
        dockerfile: may have a default for the argument.
        of_context: what the argument means where it is ``context``; None where the context has no moment of its own, as
            a directory: the argument is then empty, and means nothing.

    Raises:
        InvalidInput: the argument is no time.
    """
    text = options.build_args.get(VARIABLE)
    if text is None:
        defaults = (part for arg in dockerfile.arguments for part in arg.arguments if part[0].text == VARIABLE)
        text = next((default.text for _, default in defaults if default is not None), None)
    if text == _CONTEXT:
        text = "" if of_context is None else str(of_context)
        options = msgspec.structs.replace(options, build_args={**options.build_args, VARIABLE: text})
    if not text:
        if not (options.reproducible or options.verify):
            return options, None
        text = str(DEFAULT)
    if not (text.isascii() and text.isdecimal() and len(text) < 13) or int(text) > _LATEST:
        raise InvalidInput(
            f"invalid {VARIABLE} {text[:40]!r}: it is seconds since 1970-01-01, or context (of a URL or a repository)",
            hint=f"{VARIABLE}=0, or the time of the last commit: {VARIABLE}=$(git log -1 --pretty=%ct)",
        )
    return msgspec.structs.replace(options, build_args={**options.build_args, VARIABLE: text}), int(text)


def told(plan: Plan, epoch: int) -> Plan:
    """The plan with the moment in each command's environment, but where the Dockerfile says otherwise."""
    steps = []
    for step in plan.steps:
        if isinstance(step.action, Run) and not any(
            entry.startswith(f"{VARIABLE}=") for entry in step.action.environment
        ):
            environment = (*step.action.environment, f"{VARIABLE}={epoch}")
            step = msgspec.structs.replace(  # noqa: PLW2901 - the same step
                step, action=msgspec.structs.replace(step.action, environment=environment)
            )
        steps.append(step)
    return msgspec.structs.replace(plan, steps=tuple(steps))


def warnings_of(epoch: int | None) -> Sequence[str]:
    """What whoever has chosen the moment should know."""
    if epoch is None or epoch <= datetime.now(UTC).timestamp():
        return ()
    return (f"{VARIABLE}={epoch} is in the future: files that are made now keep their times, which differ by build",)


def moment(epoch: int | None) -> str:
    """RFC 3339: the moment, or now."""
    if epoch is not None:
        return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def clamped(config: ImageConfig, epoch: int | None) -> ImageConfig:
    """The config of an image of that moment; what its history says of the time after it is said of the moment."""
    if epoch is None:
        return config
    return msgspec.structs.replace(
        config, created=moment(epoch), history=tuple(_clamped(line, epoch) for line in config.history)
    )


def _clamped(line: History, epoch: int) -> History:
    if line.created and nanoseconds(line.created) <= epoch * 1_000_000_000:
        return line
    return msgspec.structs.replace(line, created=moment(epoch))
