"""The verbs: their names, where each lives, its heading in ``kist --help``, and what it does in one line.

The modules are imported one by one, when their verb is called.
"""

COMMON = "Containers"
IMAGES = "Images"
ENGINE = "Engine"
GROUPED = ""  # only below its group, and in the help of that

# The words that verbs are grouped by: kist container ls, kist image rm.
GROUPS: "dict[str, str]" = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "volume": "Manage volumes",
    "builder": "Manage builds",
    "context": "Manage contexts: engines by name, also on other machines",
    "system": "Manage Kist itself",
}

# (names, module under kist.cli.commands, heading, summary). The first name is the one that help shows; the others, with
# commas between, mean the same. MODULE:NAME is a description that the module does not call COMMAND.
_ROWS = (
    ("run, container run", "run", COMMON, "Create a container from an image and run it"),
    ("exec, container exec", "execute", COMMON, "Run a command in a running container"),
    ("ps, container ls, container list, container ps", "ps", COMMON, "List containers"),
    ("logs, container logs", "logs", COMMON, "Show what a container has printed"),
    ("create, container create", "create", COMMON, "Create a container without starting it"),
    ("start, container start", "start", COMMON, "Start stopped containers"),
    ("stop, container stop", "stop", COMMON, "Stop running containers"),
    ("restart, container restart", "restart", COMMON, "Stop containers, and start them again"),
    ("kill, container kill", "kill", COMMON, "Send a signal to running containers"),
    ("attach, container attach", "attach", COMMON, "Attach standard input, output and errors to a running container"),
    ("port, container port", "port", COMMON, "Show where a container's ports are published"),
    ("wait, container wait", "wait", COMMON, "Wait until containers have stopped, then print their exit codes"),
    ("rm, container rm, container remove", "rm", COMMON, "Remove containers"),
    ("pause, container pause", "pause", COMMON, "Stop all processes of containers where they are"),
    ("unpause, container unpause", "pause:UNPAUSE", COMMON, "Let paused containers go on"),
    ("update, container update", "update", COMMON, "Change limits and restart policies of containers"),
    ("top, container top", "top", COMMON, "Show the processes of a container"),
    ("stats, container stats", "stats", COMMON, "Show what containers use of CPUs, memory, networks and disks"),
    ("cp, container cp", "cp", COMMON, "Copy files into and out of a container"),
    ("diff, container diff", "diff", COMMON, "Show which files a container has changed"),
    ("export, container export", "export", COMMON, "Write a container's files to a tar archive"),
    ("commit, container commit", "commit", COMMON, "Make an image of what a container has changed"),
    ("rename, container rename", "rename", COMMON, "Give a container another name"),
    ("spec", "spec", COMMON, "Write the OCI bundle that run would start"),
    ("inspect", "inspect", COMMON, "Show all details of containers, images, volumes and networks as JSON"),
    ("container inspect", "inspect:CONTAINER", GROUPED, "Show all details of containers as JSON"),
    ("container prune", "prune:CONTAINERS", GROUPED, "Remove all containers that do not run"),
    ("image prune", "prune:IMAGES", GROUPED, "Remove images that nobody needs"),
    ("builder export", "builder_export", GROUPED, "Write what is in a cache mount to a tar archive"),
    ("builder import", "builder_import", GROUPED, "Put what is in a tar archive into a cache mount"),
    ("builder prune", "prune:CACHE", GROUPED, "Remove the build cache"),
    ("builder du", "du", GROUPED, "Show what the build cache takes"),
    ("network create", "network_create", GROUPED, "Make a network"),
    ("network ls, network list", "network_ls", GROUPED, "List networks"),
    ("network inspect", "inspect:NETWORK", GROUPED, "Show all details of networks as JSON"),
    ("network connect", "network_connect", GROUPED, "Put a container on a network"),
    ("network disconnect", "network_connect:DISCONNECT", GROUPED, "Take a container off a network"),
    ("network reload", "network_reload", GROUPED, "Make the packet rules of networks and published ports again"),
    ("network rm, network remove", "network_rm", GROUPED, "Remove networks"),
    ("network prune", "prune:NETWORKS", GROUPED, "Remove networks that no container is to be on"),
    ("volume create", "volume_create", GROUPED, "Make a volume"),
    ("volume ls, volume list", "volume_ls", GROUPED, "List volumes"),
    ("volume inspect", "inspect:VOLUME", GROUPED, "Show all details of volumes as JSON"),
    ("volume rm, volume remove", "volume_rm", GROUPED, "Remove volumes"),
    ("volume export", "volume_export", GROUPED, "Write what is in a volume to a tar archive"),
    ("volume import", "volume_import", GROUPED, "Put what is in a tar archive into a volume"),
    ("volume prune", "prune:VOLUMES", GROUPED, "Remove volumes that no container has"),
    ("context create", "context_create", GROUPED, "Make a context"),
    ("context ls, context list", "context_ls", GROUPED, "List contexts"),
    ("context use", "context_use", GROUPED, "Make a context the current one"),
    ("context show", "context_use:SHOW", GROUPED, "Show which context holds"),
    ("context inspect", "context_inspect", GROUPED, "Show all details of contexts as JSON"),
    ("context update", "context_create:UPDATE", GROUPED, "Change a context"),
    ("context rm, context remove", "context_use:RM", GROUPED, "Remove contexts"),
    ("context export", "context_transfer", GROUPED, "Write a context to a tar archive"),
    ("context import", "context_transfer:IMPORT", GROUPED, "Make a context of a tar or zip archive"),
    ("system prune", "prune:SYSTEM", GROUPED, "Remove containers, images and build cache that nobody needs"),
    ("system df", "df", GROUPED, "Show what takes space"),
    ("bootstrap, image bootstrap", "bootstrap", IMAGES, "Make a base image from a distribution's signed archive"),
    ("build, image build, builder build", "build", IMAGES, "Build an image from a Dockerfile"),
    ("images, image ls, image list", "images", IMAGES, "List images"),
    ("history, image history", "history", IMAGES, "Show the steps that made an image"),
    ("tag, image tag", "tag", IMAGES, "Give an image another name"),
    ("rmi, image rm, image remove", "rmi", IMAGES, "Remove images"),
    ("save, image save", "save", IMAGES, "Write images to a tar archive"),
    ("load, image load", "load", IMAGES, "Read images from a tar archive"),
    ("import, image import", "importing", IMAGES, "Make an image from a tar archive of a file system"),
    ("sbom, image sbom", "sbom", IMAGES, "Show the packages that are in an image, or write its bill of materials"),
    ("why", "why", IMAGES, "Show which images have a package, and by which step"),
    ("tree, image tree", "tree", IMAGES, "Show which images stand on which"),
    ("slim, image slim", "slim", IMAGES, "Show what takes the space in an image"),
    ("image diff", "image_diff", GROUPED, "Show what is different between two images"),
    ("image referrers", "referrers", GROUPED, "Show what is attached to an image"),
    ("image inspect", "inspect:IMAGE", GROUPED, "Show all details of images as JSON"),
    ("events, system events", "events", ENGINE, "Show what happens, and what happened"),
    ("info, system info", "info", ENGINE, "Show the engine, its store and the machine"),
    ("doctor", "doctor", ENGINE, "Show what this machine lacks for containers, and the commands that mend it"),
    ("system audit", "audit", GROUPED, "Show who called the engine, and what came of it"),
    ("system migrate", "migrate", GROUPED, "Keep the files of images and containers by another storage"),
    ("system dial-stdio", "dial_stdio", GROUPED, "Be the engine's socket on standard input and output, for ssh://"),
    ("system check", "check", GROUPED, "Find what killed processes have left, and mend it"),
    ("version", "version", ENGINE, "Show the versions of Kist and what it stands on"),
    ("completion", "completion", ENGINE, "Print what a shell needs to complete words of kist"),
    ("engine", "engine", ENGINE, "Run the engine in the foreground, or stop it (it starts by itself)"),
)


