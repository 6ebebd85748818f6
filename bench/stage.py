"""What a row is given to work with, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.engines import Engine
from bench.things import Things


@dataclass(frozen=True)
class Stage:
    """What a row is given to work with; ``kist`` says whether it is wanted where no engine is needed."""

    engines: Sequence[Engine]
    things: Things
    quick: bool
    kist: bool


@dataclass(frozen=True)
class Side:
    """One contestant in a row; each call of `sample` is one measurement in the row's unit."""

    name: str
    sample: Callable[[], float]
