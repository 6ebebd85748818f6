"""The code that every monitor runs, moved together in memory.

A call writes to its function and to its code: they count who uses them. A fork copies a whole page for that, and where
what is used lies between what is not, most pages have something of both. So what monitors run is copied to places side
by side, before the fork; the originals stay where they are, unused and shared.

Nothing here changes what any code does: where it is in vain, memory is all that is lost.
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any


# CPython's allocator (Objects/obmalloc.c): blocks of one size come from pools, which have a header each.
_POOL = 1 << 14
_HEADER = 48
_STEP = 16
_LARGEST = 512
# A bytes object is so much larger than what it holds.
_OF_BYTES = sys.getsizeof(b"")
# Blocks that fill the gaps of one size before this is given up: the allocator may be another one.
_MOST_BLOCKS = 1 << 12

# What must not be given back, for its places would be taken by what comes next.
_kept: list[object] = []


def gather(called: Sequence[CodeType]) -> None:
    """Move this code, and the functions of our own modules that have it, together.

    Args:
        called: in the order in which it is called; what is not a function's of our modules stays where it is.
    """
    fill_gaps()
    _kept.extend(called)
    functions = _functions()
    mover = _Mover(called)
    for code in called:
        for owner, name, function in functions.get(id(code), ()):
            mover.move(owner, name, function)


def fill_gaps() -> None:
    """Have new objects lie side by side, in pools of their own, and not in gaps between older ones."""
    for size in range(_STEP, _LARGEST + 1, _STEP):
        filling = []
        for number in range(_MOST_BLOCKS):
            filling.append(_block(size, number))
            if id(filling[-1]) % _POOL == _HEADER:
                _kept.extend(filling)
                break


def _block(size: int, number: int) -> object:
    """An object that takes a block of so many bytes, and that no list of free objects of its type gives."""
    if size == _STEP:
        return object()
    return complex(0.5, number) if size < _OF_BYTES else bytes(size - _OF_BYTES)


def _functions() -> dict[int, list[tuple[Any, str, FunctionType]]]:
    """All functions of our modules and their classes by the identity of their code: where each is found, and it."""
    found: dict[int, list[tuple[Any, str, FunctionType]]] = {}
    for owner in _owners():
        for name, value in vars(owner).items():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                found.setdefault(id(function.__code__), []).append((owner, name, function))
    return found


def _owners() -> Iterator[Any]:
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "kist":
            continue
        classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]
        yield from (owner for owner in (module, *classes) if id(owner) not in seen)
        seen.update(map(id, classes))


class _Mover:
    """Copies of code and functions, one for each."""

    def __init__(self, called: Sequence[CodeType]) -> None:
        # By identity: code of different functions can be equal.
        self._called = {id(code) for code in called}
        self._codes: dict[int, CodeType] = {}
        self._functions: dict[int, FunctionType] = {}

    def move(self, owner: Any, name: str, function: FunctionType) -> None:
        """Put a copy of the function in its place there; of a method's wrapper, or a closure, only the code moves."""
        if vars(owner)[name] is not function or function.__closure__ is not None:
            function.__code__ = self._code(function.__code__)
            return
        moved = self._functions.get(id(function))
        if moved is None:
            code = self._code(function.__code__)
            moved = FunctionType(code, function.__globals__, function.__name__, function.__defaults__)
            moved.__kwdefaults__ = function.__kwdefaults__
            moved.__module__, moved.__doc__ = function.__module__, function.__doc__
            self._functions[id(function)] = moved
            _kept.append(function)
        setattr(owner, name, moved)

    def _code(self, code: CodeType) -> CodeType:
        """A copy, and copies of what it has in it (lambdas, comprehensions)."""
        if id(code) not in self._codes:
            within = tuple(
                self._code(value) if isinstance(value, CodeType) and id(value) in self._called else value
                for value in code.co_consts
            )
            self._codes[id(code)] = code.replace(co_consts=within)
        return self._codes[id(code)]
