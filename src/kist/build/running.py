"""RUN: a step's command in a container on the step's snapshot, and what it prints."""

import codecs
import os
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from kist.build.debugging import failed, not_found, open_shell
from kist.build.entitlements import options_of
from kist.build.plan import SCRIPTS, Document, Run, Step
from kist.build.run_mounts import RunMounts
from kist.engine.step_series import StepSeries
from kist.engine.stop import Stop
from kist.errors import CommandNotFound
from kist.kernel import faults
from kist.spec.build import STEP_HOSTNAME, StepOptions
from kist.spec.image import ContainerConfig
from kist.spec.interface import Progress
from kist.spec.mount import Mount
from kist.spec.progress import StepOutput, StepRuns

if TYPE_CHECKING:
    from kist.engine.engine import Engine


_LAST = 10
_LONGEST = 500  # characters of a line that an error repeats


class Command:
    """One step's command.

    Args:
        engine: runs it.
        step: which step it is of.
        action: what to run.
        options: what commands have.
        progress: told of its container and of what it prints.
        stop: ends it before its time.
        mounts: what it sees besides the snapshot.
        series: the build's commands.
    """

    def __init__(
        self,
        engine: "Engine",
        step: Step,
        action: Run,
        options: StepOptions,
        progress: Progress,
        stop: Stop,
        mounts: RunMounts,
        series: StepSeries,
    ) -> None:
        self._engine = engine
        self._series = series
        self._step_id = step.id
        self._place = step.place
        self._action = action
        self._options = options
        self._progress = progress
        self._stop = stop
        self._mounts = mounts

    def fill(self, snapshot: str, mounts: Sequence[Mount]) -> None:
        """Run it, and see it end with 0.

        Raises:
            StepFailed: it ended with another code.
        """
        del mounts
        action = self._action
        config = ContainerConfig(
            env=(*action.environment, *self._mounts.variables, *action.proxies),
            user=action.user,
            working_dir=action.working_dir,
        )
        options = options_of(self._engine, action, self._options)
        identifier = secrets.token_hex(32)
        hostname = action.hostname or STEP_HOSTNAME
        self._progress(StepRuns(self._step_id, identifier))
        output = _Output(self._step_id, self._progress)
        try:
            with _script(self._engine, action.script) as further, self._mounts.opened() as given:
                run = partial(self._engine.run_step, snapshot, config=config, options=options, mounts=further,
                              given=given, output=output, stop=self._stop, hostname=hostname,
                              series=self._series)  # fmt: skip
                faults.point("build part: has what a command is given")
                try:
                    code = run(action.argv, identifier=identifier)
                except CommandNotFound as error:
                    raise not_found(action, error) from error
                faults.point("build part: a command has ended")
                output.end()
                if code and self._mounts.given.terminal:
                    open_shell(self._mounts.given, action, code, run)
        finally:
            output.end()
        if code:
            raise failed(action, self._place, code, output.last)


@contextmanager
def _script(engine: "Engine", script: Document | None) -> Iterator[tuple[Mount, ...]]:
    """What shows a step its script, for the time of the block."""
    if script is None:
        yield ()
        return
    with engine.store.temporary() as above:
        directory = os.path.join(above, "script")
        os.mkdir(directory)
        os.chmod(directory, 0o755)  # noqa: S103 - any user of the image may be the one who runs it
        path = os.path.join(directory, script.name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(script.text)
        os.chmod(path, 0o755)  # noqa: S103 - the same
        yield (Mount.bind(directory, SCRIPTS, read_only=True),)


class _Output:
    """A command's output as text events; a character that is cut between two reads stays whole."""

    def __init__(self, step_id: str, progress: Progress) -> None:
        self._step_id = step_id
        self._progress = progress
        self._printed: deque[str] = deque(maxlen=_LAST)
        self._line = ""
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def __call__(self, stream: str, data: bytes) -> None:
        self._tell(stream, self._decoders[stream].decode(data))

    def end(self) -> None:
        """Tell what is left of a character that was never finished."""
        for stream, decoder in self._decoders.items():
            self._tell(stream, decoder.decode(b"", final=True))

    @property
    def last(self) -> tuple[str, ...]:
        """The last lines that were printed, on either stream."""
        return (*self._printed, *([self._line] if self._line.strip() else []))[-_LAST:]

    def _tell(self, stream: str, text: str) -> None:
        if text:
            *lines, rest = (self._line + text).split("\n")
            self._printed.extend(line[:_LONGEST] for line in lines[-_LAST:])
            self._line = rest[-_LONGEST:]
            self._progress(StepOutput(self._step_id, stream, text))
