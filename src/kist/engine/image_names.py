"""How an image is named: by reference, by id, by the start of an id."""

import difflib
import re

from kist.errors import InvalidInput, NotFound
from kist.spec.digest import Digest
from kist.spec.reference import Reference
from kist.spec.summary import Image
from kist.store import Records

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


def find_image(records: Records, name: str | Image) -> Image:
    """The image of this name.

    A reference goes before the start of an id; a whole id goes before both.

    Raises:
        NotFound: there is none; the hint has names that look alike.
        InvalidInput: several ids begin so.
    """
    text = name.id if isinstance(name, Image) else name
    hexadecimal = _HEX.match(text)
    found = None
    if hexadecimal and len(hexadecimal[1]) == 64:
        found = records.image(Digest(f"sha256:{hexadecimal[1]}"))
    if found is None and (identity := _by_reference(records, text)):
        found = records.image(identity)
    if found is None and hexadecimal:
        found = _by_prefix(records, hexadecimal[1])
    if found is None:
        raise _missing(records, text)
    return found


def find_reference(image: Image, name: str | Image) -> str:
    """The full reference that ``name`` is, of this image; empty when the image was named by its id."""
    if isinstance(name, Image):
        return ""
    try:
        full = str(Reference.parse(name))
    except InvalidInput:
        return ""
    return full if full in image.references else ""


def _by_reference(records: Records, text: str) -> Digest | None:
    try:
        reference = Reference.parse(text)
    except InvalidInput:
        return None
    if reference.digest is None:
        return records.reference(str(reference))
    for image in records.images():
        names = {Reference.parse(name).name for name in image.references}
        if reference.digest in {image.manifest, image.id} and reference.name in names:
            return image.id
    return None


def _by_prefix(records: Records, prefix: str) -> Image | None:
    ids = records.image_ids(f"sha256:{prefix}")
    if len(ids) > 1:
        raise InvalidInput(f"ambiguous image ID prefix: {prefix}", hint="write more digits of the id")
    return records.image(ids[0]) if ids else None


def _missing(records: Records, text: str) -> NotFound:
    known = sorted(Reference.parse(name).familiar.removesuffix(":latest") for name in records.references())
    near = difflib.get_close_matches(text.removesuffix(":latest"), known, n=3, cutoff=0.5)
    hint = "did you mean " + ", ".join(near) + "?" if near else "`kist images` lists what is here"
    shown = text if ":" in text or _HEX.match(text) else f"{text}:latest"
    return NotFound(f"No such image: {shown}", hint=hint)