class Verb:
    """One verb.

    Attributes:
        name: the first of ``names``.
        names: all that mean it: ``("ps", "container ls")``.
        module: under ``kist.cli.commands``.
        attribute: the name of its description there.
        heading: in ``kist --help``; empty where that does not show it.
        summary: what it does, in one line.
    """

    __slots__ = ("attribute", "heading", "module", "name", "names", "summary")

    def __init__(self, names: str, where: str, heading: str, summary: str) -> None:
        self.names = tuple(names.split(", "))
        self.name = self.names[0]
        module, _, attribute = where.partition(":")
        self.module = module
        self.attribute = attribute or "COMMAND"
        self.heading = heading
        self.summary = summary


# By the name that help shows, and by every name.
VERBS: "dict[str, Verb]" = {verb.name: verb for verb in (Verb(*row) for row in _ROWS)}
NAMES: "dict[str, Verb]" = {name: verb for verb in VERBS.values() for name in verb.names}


def summary(verb: str) -> str:
    """What the verb does, in one line."""
    return NAMES[verb].summary


def members(group: str) -> "dict[str, Verb]":
    """The verbs of a group by the word that follows it; of several words for one verb the first."""
    found: dict[str, Verb] = {}
    for verb in VERBS.values():
        words = [name.partition(" ")[2] for name in verb.names if name.startswith(group + " ")]
        if words:
            found[words[0]] = verb
    return found
