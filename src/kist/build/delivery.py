"""Where a build's result goes: an image that is kept, and what is sent to the caller (``-o``)."""

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from kist.build.repacking import repacked
from kist.engine.image_files import nanoseconds
from kist.engine.image_unpack import unpacked_size
from kist.image.archive_writer import SavedImage, write_archive
from kist.image.pack import Packer
from kist.kernel import faults
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import Descriptor, Documents, ImageConfig, parse_manifest
from kist.spec.interface import Progress
from kist.spec.json import encode
from kist.spec.outputs import FILES, IMAGE, TAR, annotations, compression
from kist.spec.progress import OutputData, StepFinished, StepProgress, StepStarted
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_PIECE = 64 << 10  # of what is sent: up to 256 of them wait for a slow client
_TITLES = {FILES: "exporting to client directory", TAR: "sending tarball"}


class Built(msgspec.Struct, frozen=True):
    """What came of a build.

    Attributes:
        image: as it is kept; without an output that keeps it, as it would be.
        manifest: what its manifest is.
        kept: whether it is kept.
    """

    image: Image
    manifest: Descriptor
    kept: bool = True


def is_kept(options: BuildOptions) -> bool:
    """Whether a build's image is one of the engine's afterwards."""
    return not options.outputs or any(output.type == IMAGE for output in options.outputs)


def has_annotations(output: BuildOutput) -> bool:
    """Whether an output says something about its image."""
    return any(annotations(output.attributes).values())


def annotations_of_kept(options: BuildOptions) -> dict[str, str]:
    """What the outputs that are kept say about the image's manifest, besides the build."""
    kept = (annotations(output.attributes)["manifest"] for output in options.outputs if output.type == IMAGE)
    return {key: value for notes in kept for key, value in notes.items()}


def deliver(
    engine: "Engine",
    keep: Callable[[], Image],
    made: Documents,
    config: ImageConfig,
    options: BuildOptions,
    tell: Progress,
    inherited: Callable[[], int],
    epoch: int | None = None,
) -> Built:
    """Take a result where the options say.

    Args:
        engine: has the layers.
        keep: makes an image of it.
        made: its documents.
        config: the first of these.
        options: with the outputs.
        tell: gets what is sent, as ``OutputData``.
        inherited: knows how many layers are the base's.
        epoch: of a reproducible build: the time of all files that are sent as such.

    Raises:
        KistError: what was asked for cannot be had, or nobody takes it any more.
    """
    if kept := is_kept(options):
        image = keep()
    else:
        size, created = unpacked_size(engine.store, config), nanoseconds(config.created)
        image = Image(made.id, made.described.digest, (), created, size, config)
    sender = _Sender(engine, made, config, options, tell, inherited, epoch)
    for number, output in enumerate(options.outputs):
        if output.sends_data:
            sender.send(number, output)
    return Built(image, made.described, kept)


class _Sender:
    """Sends one result, as often as it is asked for."""

    def __init__(
        self,
        engine: "Engine",
        made: Documents,
        config: ImageConfig,
        options: BuildOptions,
        tell: Progress,
        inherited: Callable[[], int],
        epoch: int | None,
    ) -> None:
        self._inherited = inherited
        self._mtime = None if epoch is None else epoch * 1_000_000_000
        self._store = engine.store
        self._catalogue = engine.catalogue
        self._made = made
        self._config = config
        self._options = options
        self._tell = tell

    def send(self, number: int, output: BuildOutput) -> None:
        """Send one output, under a step of its own."""
        step = f"output {number}"
        title = _TITLES.get(output.type, f"exporting to {output.type} image format")
        self._tell(StepStarted(step, title))
        began = time.monotonic()
        try:
            self._send(number, output)
        except BaseException as error:
            self._tell(StepFinished(step, time.monotonic() - began, error=str(error) or type(error).__name__))
            raise
        self._tell(StepFinished(step, time.monotonic() - began))

    def _send(self, number: int, output: BuildOutput) -> None:
        def write(data: bytes) -> None:
            faults.point("build part: sends an output")
            for begin in range(0, len(data), _PIECE):
                self._tell(OutputData(number, bytes(data[begin : begin + _PIECE])))

        if output.type in {FILES, TAR}:
            self._files(write)
        else:
            self._archive(number, output, write)
        self._tell(OutputData(number, b"", last=True))

    def _files(self, write: Callable[[bytes], None]) -> None:
        packer = Packer(write, mtime=self._mtime)
        chains = chain_ids(self._config.rootfs.diff_ids)
        if chains:
            with self._catalogue.open_files(chains[-1]) as root:
                packer.contents(root, b"")
        packer.close()

    def _archive(self, number: int, output: BuildOutput, write: Callable[[bytes], None]) -> None:
        manifest = parse_manifest(self._made.manifest)
        notes, wanted = annotations(output.attributes), compression(output.attributes)
        inherited = self._inherited() if wanted is not None else 0

        def advanced(done: int, total: int) -> None:
            self._tell(StepProgress(f"output {number}", done, total, "bytes"))

        with repacked(self._store, manifest.layers, wanted, inherited, advanced) as layers:
            made = self._made
            if layers.files or notes["manifest"]:
                said = dict(sorted({**manifest.annotations, **notes["manifest"]}.items()))
                manifest = msgspec.structs.replace(manifest, layers=layers.layers, annotations=said)
                made = Documents(made.config, encode(manifest))
            described = made.described
            own = {made.id: made.config, described.digest: made.manifest}
            saved = SavedImage(
                manifest,
                described.digest,
                described.size,
                self._config.platform,
                self._options.names_of(output),
                annotations=notes["manifest-descriptor"],
            )

            def open_blob(digest: Digest) -> BinaryIO:
                if digest in own:
                    return io.BytesIO(own[digest])
                path = layers.files.get(digest)
                return self._store.blobs.open(digest) if path is None else open(path, "rb")

            write_archive([saved], open_blob, write)
