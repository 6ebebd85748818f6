"""What the last builds came to, for the next one of the same Dockerfile: it need not be read, planned and checked anew.

What is kept is pure but for what it asks: of images, of named contexts. So its questions are kept with it, and asked
again: only where all answers are the same, so is what follows from them. Nothing of a build's results is here.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from kist.errors import KistError
from kist.spec.json import encode_escaped

T = TypeVar("T")

_MOST = 16
_LARGEST = 1 << 18  # bytes of JSON; others are made anew

_NONE = object()
"""In place of an answer that was not given; no answer is the same."""

Ask = Callable[..., Any]


class _Question(NamedTuple):
    """Which of the functions was called, how, and what it gave."""

    number: int
    arguments: tuple[Any, ...]
    answer: Any


class _Kept(NamedTuple, Generic[T]):
    value: T
    questions: Sequence[_Question]


def key_of(*values: Any) -> bytes:
    """A key of what a value follows from; lines of a file can be any bytes (PEP 383)."""
    return hashlib.sha256(encode_escaped(values)).digest()


class Recent(Generic[T]):
    """The last values of one kind, by all that they follow from. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _Kept[T]] = OrderedDict()

    def get(self, key: bytes, functions: Sequence[Ask], make: Callable[..., T]) -> T:
        """The value.

        Args:
            key: of all that it follows from (``key_of``) besides the answers of the functions.
            functions: what it asks. Each is called as ``make`` would call it, and raises what it would.
            make: makes it of these functions.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None and _same(kept.questions, functions):
            return kept.value
        asked: list[_Question] = []
        value = make(*(_noted(number, function, asked) for number, function in enumerate(functions)))
        if len(encode_escaped(value)) <= _LARGEST:
            with self._lock:
                self._kept[key] = _Kept(value, asked)
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
        return value


def _noted(number: int, function: Ask, asked: list[_Question]) -> Ask:
    def call(*arguments: Any) -> Any:
        answer: Any = _NONE
        try:
            answer = function(*arguments)
        finally:
            asked.append(_Question(number, arguments, answer))
        return answer

    return call


def _same(questions: Sequence[_Question], functions: Sequence[Ask]) -> bool:
    try:
        return all(functions[each.number](*each.arguments) == each.answer for each in questions)
    except KistError:
        return False  # ``make`` meets it again, and says where
