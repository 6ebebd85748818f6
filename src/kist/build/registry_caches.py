"""The step cache in a registry: an artifact of the same layout as in a directory (``cache_layout``), by a tag.

Taken from there, a layer is fetched when a step wants it. Brought there, only what the registry lacks is sent; layers
are compressed, and ``containerd.io/uncompressed`` tells which each of them is.
"""

import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar, cast

import msgspec

from kist.build.cache import Made, stands_on
from kist.build.cache_steps import LARGEST, STEPS, Steps, layers_of, steps_of
from kist.build.repacking import kind_of, repacked
from kist.build.result import Result
from kist.engine.stop import Stop
from kist.errors import Corrupt, Forbidden, InvalidInput, KistError, NotFound
from kist.image.compression import plain
from kist.kernel import faults
from kist.registry.client import Document, Registry, Repository
from kist.spec.build_cache import Source, Target
from kist.spec.credentials import NOBODY, Logins, key_for
from kist.spec.digest import Digest
from kist.spec.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Index, Layer, Manifest, parse_index, parse_manifest
from kist.spec.interface import Progress
from kist.spec.json import decode, encode
from kist.spec.progress import StepFinished, StepProgress, StepStarted, Warned
from kist.spec.reference import Reference

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_UNCOMPRESSED = "containerd.io/uncompressed"
_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_CHUNK = 1 << 20
_LOOK_EVERY = 0.25  # seconds
_MOST_MANIFESTS = 16  # of an index that are looked at

_T = TypeVar("_T")


class _Place(NamedTuple):
    """Something in a registry."""

    reference: Reference
    registry: Registry
    repository: Repository

    @property
    def name(self) -> str:
        """The tag or digest."""
        return str(self.reference.digest or self.reference.tag)


class _Kept(NamedTuple):
    """What is at a place: the steps, and the layers as they are there, by the digests of the plain ones."""

    steps: Descriptor
    layers: Mapping[Digest, Descriptor]


class RemoteSteps:
    """The steps of one cache in a registry. Safe from many threads.

    Args:
        engine: takes layers in.
        place: where it is.
        steps: by their keys.
        layers: as they are there, by the digests of the plain ones.

    Attributes:
        name: of the cache.
        lost: why it gives no more; None while it does.
    """

    def __init__(
        self, engine: "Engine", place: _Place, steps: Mapping[str, Made], layers: Mapping[Digest, Descriptor]
    ) -> None:
        self.name = place.reference.familiar
        self._engine = engine
        self._place = place
        self._steps = steps
        self._layers = layers
        self._locks = {digest: threading.Lock() for digest in layers}
        self.lost: KistError | None = None

    def find(self, below: Result, key: str, stop: Stop) -> Made | None:
        """What a step made on top of ``below``, its layer here by then; None where it is not to be had."""
        made = self._steps.get(key)
        if made is None or made.layer is None:
            return made
        if self.lost is not None or not stands_on(made.layer, below.layers):
            return None
        stack = (*below.layers, made.layer)
        catalogue = self._engine.catalogue
        if catalogue.has_layers(stack):
            return made
        try:
            self._fetch(made.layer, stop)
        except KistError as error:
            stop.check()
            self.lost = error
            return None
        return made if catalogue.has_layers(stack) else None

    def close(self) -> None:
        """Close connections."""
        self._place.registry.close()

    def _fetch(self, layer: Layer, stop: Stop) -> None:
        """Take a layer in.

        Raises:
            Corrupt: it is another one than it is called, or larger than told.
            NotFound, Unavailable: it is not to be had.
        """
        own = layer.descriptor.digest
        if own != layer.diff_id or own not in self._layers:
            raise InvalidInput(f"the cache does not say where the layer {own} is")
        packed, blobs = self._layers[own], self._engine.store.blobs
        with self._locks[own], stop.heard_by(self._place.registry.interrupt):
            if own in blobs:
                return
            with self._place.repository.open_blob(packed.digest, packed.size) as blob, blobs.writer(own) as writer:
                raw = cast("BinaryIO", blob)
                source = raw if packed.digest == own else plain(raw)
                while data := source.read(_CHUNK):
                    stop.check()
                    if writer.size + len(data) > layer.descriptor.size:
                        raise Corrupt(f"the layer {own} has more than its {layer.descriptor.size} bytes")
                    writer.write(data)
                writer.commit()


