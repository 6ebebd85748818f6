"""What the engine tells about images and about itself."""

import msgspec

from kist.spec.digest import Digest
from kist.spec.image import Descriptor, ImageConfig


class Image(msgspec.Struct, frozen=True):
    """An image kept here.

    Attributes:
        id: the digest of its config.
        manifest: the digest of its manifest, as a registry would name it.
        references: the full names that point to it (``docker.io/library/debian:12``).
        created_at: nanoseconds since the epoch, from the config (0 when it has none).
        size: bytes of all its unpacked layers.
        config: the image configuration.
    """

    id: Digest
    manifest: Digest
    references: tuple[str, ...]
    created_at: int
    size: int
    config: ImageConfig


class ImageManifest(msgspec.Struct, frozen=True):
    """The manifest of an image.

    Attributes:
        descriptor: its media type, digest and size, and the image's platform.
        content: bytes of the manifest itself, the config and the layers' blobs.
    """

    descriptor: Descriptor
    content: int


class RemovedImage(msgspec.Struct, frozen=True):
    """What ``rmi`` did, or would do: the names that went, the digests that went, and the bytes that were given back."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    size: int = 0


class LoadedImage(msgspec.Struct, frozen=True):
    """An image that came out of an archive, and the full names that it bears there, in the archive's order.

    It may have other names here, and need not have got all of these: others' names stay theirs.
    """

    image: Image
    names: tuple[str, ...] = ()


class Version(msgspec.Struct, frozen=True):
    """Versions of the engine and what it stands on."""

    version: str
    api_version: str
    min_api_version: str
    python: str
    kernel: str
    os: str
    architecture: str


class Info(msgspec.Struct, frozen=True):
    """The machine and the store, as ``kist info`` prints them; sizes in bytes.

    ``running`` counts those that are not paused; ``limits`` are words of ``kist.kernel.cgroup_features``: what the
    machine's cgroups can keep; ``event_readers`` are those who listen to events now; ``lacks`` says why an ordinary
    user has one id, empty where there are more; ``way_out`` is the program that connects an ordinary user's bridges
    with what is outside, empty where there is none, and for root; ``storage_reason`` says why the storage is this one;
    ``ports`` says how published ports are carried, and why; ``devices`` are those that vendors have described (CDI).
    """

    version: Version
    containers: int
    running: int
    images: int
    data_root: str
    run_root: str
    storage_driver: str
    cgroup_version: str
    cpus: int
    memory: int
    rootless: bool
    ids: int = 0
    lacks: str = ""
    way_out: str = ""
    ports: str = ""
    log_driver: str = ""
    log_drivers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    paused: int = 0
    limits: tuple[str, ...] = ()
    event_readers: int = 0
    storage_reason: str = ""
    devices: tuple[str, ...] = ()
