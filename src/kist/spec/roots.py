"""Where an engine keeps its things, by environment and user: the same for every process that looks for it."""

from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def data_root(environment: "Mapping[str, str]", uid: int) -> str:
    """What must not be lost: ``$KIST_ROOT``, else ``/var/lib/kist`` for root, else ``kist`` in the user's data (XDG).

    Raises:
        InvalidInput: an ordinary user without ``HOME``.
    """
    if root := environment.get("KIST_ROOT"):
        return root
    if uid == 0:
        return "/var/lib/kist"
    if share := environment.get("XDG_DATA_HOME"):
        return share + "/kist"
    if home := environment.get("HOME"):
        return home + "/.local/share/kist"
    raise InvalidInput("no place for images: neither KIST_ROOT, XDG_DATA_HOME nor HOME is set", hint="set HOME")


def run_root(environment: "Mapping[str, str]", uid: int) -> str:
    """What a restart of the machine may take: ``$KIST_RUN``, else ``/run/kist`` for root, else of the user.

    That is ``kist`` in ``$XDG_RUNTIME_DIR``, and where no session made one (batch jobs, su) a directory in /tmp.
    """
    if root := environment.get("KIST_RUN"):
        return root
    if uid == 0:
        return "/run/kist"
    return (environment.get("XDG_RUNTIME_DIR") or f"/tmp/kist-run-{uid}") + "/kist"  # noqa: S108 - made with 0700


def policy_file(environment: "Mapping[str, str]") -> str:
    """What callers of root's engine who are not root may do: ``$KIST_POLICY``, else ``/etc/kist/policy.toml``."""
    return environment.get("KIST_POLICY") or "/etc/kist/policy.toml"


def fault_of_run_root(owner: int, mode: int, uid: int) -> str:
    """Why an ordinary user's engine cannot be in a directory, by who owns it and who may write to it; empty if it can.

    In /tmp anybody could have been there first.
    """
    if uid and owner not in {uid, 0}:
        return "it belongs to another user"
    if uid and mode & 0o002 and not mode & 0o1000:
        return "everybody may write to it"
    return ""


def config_file(environment: "Mapping[str, str]", uid: int) -> str:
    """The engine's settings: ``$KIST_CONFIG``, else ``/etc/kist/engine.toml`` for root, else of the user (XDG).

    Empty where an ordinary user has no place for one.
    """
    if path := environment.get("KIST_CONFIG"):
        return path
    if uid == 0:
        return "/etc/kist/engine.toml"
    home = environment.get("XDG_CONFIG_HOME") or (environment.get("HOME", "") and environment["HOME"] + "/.config")
    return f"{home}/kist/engine.toml" if home else ""
