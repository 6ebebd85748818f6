"""What a long verb (build, bootstrap) tells while it works: a tagged union, so that it crosses the socket as JSON.

Steps of a build run side by side: several have begun at a time, and what they tell comes interleaved, each event with
its step's ``id``. Of one step the order is: started, (runs, output and progress), finished. Numbers are the plan's
order; steps begin and end in another one.
"""

import msgspec

from kist.spec.image import Descriptor
from kist.spec.summary import Image


class StepStarted(msgspec.Struct, frozen=True, tag="step-started"):
    """A step begins; ``number`` of ``total`` (0 where the total is unknown)."""

    id: str
    title: str
    number: int = 0
    total: int = 0


class StepOutput(msgspec.Struct, frozen=True, tag="step-output"):
    """Text that the step's command printed."""

    id: str
    stream: str
    text: str


class StepRuns(msgspec.Struct, frozen=True, tag="step-runs"):
    """The step's command runs in a container, which is gone with the step."""

    id: str
    container: str


class StepProgress(msgspec.Struct, frozen=True, tag="step-progress"):
    """How far the step is; ``unit`` is ``bytes`` or a noun in the plural (``packages``).

    With ``total`` 0 it tells only that the work goes on, for so many ``seconds`` by now.
    """

    id: str
    done: int
    total: int
    unit: str


class StepFinished(msgspec.Struct, frozen=True, tag="step-finished"):
    """A step's end.

    Attributes:
        seconds: that it took.
        cached: it was taken from the cache.
        error: why it failed.
        result: the id of the image that a build would make that ended with this step; empty for an empty one.
        container: where its command ran.
        base: what it begins with was there, and nothing was to be done.
        cancelled: it did not fail by itself: another step had failed, or nobody wanted the result any more.
    """

    id: str
    seconds: float
    cached: bool = False
    error: str = ""
    result: str = ""
    container: str = ""
    base: bool = False
    cancelled: bool = False


class CacheKept(msgspec.Struct, frozen=True, tag="cache-kept"):
    """The cache keys of a build's steps, for who wants to take them elsewhere: of ``mode`` ``min`` or ``max``."""

    mode: str
    keys: tuple[str, ...]


class Warned(msgspec.Struct, frozen=True, tag="warned", omit_defaults=True):
    """Something the user should know; work goes on. ``rule`` is that of a build check, where it is one's finding."""

    text: str
    rule: str = ""


class LockRenewed(msgspec.Struct, frozen=True, tag="lock-renewed"):
    """What a build's lock is to be from now on; whoever has the context writes it to ``path`` in that."""

    path: str
    text: str


class OutputData(msgspec.Struct, frozen=True, tag="output-data"):
    """A piece of what an output consists of; the pieces of one come one after the other.

    Attributes:
        output: its number among the build's outputs, from 0.
        data: in JSON, in base 64.
        last: it ends here.
    """

    output: int
    data: bytes
    last: bool = False


class FileDiffers(msgspec.Struct, frozen=True):
    """A file that is not the same in two builds.

    Attributes:
        path: from the root, without a slash at its beginning; of a file that is gone with ``.wh.`` before its name.
        where: ``first`` or ``again`` where only one of the builds has it, else ``both``.
        how: a sentence for each thing that differs; where it is the content, two lines follow with what is there.
    """

    path: str
    where: str
    how: tuple[str, ...] = ()


class StepDiffers(msgspec.Struct, frozen=True):
    """A step whose layer is not the same in two builds: where it is in the Dockerfile, its files, how many more."""

    title: str
    place: str
    files: tuple[FileDiffers, ...]
    more: int = 0


class Verified(msgspec.Struct, frozen=True, tag="verified"):
    """The build was made twice: of how many layers, and the steps whose layers differ."""

    layers: int
    differing: tuple[StepDiffers, ...] = ()


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The last event of a success.

    Attributes:
        image_id: the digest of the image's config; empty where no output is an image.
        references: the names that it has got.
        manifest: what its manifest is.
        image: as it would be, where it is not kept.
    """

    image_id: str
    references: tuple[str, ...] = ()
    manifest: Descriptor | None = None
    image: Image | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The last event of a failure; the fields rebuild the error (``kist.errors.by_name``)."""

    error: str
    message: str
    hint: str = ""
    exit_code: int = 1


Event = (
    StepStarted
    | StepRuns
    | StepOutput
    | StepProgress
    | StepFinished
    | CacheKept
    | Warned
    | LockRenewed
    | OutputData
    | Verified
    | Finished
    | Failed
)
