"""The process of a health check, planned."""

from collections.abc import Sequence

from kist.engine import bundle, lifetime, security, starter
from kist.engine.means import Means
from kist.runtime import plan, planner
from kist.spec.container import Container, ExecOptions
from kist.spec.runtime import IdMaps


def plan_check(
    container: Container, linked: Sequence[str], hostname: str, means: Means, ids: IdMaps | None = None
) -> plan.Plan | None:
    """The plan of what checks this container's health; None when nothing does.

    Args:
        container: which.
        linked: variables of its links.
        hostname: its name for itself.
        means: what can be done here.
        ids: of its user namespace.
    """
    command = lifetime.health_command(container)
    if not command:
        return None
    process = means.fit_process(bundle.exec_process(container, ExecOptions(command=command), linked, hostname))
    profile = security.read(container.options).seccomp
    seccomp = starter.seccomp_filter(profile, frozenset(process.capabilities))
    return planner.make_exec_plan(container.id, process, plan.EXEC_NAMESPACES, seccomp=seccomp, stdin=False, ids=ids)
