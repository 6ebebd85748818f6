"""Kist's runtime alone: what the engine does to start a container, without the engine, the API and the command."""

import os
import time
from pathlib import Path

from bench.measure import CommandError
from kist.engine.bundle import Surroundings, runtime_spec
from kist.engine.starter import Places, filter_for
from kist.runtime import messages
from kist.runtime.launch import Spawner
from kist.runtime.plan import Log, Plan
from kist.runtime.planner import make_plan
from kist.spec import json
from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount

# In the room /run is in memory, as on every machine; the engine keeps there what need not outlive it.
RUN = "/run/kist-bench"


class SpawnerAlone:
    """A spawner, and containers that run ``true`` with all of Docker's default isolation and no network."""

    def __init__(self, work: Path, root: Path) -> None:
        self._work = work
        self._root = root
        self._count = 0
        work.mkdir()
        self._spawner = Spawner(str(work / "error.log"))

    def _prepare(self) -> tuple[Places, Plan]:
        """The directories and the plan of a further container, as the engine makes them."""
        self._count += 1
        home = self._work / str(self._count)
        upper, inner = home / "upper", home / "work"
        for directory in (upper, inner):
            directory.mkdir(parents=True)
        overlay = Mount("overlay", "overlay", "", (f"lowerdir={self._root}", f"upperdir={upper}", f"workdir={inner}"))
        places = Places(str(home / "data"), f"{RUN}/spawn/{self._count}", f"{RUN}/spawn/root")
        places.make()
        container = _container(f"{self._count:064x}")
        spec = runtime_spec(container, Surroundings((overlay,), "", "", ""))
        plan = make_plan(
            container.id, spec, root_at=places.root, limits=json.to_builtins(spec.linux.resources),
            seccomp=filter_for(spec), wait_for_network=False, log=Log(), own_files=places.data,
        )  # fmt: skip
        return places, plan

    def milliseconds(self) -> float:
        """From the request at the spawner to the exit of the container, as the engine learns of it."""
        places, plan = self._prepare()
        start = time.perf_counter()
        control = self._spawner.launch(plan, places.data, places.run)
        while True:
            message, descriptors = messages.receive(control)
            for descriptor in descriptors:
                os.close(descriptor)
            if message is None or message["event"] == "failed":
                raise CommandError(f"{message}: {(self._work / 'error.log').read_text(errors='replace')[-600:]}")
            if message["event"] == "exited":
                break
        taken = 1000 * (time.perf_counter() - start)
        control.close()
        if message["state"]["exit_code"] != 0:
            raise CommandError(f"true ended with {message['state']}")
        return taken

    def close(self) -> None:
        self._spawner.close()


def _container(identifier: str) -> Container:
    return Container(
        id=identifier, name="bench", image_id=Digest("sha256:" + "0" * 64), created_at=0,
        options=ContainerOptions("bench:1", network="none"),
        config=ContainerConfig(env=("PATH=/bin",)), argv=("true",),
    )  # fmt: skip
