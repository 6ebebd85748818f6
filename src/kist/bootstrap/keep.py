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
_MOST_GONE = 100


def keep_lock(engine: "Engine", image: Image, text: str) -> None:
    """Put the lock beside the image, and forget the locks of images that have long been gone.

    An image that was given up for want of space is made again by its lock.
    """
    directory = _directory(engine)
    os.makedirs(directory, exist_ok=True)
    descriptor, path = tempfile.mkstemp(dir=directory)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path, os.path.join(directory, image.id.hex + _SUFFIX))
    known = {each.id.hex + _SUFFIX for each in engine.catalogue.list()} | {image.id.hex + _SUFFIX}
    gone = [f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(_SUFFIX) and name not in known]
    for old in sorted(gone, key=_age)[:-_MOST_GONE]:
        with suppress(FileNotFoundError):
            os.unlink(old)


def _age(path: str) -> float:
    """When a file was written; the beginning of time for one that is gone."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def lock_of(engine: "Engine", image: str | Image) -> str:
    """The text of the lock that an image, or the base it was built on, was made from.

    Raises:
        NotFound: there is no such image, or Kist did not bootstrap its base.
    """
    found = engine.catalogue.get(image)
    with suppress(FileNotFoundError), open(lock_path(engine, found.id), encoding="utf-8") as file:
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


def lock_path(engine: "Engine", identity: Digest) -> str:
    """Where the lock of an image is, or would be."""
    return os.path.join(_directory(engine), identity.hex + _SUFFIX)
