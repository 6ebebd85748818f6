"""The engine in this process: ``kist.engine`` with the verbs that stand on it (``build``, ``bootstrap``).

Containers are descendants of this process, in its control groups, and end with it.
"""

import os
from collections.abc import Sequence

from kist.engine import Engine
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.container import Container
from kist.spec.interface import Progress
from kist.spec.summary import Image


class LocalEngine(Engine):
    """``kist.spec.interface.EngineInterface`` in process.

    Args:
        data_root: where images and containers are kept.
        run_root: as for every engine.
    """

    def __init__(self, data_root: str, run_root: str) -> None:
        super().__init__(data_root, run_root, bound=True)

    def build(self, context: str, options: BuildOptions | None = None, *, progress: Progress | None = None) -> Image:
        """Build the Dockerfile in the directory ``context``."""
        from kist.build.cache_layout import build_with  # noqa: PLC0415 - most scripts run and do not build
        from kist.client.offer import offer_of  # noqa: PLC0415 - the same
        from kist.client.session import Local  # noqa: PLC0415 - the same

        chosen = options or BuildOptions()
        with offer_of(chosen, os.environ) as offer:
            return build_with(self, context, chosen, progress, Local(offer))

    def bootstrap(self, options: BootstrapOptions, *, progress: Progress | None = None) -> Image:
        """Make a base image from a distribution's signed archive."""
        from kist.bootstrap import bootstrap  # noqa: PLC0415 - the same

        return bootstrap(self, options, progress)

    def commit(
        self,
        name: str | Container,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of a container as it is now; ``changes`` are Dockerfile instructions."""
        from kist.build.changes import read_changes  # noqa: PLC0415 - the same

        config = read_changes(changes, self.container(name).config)
        return self.commit_config(name, reference, config=config, author=author, message=message, pause=pause)
