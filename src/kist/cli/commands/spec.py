"""``kist spec``."""

import os

from kist.cli.commands.run import with_docker_codes
from kist.cli.common import working_directory
from kist.cli.container_options import CONTAINER_OPTIONS
from kist.cli.create_body import create_body
from kist.cli.option import Command, Option
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the bundle, or print its configuration."""
    body = create_body(arguments, context.environment, working_directory())
    alone = arguments.flag("config_only")
    if not alone and not context.wire.endpoint.socket:
        raise UsageError("a bundle is written where the engine is, and this one is on another machine", command="spec",
                         hint="print the configuration alone with --config-only, or run `kist spec` there")  # fmt: skip
    directory = "" if alone else os.path.abspath(arguments.get("bundle") or ".")

    def act() -> int:
        query = [("name", arguments.get("name")), ("platform", arguments.get("platform")), ("bundle", directory)]
        config = context.wire.call("POST", "/kist/spec", query, body)
        if alone:
            import json  # noqa: PLC0415 - for this verb only

            context.say(json.dumps(config, indent=2, ensure_ascii=False))
        return 0

    return with_docker_codes(context, arguments, act)


COMMAND = Command(
    "spec",
    run,
    "IMAGE [COMMAND] [ARG...]",
    options=(
        *CONTAINER_OPTIONS,
        Option("-b --bundle", "Directory to write to, made where it is missing (default: the current one)", "DIR"),
        Option("--config-only", "Print config.json, and write nothing"),
    ),
    ends_at_operand=True,
    about="Writes the OCI bundle of the container that 'kist run' would start with these options: config.json, and in "
    "rootfs/ the image's files. An OCI runtime runs it as it is: 'runc run --bundle DIR NAME'. A bundle belongs to no "
    "engine: with a network of its own it has no address.",
)
