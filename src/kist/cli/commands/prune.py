"""``kist container prune``, ``image prune``, ``volume prune``, ``builder prune`` and ``system prune``."""

import sys

from kist.cli.listing import a_filter, filters
from kist.cli.option import REPEAT, Command, Option
from kist.cli.units import size
from kist.cli.values import size as read_size
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.wire import Query

_SHOWN = (
    ("ContainersDeleted", "Containers"),
    ("NetworksDeleted", "Networks"),
    ("VolumesDeleted", "Volumes"),
    ("ImagesDeleted", "Images"),
    ("CachesDeleted", "build cache objects"),
)
# Options of a clean-up of the build cache, and the API's names for them.
_BOUNDS = {
    "keep_storage": "reserved-space",
    "max_used_space": "max-used-space",
    "min_free_space": "min-free-space",
}
_SURE = "Are you sure you want to continue? [y/N] "
_STOPPED = "all stopped containers"
_DANGLING = "all dangling images"
_UNUSED = "all images without at least one container associated to them"
_UNUSED_NETWORKS = "all networks not used by at least one container"
_NETWORKS = "all custom networks not used by at least one container"
_ANONYMOUS = "all anonymous volumes not used by at least one container"


class _Prune:
    """One clean-up: what it prints of the engine's answers, and their sum."""

    def __init__(self, context: "Context", arguments: "Arguments") -> None:
        self._context = context
        self._dry_run = arguments.flag("dry_run")
        self._filters = arguments.all("filter")
        self.reclaimed = 0

    def containers(self) -> None:
        self._ask("containers")

    def images(self, *, every: bool) -> None:
        given = any(name == "dangling" for name, _ in self._filters)
        self._ask("images", further=() if given else (("dangling", str(not every).lower()),))

    def volumes(self, *, every: bool) -> None:
        self._ask("volumes", further=(("all", "true"),) if every else ())

    def networks(self) -> None:
        self._ask("networks")

    def build_cache(self, *, every: bool, bounds: "Query" = ()) -> None:
        self._ask("build", [("all", 1 if every else None), *bounds])

    def survey(self, *, every: bool, volumes: bool) -> None:
        """Tell what all of them would do one after the other."""
        query = [
            ("all", 1 if every else None),
            ("volumes", 1 if volumes else None),
            ("filters", filters(self._filters)),
        ]
        self._show(self._context.wire.call("GET", "/kist/unused", query))

    def _ask(self, what: str, query: "Query" = (), further: "tuple[tuple[str, str], ...]" = ()) -> None:
        """All filters that were given go to the engine, which refuses those that it does not know."""
        chosen = filters([*self._filters, *further])
        dry_run = 1 if self._dry_run else None
        self._show(
            self._context.wire.call("POST", f"/{what}/prune", [*query, ("filters", chosen), ("dry-run", dry_run)])
        )

    def _show(self, found: "dict[str, Any]") -> None:
        self.reclaimed += int(found["SpaceReclaimed"])
        for field, what in _SHOWN:
            lines = found.get(field) or ()
            if field == "ImagesDeleted":
                lines = [f"{word.lower()}: {name}" for change in lines for word, name in change.items()]
            if lines:
                heading = f"{'Would delete' if self._dry_run else 'Deleted'} {what}:"
                self._context.write_text("\n".join((heading, *lines)) + "\n\n")

    def end(self) -> int:
        would = "Total space that would be reclaimed" if self._dry_run else "Total reclaimed space"
        self._context.say(f"{would}: {size(self.reclaimed)}")
        return 0


def agreed(context: "Context", arguments: "Arguments", warning: str, what: str = "") -> bool:
    """Whether the user wants it: -f, a dry run, or a yes. Nobody is asked about filters that cannot be.

    Raises:
        InvalidInput: a filter is unknown to a clean-up of ``what``, or its value cannot be right.
    """
    if arguments.flag("force") or arguments.flag("dry_run"):
        return True
    if what and arguments.all("filter") and _is_kists(context):
        _check(what, filters(arguments.all("filter")) or "")
    sys.stdout.write(f"WARNING! {warning}{_SURE}")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stdout.write("\n")
        context.note("kist: nothing was removed: standard input has no answer\n-f removes without asking")
    return answer.strip().lower() in {"y", "yes"}


def _is_kists(context: "Context") -> bool:
    """Whether the engine is one of Kist's; one that is somewhere else says so."""
    if context.endpoint().roots is not None:
        return True
    response = context.wire.request("GET", "/_ping")
    response.read()
    return response.headers.get("server", "").startswith("Kist")


def _check(what: str, text: str) -> None:
    """As Kist's engine reads them; what others know is theirs to say."""
    import time  # noqa: PLC0415 - for those who are asked

    from kist.spec.docker import prune  # noqa: PLC0415 - the same: it loads msgspec

    now = time.time_ns()
    match what:
        case "images":
            prune.read_image_pruning(text, now)
        case "volumes":
            prune.read_volume_pruning(text, now)
        case "build":
            prune.read_cache_pruning(text, now, every=False)
        case _:
            prune.read_container_pruning(text, now)


def prune_containers(context: "Context", arguments: "Arguments") -> int:
    """Remove stopped containers."""
    if not agreed(context, arguments, f"This will remove {_STOPPED}.\n", "containers"):
        return 0
    clean_up = _Prune(context, arguments)
    clean_up.containers()
    return clean_up.end()


