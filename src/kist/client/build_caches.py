"""Directories with the step cache of builds (``type=local``): brought to the engine, and written from it."""

import os

from kist.client.tarhead import BLOCK, DIRECTORY, END, EXTENDED, FILE, header, padding
from kist.errors import InvalidInput, NotFound
from kist.spec.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from kist.client.jobs import Event, Show
    from kist.client.wire import Wire
    from kist.spec.build_cache import Caches

_READ = 1 << 20
_SMALL = ("oci-layout", "index.json")


def around(wire: "Wire", caches: "Caches", work: "Callable[[Show], Event]") -> "Callable[[Show], Event]":
    """A build with the directories of its caches: those to take from before it, those to write to after it."""

    def build(show: "Show") -> "Event":
        keys: dict[str, list[str]] = {}

        def listen(event: "Event") -> None:
            if event["type"] == "cache-kept":
                keys[event["mode"]] = event["keys"]
            show(event)

        for directory in caches.directories:
            bring(wire, directory)
        finished = work(listen)
        for directory, mode in caches.targets:
            fetch(wire, keys.get(mode, []), directory)
        return finished

    return build


def bring(wire: "Wire", directory: str) -> int:
    """Have the engine know the steps of a directory; how many. Only layers that it lacks are sent.

    Raises:
        NotFound: there is no cache in the directory.
        InvalidInput: it cannot be read.
    """
    manifest, needed = _read(directory)
    layers = [str(layer["digest"]) for layer in manifest["layers"]]
    lacking = wire.call("POST", "/kist/build/cache/lacking", value={"digests": layers})["digests"]
    paths = [*_SMALL, *map(_path, dict.fromkeys([*needed, *lacking]))]
    answer = wire.request("POST", "/kist/build/cache", body=_packed(directory, paths))
    return int(loads(b"".join(answer))["steps"])


def fetch(wire: "Wire", keys: "list[str]", directory: str) -> None:
    """Write the steps of these keys into a directory; ``index.json`` comes last, so that all that it names is there.

    Raises:
        InvalidInput: it cannot be written.
    """
    from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this alone

    body = dumps({"keys": keys}).encode()
    answer = wire.request("POST", "/kist/build/cache/save", body=body, headers=(("Content-Type", "application/json"),))
    try:
        _unpack(iter(answer), directory)
    except OSError as error:
        raise InvalidInput(f"the build cache cannot be written to {directory}: {error.strerror}") from error


def _read(directory: str) -> "tuple[dict[str, Any], list[str]]":
    """The manifest, and the digests of what is no layer."""
    index = _json(directory, "index.json")
    found = [each["digest"] for each in index.get("manifests", ()) if "digest" in each]
    for digest in found:
        manifest = _json(directory, _path(digest))
        if manifest.get("config", {}).get("mediaType") == "application/vnd.kist.build.cache.v1+json":
            return manifest, [digest, manifest["config"]["digest"]]
    raise InvalidInput(
        f"{directory} is an image layout, and no build cache is in it",
        hint="a cache that another builder has written cannot be taken: its steps have other keys",
    )


def _json(directory: str, name: str) -> "dict[str, Any]":
    try:
        with open(os.path.join(directory, name), "rb") as file:
            found = loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no build cache in {directory}: {name} is missing",
            hint="write one with --cache-to type=local,dest=DIRECTORY",
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{directory}/{name} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _packed(directory: str, paths: "list[str]") -> "Iterator[bytes]":
    for name in ("blobs", "blobs/sha256"):
        yield header(DIRECTORY, name, mode=0o755)
    for path in paths:
        with open(os.path.join(directory, path), "rb") as file:
            left = os.fstat(file.fileno()).st_size
            yield header(FILE, path, mode=0o644, size=left)
            size = left
            while left and (data := file.read(min(left, _READ))):
                left -= len(data)
                yield data
            yield padding(size)
    yield END


def _unpack(stream: "Iterator[bytes]", directory: str) -> None:
    """The files of the engine's tar: plain members with short names, which it has made a moment ago."""
    held = b""

    def take(size: int) -> bytes:
        nonlocal held
        while len(held) < size:
            more = next(stream, b"")
            if not more:
                raise InvalidInput("the engine went away before the build cache was whole")
            held += more
        taken, held = held[:size], held[size:]
        return taken

    larger = 0
    while any(block := take(BLOCK)):
        name, size, kind = block[:100].rstrip(b"\0").decode(), int(block[124:135], 8), block[156:157]
        if kind == EXTENDED:  # of a layer that is larger than the plain header can say
            record = take(size + -size % BLOCK)[:size]
            larger = int(record.partition(b"size=")[2].partition(b"\n")[0])
            continue
        size, larger = larger or size, 0
        path = os.path.join(directory, name)
        if name.startswith("/") or ".." in name.split("/"):
            raise InvalidInput(f"the engine's build cache names a file outside: {name}")
        if kind == DIRECTORY:
            os.makedirs(path, exist_ok=True)
            continue
        with open(f"{path}.part", "wb") as file:
            left = size
            while left:
                data = take(min(left, _READ))
                file.write(data)
                left -= len(data)
        os.replace(f"{path}.part", path)
        take(-size % BLOCK)
