"""``kist inspect``."""

from kist.cli.common import container_path, image_path, network_path, volume_path
from kist.cli.documents import FORMAT, with_template
from kist.cli.option import Command, Option
from kist.cli.values import choice
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.cli.template import Template
    from kist.client.wire import Query

_SIZED = [("size", 1)]


def run(context: "Context", arguments: "Arguments") -> int:
    """Look for containers, then for images, volumes and networks."""
    return _inspect(context, arguments, arguments.text("type"))


def run_container(context: "Context", arguments: "Arguments") -> int:
    """Look for containers only."""
    return _inspect(context, arguments, "container")


def run_image(context: "Context", arguments: "Arguments") -> int:
    """Look for images only."""
    return _inspect(context, arguments, "image")


def run_network(context: "Context", arguments: "Arguments") -> int:
    """Look for networks only."""
    return _inspect(context, arguments, "network")


def run_volume(context: "Context", arguments: "Arguments") -> int:
    """Look for volumes only."""
    return _inspect(context, arguments, "volume")


def _inspect(context: "Context", arguments: "Arguments", kind: str) -> int:
    """Print an array with what was found, or what the format makes of each; 1 when something was not found."""
    form = arguments.text("format")
    looked_up = _look_up_all(context, arguments, kind)
    if form and form != "json":
        return with_template(context, form, lambda template: _by_template(context, template, looked_up))
    found: list[Any] = []
    failures: list[KistError] = []
    for one in looked_up:
        (failures if isinstance(one, KistError) else found).append(one)
    import json  # noqa: PLC0415 - for the indented form, which the lean one does not have

    if form:
        context.write_text(json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n")
    else:
        context.write_text(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
    return _failed(context, failures)


def _by_template(context: "Context", template: "Template", looked_up: "Iterator[Any]") -> int:
    from kist.cli.template import typed  # noqa: PLC0415 - for those who ask for a format

    failures: list[KistError] = []
    for one in looked_up:
        if isinstance(one, KistError):
            failures.append(one)
            continue
        try:
            context.write_text(template.render(typed(one)) + "\n")
        except KistError as error:
            failures.append(error)
    return _failed(context, failures)


def _failed(context: "Context", failures: "list[KistError]") -> int:
    for failure in failures:
        context.fail(failure)
    return 1 if failures else 0


def _look_up_all(context: "Context", arguments: "Arguments", kind: str) -> "Iterator[Any]":
    """What each name means, or why it means nothing."""
    for name in arguments.operands:
        try:
            yield _look_up(context, name, kind, sized=arguments.flag("size"), platform=arguments.text("platform"))
        except KistError as error:
            yield error


def _look_up(context: "Context", name: str, kind: str, *, sized: bool, platform: str) -> "Any":
    paths = {
        "container": container_path(name, "json"),
        "image": image_path(name, "json"),
        "volume": volume_path(name),
        "network": network_path(name),
    }
    if kind:  # the engine's own words, which name what is near
        queries: dict[str, Query] = {
            "container": [("size", 1 if sized else None)],
            "image": [("platform", platform or None)],
        }
        return context.wire.call("GET", paths[kind], queries.get(kind, ()))
    hints = []
    for path in paths.values():
        try:
            return context.wire.call("GET", path, _SIZED if sized else ())
        except NotFound as error:
            hints.append(error.hint)
    near = [hint for hint in hints if hint.startswith("did you mean")]
    hint = near[0] if near else "`kist ps -a`, `kist images`, `kist volume ls` and `kist network ls` list what there is"
    raise NotFound(f"no such object: {name}", hint=hint)


PLATFORM = Option("--platform", "Only if it is for this platform: linux/arm64", "PLATFORM")
SIZE = Option("-s --size", "How much a container has written, too (SizeRw, SizeRootFs)")

COMMAND = Command(
    "inspect",
    run,
    "NAME|ID [NAME|ID...]",
    least=1,
    options=(
        FORMAT,
        SIZE,
        Option("--type", "Look for objects of this kind only", "KIND",
               parse=choice("container", "image", "network", "volume")),
    ),
    examples=(
        "kist inspect --format '{{.State.Status}} {{.State.ExitCode}}' web",
        "kist inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web",
        "kist inspect --format '{{json .Config.Labels}}' web",
    ),
)  # fmt: skip
CONTAINER = Command("container inspect", run_container, "CONTAINER [CONTAINER...]", least=1, options=(FORMAT, SIZE))
IMAGE = Command("image inspect", run_image, "IMAGE [IMAGE...]", least=1, options=(FORMAT, PLATFORM))
NETWORK = Command(
    "network inspect",
    run_network,
    "NETWORK [NETWORK...]",
    least=1,
    options=(FORMAT, Option("-v --verbose", "As Docker: of networks of a cluster (nothing more here)")),
    examples=("kist network inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{println}}{{end}}' lab",),
)
VOLUME = Command("volume inspect", run_volume, "VOLUME [VOLUME...]", least=1, options=(FORMAT,))
