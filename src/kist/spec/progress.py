"""What a long verb (build, bootstrap) tells while it works: a tagged union, so that it crosses the socket as JSON.

Steps of a build run side by side: several have begun at a time, and what they tell comes interleaved, each event with
its step's ``id``. Of one step the order is: started, (runs, output and progress), finished. Numbers are the plan's
order; steps begin and end in another one.
"""

import msgspec


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


class Warned(msgspec.Struct, frozen=True, tag="warned"):
    """Something the user should know; work goes on."""

    text: str


class LockRenewed(msgspec.Struct, frozen=True, tag="lock-renewed"):
    """What a build's lock is to be from now on; whoever has the context writes it to ``path`` in that."""

    path: str
    text: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The last event of a success: the image's id, and the names that it has got."""

    image_id: str
    references: tuple[str, ...] = ()


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
    | Finished
    | Failed
)
