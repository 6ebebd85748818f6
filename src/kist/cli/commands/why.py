"""``kist why``."""

from kist.cli import values
from kist.cli.nouns.insight import step_text
from kist.cli.option import Command, Option
from kist.cli.table import one_line, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_NOT_FOUND = 1  # as grep
_MOST_OTHERS = 4


def run(context: "Context", arguments: "Arguments") -> int:
    """Print each package, its images, the step that brought it, and who has it from there; 1 where there is none."""
    found = context.wire.call("GET", "/kist/why", [("package", arguments.operands[0])])
    if arguments.text("format") == "json":
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this form only

        context.say(dumps(found))
    elif arguments.flag("quiet"):
        names = {name_of(image): None for match in found["matches"] for image in _images(match)}
        for name in names:
            context.say(name)
    else:
        _tell(context, found)
    return 0 if found["matches"] else _NOT_FOUND


def _images(match: "dict[str, Any]") -> "list[dict[str, Any]]":
    return [image for holder in match["holders"] for image in (holder["image"], *holder.get("heirs", ()))]


def name_of(image: "dict[str, Any]") -> str:
    """How people call an image: by its first name, else by its id."""
    return str(image["names"][0]) if image["names"] else str(image["id"]).removeprefix("sha256:")[:12]


def _tell(context: "Context", found: "dict[str, Any]") -> None:
    bold, dim, off = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if context.colour(1) else ("", "", "")
    width = max(40, context.width())
    for number, match in enumerate(found["matches"]):
        package = match["package"]
        source = (
            f" of {package['source']} {package.get('source_version', '')}".rstrip() if package.get("source") else ""
        )
        about = f"{package['type']}{', ' + package['architecture'] if package.get('architecture') else ''}{source}"
        context.say(
            ("\n" if number else "") + f"{bold}{one_line(package['name'])} {one_line(package['version'])}{off}  "
            f"{dim}{one_line(about)}{off}"
        )
        for holder in match["holders"]:
            step = holder["step"]
            context.say(f"  {bold}{name_of(holder['image'])}{off}")
            context.say(shorten(f"    layer {step['number']}: {step_text(step)}", width))
            heirs = holder.get("heirs", ())
            for position, heir in enumerate(heirs):
                branch = "└─" if position == len(heirs) - 1 else "├─"
                context.say(f"    {branch} {name_of(heir)}  {dim}stands on it{off}")
    for each in found.get("skipped", ()):
        context.warn(f"/{each['path']}: {each['why']}")
    if not found["matches"]:
        images = found["images"]
        context.note(
            f"{one_line(found['asked'])}: in none of {images} image{'' if images == 1 else 's'}{_others(found)}"
        )


def _others(found: "dict[str, Any]") -> str:
    """Versions that are here, where only these are not as asked for."""
    names = list(
        dict.fromkeys(f"{one_line(each['name'])} {one_line(each['version'])}" for each in found.get("others", ()))
    )
    more = f" and {len(names) - _MOST_OTHERS} more" if len(names) > _MOST_OTHERS else ""
    return f"; here is {', '.join(names[:_MOST_OTHERS])}{more}" if names else ""


COMMAND = Command(
    "why",
    run,
    "PACKAGE[<VERSION]",
    least=1,
    most=1,
    options=(
        Option("--format", "text or json (default: text)", "FORM", parse=values.choice("text", "json")),
        Option("-q --quiet", "Names of images only"),
    ),
    about="Which images here have a package: by which layer and line of the Dockerfile, and which images have it "
    "because they stand on that one. A package is found by its own name or by that of its source (openssl finds "
    "libssl3); * stands for anything, pypi: or another type before the name limits it. = != < <= > >= compare by the "
    "rules of its ecosystem, several with commas between. Exit code 1: no image has it.",
    examples=("kist why openssl", "kist why 'openssl<3.0.15'", "kist why 'pypi:requests>=2,<2.32' --format json"),
)
