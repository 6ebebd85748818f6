"""``kist inspect``."""

from kist.cli.common import container_path, image_path, try_call
from kist.cli.option import Command, Option
from kist.cli.unsupported import FORMAT
from kist.cli.values import choice
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Look for containers, then for images."""
    return _inspect(context, arguments, arguments.text("type"))


def run_container(context: "Context", arguments: "Arguments") -> int:
    """Look for containers only."""
    return _inspect(context, arguments, "container")


def run_image(context: "Context", arguments: "Arguments") -> int:
    """Look for images only."""
    return _inspect(context, arguments, "image")


def _inspect(context: "Context", arguments: "Arguments", kind: str) -> int:
    """Print an array with what was found; 1 when something was not."""
    import json  # noqa: PLC0415 - for the indented form, which the lean one does not have

    found: list[Any] = []
    failures: list[KistError] = []
    for name in arguments.operands:
        try:
            found.append(_look_up(context, name, kind))
        except KistError as error:
            failures.append(error)
    context.say(json.dumps(found, indent=4, ensure_ascii=False))
    for failure in failures:
        context.fail(failure)
    return 1 if failures else 0


def _look_up(context: "Context", name: str, kind: str) -> "Any":
    paths = {"container": container_path(name, "json"), "image": image_path(name, "json")}
    for word, path in paths.items():
        if kind in {"", word}:
            found = try_call(context, path)
            if found is not None:
                return found
    raise NotFound(f"no such {kind or 'object'}: {name}", hint="'kist ps -a' and 'kist images' list what there is")


COMMAND = Command(
    "inspect",
    run,
    "NAME|ID [NAME|ID...]",
    least=1,
    options=(
        Option("--type", "Look for a container or an image only", "KIND", parse=choice("container", "image")),
        FORMAT,
    ),
)

CONTAINER = Command("container inspect", run_container, "CONTAINER [CONTAINER...]", least=1, options=(FORMAT,))
IMAGE = Command("image inspect", run_image, "IMAGE [IMAGE...]", least=1, options=(FORMAT,))
