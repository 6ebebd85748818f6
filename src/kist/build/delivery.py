"""Where a build's result goes: images that are kept, and what is sent to the caller (``-o``)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from kist.build.sending import Made, Sender
from kist.engine.image_files import nanoseconds
from kist.engine.image_unpack import unpacked_size
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.image import Descriptor
from kist.spec.interface import Progress
from kist.spec.outputs import IMAGE, annotations
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class Built(msgspec.Struct, frozen=True):
    """What came of a build.

    Attributes:
        image: as it is kept; without an output that keeps it, as it would be. Of several, the one that has the names.
        manifest: what its manifest is; of several images that were sent, their index.
        kept: whether it is kept.
        images: one for each platform.
    """

    image: Image
    manifest: Descriptor
    kept: bool = True
    images: tuple[Image, ...] = ()


class Deliverable(msgspec.Struct, frozen=True):
    """The image of one platform: what it is made of, and what keeps it under some names."""

    made: Made
    keep: Callable[[Sequence[str]], Image]


def is_kept(options: BuildOptions) -> bool:
    """Whether a build's image is one of the engine's afterwards."""
    return not options.outputs or any(output.type == IMAGE for output in options.outputs)


def has_annotations(output: BuildOutput) -> bool:
    """Whether an output says something about its image."""
    return any(note.kind == "manifest" for note in annotations(output.attributes))


def annotations_of_kept(options: BuildOptions, made: Made) -> dict[str, str]:
    """What the outputs that are kept say about an image's manifest, besides the build."""
    notes = [note for output in options.outputs if output.type == IMAGE for note in annotations(output.attributes)]
    return made.says(notes, "manifest")


def deliver(
    engine: "Engine",
    images: Sequence[Deliverable],
    named: int,
    options: BuildOptions,
    tell: Progress,
    *,
    several: bool,
    epoch: int | None = None,
) -> Built:
    """Take a result where the options say.

    Args:
        engine: has the layers.
        images: one for each platform.
        named: which of them has the names; the others have them for their platforms.
        options: with the outputs.
        tell: gets what is sent, as ``OutputData``.
        several: they are one image for several platforms, even where there is one.
        epoch: of a reproducible build: the time of all files that are sent as such.

    Raises:
        KistError: what was asked for cannot be had, or nobody takes it any more.
    """
    if kept := is_kept(options):
        found = tuple(each.keep(options.references if number == named else ()) for number, each in enumerate(images))
        if len(found) > 1:
            further = {str(image.config.platform): image.id for image in found if image.id != found[named].id}
            engine.catalogue.name_for_platforms(options.references, further)
    else:
        found = tuple(_unkept(engine, each.made) for each in images)
    described = images[named].made.documents.described
    sender = Sender(engine, [each.made for each in images], options, tell, several=several, epoch=epoch)
    for number, output in enumerate(options.outputs):
        if output.sends_data:
            described = sender.send(number, output) or described
    return Built(found[named], described, kept, found)


def _unkept(engine: "Engine", made: Made) -> Image:
    size, created = unpacked_size(engine.store, made.config), nanoseconds(made.config.created)
    return Image(made.documents.id, made.documents.described.digest, (), created, size, made.config)