def prune_images(context: "Context", arguments: "Arguments") -> int:
    """Remove images without a name, or all that no container needs."""
    every = arguments.flag("all")
    if not agreed(context, arguments, f"This will remove {_UNUSED if every else _DANGLING}.\n", "images"):
        return 0
    clean_up = _Prune(context, arguments)
    clean_up.images(every=every)
    return clean_up.end()


def prune_volumes(context: "Context", arguments: "Arguments") -> int:
    """Remove volumes that no container has."""
    every = arguments.flag("all")
    which = _ANONYMOUS.replace("all anonymous", "all local" if every else "anonymous local")
    if not agreed(context, arguments, f"This will remove {which}.\n", "volumes"):
        return 0
    clean_up = _Prune(context, arguments)
    clean_up.volumes(every=every)
    return clean_up.end()


def prune_networks(context: "Context", arguments: "Arguments") -> int:
    """Remove networks that no container is to be on."""
    if not agreed(context, arguments, f"This will remove {_NETWORKS}.\n", "networks"):
        return 0
    _Prune(context, arguments).networks()
    return 0


def prune_build_cache(context: "Context", arguments: "Arguments") -> int:
    """Forget entries of the build cache."""
    every = arguments.flag("all")
    if not agreed(context, arguments, f"This will remove all{'' if every else ' dangling'} build cache. ", "build"):
        return 0
    clean_up = _Prune(context, arguments)
    clean_up.build_cache(every=every, bounds=[(name, arguments.get(key) or None) for key, name in _BOUNDS.items()])
    return clean_up.end()


def prune_all(context: "Context", arguments: "Arguments") -> int:
    """Remove what nobody needs, of every kind."""
    every, volumes = arguments.flag("all"), arguments.flag("volumes")
    given = arguments.all("filter")
    if volumes and any(name == "until" for name, _ in given):
        raise InvalidInput('The "until" filter is not supported with "--volumes"', hint="prune in two steps")
    for name, value in given:
        if name not in {"until", "label", "label!"}:
            raise InvalidInput(f"invalid filter '{name}={value}'", hint="the filters are until, label and label!")
    if not agreed(context, arguments, _warning(given, every=every, volumes=volumes), "all"):
        return 0
    clean_up = _Prune(context, arguments)
    if arguments.flag("dry_run"):
        clean_up.survey(every=every, volumes=volumes)
        return clean_up.end()
    clean_up.containers()
    clean_up.networks()
    if volumes:
        clean_up.volumes(every=False)
    clean_up.images(every=every)
    clean_up.build_cache(every=every)
    return clean_up.end()


def _warning(given: "list[tuple[str, str]]", *, every: bool, volumes: bool) -> str:
    kinds = [_STOPPED, _UNUSED_NETWORKS, *([_ANONYMOUS] if volumes else []), _UNUSED if every else _DANGLING]
    kinds.append("all build cache" if every else "unused build cache")
    lines = ["This will remove:", *(f"  - {kind}" for kind in kinds)]
    if given:
        lines += ["", "  Items to be pruned will be filtered with:", *(f"  - {name}={value}" for name, value in given)]
    return "\n".join(lines) + "\n\n"


_FORCE = Option("-f --force", "Remove without asking")
_DRY_RUN = Option("--dry-run", "Print what would go, and how much space that would give back")
_FILTER = Option("--filter", "Only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", "NAME=VALUE",
                 kind=REPEAT, parse=a_filter)  # fmt: skip

CONTAINERS = Command("container prune", prune_containers, options=(_FILTER, _FORCE, _DRY_RUN))
IMAGES = Command(
    "image prune",
    prune_images,
    options=(Option("-a --all", "Those with a name too, if no container was made of them"), _FILTER, _FORCE, _DRY_RUN),
)
VOLUMES = Command(
    "volume prune",
    prune_volumes,
    options=(
        Option("-a --all", "Those with a name too"),
        Option("--filter", "Only what fits: label=KEY[=VALUE], label!=KEY[=VALUE]", "NAME=VALUE", kind=REPEAT,
               parse=a_filter),
        _FORCE,
        _DRY_RUN,
    ),
    examples=("kist volume prune --dry-run -a", "kist volume prune -a --filter label!=keep"),
)  # fmt: skip
NETWORKS = Command(
    "network prune",
    prune_networks,
    options=(_FILTER, _FORCE, Option("--dry-run", "Print what would go")),
    about="A network that a container is to be on is kept, be it a stopped one.",
)
CACHE = Command(
    "builder prune",
    prune_build_cache,
    options=(
        Option("-a --all", "What images have too, so that the next build begins from nothing"),
        Option(
            "--filter",
            "Only what fits: until=TIME (not used since), id=START",
            "NAME=VALUE",
            kind=REPEAT,
            parse=a_filter,
        ),
        _FORCE,
        Option("--reserved-space --keep-storage", "Stop when the cache is down to SIZE", "SIZE", parse=read_size),
        Option("--max-used-space", "Remove only what is above SIZE", "SIZE", parse=read_size),
        Option("--min-free-space", "Stop when SIZE of the disk is free", "SIZE", parse=read_size),
        _DRY_RUN,
    ),
)
SYSTEM = Command(
    "system prune",
    prune_all,
    options=(
        Option("-a --all", "All images that no container was made of, not only those without a name"),
        _FILTER,
        _FORCE,
        Option("--volumes", "Volumes that nobody named and no container has, too"),
        _DRY_RUN,
    ),
    examples=("kist system prune --dry-run", "kist system prune -af --filter until=240h"),
)
