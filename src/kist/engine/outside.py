"""Outside runtimes (``--runtime``): which program is meant, what it cannot do here, and what it is told."""

import os
import shutil
from collections.abc import Iterable
from typing import Any

import msgspec

from kist.engine import starter
from kist.errors import InvalidInput, Unsupported
from kist.kernel import process
from kist.spec.container import OWN_RUNTIMES, Container, ContainerOptions
from kist.spec.mount import Mount
from kist.spec.oci_config import oci_config
from kist.spec.runtime import RuntimeSpec

KNOWN = ("runc", "crun", "youki", "runsc")
# Where administrators' programs are, which a user's PATH may leave out.
_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check(options: ContainerOptions) -> None:
    """Refuse a runtime that is not there, and what an outside one cannot have.

    Raises:
        InvalidInput: of the runtime.
        Unsupported: of the combination; it names the other option.
    """
    if not find(options.runtime):
        return
    if options.init:
        raise Unsupported(
            f"--init cannot be had with --runtime {options.runtime}",
            hint="leave out --init, or --runtime: Kist's own runtime has it",
        )
    _refuse_volumes(options.mounts, f"--runtime {options.runtime}")


def _refuse_volumes(asked: Iterable[Mount], what: str) -> None:
    """A runtime opens the source by its path, if there is one, and follows what links containers have put there."""
    for mount in asked:
        if mount.type == "held":
            raise Unsupported(
                f"the volume {mount.source}, which is mounted for its containers, cannot be had with {what}",
                hint="use Kist's own runtime, or mount it on the host and make a volume of the directory (-o o=bind)",
            )
        if mount.option("subpath") is not None:
            raise Unsupported(
                f"{mount.type if mount.type == 'image' else 'volume'}-subpath cannot be had with {what}",
                hint="mount it as a whole, or use Kist's own runtime, which no link in it leads astray",
            )


def find(runtime: str) -> str:
    """The program of a runtime by its name or path; empty for Kist's own.

    Raises:
        InvalidInput: there is none; the hint says what there is.
    """
    if runtime in OWN_RUNTIMES:
        return ""
    if "/" in runtime:
        if not runtime.startswith("/"):
            raise InvalidInput(f"invalid runtime {runtime!r}: a path must be absolute")
        if not os.path.isfile(runtime):
            raise InvalidInput(f"invalid runtime {runtime!r}: no such program", hint=_installed())
        if not os.access(runtime, os.X_OK):
            raise InvalidInput(f"invalid runtime {runtime!r}: it is not executable", hint=f"chmod +x {runtime}")
        return runtime
    found = _search(runtime) if runtime in KNOWN else None
    if found is None:
        raise InvalidInput(f"unknown or invalid runtime name: {runtime}", hint=_installed())
    return found


def _search(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PLACES}")


def installed() -> dict[str, str]:
    """The programs of the outside runtimes that this machine has, by their names."""
    return {name: path for name in KNOWN if (path := _search(name))}


def _installed() -> str:
    names = ", ".join(("kist", *installed()))
    return f"--runtime takes {names}, which this machine has, or the absolute path of another OCI runtime"


def configuration(container: Container, spec: RuntimeSpec, root: str = "rootfs") -> dict[str, Any]:
    """The bundle's config.json, its user as far as it is known without the image's files."""
    # Runtimes fail over what this machine has not, or not for us; Kist's own leaves it out.
    _refuse_volumes(spec.mounts, "an OCI bundle")
    has = process.permitted_capabilities()
    held = tuple(name for name in spec.process.capabilities if has & process.capability_mask((name,)))
    spec = msgspec.structs.replace(spec, process=msgspec.structs.replace(spec.process, capabilities=held))
    seccomp = starter.seccomp_document(spec.linux.seccomp, frozenset(held))
    return oci_config(spec, root=root, seccomp=seccomp, annotations=container.options.annotations)


def for_plan(container: Container, spec: RuntimeSpec, places: starter.Places) -> dict[str, Any] | None:
    """What ``kist.runtime.planner.make_plan`` is told of an outside runtime; None for Kist's own."""
    program = find(container.options.runtime)
    if not program:
        return None
    return {"program": program, "directory": places.run, "config": configuration(container, spec)}
