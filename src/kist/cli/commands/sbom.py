"""``kist sbom``."""

from kist.cli import values
from kist.cli.common import image_path
from kist.cli.listing import QUIET, Output
from kist.cli.nouns.insight import PACKAGE
from kist.cli.option import Arguments, Command, Option
from kist.cli.output_file import write_document
from kist.errors import Forbidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context

FORMS = ("spdx", "cyclonedx")


def run(context: "Context", arguments: Arguments) -> int:
    """Print the packages, or write the document and attach it."""
    form = arguments.text("format") or "table"
    if form in FORMS:
        return _document(context, arguments, form)
    name = arguments.operands[0]
    found = context.wire.call("GET", f"/kist{image_path(name, 'packages')}")
    if form == "json":
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this form only

        write_document(context, (dumps(found) + "\n").encode(), arguments.text("output"))
        return 0
    steps = {step["number"]: step for step in found["layers"]}
    rows = [{**each, "step": steps[each["layer"]]} for each in found["packages"]]
    plain = Arguments({key: value for key, value in arguments.values.items() if key != "format"}, ())
    output = Output(context, PACKAGE, plain)
    write_document(context, output.text(rows).encode(), arguments.text("output"))
    for each in found.get("skipped", ()):
        context.warn(f"/{each['path']}: {each['why']}")
    if not rows:
        context.note("no database of packages was found in it")
    return 0


def _document(context: "Context", arguments: Arguments, form: str) -> int:
    path = f"/kist{image_path(arguments.operands[0], 'sbom')}"
    attach = not arguments.flag("no_attach")
    try:
        document = context.wire.request("POST" if attach else "GET", path, [("format", form)]).read()
    except Forbidden as error:
        if not attach:
            raise
        context.warn(f"it is not attached to the image: {error.message}")
        document = context.wire.request("GET", path, [("format", form)]).read()
    write_document(context, document, arguments.text("output"))
    return 0


COMMAND = Command(
    "sbom",
    run,
    "IMAGE",
    least=1,
    most=1,
    options=(
        Option("--format", "spdx, cyclonedx, table or json (default: table)", "FORM",
               parse=values.choice(*FORMS, "table", "json")),
        Option("-o --output", "Write to FILE rather than to standard output", "FILE"),
        Option("--no-attach", "Do not keep the document beside the image"),
        Option("--no-trunc", "Whole steps"),
        QUIET,
    ),
    about="Packages of dpkg, apk, rpm, pip, npm, conda and of Java archives are found, each with the layer that it "
    "came with; an image is gone through once. A document (SPDX 2.3 or CycloneDX 1.6, JSON) is always the same for "
    "the same image. It is attached to the image as an OCI referrer, which changes nothing of the image: kist image "
    "referrers lists it, and kist save takes it along.",
    examples=("kist sbom debian:12", "kist sbom --format spdx -o debian.spdx.json debian:12"),
)  # fmt: skip
