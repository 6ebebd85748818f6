"""Named contexts (``--build-context``): what FROM and ``--from`` find by a name in place of an image or a stage."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from kist.build import repository
from kist.build.tree import Tree
from kist.build.upload import receive_context
from kist.build.work import opened
from kist.engine.stop import Stop
from kist.errors import Corrupt, Forbidden, InvalidInput, NotFound
from kist.spec.mount import Mount
from kist.spec.platform import Platform
from kist.spec.provision import Provision
from kist.spec.reference import comparable

if TYPE_CHECKING:
    from kist.engine.engine import Engine

WHAT_IT_IS = "a context is a directory, docker-image://IMAGE, oci-layout://PATH or a URL"
TREE = ""
"""What ``NamedContexts.find`` says of a context that is files and no image."""
_IMAGE, _LAYOUT, _LOCAL = "docker-image://", "oci-layout:", "local:"


class NamedContexts:
    """The contexts of one build; a context manager, which keeps what has come of them until its end.

    Args:
        engine: has images, and a place for files.
        contexts: by name: ``docker-image://IMAGE``, a URL, ``local:``, ``oci-layout:TAG`` or ``oci-layout:@DIGEST``.
        given: has the last two.
    """

    def __init__(self, engine: "Engine", contexts: Mapping[str, str], given: Provision) -> None:
        self._engine = engine
        self._contexts = {comparable(name): (name, value) for name, value in contexts.items()}
        self._given = given
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._images: dict[tuple[str, str], str] = {}
        self._directories: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, name: str, platform: Platform) -> str | None:
        """What stands for a name: an image by its reference or id, ``TREE``, or None where nothing does.

        Of an image of a layout that is there for several platforms, it is the one for ``platform``.

        Raises:
            KistError: it cannot be had.
        """
        found = self._contexts.get(comparable(name))
        if found is None:
            return None
        given, value = found
        if value.startswith(_IMAGE):
            return value.removeprefix(_IMAGE)
        if not value.startswith(_LAYOUT):
            return TREE
        key = (given, str(platform))
        if key not in self._images:
            which = value.removeprefix(_LAYOUT)
            with self._received(given) as stream:
                what = f"the build context {given}"
                image = self._engine.catalogue.load_one(stream, which, what, platform)
            self._images[key] = str(image.id)
        return self._images[key]

    @contextmanager
    def tree(self, name: str, stop: Stop) -> Iterator[Tree]:
        """The files of a context, which come when they are first asked for; from any thread.

        Raises:
            KistError: they cannot be had.
        """
        with self._lock:
            if name not in self._directories:
                directory = self._stack.enter_context(self._engine.store.temporary())
                self._directories[name] = self._fetch(name, directory, stop)
        with opened([Mount.bind(self._directories[name], "", read_only=True)]) as root:
            yield Tree(root, f'the build context "{name}"', confined=True)

    @contextmanager
    def _received(self, given: str) -> Iterator[BinaryIO]:
        """What the client sends of a directory. Where that is cut short, the client is asked why.

        Raises:
            KistError: the client's own; ``Unavailable`` where it has gone.
        """
        try:
            with self._given.open("context", given) as connection, connection.makefile("rb") as stream:
                yield cast("BinaryIO", stream)
        except (Corrupt, InvalidInput, NotFound):
            self._given.check()
            self._given.open("context", given).close()
            raise

    def _fetch(self, name: str, directory: str, stop: Stop) -> str:
        given, value = self._contexts[comparable(name)]
        if value == _LOCAL:
            with self._received(given) as stream:
                receive_context(stream, directory, whole=True)
            return directory
        from kist.build.remote import fetch  # noqa: PLC0415 - urllib, for the few who build so

        if not self._engine.catalogue.may_fetch:
            raise Forbidden("only the engine's own user may have it fetch a build context", hint="give a directory")
        if not (repository.is_repository(value) or value.startswith(("http://", "https://"))):
            raise InvalidInput(f"the build context {given}={value} is none", hint=WHAT_IT_IS)
        return fetch(value, directory, "Dockerfile", stop).directory
