"""The engine in this process: ``kist.engine`` with the verbs that stand on it (``build``, ``bootstrap``).

Containers are descendants of this process, in its control groups, and end with it.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from msgspec import structs

from kist.engine import Engine
from kist.errors import Unavailable
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.container import Container
from kist.spec.credentials import Logins
from kist.spec.interface import Progress
from kist.spec.progress import Event, LockRenewed, OutputData, Warned
from kist.spec.provision import Provision
from kist.spec.summary import Image

_MOST_PENDING = 64  # events


class LocalEngine(Engine):
    """``kist.spec.interface.EngineInterface`` in process.

    Args:
        data_root: where images and containers are kept.
        run_root: as for every engine.
    """

    def __init__(self, data_root: str, run_root: str) -> None:
        super().__init__(data_root, run_root, bound=True)

    def build(self, context: str, options: BuildOptions | None = None, *, progress: Progress | None = None) -> Image:
        """Build the Dockerfile in the directory ``context``; the image, which no output may keep."""
        from kist.build.cache_layout import build_with  # noqa: PLC0415 - most scripts run and do not build
        from kist.client.credentials import logins_for  # noqa: PLC0415 - the same
        from kist.client.named_contexts import split  # noqa: PLC0415 - the same
        from kist.client.offer import offer_of  # noqa: PLC0415 - the same
        from kist.client.session import Local  # noqa: PLC0415 - the same
        from kist.spec.build_cache import read as read_caches  # noqa: PLC0415 - the same

        chosen = options or BuildOptions()
        logins = logins_for(read_caches(chosen.cache_from, chosen.cache_to).references, os.environ)
        progress = _keeping_lock(context, chosen, progress or _nobody)
        with offer_of(chosen, os.environ) as offer:
            chosen = structs.replace(chosen, contexts=split(chosen.contexts)[0])
            if any(output.sends_data for output in chosen.outputs):
                return self._send(context, chosen, progress, Local(offer), logins)
            return build_with(self, context, chosen, progress, Local(offer), logins)

    def _send(self, context: str, options: BuildOptions, progress: Progress, given: Provision, logins: Logins) -> Image:
        """Build in a thread, and put what it sends where it belongs."""
        from kist.build.cache_layout import build_with  # noqa: PLC0415 - the same
        from kist.client.destinations import Destinations  # noqa: PLC0415 - the same

        destinations = Destinations(options.outputs, lambda text: progress(Warned(text)))
        told: Queue[Event | None] = Queue(_MOST_PENDING)
        given_up = threading.Event()

        def tell(event: Event) -> None:
            if given_up.is_set():
                raise Unavailable("cancelled: nobody takes the result any more")
            told.put(event)

        with ThreadPoolExecutor(1, "kist-build") as pool:
            job = pool.submit(build_with, self, context, options, tell, given, logins)
            job.add_done_callback(lambda _: told.put(None))
            try:
                while (event := told.get()) is not None:
                    if isinstance(event, OutputData):
                        destinations.keep(event.output, _pieces(event, told))
                    else:
                        progress(event)
            except BaseException as error:
                given_up.set()
                while told.get() is not None:
                    pass
                if isinstance(error, _Cut):
                    job.result()  # raises why it ended
                raise
        return job.result()

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


class _Cut(Unavailable):
    """An output that ends too early; the build knows why."""


def _pieces(event: OutputData, told: "Queue[Event | None]") -> Iterator[bytes]:
    """The bytes of one output, from its first event on."""
    data = event
    while True:
        yield data.data
        if data.last:
            return
        following = told.get()
        if not isinstance(following, OutputData):
            told.put(following)
            raise _Cut("the build ended before its output was whole")
        data = following


def _keeping_lock(context: str, options: BuildOptions, progress: Progress) -> Progress:
    """A listener that writes the lock that a build brings, and passes all on to another one."""
    from kist.client.lockfile import write_lock  # noqa: PLC0415 - most scripts run and do not build

    def tell(event: Event) -> None:
        progress(event)
        if isinstance(event, LockRenewed) and (warning := write_lock(context, options.dockerfile, event.text)):
            progress(Warned(warning))

    return tell


def _nobody(event: Event) -> None:
    """Progress that nobody asked for."""
    del event
