"""``kist context use``, ``kist context show`` and ``kist context rm``."""

from kist.cli.option import Command, Option
from kist.client.contexts import Store
from kist.client.endpoint import DEFAULT, read_config
from kist.errors import Conflict, InvalidInput, KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def use(context: "Context", arguments: "Arguments") -> int:
    """Make a context the current one."""
    [name] = arguments.operands
    Store(context.config).use(name)
    context.say(name)
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "KIST_RUN"):
        if context.environment.get(variable):
            context.warn(
                f"{variable} is set, and goes before the current context; to use {name!r}, unset it or write -c {name}"
            )
            break
    context.note(f'Current context is now "{name}"')
    return 0


def show(context: "Context", arguments: "Arguments") -> int:  # noqa: ARG001 - every verb's signature
    """Print the name of the context that holds."""
    context.say(context.context_name())
    return 0


def remove(context: "Context", arguments: "Arguments") -> int:
    """Remove contexts, each with its certificates; 1 when one was not removed."""
    store = Store(context.config)
    code = 0
    for name in arguments.operands:
        try:
            _remove(context, store, name, force=arguments.flag("force"))
        except KistError as error:
            context.fail(error)
            code = 1
        else:
            context.say(name)
    return code


def _remove(context: "Context", store: Store, name: str, *, force: bool) -> None:
    if name == DEFAULT:
        raise InvalidInput('context "default" cannot be removed', hint="it is what holds without a context")
    if not force:
        store.get(name)
    if read_config(context.config).get("currentContext") == name:
        if not force:
            raise Conflict(f'context "{name}" is in use', hint="-f removes it, and the default one holds then")
        store.use(DEFAULT)
    store.remove(name)


COMMAND = Command(
    "context use",
    use,
    "CONTEXT",
    least=1,
    most=1,
    about="It holds for every command without -H, -c, DOCKER_HOST, DOCKER_CONTEXT and KIST_RUN, of Kist and of Docker, "
    "which does not know KIST_RUN. `default` is what there is without contexts.",
)
SHOW = Command("context show", show)
RM = Command(
    "context rm",
    remove,
    "CONTEXT...",
    least=1,
    options=(Option("-f --force", "Also the current one, and no error for one that is not there"),),
)
