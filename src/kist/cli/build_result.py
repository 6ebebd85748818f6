"""What a build came to: for people, and in the files that programs read (``--iidfile``, ``--metadata-file``)."""

from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.jobs import Event

_TYPES = frozenset({"manifest", "index", "manifest-descriptor", "index-descriptor"})


def parse_annotation(text: str) -> "tuple[str, str]":
    """``KEY=VALUE`` or ``manifest:KEY=VALUE``, of the image's manifest.

    Raises:
        ValueError: it is none, or it is of something else.
    """
    words, equals, value = text.partition("=")
    types, colon, key = words.rpartition(":")
    if not equals or not key:
        raise ValueError("an annotation is KEY=VALUE")
    for kind in types.split(",") if colon else ():
        name, _, platform = kind.partition("[")
        if name not in _TYPES:
            raise ValueError(f"unknown annotation type {name!r}: Kist annotates the manifest")
        if name != "manifest" or platform:
            where = f"an image index: {name!r} is not supported" if name != "manifest" else "several platforms"
            raise ValueError(f"Kist builds one image for one platform, not {where}; leave the type out")
    return key, value


def tell(context: "Context", arguments: "Arguments", finished: "Event", seconds: float, *, quiet: bool) -> None:
    """Write the files that are asked for; tell the image's id, its names, where else it went, and the time."""
    outputs = arguments.all("output")
    if path := arguments.text("iidfile"):
        _write(path, _identity(finished, outputs), "the image's id")
    if path := arguments.text("metadata_file"):
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for --metadata-file only

        _write(path, dumps(metadata(finished, outputs)) + "\n", "what came of the build")
    if quiet:
        if finished["image_id"] and not (outputs and _takes_stdout(outputs)):
            context.say(finished["image_id"])
        return
    places = _places(outputs) if outputs else []
    names = ", ".join([*map(familiar, finished["references"]), *places])
    bold, off = ("\x1b[1m", "\x1b[0m") if context.colour(2) else ("", "")
    identity = finished["image_id"].partition(":")[2][:12]
    told = [f"{bold}{identity}{off}", names or "no new name"] if identity else [f"{bold}{names or 'done'}{off}"]
    context.note("  ".join((*told, f"{seconds:.1f}s")))


def _takes_stdout(outputs: "list[Any]") -> bool:
    from kist.spec.outputs import STDOUT  # noqa: PLC0415 - for -o only

    return any(output.dest == STDOUT for output in outputs)


def _places(outputs: "list[Any]") -> "list[str]":
    from kist.spec.outputs import SENT, STDOUT  # noqa: PLC0415 - for -o only

    return [output.dest for output in outputs if output.type in SENT and output.dest != STDOUT]


def familiar(name: str) -> str:
    """A full reference as people write it: ``debian:12``."""
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name


def metadata(finished: "Event", outputs: "list[Any]") -> "dict[str, Any]":
    """What ``docker buildx build --metadata-file`` tells of an image; of files alone there is nothing to tell."""
    identity, manifest = _identity(finished, outputs), finished.get("manifest")
    if not identity or not manifest:
        return {}
    names = finished["references"] or [name for each in outputs for name in each.attributes.get("name", "").split(",")]
    told = {
        "containerimage.config.digest": identity,
        "containerimage.descriptor": manifest,
        "containerimage.digest": manifest["digest"],
        "image.name": ",".join(filter(None, names)),
    }
    return {key: value for key, value in told.items() if value}


def _identity(finished: "Event", outputs: "list[Any]") -> str:
    """The id of the image that is somewhere now; empty where there is none."""
    if not finished["image_id"] and outputs:
        from kist.spec.outputs import ARCHIVES  # noqa: PLC0415 - for -o only

        if any(output.type in ARCHIVES for output in outputs):
            return str(finished["image"]["id"])
    return str(finished["image_id"])


def _write(path: str, text: str, what: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInput(f"{what} cannot be written to {path!r}: {error.strerror}", hint=text) from None
