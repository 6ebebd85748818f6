"""The step cache in a registry: an artifact of the same layout as in a directory (``cache_layout``), by a tag.

Taken from there, a layer is fetched when a step wants it (``registry_steps``); so is one of an image that is there in
place of a cache, whose steps are found by their keys in its config (``type=inline``) or by their words. Brought there,
only what the registry lacks is sent; layers are compressed, and ``containerd.io/uncompressed`` tells which each is.
"""

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

import msgspec

from kist.build.cache_steps import LARGEST, STEPS, Steps, layers_of, steps_of
from kist.build.registry_steps import Place, RemoteCache, RemoteImage, RemoteSteps
from kist.build.repacking import kind_of, repacked
from kist.engine.stop import Stop
from kist.errors import Corrupt, Forbidden, InvalidInput, KistError, NotFound
from kist.kernel import faults
from kist.registry.client import DOCKER_MANIFEST, Document, Registry, Repository
from kist.spec.build_cache import Source, Target
from kist.spec.credentials import NOBODY, Logins, key_for
from kist.spec.digest import Digest
from kist.spec.image import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    parse_config,
    parse_index,
    parse_manifest,
)
from kist.spec.interface import Progress
from kist.spec.json import decode, encode
from kist.spec.progress import StepFinished, StepProgress, StepStarted, Warned
from kist.spec.reference import Reference

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_UNCOMPRESSED = "containerd.io/uncompressed"
_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_LOOK_EVERY = 0.25  # seconds
_MOST_MANIFESTS = 16  # of an index that are looked at
_MANIFESTS = {OCI_MANIFEST, DOCKER_MANIFEST}
_IMAGES = {OCI_CONFIG, DOCKER_CONFIG}

_T = TypeVar("_T")


class _Kept(NamedTuple):
    """What is at a place: the steps, and the layers as they are there, by the digests of the plain ones."""

    steps: Descriptor
    layers: Mapping[Digest, Descriptor]


