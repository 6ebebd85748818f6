"""The lock of an image: beside it under the data root, and inside it."""

import os
import tarfile
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from kist.bootstrap.contents import LOCK_PATH
from kist.errors import NotFound
from kist.spec import json
from kist.spec.digest import Digest
from kist.spec.image import Manifest
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_SUFFIX = ".lock"


def keep_lock(engine: "Engine", image: Image, text: str) -> None:
    """Put the lock beside the image, and forget the locks of images that are gone."""
    directory = _directory(engine)
    os.makedirs(directory, exist_ok=True)
    descriptor, path = tempfile.mkstemp(dir=directory)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path, os.path.join(directory, image.id.hex + _SUFFIX))
    known = {image.id.hex for image in engine.catalogue.list()} | {image.id.hex}
    for name in os.listdir(directory):
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) not in known:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def lock_of(engine: "Engine", image: str | Image) -> str:
    """The text of the lock that an image, or the base it was built on, was made from.

    Raises:
        NotFound: there is no such image, or Kist did not bootstrap its base.
    """
    found = engine.catalogue.get(image)
    with suppress(FileNotFoundError), open(_path(engine, found.id), encoding="utf-8") as file:
        return file.read()
    return _lock_inside(engine, found)


def _lock_inside(engine: "Engine", image: Image) -> str:
    manifest = json.decode(engine.store.blobs.read(image.manifest), Manifest, what="manifest")
    for layer in manifest.layers[:1]:
        with engine.store.blobs.open(layer.digest) as blob, tarfile.open(fileobj=blob, mode="r|*") as tar:
            for member in tar:
                if member.name.removeprefix("./") == LOCK_PATH and member.isreg():
                    content = tar.extractfile(member)
                    assert content is not None, "a regular file has content"
                    return content.read().decode()
    raise NotFound(
        f"the image {image.id.short} holds no lock",
        hint="only images made by kist bootstrap, and those built on them, do",
    )


def _directory(engine: "Engine") -> str:
    return os.path.join(engine.store.root, "locks")


def _path(engine: "Engine", identity: Digest) -> str:
    return os.path.join(_directory(engine), identity.hex + _SUFFIX)
