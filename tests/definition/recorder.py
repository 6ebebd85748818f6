"""Every answer that a test's clients get, judged as it comes; a test that got a wrong one fails at its end."""

from definition.document import load
from definition.exchange import Exchange, judge


class Recorder:
    """The answers of one process's tests."""

    def __init__(self) -> None:
        self.count = 0
        self._wrong: dict[str, None] = {}

    def note(self, exchange: Exchange) -> None:
        """Judge an answer."""
        self.count += 1
        for line in judge(load(), exchange):
            self._wrong[line] = None

    def take(self) -> list[str]:
        """What was wrong since the last call."""
        wrong, self._wrong = list(self._wrong), {}
        return wrong


RECORDER = Recorder()
