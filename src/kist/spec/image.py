"""OCI image values: descriptor, manifest, index, config (OCI image specification 1.1, with Docker's config fields)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.spec import json
from kist.spec.digest import Digest
from kist.spec.platform import Platform

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What some bytes are, how many, and their digest (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One image for one platform (manifest.md)."""

    schema_version: int
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A list of manifests (image-index.md)."""

    schema_version: int
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Healthcheck(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Docker's health check; durations in nanoseconds.

    ``test`` is ``("NONE",)``, ``("CMD", …)`` or ``("CMD-SHELL", text)``.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``config`` object of an image: how a container of it runs unless told otherwise (config.md)."""

    user: str = msgspec.field(name="User", default="")
    env: tuple[str, ...] | None = msgspec.field(name="Env", default=None)
    entrypoint: tuple[str, ...] | None = msgspec.field(name="Entrypoint", default=None)
    cmd: tuple[str, ...] | None = msgspec.field(name="Cmd", default=None)
    working_dir: str = msgspec.field(name="WorkingDir", default="")
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    exposed_ports: dict[str, dict[str, Any]] | None = msgspec.field(name="ExposedPorts", default=None)
    volumes: dict[str, dict[str, Any]] | None = msgspec.field(name="Volumes", default=None)
    stop_signal: str = msgspec.field(name="StopSignal", default="")
    shell: tuple[str, ...] | None = msgspec.field(name="Shell", default=None)
    on_build: tuple[str, ...] | None = msgspec.field(name="OnBuild", default=None)
    healthcheck: Healthcheck | None = msgspec.field(name="Healthcheck", default=None)


def merge_config(own: ContainerConfig, base: ContainerConfig) -> ContainerConfig:
    """A config with another's fields where it has none; variables, labels, ports and volumes are those of both."""
    names = {entry.partition("=")[0] for entry in own.env or ()}
    env = (*(own.env or ()), *(entry for entry in base.env or () if entry.partition("=")[0] not in names))
    return ContainerConfig(
        user=own.user or base.user,
        env=env or None,
        entrypoint=base.entrypoint if own.entrypoint is None else own.entrypoint,
        cmd=base.cmd if own.cmd is None and own.entrypoint is None else own.cmd,
        working_dir=own.working_dir or base.working_dir,
        labels={**(base.labels or {}), **(own.labels or {})} or None,
        exposed_ports={**(base.exposed_ports or {}), **(own.exposed_ports or {})} or None,
        volumes={**(base.volumes or {}), **(own.volumes or {})} or None,
        stop_signal=own.stop_signal or base.stop_signal,
        shell=own.shell or base.shell,
        on_build=own.on_build or base.on_build,
        healthcheck=own.healthcheck or base.healthcheck,
    )


class RootFS(msgspec.Struct, frozen=True):
    """The diff ids of the layers, from the lowest up."""

    diff_ids: tuple[Digest, ...] = ()
    type: str = "layers"


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of an image's making."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class CachedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a build by its cache key, in the image that it has made (``--cache-to type=inline``); Kist's own.

    Attributes:
        key: of the step cache.
        created: when it was made (RFC 3339).
        layer: which of the image's layers it has made, from 0; None for none.
    """

    key: str
    created: str
    layer: int | None = None


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """The image configuration; its digest is the image's id (config.md)."""

    architecture: str
    os: str
    rootfs: RootFS
    created: str = ""
    author: str = ""
    variant: str = ""
    config: ContainerConfig = ContainerConfig()
    history: tuple[History, ...] = ()
    build_cache: tuple[CachedStep, ...] = msgspec.field(default=(), name="io.kist.build.cache.v1")

    @property
    def platform(self) -> Platform:
        """The platform that the image's programs run on."""
        return Platform(architecture=self.architecture, os=self.os, variant=self.variant)


class Layer(msgspec.Struct, frozen=True):
    """A layer as its makers hand it on: the blob, the digest of its plain bytes, its identity with all layers below."""

    descriptor: Descriptor
    diff_id: Digest
    chain_id: Digest


class Documents(msgspec.Struct, frozen=True):
    """The two JSON documents of an image; the digest of ``config`` is its id."""

    config: bytes
    manifest: bytes

    @property
    def id(self) -> Digest:
        """The image's."""
        return Digest.of(self.config)

    @property
    def described(self) -> Descriptor:
        """What the manifest is."""
        return Descriptor(OCI_MANIFEST, Digest.of(self.manifest), len(self.manifest))


def documents(
    config: ImageConfig, layers: Sequence[Descriptor], annotations: Mapping[str, str] | None = None
) -> Documents:
    """The documents of an image of these layers.

    Raises:
        InvalidInput: there are more or less layers than diff ids.
    """
    if len(layers) != len(config.rootfs.diff_ids):
        raise InvalidInput(f"an image with {len(layers)} layers and {len(config.rootfs.diff_ids)} diff ids")
    data = json.encode(config)
    described = Descriptor(OCI_CONFIG, Digest.of(data), len(data))
    notes = dict(sorted((annotations or {}).items()))
    return Documents(data, json.encode(Manifest(2, OCI_MANIFEST, described, tuple(layers), notes)))


def parse_manifest(data: bytes, *, what: str = "image manifest") -> Manifest:
    """Read a manifest of OCI's or Docker's; a missing media type is OCI's.

    Raises:
        InvalidInput: it is not one.
    """
    return json.convert({"mediaType": OCI_MANIFEST, **_object(data, what)}, Manifest, what=what)


def parse_index(data: bytes, *, what: str = "image index") -> Index:
    """Read an index of OCI's or a manifest list of Docker's; a missing media type is OCI's.

    Raises:
        InvalidInput: it is not one.
    """
    return json.convert({"mediaType": OCI_INDEX, **_object(data, what)}, Index, what=what)


def parse_config(data: bytes, *, what: str = "image config") -> ImageConfig:
    """Read an image configuration; null stands for a missing value, as some tools write it.

    Raises:
        InvalidInput: it is not one.
    """
    try:
        return json.convert(_without_null(_object(data, what)), ImageConfig, what=what)
    except RecursionError:
        raise InvalidInput(f"invalid {what}: it is nested too deep") from None


def _object(data: bytes, what: str) -> dict[str, Any]:
    value = json.decode(data, dict[str, Any], what=what)
    if value.get("schemaVersion", 2) != 2:
        raise InvalidInput(f"invalid {what}: schema version {value['schemaVersion']!r} is not known")
    return value


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return value
