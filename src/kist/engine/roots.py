"""Where an engine keeps its things, by environment and user; the same for every process that looks for it."""

from collections.abc import Mapping


def data_root(environment: Mapping[str, str], uid: int) -> str:
    """``$KIST_ROOT``, else ``/var/lib/kist`` for root, else ``kist`` in the user's data directory (XDG)."""
    if root := environment.get("KIST_ROOT"):
        return root
    if uid == 0:
        return "/var/lib/kist"
    return (environment.get("XDG_DATA_HOME") or environment.get("HOME", "/") + "/.local/share") + "/kist"


def run_root(environment: Mapping[str, str], uid: int) -> str:
    """``$KIST_RUN``, else ``/run/kist`` for root, else ``kist`` in the user's runtime directory (XDG)."""
    if root := environment.get("KIST_RUN"):
        return root
    if uid == 0:
        return "/run/kist"
    return (environment.get("XDG_RUNTIME_DIR") or f"/tmp/kist-run-{uid}") + "/kist"  # noqa: S108 - made with 0700
