"""Where a build's result goes: an image that is kept, and what is sent to the caller (``-o``)."""

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from kist.engine.image_files import nanoseconds
from kist.engine.image_unpack import unpacked_size
from kist.image.archive_writer import SavedImage, write_archive
from kist.image.pack import Packer
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import Descriptor, Documents, ImageConfig, parse_manifest
from kist.spec.interface import Progress
from kist.spec.outputs import FILES, IMAGE, TAR
from kist.spec.progress import OutputData, StepFinished, StepStarted
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


def deliver(
    engine: "Engine",
    keep: Callable[[], Image],
    made: Documents,
    config: ImageConfig,
    options: BuildOptions,
    tell: Progress,
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
        epoch: of a reproducible build: the time of all files that are sent as such.

    Raises:
        KistError: what was asked for cannot be had, or nobody takes it any more.
    """
    if kept := is_kept(options):
        image = keep()
    else:
        size, created = unpacked_size(engine.store, config), nanoseconds(config.created)
        image = Image(made.id, made.described.digest, (), created, size, config)
    sender = _Sender(engine, made, config, options, tell, epoch)
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
        epoch: int | None,
    ) -> None:
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
            for begin in range(0, len(data), _PIECE):
                self._tell(OutputData(number, bytes(data[begin : begin + _PIECE])))

        if output.type in {FILES, TAR}:
            self._files(write)
        else:
            self._archive(self._options.names_of(output), write)
        self._tell(OutputData(number, b"", last=True))

    def _files(self, write: Callable[[bytes], None]) -> None:
        packer = Packer(write, mtime=self._mtime)
        chains = chain_ids(self._config.rootfs.diff_ids)
        if chains:
            with self._catalogue.open_files(chains[-1]) as root:
                packer.contents(root, b"")
        packer.close()

    def _archive(self, names: tuple[str, ...], write: Callable[[bytes], None]) -> None:
        manifest, described = parse_manifest(self._made.manifest), self._made.described
        documents = {self._made.id: self._made.config, described.digest: self._made.manifest}
        saved = SavedImage(manifest, described.digest, described.size, self._config.platform, names)

        def open_blob(digest: Digest) -> BinaryIO:
            return io.BytesIO(documents[digest]) if digest in documents else self._store.blobs.open(digest)

        write_archive([saved], open_blob, write)
