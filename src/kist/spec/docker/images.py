"""Images as ``list``, ``inspect``, ``history`` and ``delete`` answer them (Engine API, tag Image)."""

from collections.abc import Sequence
from typing import Any

from kist.spec.docker.times import NEVER, read_time, write_time
from kist.spec.image import ContainerConfig
from kist.spec.json import to_builtins
from kist.spec.reference import Reference
from kist.spec.summary import Image, ImageManifest, RemovedImage

_SECOND = 1_000_000_000


def write_config(config: ContainerConfig) -> dict[str, Any]:
    """The ``Config`` object: what runs unless told otherwise."""
    written: dict[str, Any] = {
        "User": config.user,
        "Env": _array(config.env),
        "Cmd": _array(config.cmd),
        "Volumes": config.volumes,
        "WorkingDir": config.working_dir,
        "Entrypoint": _array(config.entrypoint),
        "OnBuild": _array(config.on_build),
        "Labels": config.labels,
    }
    optional: dict[str, Any] = {
        "ExposedPorts": config.exposed_ports,
        "StopSignal": config.stop_signal,
        "Shell": _array(config.shell),
        "Healthcheck": to_builtins(config.healthcheck) if config.healthcheck else None,
    }
    return written | {name: value for name, value in optional.items() if value}


def _array(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _tags(image: Image) -> list[str]:
    parsed = (Reference.parse(reference) for reference in image.references)
    return sorted(reference.familiar for reference in parsed if reference.tag)


def _digests(image: Image) -> list[str]:
    names = {Reference.parse(reference).familiar_name for reference in image.references}
    return sorted(f"{name}@{image.manifest}" for name in names)


def write_summary(image: Image, containers: int = -1, shared: int = -1) -> dict[str, Any]:
    """One entry of the list.

    Args:
        image: with its names.
        containers: how many use it; -1 for not counted.
        shared: bytes of it that are of another image too; -1 for not measured.
    """
    return {
        "Containers": containers,
        "Created": image.created_at // _SECOND,
        "Id": str(image.id),
        "Labels": image.config.config.labels or {},
        "ParentId": "",
        "RepoDigests": _digests(image),
        "RepoTags": _tags(image),
        "SharedSize": shared,
        "Size": image.size,
    }


def write_inspect(image: Image, *, driver: str = "overlay") -> dict[str, Any]:
    """The whole of an image, in Docker's shape: what is not set is left out."""
    config = image.config
    last = config.history[-1] if config.history else None
    inspect: dict[str, Any] = {
        "Id": str(image.id),
        "RepoTags": _tags(image),
        "RepoDigests": _digests(image),
        "Config": {name: value for name, value in write_config(config.config).items() if value},
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Data": {}, "Name": driver},
        "RootFS": {"Type": config.rootfs.type, "Layers": [str(diff_id) for diff_id in config.rootfs.diff_ids]},
        "Metadata": {"LastTagTime": NEVER},
    }
    optional = {
        "Comment": last.comment if last else "",
        "Created": config.created or (write_time(image.created_at) if image.created_at else ""),
        "Author": config.author,
        "Variant": config.variant,
    }
    return inspect | {name: value for name, value in optional.items() if value}


def write_manifest(
    image: Image, manifest: ImageManifest, containers: Sequence[str], *, identity: bool = False
) -> dict[str, Any]:
    """An entry of ``Manifests`` (Engine API, ImageManifestSummary): an image here has one.

    Args:
        image: whose it is.
        manifest: what it is.
        containers: the ids of those that use it.
        identity: tell where it comes from, too: of which nothing is known that anybody has verified.
    """
    data = {
        "Platform": to_builtins(image.config.platform),
        "Containers": list(containers),
        "Size": {"Unpacked": image.size},
    }
    return {
        "ID": str(image.manifest),
        "Descriptor": to_builtins(manifest.descriptor),
        "Available": True,
        "Size": {"Content": manifest.content, "Total": manifest.content + image.size},
        "Kind": "image",
        "ImageData": data | ({"Identity": {}} if identity else {}),
    }


def write_history(image: Image, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """The steps of an image, newest first; ``sizes`` are the bytes of its layers, from the lowest up."""
    remaining = list(reversed(sizes))
    steps: list[dict[str, Any]] = []
    for step in reversed(image.config.history):
        steps.append(
            {
                "Id": "<missing>" if steps else str(image.id),
                "Created": read_time(step.created) // _SECOND,
                "CreatedBy": step.created_by,
                "Tags": None if steps else _tags(image) or None,
                "Size": remaining.pop(0) if remaining and not step.empty_layer else 0,
                "Comment": step.comment,
            }
        )
    return steps


def write_removed(removed: RemovedImage) -> list[dict[str, str]]:
    """What a removal did: names that went, then digests that went."""
    untagged = [{"Untagged": _familiar(name)} for name in removed.untagged]
    return untagged + [{"Deleted": digest} for digest in removed.deleted]


def _familiar(name: str) -> str:
    return Reference.parse(name).familiar
