"""From a profile to a filter program, for one machine and one set of capabilities."""

from functools import lru_cache

from kist.errors import InvalidInput
from kist.runtime.seccomp import bpf
from kist.runtime.seccomp.architectures import PRIVATE, Architecture, of_machine
from kist.runtime.seccomp.profile import KILL_PROCESS, Action, Profile, Rule

_MAXIMUM = 4096  # instructions of one filter (linux/bpf_common.h, BPF_MAXINSNS)


@lru_cache(maxsize=64)
def compile(profile: Profile, *, architecture: str, capabilities: frozenset[str]) -> bytes:  # noqa: A001 - as re.compile
    """The filter program: an array of ``struct sock_filter``, as ``kist.kernel.seccomp.load`` takes it.

    It asks for the architecture first (another one than the machine's own and its 32-bit one ends the process) and
    finds the number by halving: an ordinary call costs some dozen instructions.

    Args:
        profile: what to allow.
        architecture: the machine's, in GOARCH's words (``amd64``).
        capabilities: names (``CAP_CHOWN``) of the container's bounding set.

    Raises:
        Unsupported: the system calls of the architecture are not known.
        InvalidInput: the program would be longer than the kernel takes.
    """
    rules = tuple(rule for rule in profile.rules if rule.applies_to(architecture, capabilities))
    code = [bpf.end(KILL_PROCESS)]
    for abi in reversed(of_machine(architecture)):
        if profile.abis is not None and abi.audit not in profile.abis:
            continue
        code = bpf.if_equal(abi.audit, _filter(profile, rules, abi), code)
    code.insert(0, bpf.load(bpf.ARCHITECTURE))
    if len(code) > _MAXIMUM:
        raise InvalidInput(
            f"the seccomp profile takes {len(code)} instructions, and the kernel takes {_MAXIMUM}",
            hint="name fewer conditions on arguments",
        )
    return bpf.pack(code)


def _filter(profile: Profile, rules: tuple[Rule, ...], abi: Architecture) -> bpf.Code:
    """The part for one architecture."""
    leaves: list[tuple[int, bpf.Code]] = []
    for start, chosen in _intervals(profile, rules, abi):
        code: bpf.Code = []
        for rule in chosen:
            code += bpf.when(rule.arguments, rule.action)
        if not chosen or chosen[-1].arguments:
            code.append(bpf.end(profile.default))
        leaves.append((start, code))
    return [bpf.load(bpf.NUMBER), *bpf.search(_merged(leaves))]


def _intervals(profile: Profile, rules: tuple[Rule, ...], abi: Architecture) -> list[tuple[int, tuple[Rule, ...]]]:
    """For ascending numbers from 0: where a run of numbers begins, and the rules for them."""
    numbers = abi.numbers()
    by_name = _rules_by_name(rules)
    unknown = _always(profile.unknown or profile.default)
    newest = _newest(profile, numbers)
    result: list[tuple[int, tuple[Rule, ...]]] = []
    expected = 0
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        if number > expected:
            result.append((expected, unknown))
        known = number <= newest or number >= PRIVATE
        result.append((number, by_name.get(name, ()) if known else unknown))
        expected = number + 1
    result.append((expected, unknown))
    return result


def _rules_by_name(rules: tuple[Rule, ...]) -> dict[str, tuple[Rule, ...]]:
    """For each name its rules in order, up to the first without conditions."""
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        for name in rule.names:
            before = found.get(name, ())
            if not before or before[-1].arguments:
                found[name] = (*before, rule)
    return found


def _newest(profile: Profile, numbers: dict[str, int]) -> int:
    """The highest number that a rule names, whether the rule applies here or not."""
    named = (numbers.get(name, -1) for rule in profile.rules for name in rule.names)
    return max((number for number in named if number < PRIVATE), default=-1)


def _always(action: Action) -> tuple[Rule, ...]:
    return (Rule((), action),)


def _merged(leaves: list[tuple[int, bpf.Code]]) -> list[tuple[int, bpf.Code]]:
    """Without the intervals that say the same as the one before them."""
    merged: list[tuple[int, bpf.Code]] = []
    for start, code in leaves:
        if not merged or merged[-1][1] != code:
            merged.append((start, code))
    return merged
