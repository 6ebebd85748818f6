"""Takes out of a new system what differs from one making to the next, and what an image has no use for."""

from collections.abc import Iterator

from kist.bootstrap.tree import Tree

# Directories that stay, without what is in them; apt wants some empty directories in its own.
_EMPTIED = (
    "run",
    "tmp",
    "var/tmp",
    "var/lib/apt/lists",
    "var/lib/systemd/catalog",
)
_WANTED_DIRECTORIES = (
    ("run/lock", 0o1777),
    ("var/lib/apt/lists/partial", 0o755),
    ("var/cache/apt/archives/partial", 0o755),
)

# Everything below var/cache can be made again, but for the answers that debconf keeps there (FHS 5.5 notwithstanding).
_CACHE = "var/cache"
_KEPT_CACHES = frozenset(
    {"var/cache/debconf/config.dat", "var/cache/debconf/passwords.dat", "var/cache/debconf/templates.dat"}
)

_REMOVED = (
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/random-seed",
    "var/lib/ucf/cache",
)

# Empty, they are as a container wants them: systemd makes up an id when it starts, and logs begin with the container.
_MACHINE_ID = "etc/machine-id"
_LOGS = "var/log"
_OWN_LOGS = (
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/apt/eipp.log.xz",
)


def normalise(tree: Tree) -> None:
    """Clean the tree of a system whose packages are all configured."""
    for directory in _EMPTIED:
        for name in tree.names(directory):
            tree.remove(f"{directory}/{name}")
    for path in (*_REMOVED, *_OWN_LOGS):
        tree.remove(path)
    for path in _files(tree, _CACHE):
        if path not in _KEPT_CACHES:
            tree.remove(path)
    for path in _files(tree, _LOGS):
        tree.truncate(path)
    if tree.stat(_MACHINE_ID) is not None:
        tree.truncate(_MACHINE_ID)
    for path, mode in _WANTED_DIRECTORIES:
        tree.make_directory(path)
        tree.set_mode(path, mode)


def _files(tree: Tree, directory: str) -> Iterator[str]:
    """All that is below a directory and is none itself."""
    for name in tree.names(directory):
        path = f"{directory}/{name}"
        if tree.is_directory(path):
            yield from _files(tree, path)
        else:
            yield path
