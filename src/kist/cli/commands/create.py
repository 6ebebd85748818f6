"""``kist create``."""

from kist.cli.commands import run as run_verb
from kist.cli.common import working_directory
from kist.cli.container_options import CONTAINER_OPTIONS, DRY_RUN
from kist.cli.create_body import create_body
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Create and print the id."""

    def act() -> int:
        body = create_body(arguments, context.environment, working_directory())
        if arguments.flag("dry_run"):
            return run_verb.dry_run(context, body)
        body.update(run_verb.attached_streams(arguments, body))
        context.say(run_verb.create(context, arguments, body))
        return 0

    return run_verb.with_docker_codes(context, arguments, act)


COMMAND = Command(
    "create",
    run,
    "IMAGE [COMMAND] [ARG...]",
    options=(*CONTAINER_OPTIONS, DRY_RUN),
    ends_at_operand=True,
    about="Prints the container's id. 'kist start' starts it.",
)
