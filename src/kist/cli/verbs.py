"""The verbs: where each lives, its heading in ``kist --help``, and what it does in one line.

The modules are imported one by one, when their verb is called.
"""

COMMON = "Containers"
IMAGES = "Images"
ENGINE = "Engine"

# verb: (module under kist.cli.commands, heading, summary)
VERBS: "dict[str, tuple[str, str, str]]" = {
    "run": ("run", COMMON, "Create a container from an image and run it"),
    "exec": ("execute", COMMON, "Run a command in a running container"),
    "ps": ("ps", COMMON, "List containers"),
    "logs": ("logs", COMMON, "Show what a container has printed"),
    "create": ("create", COMMON, "Create a container without starting it"),
    "start": ("start", COMMON, "Start stopped containers"),
    "stop": ("stop", COMMON, "Stop running containers"),
    "kill": ("kill", COMMON, "Send a signal to running containers"),
    "attach": ("attach", COMMON, "Attach standard input, output and errors to a running container"),
    "wait": ("wait", COMMON, "Wait until containers have stopped, then print their exit codes"),
    "rm": ("rm", COMMON, "Remove containers"),
    "inspect": ("inspect", COMMON, "Show all details of containers and images as JSON"),
    "bootstrap": ("bootstrap", IMAGES, "Make a base image from a distribution's signed archive"),
    "build": ("build", IMAGES, "Build an image from a Dockerfile"),
    "images": ("images", IMAGES, "List images"),
    "history": ("history", IMAGES, "Show the steps that made an image"),
    "tag": ("tag", IMAGES, "Give an image another name"),
    "rmi": ("rmi", IMAGES, "Remove images"),
    "save": ("save", IMAGES, "Write images to a tar archive"),
    "load": ("load", IMAGES, "Read images from a tar archive"),
    "import": ("importing", IMAGES, "Make an image from a tar archive of a file system"),
    "info": ("info", ENGINE, "Show the engine, its store and the machine"),
    "version": ("version", ENGINE, "Show the versions of Kist and what it stands on"),
    "engine": ("engine", ENGINE, "Run the engine in the foreground, or stop it (it starts by itself)"),
}


def summary(verb: str) -> str:
    """What the verb does, in one line."""
    return VERBS[verb][2]
