"""``kist system migrate``."""

import os

from kist.cli.option import Command, Option
from kist.cli.units import binary_size
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.engine.migration import Migration


def run(context: "Context", arguments: "Arguments") -> int:
    """Convert the data root's files to another storage, in this process: no engine may have it open meanwhile."""
    after = arguments.text("storage_driver")
    if not after:
        raise UsageError("say which storage it is to have", hint="--storage-driver overlay, btrfs, copy or loop")
    from kist.cli.commands.engine import stop  # noqa: PLC0415 - for this verb only
    from kist.client.start import make_run_root  # noqa: PLC0415 - the same
    from kist.engine import migration, rootless  # noqa: PLC0415 - the same
    from kist.spec.roots import data_root, run_root  # noqa: PLC0415 - the same

    uid = os.getuid()
    data, run_directory = (os.path.abspath(find(context.environment, uid)) for find in (data_root, run_root))
    stop(context, told=False)
    make_run_root(run_directory)
    rootless.enter(run_directory, data, mounts_too=False)
    os.umask(0o022)
    with migration.opened(data, running=arguments.flag("dry_run")) as (store, living):
        if store.storage.name == after:
            context.say(f"{data} keeps its files by the storage {after} already")
            return 0
        if arguments.flag("dry_run"):
            context.say(_told(migration.survey(store, after)))
            if living:
                context.say(
                    f"before that {_count(len(living), 'container')} would have to be stopped: "
                    f"{', '.join(identity[:12] for identity in living)}"
                )
            return 0
        done = migration.migrate(store, after, lambda what, number, count: context.note(f"{number}/{count} {what}"))
    context.say(f"{data} keeps its files by the storage {after} now, and not by {done.before}")
    return 0


def _told(found: "Migration") -> str:
    what = f"{_count(found.layers, 'layer')} and {_count(found.containers, 'container')}"
    return (
        f"from {found.before} to {found.after}: {what} would be written anew\n"
        f"that takes {binary_size(found.needed)} beside the old files, which are removed afterwards; "
        f"{binary_size(found.free)} are free"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


COMMAND = Command(
    "system migrate",
    run,
    options=(
        Option("--storage-driver", "The storage to have: overlay, btrfs, copy or loop", "DRIVER"),
        Option("--dry-run", "Only tell what would be done, and the space that it takes"),
    ),
    about="Converts the files of all images and containers, and stops the engine for that; no container may run. "
    "Whoever ends it half-way has the old files as they were, and can run it again.",
)