class _Transfer:
    """What goes on with a registry, told as a step: how far it is, and the order to end it."""

    def __init__(self, place: _Place) -> None:
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


def opened(engine: "Engine", sources: Sequence[Source], logins: Logins, progress: Progress) -> list[RemoteSteps]:
    """The caches that can be had; that one cannot is a warning.

    Raises:
        Forbidden: who builds may have nothing fetched.
        InvalidInput: a name is none.
    """
    found = []
    for source in sources:
        place = _place(engine, source.ref, logins, insecure=source.insecure)
        title = f"importing the build cache from {source.ref}"
        try:
            found.append(_Transfer(place).run(progress, title, partial(_opened, engine, place)))
        except KistError as error:
            place.registry.close()
            progress(Warned(f"no steps are taken from {source.ref}: {error.message}"))
    return found


def _opened(engine: "Engine", place: _Place) -> RemoteSteps:
    kept = _kept(place)
    data = place.repository.read_blob(kept.steps.digest, kept.steps.size, LARGEST)
    steps = decode(data, Steps, what="steps of the build cache").steps
    return RemoteSteps(engine, place, {step.key: step.made for step in steps}, kept.layers)


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
    faults.point("build cache: sent what a manifest in a registry names")
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
        path = made.files.get(packed.digest) or store.blobs.path(packed.digest)
        repository.write_blob(
            packed.digest, packed.size, partial(_open, path), sent=lambda count: advanced((1 + count / packed.size) / 2)
        )
    return msgspec.structs.replace(packed, annotations={_UNCOMPRESSED: str(layer.digest)})


def _is_there(repository: Repository, blob: Descriptor) -> bool:
    return repository.blob_size(blob.digest) is not None


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _known(place: _Place) -> Mapping[Digest, Descriptor]:
    """The layers of the cache that is there by this tag; none where there is none."""
    try:
        return _kept(place).layers
    except (NotFound, InvalidInput, Corrupt):  # it is written anew then
        return {}


def _kept(place: _Place) -> _Kept:
    """What is there.

    Raises:
        NotFound: there is nothing.
        InvalidInput: it is no build cache.
    """
    document = place.repository.manifest(place.name)
    documents = [document]
    if document.media_type == OCI_INDEX:
        listed = parse_index(document.data, what=f"index {place.reference.familiar}").manifests
        wanted = [each for each in listed if each.media_type == OCI_MANIFEST][:_MOST_MANIFESTS]
        documents = [place.repository.manifest(each.digest) for each in wanted]
    for each in documents:
        if each.media_type != OCI_MANIFEST:
            continue
        manifest = parse_manifest(each.data, what=f"manifest {place.reference.familiar}")
        if manifest.config.media_type == STEPS:
            layers = {Digest(layer.annotations.get(_UNCOMPRESSED, layer.digest)): layer for layer in manifest.layers}
            return _Kept(manifest.config, layers)
    raise InvalidInput(
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


def _place(engine: "Engine", text: str, logins: Logins, *, insecure: bool) -> _Place:
    reference = _reference(engine, text)
    key = key_for(logins, reference.domain, reference.path)
    login = NOBODY if key is None else logins[key]
    home = os.path.expanduser("~/.config")
    certificates = (*_CERTIFICATES, f"{home}/docker/certs.d", f"{home}/containers/certs.d")
    registry = Registry(reference.domain, login, insecure=insecure, certificates=certificates)
    return _Place(reference, registry, registry.repository(reference.path))
