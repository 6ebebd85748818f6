"""The ``changes`` of import and commit: Dockerfile instructions that change an image's config and nothing else."""

import os
from collections.abc import Sequence

import msgspec

from kist.build.planner import plan
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import parse
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.platform import Platform

_BASE = "container"
# What Docker allows here.
_ALLOWED = frozenset(
    {"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)


def read_changes(changes: Sequence[str], base: ContainerConfig | None = None) -> ContainerConfig:
    """The config that the instructions make of another (by default an empty one), as in a Dockerfile.

    Raises:
        InvalidInput: an instruction does more than change the config.
        ParseError: one cannot be read; points at the mistake.
    """
    if not any(change.strip() for change in changes):
        return base or ContainerConfig()
    dockerfile = parse(f"FROM {'scratch' if base is None else _BASE}\n" + "\n".join(changes), "changes")
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

    def find(name: str, _platform: Platform | None, _runs: bool) -> ImageConfig:
        if base is None or name != _BASE:
            raise InvalidInput(f"the changes name an image: {name}")
        own = msgspec.structs.replace(base, on_build=None)  # its triggers are for a build on the image, not for this
        return ImageConfig(architecture=machine.architecture, os=machine.os, rootfs=RootFS(), config=own)

    made = plan(dockerfile, BuildOptions(), find, machine).config
    return msgspec.structs.replace(made, on_build=(*((base and base.on_build) or ()), *(made.on_build or ())) or None)
