"""OCI bundles (``kist spec``): a config.json and the files of an image, for a runtime to run as they are."""

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import msgspec

from kist.engine import bundle, isolation, outside
from kist.engine.planning import Planning
from kist.errors import Conflict, InvalidInput, Unsupported
from kist.kernel import copying, trees
from kist.runtime import bundle as oci_bundle
from kist.runtime.planner import user_arguments
from kist.spec.container import Container, ContainerOptions
from kist.spec.mount import Mount
from kist.spec.runtime import RuntimeSpec
from kist.spec.volume import VolumeSource
from kist.store.failures import reported

_CONFIG, _ROOT = "config.json", "rootfs"
_NAME = "container"


def make(
    planning: Planning, get: Callable[[str], Container], options: ContainerOptions, directory: str
) -> dict[str, Any]:
    """The configuration of a container with these options; with a directory, the whole bundle there.

    A bundle belongs to no engine: it has no address and no name server but the host's (``--network host``), and its
    cgroup is where the runtime puts it.

    Args:
        planning: whose images and volumes are meant.
        get: finds containers by name.
        options: of ``kist run``.
        directory: absolute; made where it is missing. Empty to write nothing.

    Raises:
        Conflict: there is a bundle already.
        InvalidInput: a relative directory, or an option that is wrong.
    """
    if directory:
        _check(directory)
    if any(mount.type == "volume" and not mount.source for mount in options.mounts):
        raise InvalidInput("a bundle has no volumes of its own", hint="name the volume, or use a directory of the host")
    if any(mount.type == "image" for mount in options.mounts):
        raise Unsupported(
            "a bundle cannot have an image mounted: its files are the engine's, and nothing would keep them",
            hint="take a directory of the host that has them (kist export, kist cp)",
        )
    with planning.draft(options) as (drafted, root):
        named, volumes = planning.named_volumes(drafted.options)
        container = msgspec.structs.replace(drafted, options=named)
        spec = _spec(get, container, root, volumes)
        tree = trees.open_tree_of([(mount.type, mount.source, (*mount.options, "ro")) for mount in root])
        try:
            config = outside.configuration(container, spec, container.options.rootfs or _ROOT)
            _take_user(config, spec, f"/proc/self/fd/{tree}")
            if directory:
                _write(directory, config, -1 if container.options.rootfs else tree)
        finally:
            os.close(tree)
    return config


def _spec(
    get: Callable[[str], Container], container: Container, root: tuple[Mount, ...], volumes: dict[str, VolumeSource]
) -> RuntimeSpec:
    options = container.options
    surroundings = bundle.Surroundings(
        root,
        "/etc/resolv.conf" if options.network == "host" else "",
        "",
        "",
        volumes=volumes,
        hostname=options.hostname or options.name or _NAME,
    )
    spec = bundle.runtime_spec(container, isolation.with_shared(container, surroundings, get))
    parent = options.cgroup_parent.strip("/")
    path = f"{parent}/{options.name or _NAME}" if parent else ""
    return msgspec.structs.replace(spec, linux=msgspec.structs.replace(spec.linux, cgroups_path=path))


def _take_user(config: dict[str, Any], spec: RuntimeSpec, root: str) -> None:
    try:
        oci_bundle.take_user(config, oci_bundle.find_user(user_arguments(spec.process), root))
    except LookupError as error:
        raise InvalidInput(str(error), hint="use a name of the image's /etc/passwd, or a number") from error


def _check(directory: str) -> None:
    if not directory.startswith("/"):
        raise InvalidInput(f"invalid bundle {directory!r}: it must be an absolute path")
    for name in (_CONFIG, _ROOT):
        if os.path.lexists(f"{directory}/{name}"):
            raise Conflict(f"{directory}/{name} is there already", hint="remove it first, or name another --bundle")


def _write(directory: str, config: dict[str, Any], tree: int) -> None:
    """Write the files of ``tree`` (-1: they are elsewhere), and at last the configuration, which makes it a bundle."""
    with reported("write bundle"):
        os.makedirs(directory, exist_ok=True)
        try:
            if tree >= 0:
                _copy(tree, f"{directory}/{_ROOT}")
            with open(f"{directory}/{_CONFIG}", "x", encoding="utf-8") as file:
                file.write(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        except BaseException:
            shutil.rmtree(f"{directory}/{_ROOT}", ignore_errors=True)
            raise


def _copy(tree: int, to: str) -> None:
    os.mkdir(to, 0o755)
    source = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    target = os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        copying.copy_tree(source, target)
    finally:
        os.close(source)
        os.close(target)
