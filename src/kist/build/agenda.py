"""Which steps of a plan may begin: those whose requirements are done. Pure."""

from collections.abc import Sequence

from kist.build.plan import Step


class Agenda:
    """The steps of a plan on their way from waiting to done.

    Args:
        steps: in an order in which each comes after those it requires.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._waiting = list(steps)
        self._done: set[str] = set()
        self._begun = 0

    def take(self) -> list[Step]:
        """The steps that may begin now, in the order of the plan; each is given once."""
        ready = [step for step in self._waiting if self._done.issuperset(step.requires)]
        if ready:
            taken = {step.id for step in ready}
            self._waiting = [step for step in self._waiting if step.id not in taken]
            self._begun += len(ready)
        return ready

    def finish(self, step_id: str) -> None:
        """A step that was taken is done."""
        self._done.add(step_id)

    @property
    def under_way(self) -> int:
        """How many steps were taken and are not done."""
        return self._begun - len(self._done)
