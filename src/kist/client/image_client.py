"""The client's methods on images; the rest is ``client.client``'s."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from msgspec import structs

from kist.client import jobs
from kist.client.build_caches import around
from kist.client.caller import Caller, Query
from kist.client.changes import changes_of
from kist.client.credentials import header_for
from kist.client.destinations import Destinations
from kist.client.http1 import quote
from kist.client.lockfile import LockKeeper
from kist.client.named_contexts import split
from kist.client.offer import offer_of
from kist.client.packing import pack
from kist.client.session import Session
from kist.spec.artifact import Referrer
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.build_cache import read as read_caches
from kist.spec.docker.builds import write_steps
from kist.spec.image import ContainerConfig
from kist.spec.insight import ImageDifference, ImageTree, Slim, Why
from kist.spec.json import convert, encode
from kist.spec.package import ImagePackages
from kist.spec.progress import Event
from kist.spec.summary import Image, RemovedImage

Progress = Callable[[Event], None]


class ImageClient(Caller):
    """The half of a client that is about images; ``kist.spec.interface`` describes what all engines have."""

    # images

    def bootstrap(self, options: BootstrapOptions, *, progress: Progress | None = None) -> Image:
        """Make a base image from a distribution's signed archive."""
        finished = jobs.bootstrap(self._wire, encode(options), _typed(progress))
        return self.image(finished["image_id"])

    def build(self, context: str, options: BuildOptions | None = None, *, progress: Progress | None = None) -> Image:
        """Build the Dockerfile in the directory ``context``.

        Returns:
            The image; where no output keeps it, as it would be.

        Raises:
            ParseError: the Dockerfile; its text points at the place.
            StepFailed: a command of it; with its exit code.
        """
        chosen = options or BuildOptions()
        show = _typed(progress)
        keep = Destinations(chosen.outputs, lambda text: show({"type": "warned", "text": text})).keep
        caches = read_caches(chosen.cache_from, chosen.cache_to)
        told = structs.asdict(structs.replace(chosen, cache_from=caches.images, cache_to=caches.engine))
        query = jobs.build_query(told | {"contexts": split(chosen.contexts)[0]}) + write_steps(chosen.steps)
        logins = header_for(caches.references, os.environ)
        locked = LockKeeper(context, chosen.dockerfile, show)
        with self._given(chosen) as session:
            building = jobs.Building(
                self._wire, query + session, context, lambda: pack(context, chosen.dockerfile), logins
            )
            finished = around(self._wire, caches, lambda listen: building.follow(listen, keep))(locked)
        if identity := finished["image_id"]:
            return self.image(identity)
        return convert(finished["image"], Image, what="image")

    @contextmanager
    def _given(self, options: BuildOptions) -> Iterator[list[tuple[str, str]]]:
        """Serve what the options give a build; the query parameters of one that is to have it."""
        offer = offer_of(options, os.environ)
        if offer.is_empty:
            yield []
            return
        with offer, Session(self._wire, offer) as session:
            yield session.query

    def images(self) -> tuple[Image, ...]:
        """All images, the newest first."""
        return self._values("GET", "/images/json", tuple[Image, ...])

    def image(self, name: str | Image) -> Image:
        """One image."""
        return self._values("GET", f"{image_path(name)}/json", Image)

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image one more name; an image that had it loses it."""
        self._wire.call("POST", f"{image_path(name)}/tag", split_reference(reference))

    def remove_image(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """Take a name away, and the image with its last one."""
        return self._values("DELETE", image_path(name), RemovedImage, [("force", int(force))])

    def image_removal(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """What ``remove_image`` would do; nothing is done."""
        return self._values("DELETE", image_path(name), RemovedImage, [("dry-run", 1), ("force", int(force))])

    def import_image(
        self,
        source: BinaryIO,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make an image of one layer from a tar of a file system.

        Raises:
            Unsupported: a config that Dockerfile instructions cannot spell.
        """
        query: list[tuple[str, str | int | None]] = [
            ("fromSrc", "-"),
            *split_reference(reference),
            ("message", message),
        ]
        query.append(("platform", platform or None))
        query += [("changes", change) for change in changes_of(config or ContainerConfig())]
        return self._values("POST", "/images/create", Image, query, source=source)

    def load(self, source: BinaryIO, *, platform: str | Sequence[str] = "") -> tuple[Image, ...]:
        """Take in the images of a docker-save or OCI archive."""
        named = [platform] if isinstance(platform, str) else platform
        query: list[tuple[str, str | int | None]] = [("quiet", 1), *(("platform", each) for each in named if each)]
        return self._values("POST", "/images/load", tuple[Image, ...], query, source=source)

    def save(self, names: Sequence[str | Image], target: BinaryIO, *, platform: str | Sequence[str] = "") -> None:
        """Write images as an archive that both Docker and OCI tools read."""
        named = [platform] if isinstance(platform, str) else platform
        query: list[tuple[str, str | int | None]] = [("platform", each) for each in named if each]
        query += [("names", name if isinstance(name, str) else str(name.id)) for name in names]
        target.writelines(self._wire.request("GET", "/images/get", query))

    # what is in images

    def packages(self, name: str | Image) -> ImagePackages:
        """All packages of an image, each with the layer that it came with."""
        return self._values("GET", f"/kist{image_path(name)}/packages", ImagePackages)

    def sbom(self, name: str | Image, form: str = "spdx", *, attach: bool = False) -> bytes:
        """The bill of materials of an image, as ``spdx`` or ``cyclonedx``; with ``attach`` it is a referrer of it."""
        method = "POST" if attach else "GET"
        return self._wire.request(method, f"/kist{image_path(name)}/sbom", [("format", form)]).read()

    def referrers(self, name: str | Image) -> tuple[Referrer, ...]:
        """What is attached to an image."""
        return self._values("GET", f"/kist{image_path(name)}/referrers", tuple[Referrer, ...])

    def referrer(self, name: str | Image, digest: str) -> bytes:
        """What one of these holds."""
        return self._wire.request("GET", f"/kist{image_path(name)}/referrers/{quote(digest)}").read()

    def remove_referrer(self, name: str | Image, digest: str) -> Referrer:
        """Detach one of these."""
        return self._values("DELETE", f"/kist{image_path(name)}/referrers/{quote(digest)}", Referrer)

    def why(self, package: str) -> Why:
        """Which images have a package, by which layer, and which have it from them."""
        return self._values("GET", "/kist/why", Why, [("package", package)])

    def image_tree(self) -> ImageTree:
        """Which images stand on which, by their layers."""
        return self._values("GET", "/kist/tree", ImageTree)

    def image_difference(
        self, first: str | Image, second: str | Image, *, packages: bool = True, files: bool = True
    ) -> ImageDifference:
        """What is different between two images."""
        other = second if isinstance(second, str) else str(second.id)
        query: Query = [("with", other), ("packages", int(packages)), ("files", int(files))]
        return self._values("GET", f"/kist{image_path(first)}/difference", ImageDifference, query)

    def slim(self, name: str | Image, *, most: int = 20) -> Slim:
        """What takes the space in an image; of each list the ``most`` largest."""
        return self._values("GET", f"/kist{image_path(name)}/slim", Slim, [("most", most)])


def image_path(name: str | Image) -> str:
    """The path of an image in the API."""
    return "/images/" + quote(name if isinstance(name, str) else str(name.id))


def split_reference(reference: str) -> list[tuple[str, str | int | None]]:
    """The query parameters of a name that is to be given."""
    head, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        head, tag = reference, ""
    return [("repo", head or None), ("tag", tag or None)]


def _typed(progress: Progress | None) -> Callable[[dict[str, Any]], None]:
    """A listener to plain events that tells ``progress`` of typed ones."""

    def show(event: dict[str, Any]) -> None:
        if progress:
            progress(convert(event, Event, what="event"))  # type: ignore[arg-type]  # a union is no type to mypy

    return show
