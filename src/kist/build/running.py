"""RUN: a step's command in a container on the step's snapshot, and what it prints."""

import codecs
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import structs

from kist.build.plan import SCRIPTS, Document, Run
from kist.build.run_mounts import RunMounts
from kist.engine.stop import Stop
from kist.errors import StepFailed
from kist.spec.build import StepOptions
from kist.spec.image import ContainerConfig
from kist.spec.interface import Progress
from kist.spec.mount import Mount
from kist.spec.progress import StepOutput, StepRuns

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class Command:
    """One step's command.

    Args:
        engine: runs it.
        step_id: which step it is of.
        action: what to run.
        options: what commands have.
        progress: told of its container and of what it prints.
        stop: ends it before its time.
        mounts: what it sees besides the snapshot.
    """

    def __init__(
        self,
        engine: "Engine",
        step_id: str,
        action: Run,
        options: StepOptions,
        progress: Progress,
        stop: Stop,
        mounts: RunMounts,
    ) -> None:
        self._engine = engine
        self._step_id = step_id
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
        options = structs.replace(self._options, network=action.network or self._options.network)
        identifier = secrets.token_hex(32)
        self._progress(StepRuns(self._step_id, identifier))
        output = _Output(self._step_id, self._progress)
        try:
            with _script(self._engine, action.script) as further, self._mounts.opened() as given:
                code = self._engine.run_step(
                    snapshot,
                    action.argv,
                    config=config,
                    options=options,
                    mounts=further,
                    given=given,
                    output=output,
                    identifier=identifier,
                    stop=self._stop,
                )
        finally:
            output.end()
        if code:
            raise StepFailed(
                f"The command '{' '.join(action.argv)}' returned a non-zero code: {code}",
                hint="the steps before it are kept; correct the command and build again",
                exit_code=code,
            )


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
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def __call__(self, stream: str, data: bytes) -> None:
        self._tell(stream, self._decoders[stream].decode(data))

    def end(self) -> None:
        """Tell what is left of a character that was never finished."""
        for stream, decoder in self._decoders.items():
            self._tell(stream, decoder.decode(b"", final=True))

    def _tell(self, stream: str, text: str) -> None:
        if text:
            self._progress(StepOutput(self._step_id, stream, text))