class _Transfer:
    """What goes on with a registry, told as a step: how far it is, and the order to end it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.stop = Stop()
        self.done = 0
        self.total = 0

    @contextmanager
    def part(self, size: int) -> Iterator[Callable[[float], None]]:
        """A part of so many bytes; to be told which share of it is done, which raises once the work is to end."""
        before = self.done

        def advanced(share: float) -> None:
            self.stop.check()
            self.done = before + int(size * share)

        yield advanced
        self.done = before + size

    def run(self, progress: Progress, title: str, work: Callable[[], _T]) -> _T:
        """Do the work in a thread, and tell how far it is in this one, whose listener may end it.

        Raises:
            KistError: the work failed, or nobody wants it any more.
        """
        name, began = title, time.monotonic()
        progress(StepStarted(name, title))
        try:
            with ThreadPoolExecutor(1, "kist-registry") as pool, self.stop.heard_by(self.place.registry.interrupt):
                job = pool.submit(work)
                try:
                    while not wait([job], _LOOK_EVERY).done:
                        waited = int(time.monotonic() - began)
                        told = (self.done, self.total, "bytes") if self.total else (waited, 0, "seconds")
                        progress(StepProgress(name, *told))
                except BaseException:
                    self.stop.give()
                    raise
                result = job.result()
        except KistError as error:
            progress(StepFinished(name, time.monotonic() - began, error=error.message))
            raise
        progress(StepFinished(name, time.monotonic() - began))
        return result


def opened(engine: "Engine", sources: Sequence[Source], logins: Logins, progress: Progress) -> list[RemoteCache]:
    """The caches and images that can be had; that one cannot is a warning.

    Raises:
        Forbidden: who builds may have nothing fetched.
        InvalidInput: a name is none.
    """
    found: list[RemoteCache] = []
    for source in sources:
        place = _place(engine, source.ref, logins, insecure=source.insecure)
        title = f"importing the build cache from {source.ref}"
        try:
            found += _Transfer(place).run(progress, title, partial(_opened, engine, place))
        except KistError as error:
            place.registry.close()
            progress(Warned(f"no steps are taken from {source.ref}: {error.message}"))
    return found


def _opened(engine: "Engine", place: Place) -> list[RemoteCache]:
    """What is there: a cache, or images, one for each platform."""
    manifests = _manifests(place)
    if kept := _kept_of(manifests):
        data = place.repository.read_blob(kept.steps.digest, kept.steps.size, LARGEST)
        steps = decode(data, Steps, what="steps of the build cache").steps
        return [RemoteSteps(engine, place, {step.key: step.made for step in steps}, kept.layers)]
    images: list[RemoteCache] = []
    for manifest in manifests:
        if manifest.config.media_type in _IMAGES:
            data = place.repository.read_blob(manifest.config.digest, manifest.config.size)
            config = parse_config(data, what=f"config of {place.reference.familiar}")
            images.append(RemoteImage(engine, place, config, manifest.layers))
    if not images:
        raise _another(place)
    return images


def write(engine: "Engine", keys: Sequence[str], target: Target, logins: Logins, progress: Progress) -> None:
    """Bring the steps of these keys to a registry; blobs that it has are not sent, and the tag comes last.

    Raises:
        Forbidden: the registry wants to know who asks, or does not allow it.
        Unavailable: it does not answer.
        InvalidInput: the name is none, or the registry does not take what it is sent.
    """
    place = _place(engine, target.ref, logins, insecure=target.insecure)
    transfer = _Transfer(place)
    title = f"exporting the build cache to {target.ref}"
    try:
        with place.registry:
            transfer.run(progress, title, partial(_write, engine, keys, target, transfer))
    except KistError as error:
        hint = error.hint or "ignore-error=true lets the build go on without its cache"
        raise type(error)(f"the build cache cannot be written to {target.ref}: {error.message}", hint=hint) from error


def _write(engine: "Engine", keys: Sequence[str], target: Target, transfer: _Transfer) -> None:
    place, steps = transfer.place, steps_of(engine, keys)
    layers = layers_of(steps)
    known = _known(place)
    transfer.total = sum(layer.size for layer in layers)
    packed = []
    for layer in layers:
        with transfer.part(layer.size) as advanced:
            packed.append(_sent(engine, layer, target, place.repository, known, advanced))
    config = encode(steps)
    described = Descriptor(STEPS, Digest.of(config), len(config))
    place.repository.write_blob(described.digest, described.size, lambda: io.BytesIO(config))
    manifest = Document(OCI_MANIFEST, encode(Manifest(2, OCI_MANIFEST, described, tuple(packed))))
    faults.point("build registry: sent what a manifest names")
    if not target.as_index:
        place.repository.write_manifest(place.name, manifest)
        return
    place.repository.write_manifest(manifest.descriptor.digest, manifest)
    index = Document(OCI_INDEX, encode(Index(2, OCI_INDEX, (manifest.descriptor,))))
    place.repository.write_manifest(place.name, index)


def _sent(
    engine: "Engine",
    layer: Descriptor,
    target: Target,
    repository: Repository,
    known: Mapping[Digest, Descriptor],
    advanced: Callable[[float], None],
) -> Descriptor:
    """A layer as it is in the registry by now: compressed, the half of the work, and sent, the other."""
    store = engine.store
    there = known.get(layer.digest)
    if there is not None and kind_of(there) == target.compression.kind and _is_there(repository, there):
        return there
    with repacked(store, (layer,), target.compression, 0, lambda done, total: advanced(done / total / 2)) as made:
        packed = made.layers[0]
        path = made.files.get(packed.digest)
        opened = partial(store.blobs.open, packed.digest) if path is None else partial(_open, path)
        repository.write_blob(
            packed.digest, packed.size, opened, sent=lambda count: advanced((1 + count / packed.size) / 2)
        )
    return msgspec.structs.replace(packed, annotations={_UNCOMPRESSED: str(layer.digest)})


def _is_there(repository: Repository, blob: Descriptor) -> bool:
    return repository.blob_size(blob.digest) is not None


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _known(place: Place) -> Mapping[Digest, Descriptor]:
    """The layers of the cache that is there by this tag; none where there is none."""
    try:
        return _kept(place).layers
    except (NotFound, InvalidInput, Corrupt):  # it is written anew then
        return {}


def _kept(place: Place) -> _Kept:
    """The cache that is there.

    Raises:
        NotFound: there is nothing.
        InvalidInput: it is no build cache.
    """
    if kept := _kept_of(_manifests(place)):
        return kept
    raise _another(place)


def _kept_of(manifests: Iterable[Manifest]) -> _Kept | None:
    """The cache that is one of these."""
    for manifest in manifests:
        if manifest.config.media_type == STEPS:
            layers = {Digest(layer.annotations.get(_UNCOMPRESSED, layer.digest)): layer for layer in manifest.layers}
            return _Kept(manifest.config, layers)
    return None


def _manifests(place: Place) -> list[Manifest]:
    """Those that are there by the name: one, or the first of an index.

    Raises:
        NotFound: there are none.
    """
    document = place.repository.manifest(place.name)
    documents = [document]
    if document.media_type in {OCI_INDEX, DOCKER_INDEX}:
        listed = parse_index(document.data, what=f"index {place.reference.familiar}").manifests
        wanted = [each for each in listed if each.media_type in _MANIFESTS and not _is_attached(each)]
        documents = [place.repository.manifest(each.digest) for each in wanted[:_MOST_MANIFESTS]]
    what = f"manifest {place.reference.familiar}"
    return [parse_manifest(each.data, what=what) for each in documents if each.media_type in _MANIFESTS]


def _is_attached(descriptor: Descriptor) -> bool:
    """Whether it is about an image of the index, and none itself; BuildKit's attestations are for no platform."""
    unknown = descriptor.platform is not None and descriptor.platform.os == "unknown"
    return unknown or bool(descriptor.artifact_type)


def _another(place: Place) -> InvalidInput:
    return InvalidInput(
        f"{place.reference.familiar} is something else, and no build cache is in it",
        hint="a cache that another builder has written cannot be taken: its steps have other keys",
    )


def check_target(engine: "Engine", target: Target) -> None:
    """Refuse what cannot be written to, before a build is done for it.

    Raises:
        Forbidden: who builds may have nothing written anywhere.
        InvalidInput: the name is none.
    """
    _reference(engine, target.ref)


def _reference(engine: "Engine", text: str) -> Reference:
    if not engine.catalogue.may_fetch:
        raise Forbidden("only the engine's own user may have it speak to a registry", hint="leave the cache out")
    return Reference.parse(text)


def _place(engine: "Engine", text: str, logins: Logins, *, insecure: bool) -> Place:
    reference = _reference(engine, text)
    key = key_for(logins, reference.domain, reference.path)
    login = NOBODY if key is None else logins[key]
    home = os.path.expanduser("~/.config")
    certificates = (*_CERTIFICATES, f"{home}/docker/certs.d", f"{home}/containers/certs.d")
    registry = Registry(reference.domain, login, insecure=insecure, certificates=certificates)
    return Place(reference, registry, registry.repository(reference.path))
