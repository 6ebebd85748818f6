"""What the engine tells of itself: ``kist version`` and ``kist info``."""

import os
import platform
import sys
from typing import TYPE_CHECKING

from kist.engine import logconfig, port_paths
from kist.engine.limits import missing_limits
from kist.kernel import cgroup
from kist.spec.platform import Platform
from kist.spec.summary import Info, Version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.engine.engine import Engine
    from kist.spec.container import Container


def version(api_version: str, least_api_version: str) -> Version:
    """Versions of the engine and what it stands on."""
    from importlib import metadata  # noqa: PLC0415 - a tenth of what a local run would import

    system = os.uname()
    return Version(
        version=metadata.version("kist"),
        api_version=api_version,
        min_api_version=least_api_version,
        python=platform.python_version(),
        kernel=system.release,
        os=sys.platform,
        architecture=Platform.of_machine(system.machine).architecture,
    )


def info(engine: "Engine", found: "Sequence[Container]") -> Info:
    """The machine and the store, as the engine finds them now; ``found`` are all containers."""
    from kist.engine import cdi  # noqa: PLC0415 - few machines have such devices

    paused = sum(container.state.status == "paused" for container in found)
    return Info(
        version=engine.version(),
        containers=len(found),
        running=sum(container.state.running for container in found) - paused,
        paused=paused,
        limits=tuple(sorted(engine.machine.machine.keeps)),
        event_readers=engine.event_log.listeners,
        warnings=missing_limits(engine.machine.machine),
        images=len(engine.catalogue.list()),
        data_root=engine.data_root,
        run_root=engine.run_root,
        storage_driver=engine.store.storage.name,
        storage_reason=engine.store.storage.why,
        cgroup_version=cgroup.detect().mode,
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        rootless=not engine.means.root,
        ids=engine.means.ids.count if engine.means.ids is not None else 0,
        lacks=engine.means.lacks,
        way_out=engine.means.way_out,
        ports=port_paths.words(engine.port_paths.objection()),
        log_driver=engine.settings.log.driver,
        log_drivers=logconfig.DRIVERS,
        devices=cdi.discovered(),
    )
