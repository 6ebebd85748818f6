"""The ``changes`` of import and commit: Dockerfile instructions that change an image's config and nothing else."""

import os
from collections.abc import Sequence

from kist.build.planner import plan
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import parse
from kist.spec.image import ContainerConfig, ImageConfig
from kist.spec.platform import Platform

# What Docker allows here.
_ALLOWED = frozenset(
    {"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)


def read_changes(changes: Sequence[str]) -> ContainerConfig:
    """The config that the instructions make of an empty one.

    Raises:
        InvalidInput: an instruction does more than change the config.
        ParseError: one cannot be read; points at the mistake.
    """
    if not any(change.strip() for change in changes):
        return ContainerConfig()
    dockerfile = parse("FROM scratch\n" + "\n".join(changes), "changes")
    for stage in dockerfile.stages[:1]:
        for instruction in stage.instructions:
            if instruction.keyword not in _ALLOWED:
                known = ", ".join(sorted(_ALLOWED))
                raise InvalidInput(
                    f"{instruction.keyword.lower()} is not a valid change command", hint=f"the instructions are {known}"
                )
    if len(dockerfile.stages) > 1:
        raise InvalidInput("from is not a valid change command")
    machine = Platform.of_machine(os.uname().machine)
    return plan(dockerfile, BuildOptions(), _no_image, machine).config


def _no_image(name: str, _platform: Platform | None, _runs: bool) -> ImageConfig:
    raise InvalidInput(f"the changes name an image: {name}")
