"""Seccomp profiles in the runtime specification's JSON, for outside runtimes (config-linux.md, "Seccomp").

Rules are in order here and the first that applies decides. There they have no order, and libseccomp, which the
runtimes stand on, takes at most one condition on each argument. So rules of one call that contradict each other are
rewritten until they do not overlap: ``refuse family 38, else allow`` becomes an allowing condition for each bit in
which a number may differ from 38.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kist.runtime.seccomp.architectures import of_machine
from kist.runtime.seccomp.docker import AUDIT, OPERATORS, PLAIN
from kist.runtime.seccomp.profile import Action, Comparison, Operator, Profile, Rule

_ERRNO, _TRACE = 0x00050000, 0x7FF00000
_ACTION, _DATA = 0xFFFF0000, 0xFFFF
_WORDS = {action: word for word, action in PLAIN.items()}
_COMPARISONS = {ours: word for word, ours in OPERATORS.items()}
_COMPARE: dict[Operator, Callable[[int, int], bool]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
# Conditions in place of those of one call; a filter has room for a thousand.
_MOST_PIECES = 1024
_WORD = 2**64 - 1


def document(profile: Profile, *, architecture: str, capabilities: frozenset[str]) -> dict[str, Any]:
    """``linux.seccomp`` for a machine and a container.

    Args:
        profile: what to allow.
        architecture: the machine's, in GOARCH's words.
        capabilities: of the container's bounding set.

    Raises:
        Unsupported: the system calls of the architecture are not known.
    """
    calls: dict[str, list[Rule]] = {}
    for rule in profile.rules:
        if rule.applies_to(architecture, capabilities):
            for name in rule.names:
                before = calls.setdefault(name, [])
                if not before or before[-1].arguments:
                    before.append(rule)
    # Calls of one answer together: by action and conditions, the names.
    together: dict[tuple[Action, tuple[Comparison, ...]], list[str]] = {}
    for name, rules in calls.items():
        for action, arguments in _apart(rules, profile.default):
            together.setdefault((action, arguments), []).append(name)
    abis = [abi.audit for abi in of_machine(architecture) if profile.abis is None or abi.audit in profile.abis]
    return {
        **_action(profile.default, "defaultAction", "defaultErrnoRet"),
        "architectures": [word for word, audit in AUDIT.items() if audit in abis],
        "syscalls": [
            {
                "names": sorted(names),
                **_action(action, "action", "errnoRet"),
                **({"args": list(map(_argument, arguments))} if arguments else {}),
            }
            for (action, arguments), names in together.items()
        ],
    }


def _apart(rules: Sequence[Rule], default: Action) -> Iterator[tuple[Action, tuple[Comparison, ...]]]:
    """The rules of one call as ones that do not contradict each other; what the default says is left out."""
    outcomes = {rule.action for rule in rules} | ({default} if rules[-1].arguments else set())
    plain = [rules[-1]] if len(outcomes) == 1 else rules
    pieces = _pieces(rules, default) if len({rule.action for rule in rules}) > 1 else None
    # Conditions on several arguments cannot be told apart so: these are as the profile has them.
    yield from ((rule.action, rule.arguments) for rule in plain if rule.action != default) if pieces is None else pieces


def _pieces(rules: Sequence[Rule], default: Action) -> list[tuple[Action, tuple[Comparison, ...]]] | None:
    """Rules with one condition each, all on one argument, by the bits of that argument; None for others."""
    conditions = [rule.arguments for rule in rules if rule.arguments]
    indices = {comparison.index for condition in conditions for comparison in condition}
    if len(indices) != 1 or any(len(condition) != 1 for condition in conditions):
        return None
    index = indices.pop()
    found: list[tuple[Action, tuple[Comparison, ...]]] = []
    todo = [(0, 0)]
    while todo:
        mask, value = todo.pop()
        outcomes, open_bits = _outcomes(rules, default, mask, value)
        if len(outcomes) > 1:
            bit = 1 << open_bits.bit_length() - 1
            todo += [(mask | bit, value | bit), (mask | bit, value)]
            if len(todo) + len(found) > _MOST_PIECES:
                return None
        elif (action := outcomes.pop()) != default:
            found.append((action, (Comparison(index, "masked", value, mask=mask),)))
    return found


def _reads(comparison: Comparison) -> int:
    """The bits of the argument that it depends on."""
    return comparison.mask if comparison.operator == "masked" else _WORD


def _outcomes(rules: Sequence[Rule], default: Action, mask: int, value: int) -> tuple[set[Action], int]:
    """What may come of an argument of which the bits in ``mask`` are those of ``value``, and what other bits count."""
    found = set()
    open_bits = 0
    for rule in rules:
        holds = _holds(rule.arguments[0], mask, value) if rule.arguments else True
        if holds is not False:
            found.add(rule.action)
        if holds is None:
            open_bits |= _reads(rule.arguments[0]) & ~mask
        if holds:
            return found, open_bits
    return found | {default}, open_bits


def _holds(comparison: Comparison, mask: int, value: int) -> bool | None:
    """Whether it holds for all such arguments, or for none; None for some."""
    word, wanted = comparison.operator, comparison.value
    if word in {"masked", "eq", "ne"}:
        reads = _reads(comparison)
        equal = None if reads & ~mask else value & reads == wanted
        if (value ^ wanted) & mask & reads or wanted & ~reads:
            equal = False
        return equal if word != "ne" or equal is None else not equal
    compare = _COMPARE[word]
    # The smallest of them and the largest: what holds for both holds for all between.
    ends = {compare(value, wanted), compare(value | _WORD & ~mask, wanted)}
    return ends.pop() if len(ends) == 1 else None


def _action(action: Action, name: str, errno: str) -> dict[str, Any]:
    if action in _WORDS:
        return {name: _WORDS[action]}
    kind = {_ERRNO: "SCMP_ACT_ERRNO", _TRACE: "SCMP_ACT_TRACE"}[action.value & _ACTION]
    return {name: kind, errno: action.value & _DATA}


def _argument(comparison: Comparison) -> dict[str, Any]:
    word = _COMPARISONS[comparison.operator]
    if comparison.operator == "masked":
        # There the mask is the first value, and what it must give the second.
        return {"index": comparison.index, "value": comparison.mask, "valueTwo": comparison.value, "op": word}
    return {"index": comparison.index, "value": comparison.value, "op": word}
