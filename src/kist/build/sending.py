"""What ``-o`` sends to the caller: the files of a result, or an archive of its images."""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from kist.build.repacking import repacked
from kist.image.archive_writer import Grouping, SavedImage, write_archive
from kist.image.pack import Packer
from kist.kernel import faults
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import Descriptor, Documents, ImageConfig, parse_manifest
from kist.spec.interface import Progress
from kist.spec.json import encode
from kist.spec.outputs import FILES, TAR, Annotation, annotations, compression, flag
from kist.spec.platform import Platform
from kist.spec.progress import OutputData, StepFinished, StepProgress, StepStarted

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_PIECE = 64 << 10  # of what is sent: up to 256 of them wait for a slow client
_TITLES = {FILES: "exporting to client directory", TAR: "sending tarball"}


class Made(msgspec.Struct, frozen=True):
    """The image of one platform, before it is kept or sent.

    Attributes:
        documents: its config and manifest.
        config: the first of these.
        inherited: how many of its layers are the base's.
    """

    documents: Documents
    config: ImageConfig
    inherited: int

    def says(self, notes: Sequence[Annotation], kind: str) -> dict[str, str]:
        """The annotations of this kind that are for it."""
        own = self.config.platform
        fits = (note for note in notes if note.kind == kind)
        return {
            note.key: note.value for note in fits if not note.platform or own.is_one_of(Platform.parse(note.platform))
        }


class Sender:
    """Sends one result, as often as it is asked for.

    Args:
        engine: has the layers.
        images: one for each platform.
        several: they are one image for several platforms, even where there is one.
        options: with the outputs.
        tell: gets what is sent, as ``OutputData``.
        epoch: of a reproducible build: the time of all files that are sent as such.
    """

    def __init__(
        self,
        engine: "Engine",
        images: Sequence[Made],
        options: BuildOptions,
        tell: Progress,
        *,
        several: bool,
        epoch: int | None,
    ) -> None:
        self._images = images
        self._several = several
        self._mtime = None if epoch is None else epoch * 1_000_000_000
        self._store = engine.store
        self._catalogue = engine.catalogue
        self._options = options
        self._tell = tell

    def send(self, number: int, output: BuildOutput) -> Descriptor | None:
        """Send one output, under a step of its own; what the manifest or index is that it has, if it has one."""
        step = f"output {number}"
        title = _TITLES.get(output.type, f"exporting to {output.type} image format")
        self._tell(StepStarted(step, title))
        began = time.monotonic()
        try:
            described = self._send(number, output)
        except BaseException as error:
            self._tell(StepFinished(step, time.monotonic() - began, error=str(error) or type(error).__name__))
            raise
        self._tell(StepFinished(step, time.monotonic() - began))
        return described

    def _send(self, number: int, output: BuildOutput) -> Descriptor | None:
        def write(data: bytes) -> None:
            faults.point("build part: sends an output")
            for begin in range(0, len(data), _PIECE):
                self._tell(OutputData(number, bytes(data[begin : begin + _PIECE])))

        described = None
        if output.type in {FILES, TAR}:
            self._files(output, write)
        else:
            described = self._archive(number, output, write)
        self._tell(OutputData(number, b"", last=True))
        return described

    def _files(self, output: BuildOutput, write: Callable[[bytes], None]) -> None:
        """The files; of several platforms each in a directory of its own, as BuildKit calls it."""
        packer = Packer(write, mtime=self._mtime)
        split = flag(output.attributes, "platform-split", self._several)
        for image in self._images:
            chains = chain_ids(image.config.rootfs.diff_ids)
            if chains:
                with self._catalogue.open_files(chains[-1]) as root:
                    if split:
                        packer.directory(root, str(image.config.platform).replace("/", "_").encode() + b"/")
                    else:
                        packer.contents(root, b"")
        packer.close()

    def _archive(self, number: int, output: BuildOutput, write: Callable[[bytes], None]) -> Descriptor:
        notes, wanted = annotations(output.attributes), compression(output.attributes)
        names = self._options.names_of(output)
        own: dict[Digest, bytes] = {}
        files: dict[Digest, str] = {}
        saved = []

        def advanced(done: int, total: int) -> None:
            self._tell(StepProgress(f"output {number}", done, total, "bytes"))

        def open_blob(digest: Digest) -> BinaryIO:
            if digest in own:
                return io.BytesIO(own[digest])
            path = files.get(digest)
            return self._store.blobs.open(digest) if path is None else open(path, "rb")

        with ExitStack() as stack:
            for image in self._images:
                made, manifest = image.documents, parse_manifest(image.documents.manifest)
                said = image.says(notes, "manifest")
                layers = stack.enter_context(repacked(self._store, manifest.layers, wanted, image.inherited, advanced))
                if layers.files or said:
                    said = dict(sorted({**manifest.annotations, **said}.items()))
                    manifest = msgspec.structs.replace(manifest, layers=layers.layers, annotations=said)
                    made = Documents(made.config, encode(manifest))
                described = made.described
                own |= {made.id: made.config, described.digest: made.manifest}
                files |= layers.files
                saved.append(
                    SavedImage(
                        manifest,
                        described.digest,
                        described.size,
                        image.config.platform,
                        () if self._several else names,
                        annotations=image.says(notes, "manifest-descriptor"),
                    )
                )
            if not self._several:
                write_archive(saved, open_blob, write)
                return described
            about = {kind: {n.key: n.value for n in notes if n.kind == kind} for kind in ("index", "index-descriptor")}
            every = tuple(image.digest for image in saved)
            group = Grouping(every, names, about["index"], about["index-descriptor"])
            return write_archive(saved, open_blob, write, [group])
