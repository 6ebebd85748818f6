"""Seccomp profiles in the runtime specification's JSON, for outside runtimes (config-linux.md, "Seccomp").

Rules are in order here and the first that applies decides. There they have no order, and libseccomp, which the
runtimes stand on, takes at most one condition on each argument. So rules of one call that contradict each other are
rewritten until they do not overlap: ``refuse family 38, else allow`` becomes one allowing condition for each bit in
which a number may differ from 38.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from kist.runtime.seccomp.architectures import of_machine
from kist.runtime.seccomp.docker import AUDIT, OPERATORS, PLAIN
from kist.runtime.seccomp.profile import Action, Comparison, Operator, Profile, Rule

_ERRNO, _TRACE = 0x00050000, 0x7FF00000
_ACTION, _DATA = 0xFFFF0000, 0xFFFF
_WORDS = {action: word for word, action in PLAIN.items()}
_COMPARISONS = {operator: word for word, operator in OPERATORS.items()}
_OPPOSITE: dict[Operator, Operator] = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}
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
    last = rules[-1]
    conditional = rules[:-1] if not last.arguments else rules
    if not last.arguments and any(rule.action != last.action for rule in conditional):
        otherwise = _otherwise([rule.arguments for rule in conditional])
        if last.action == default or otherwise is None:
            # Conditions that have no opposite in one condition each: as the profile has them.
            otherwise = [()]
        yield from ((rule.action, rule.arguments) for rule in conditional if rule.action != default)
        if last.action != default:
            yield from ((last.action, arguments) for arguments in otherwise)
        return
    kept = [last] if not last.arguments else conditional
    yield from ((rule.action, rule.arguments) for rule in kept if rule.action != default)


def _otherwise(conditions: Sequence[tuple[Comparison, ...]]) -> list[tuple[Comparison, ...]] | None:
    """What holds when none of these do, as conditions of which one must hold; None where that cannot be said."""
    if any(len(condition) != 1 for condition in conditions):
        return None
    alone = [condition[0] for condition in conditions]
    if len(alone) == 1 and alone[0].operator in _OPPOSITE:
        return [(replace(alone[0], operator=_OPPOSITE[alone[0].operator]),)]
    first = _mask(alone[0])
    if any(each.operator not in {"eq", "masked"} or _mask(each) != first for each in alone):
        return None
    if len({each.index for each in alone}) != 1 or first & (first + 1):
        return None
    return [
        (Comparison(alone[0].index, "masked", value, mask=mask),)
        for mask, value in _others({each.value for each in alone}, first.bit_length())
    ]


def _mask(comparison: Comparison) -> int:
    return comparison.mask if comparison.operator == "masked" else _WORD


def _others(values: set[int], bits: int) -> Iterator[tuple[int, int]]:
    """All numbers of so many bits but these, as masks and values: each is where a number first leaves theirs."""
    for depth in range(1, bits + 1):
        low = bits - depth
        taken = {value >> low for value in values}
        mask = (1 << bits) - (1 << low)
        for above in {prefix >> 1 for prefix in taken}:
            yield from ((mask, branch << low) for branch in (above << 1, above << 1 | 1) if branch not in taken)


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
